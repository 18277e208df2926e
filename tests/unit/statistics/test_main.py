"""The program's start and end, in this process."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from support.statistics.application import MemoryLedger, services_over
from wsedge_statistics import main as program
from wsedge_statistics.app import build
from wsedge_statistics.errors import LedgerUnwritableError, SettingsError
from wsedge_statistics.identity.tokens import Verifier
from wsedge_statistics.ledger.sqlite.place import Place
from wsedge_statistics.ledger.sqlite.store import SqliteLedger
from wsedge_statistics.main import listen, main
from wsedge_statistics.settings import Settings
from wsedge_statistics.web.server import Server


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The program's handlers and logs leave nothing behind."""
    import logging

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_the_description_is_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """--openapi needs no other option."""
    main(["--openapi"])
    assert json.loads(capsys.readouterr().out) == build(None).openapi()


def test_wrong_settings_end_the_program_with_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One line on stderr, and no ledger."""
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(tmp_path / "data"), "--listen", "nowhere"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("wsedge-statistics: listen: give HOST:PORT")
    assert not (tmp_path / "data").exists()


def test_a_ledger_in_use_ends_the_program_with_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Another process holds the folder's lock."""
    place = Place(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(tmp_path), "--listen", "127.0.0.1:0"])
    place.release()
    assert ended.value.code == 1
    assert "is in use by another process" in capsys.readouterr().err


def test_a_ledger_that_cannot_be_read_ends_the_program_with_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger is closed, and its folder free."""

    def damaged(_: Any) -> None:
        raise LedgerUnwritableError("the ledger cannot be read: no such table")

    monkeypatch.setattr(SqliteLedger, "directory", damaged)
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(tmp_path), "--listen", "127.0.0.1:0"])
    assert ended.value.code == 1
    assert "no such table" in capsys.readouterr().err
    Place(tmp_path).release()


def test_sigterm_ends_the_program_with_a_closed_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It serves until the signal, reports not ready from then on, and returns."""
    served = threading.Event()
    startup = Server.startup

    async def started(self: Any, sockets: Any = None) -> None:
        await startup(self, sockets)
        served.set()
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Server, "startup", started)
    main(["--data", str(tmp_path), "--listen", "127.0.0.1:0", "--log-format", "json"])
    assert served.is_set()
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["starting", "listening", "ended"]
    Place(tmp_path).release()


def test_the_server_reports_not_ready_from_the_signal_on() -> None:
    """Requests that have begun are still answered."""
    services = services_over(MemoryLedger())
    server = Server(uvicorn.Config(build(services), log_config=None), services)
    server.handle_exit(signal.SIGTERM, None)
    assert services.draining
    assert server.should_exit


def test_a_port_in_use_is_refused_with_the_option() -> None:
    """The text names host and port."""
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(SettingsError, match=f"--listen: cannot listen on 127.0.0.1 port {port}"):
            listen("127.0.0.1", port)


def test_a_port_of_the_rpc_in_use_is_refused_with_its_option(tmp_path: Path) -> None:
    """The other port is free again."""
    with listen("127.0.0.1", 0) as taken, listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
        free.close()
        settings = Settings(
            data=tmp_path,
            listen=f"127.0.0.1:{port}",
            dcdn_listen=f"127.0.0.1:{taken.getsockname()[1]}",
            api_server="https://x",
            api_token_file=tmp_path / "token",
        )
        with pytest.raises(SettingsError, match="--dcdn-listen: cannot listen"):
            program.listen_all(settings)
        listen("127.0.0.1", port).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_answer_leaves_at_once(host: str) -> None:
    """Connections have TCP_NODELAY: otherwise an answer waits 40 ms for the acknowledgement of its head."""
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with listen(host, 0) as listener:
        server = await asyncio.start_server(accepted, sock=listener)
        async with server:
            _, writer = await asyncio.open_connection(host, listener.getsockname()[1])
            assert await found
            writer.close()
            await writer.wait_closed()


def test_an_ipv6_address_is_served() -> None:
    """The family follows the address."""
    with listen("::1", 0) as listener:
        assert listener.family == socket.AF_INET6


def test_tokens_are_verified_when_keys_are_configured(tmp_path: Path) -> None:
    """Without --jwks-url there is no verifier; an issuer that no start found is a defect."""
    assert program._verifier(Settings(data=tmp_path)) is None
    configured = Settings(data=tmp_path, jwks_url="https://x", issuer="https://i")
    assert isinstance(program._verifier(configured), Verifier)
    with pytest.raises(SettingsError, match="needs an issuer"):
        program._verifier(configured.model_copy(update={"issuer": None}))
