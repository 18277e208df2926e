"""The password of a ClickHouse server, changed under the running program."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3
from structlog.testing import capture_logs

from support.statistics.clickhouse import clickhouse_address
from wsedge_statistics.errors import LedgerUnreadableError
from wsedge_statistics.ledger.clickhouse import server as server_module
from wsedge_statistics.ledger.clickhouse.server import Address, Server

ONE = "SELECT toUInt64(1)"
_OF_REQUESTS = ("content-type", "content-encoding", "accept-encoding", "user-agent")
_OF_ANSWERS = ("content-type", "x-clickhouse-summary", "x-clickhouse-timezone", "x-clickhouse-exception-code")


class Guard(ThreadingHTTPServer):
    """A server of ClickHouse whose user has a password: it hands requests with it on to another server."""

    daemon_threads = True

    def __init__(self, url: str, password: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.password = url, password
        self.pool = urllib3.PoolManager()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Guard

    def do_POST(self) -> None:
        body = self._body()
        expected = "Basic " + b64encode(f"default:{self.server.password}".encode()).decode()
        if self.headers["Authorization"] != expected:
            self._send(403, b"Code: 516. DB::Exception: default: Authentication failed", {})
            return
        kept = {name: value for name, value in self.headers.items() if name.lower() in _OF_REQUESTS}
        url = self.server.upstream + self.path
        answer = self.server.pool.request("POST", url, body=body, headers=kept, decode_content=False)
        headers = {name: value for name, value in answer.headers.items() if name.lower() in _OF_ANSWERS}
        self._send(answer.status, answer.data, headers)

    do_GET = do_POST

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of its base
        """Write nothing."""


@pytest.fixture
def guard() -> Iterator[Guard]:
    with clickhouse_address() as address, Guard(address.url, "first") as guarded:
        thread = threading.Thread(target=guarded.serve_forever)
        thread.start()
        yield guarded
        guarded.shutdown()
        thread.join()
        guarded.pool.clear()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "password"
    made.write_text("first\n")
    return made


@pytest.fixture
def server(guard: Guard, file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(server_module, "RETRY_SECONDS", 0.0)
    address = Address(guard.url, "default", password="first", password_file=file)
    with closing(Server(address)) as connected:
        assert connected.query(ONE) == [(1,)]
        yield connected


def test_a_changed_password_is_read_without_a_restart(server: Server, guard: Guard, file: Path) -> None:
    """The server's first, then the file's: only questions between the two fail."""
    guard.password = "second"
    with pytest.raises(LedgerUnreadableError, match="516"):
        server.query(ONE)
    file.write_text("second\n")
    with capture_logs() as logs:
        assert server.query(ONE) == [(1,)]
    assert [each["event"] for each in logs] == ["password changed"]
    assert "second" not in f"{logs} {server.address}"
    assert list(server.stream(ONE, {})) == [(1,)]


def test_a_password_that_the_server_does_not_have_yet_waits(server: Server, guard: Guard, file: Path) -> None:
    """The file's first, then the server's: nothing fails, and the old password is used meanwhile."""
    file.write_text("second\n")
    with capture_logs() as logs:
        assert server.query(ONE) == [(1,)]
    assert [each["event"] for each in logs] == ["changed password refused"]
    guard.password = "second"
    assert server.query(ONE) == [(1,)]
    assert server.address == replace(server.address, password="second")


def test_a_file_that_is_gone_changes_nothing(server: Server, file: Path) -> None:
    """The Secret was deleted, or the kubelet replaces it: the password in use stays."""
    file.unlink()
    assert server.query(ONE) == [(1,)]
