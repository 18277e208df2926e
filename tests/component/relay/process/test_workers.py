"""A relay of several processes: it acts as one relay, and survives the end of any worker."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, GCCollector

from support.relay.heads import upgrade
from support.relay_process import certificate, config, domain, encoded, publish, write
from support.relay_process.process import DEADLINE, RelayProcess, eventually
from support.relay_process.statistics import Statistics
from support.relay_process.traffic import Client, echo_origin
from wsedge_devcluster.machine.ranges import claim
from wsedge_relay.config.load import LoadedConfig
from wsedge_relay.config.material import Material
from wsedge_relay.contract import Listen, RelayConfig
from wsedge_relay.metering.spool import decode
from wsedge_relay.process.assignment import Assignment, loaded_to_json
from wsedge_relay.process.shared_limits import make_table
from wsedge_relay.process.supervisor import Supervisor
from wsedge_relay.process.worker import _orders
from wsedge_relay.process.worker_process import HUNG_SECONDS, WorkerProcess
from wsedge_relay.settings import Settings

TWO = ("--workers", "2")
LABEL = '{domain="chat.example.com"}'


def to_origin(port: int, **fields: object) -> dict[str, object]:
    """Return a domain with its origin on this port, no time to drain, and no ping for minutes.

    (After a client's first bytes, that is: the relay would count a ping that the client has not read.)
    """
    origins = [{"host": "127.0.0.1", "httpPort": port}]
    usual = {"lifecycle": {"drainSeconds": 0}, "heartbeatSeconds": 300}
    return domain(origins=origins, **{**usual, **fields})


async def workers(relay: RelayProcess, number: int = 2) -> list[int]:
    """Return the process ids of the workers, by number."""
    return [
        int((await relay.event("worker started", worker=worker))["process"])
        for worker in range(1, number + 1)
    ]


def is_gone(process: int) -> bool:
    """Return whether a process has ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def children(process: int) -> set[int]:
    """Return the running workers of a supervisor.

    Until it has its own program a child is none: stopped there it would stop its parent as well, by vfork.
    """
    ids = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return {
        int(child)
        for child in ids
        if b"wsedge_relay.process.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    }


def private_mebibytes(process: int) -> float:
    """Return the private memory of a process."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


class Crowd:
    """Connections to one port, closed at the end; the kernel chooses a worker for each by its source port."""

    def __init__(self) -> None:
        self.clients: list[Client] = []

    async def __aenter__(self) -> Crowd:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            client.close()

    async def enter(self, port: int, number: int) -> list[Client]:
        """Open more connections, let each send a message, and return them."""
        new = []
        for _ in range(number):
            client = await Client().open(port)
            self.clients.append(client)
            await client.echo(b"here")
            new.append(client)
        return new

    @property
    def received(self) -> int:
        """Return the bytes that all clients received."""
        return sum(client.received for client in self.clients)


async def survivors(clients: Sequence[Client]) -> list[Client]:
    """Return the clients whose connections still echo."""
    alive = []
    for client in clients:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await client.echo(b"still here")
            alive.append(client)
    return alive


async def metric(relay: RelayProcess, name: str) -> float:
    """Return a value of /metrics."""
    status, text = await relay.admin("/metrics")
    assert status == 200
    (line,) = (line for line in text.splitlines() if line.startswith(f"wsedge_relay_{name} "))
    return float(line.rpartition(" ")[2])


def journalled(spool: Path) -> int:
    """Return the bytes sent to clients in the journals of all workers."""
    rows = [decode(file.read_bytes())[2] for file in spool.rglob("*.journal")]
    return sum(row.sent_bytes for journal in rows for row in journal)


async def test_every_byte_is_counted_once_whoever_carried_it(tmp_path: Path) -> None:
    """Connections spread, two sources report, metrics and state are sums, SIGTERM drains both."""
    async with echo_origin() as origin, Statistics() as statistics, Crowd() as crowd:
        path = write(tmp_path / "relay.json", config(to_origin(origin), statistics={"url": statistics.url}))
        async with RelayProcess("--config", path, *TWO) as relay:
            port = await relay.port("http")
            processes = await workers(relay)
            clients = await crowd.enter(port, 24)
            for client in clients:
                await client.echo(b"x" * 100)
            assert (await relay.state())["openConnections"] == 24
            assert await metric(relay, f"open_connections{LABEL}") == 24
            assert await metric(relay, f"sent_bytes_total{LABEL}") == crowd.received
            assert await metric(relay, f"received_bytes_total{LABEL}") == sum(each.sent for each in clients)
            assert await metric(relay, f"handshake_seconds_count{LABEL}") == 24
            assert (await metric(relay, "ready"), await metric(relay, "workers")) == (1, 2)
            assert max(map(private_mebibytes, processes)) < 60
            relay.signal(signal.SIGTERM)
            for client in clients:
                assert await client.answer_close() == b"\x88\x0c\x03\xe9going away"
            assert await relay.ended() == 0
        assert statistics.total("sentBytes") == crowd.received
        assert statistics.total("receivedBytes") == sum(client.sent for client in clients)
        opened = [row["openedConnections"] for row in statistics.rows.values()]
        sources = {(uid, epoch) for uid, epoch, *_ in statistics.rows}
        assert (sum(opened), len(sources), len({uid for uid, _ in sources})) == (24, 2, 1)
        assert all(opened)
        assert {event["worker"] for event in relay.events if event["event"] == "drain finished"} == {1, 2}
        assert all(map(is_gone, processes))


async def test_a_killed_worker_takes_its_own_connections_and_no_others(tmp_path: Path) -> None:
    """Other connections stay, the successor reports the swept usage, and the places at limits are freed."""
    async with echo_origin() as origin, Statistics() as statistics, Crowd() as crowd:
        limited = to_origin(origin, limits={"connections": 16})
        path = write(tmp_path / "relay.json", config(limited, statistics={"url": statistics.url}))
        spool = tmp_path / "spool"
        statistics.answers[0] = 503
        fast = ("--spool-dir", spool, "--report-seconds", "0.2")
        async with RelayProcess("--config", path, *fast, *TWO) as relay:
            port = await relay.port("http")
            first, second = await workers(relay)
            clients = await crowd.enter(port, 16)
            refusals = await knock(port)
            await eventually(lambda: journalled(spool) == crowd.received + len(refusals))
            assert await metric(relay, f"opened_connections_total{LABEL}") == 16
            seen = len(relay.events)
            os.kill(first, signal.SIGKILL)
            await relay.event("worker ended", worker=1, code=-signal.SIGKILL)
            alive = await survivors(clients)
            assert 0 < len(alive) < 16
            assert await relay.admin("/readyz") == (200, "ok\n")
            anew = await relay.event("worker started", worker=1, after=seen)
            assert anew["process"] not in (first, second)
            assert await metric(relay, f"opened_connections_total{LABEL}") == 16
            assert await metric(relay, "worker_restarts_total") == 1
            assert (await relay.state())["openConnections"] == len(alive)
            more = await crowd.enter(port, 16 - len(alive))
            refusals += await knock(port)
            statistics.answers[0] = 204
            relay.signal(signal.SIGTERM)
            for client in (*alive, *more):
                await client.answer_close()
            assert await relay.ended() == 0
        assert statistics.total("sentBytes") == crowd.received + len(refusals)
        assert statistics.codes() == {"101": 16 + len(more), "503": 2}
        assert len({epoch for _, epoch, *_ in statistics.rows}) == 3
        assert {file.name for file in spool.glob("worker-*/*")} == {"lock", "peaks"}


async def test_a_configuration_reaches_all_and_a_bad_one_none(tmp_path: Path) -> None:
    """No connection closes, certificates are sent too, a refusal is logged once, a new worker gets it too."""
    async with echo_origin() as origin, Crowd() as crowd:
        volume, secrets = tmp_path / "volume", tmp_path / "secrets"
        files = {"certificateFile": "tls.crt", "keyFile": "tls.key"}
        both = {"host": "127.0.0.1", "http": 0, "https": 0, "admin": 0}

        def published(generation: str, **fields: object) -> None:
            document = config(to_origin(origin, tls=files, **fields), listen=both, generation=generation)
            publish(volume, {"relay.json": encoded(document)})

        old, new = (dict(zip(("tls.crt", "tls.key"), certificate(), strict=True)) for _ in range(2))
        publish(secrets, old)
        published("g1")
        async with RelayProcess("--config", volume / "relay.json", "--secrets-dir", secrets, *TWO) as relay:
            clients = await crowd.enter(await relay.port("http"), 8)
            tls = await relay.port("https")
            assert {await shown(tls) for _ in range(8)} == {ssl.PEM_cert_to_DER_cert(old["tls.crt"].decode())}
            publish(secrets, new)
            published("g2")
            await relay.event("configuration applied", generation="g2")
            assert (await relay.state())["generation"] == "g2"
            newest = ssl.PEM_cert_to_DER_cert(new["tls.crt"].decode())
            assert {await shown(tls) for _ in range(8)} == {newest}
            published("g3", heartbeatSeconds=999)
            await relay.event("configuration refused", generation="g3")
            processes = await workers(relay)
            seen = len(relay.events)
            os.kill(processes[1], signal.SIGKILL)
            await relay.event("worker started", worker=2, after=seen)
            state = await relay.state()
            assert (state["generation"], state["refusedGeneration"]) == ("g2", "g3")
            assert await metric(relay, "config_refusals_total") == 1
            assert {await shown(tls) for _ in range(8)} == {newest}
            assert (await survivors(clients)) != []
            published("g4")
            await relay.event("configuration applied", generation="g4")
            assert (await relay.state())["refusedReason"] is None
            for client in clients:
                client.close()
            relay.signal(signal.SIGTERM)
            assert await relay.ended() == 0


async def test_a_worker_that_starts_does_not_miss_a_configuration(tmp_path: Path) -> None:
    """A configuration that arrives after its assignment is applied too."""
    path = write(tmp_path / "relay.json", config(generation="g1"))
    async with RelayProcess("--config", path, *TWO) as relay:
        await relay.port("http")
        processes = await workers(relay)
        seen = len(relay.events)
        os.kill(processes[1], signal.SIGKILL)
        await relay.event("worker ended", worker=2, after=seen)
        (anew,) = await eventually(lambda: children(relay.pid).difference(processes))
        os.kill(anew, signal.SIGSTOP)  # so that it stays at its start
        try:
            write(path, config(generation="g2"))
            relay.signal(signal.SIGHUP)
            await relay.event("configuration applied", generation="g2")
        finally:
            os.kill(anew, signal.SIGCONT)
        await relay.event("worker started", worker=2, process=anew, after=seen)
        assert (await relay.state())["generation"] == "g2"


async def test_a_configuration_that_a_worker_cannot_take_now_is_refused_and_not_its_end(
    tmp_path: Path,
) -> None:
    """It reports that descriptors ran out; the last configuration stays, and is replaced later."""
    loaded = LoadedConfig(RelayConfig.model_validate(config()), Material())

    def apply(_: LoadedConfig) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    class Broken:
        """A relay process that cannot apply a configuration."""

        collector = GCCollector(registry=CollectorRegistry())

        def __init__(self) -> None:
            self.apply = apply

    said = await _orders(cast(Any, Broken()))["apply"](loaded_to_json(loaded))
    assert said == os.strerror(errno.EMFILE)

    async def call(*_: object, **__: object) -> object:
        return said

    supervisor = Supervisor(Settings(config=tmp_path / "relay.json", workers=2), loaded)
    for worker in supervisor._workers:
        worker.is_up, worker.call = True, call  # type: ignore[method-assign]
    with pytest.raises(OSError, match="Too many open files"):
        await supervisor._apply(loaded)
    os.close(supervisor._table_file)


async def test_limits_hold_for_all_workers_together(tmp_path: Path) -> None:
    """Limits of connections and rates apply to the relay, whichever worker gets the connection."""
    async with echo_origin() as origin, Crowd() as crowd:
        path = write(tmp_path / "relay.json", config(to_origin(origin, limits={"connectionsPerClient": 3})))
        async with RelayProcess("--config", path, *TWO) as relay:
            port = await relay.port("http")
            clients = await crowd.enter(port, 3)
            answers = [await knock(port) for _ in range(10)]
            assert all(answer.startswith(b"HTTP/1.1 429 ") for answer in answers)
            clients.pop().close()
            async with asyncio.timeout(DEADLINE):  # until the relay has noticed
                while not await is_admitted(port):  # noqa: ASYNC110  each look is a connection
                    await asyncio.sleep(0.02)
            paced = {"handshakesPerSecond": 1}
            write(path, config(to_origin(origin, limits=paced), generation="g2"))
            await relay.event("configuration applied", generation="g2")
            clock = asyncio.get_running_loop().time
            began = clock()
            taken = [await is_admitted(port) for _ in range(20)]
            assert 1 <= sum(taken) <= 1 + (clock() - began)


async def test_a_drain_by_request_reaches_all_and_stays(tmp_path: Path) -> None:
    """The relay is not ready, each worker refuses new clients, and a second signal hurries the drain."""
    async with echo_origin() as origin, Crowd() as crowd:
        slowly = {"drainSeconds": 3600}
        path = write(tmp_path / "relay.json", config(to_origin(origin, lifecycle=slowly)))
        async with RelayProcess("--config", path, *TWO) as relay:
            port = await relay.port("http")
            clients = await crowd.enter(port, 8)
            assert (await relay.admin("/drain?seconds=soon", method="POST"))[0] == 400
            assert await relay.admin("/drain?seconds=3600", method="POST") == (
                202,
                "The relay is draining.\n",
            )
            assert await relay.admin("/readyz") == (503, "The relay is draining.\n")
            for worker in (1, 2):
                await relay.event("drain started", worker=worker, seconds=3600.0)
            assert {(await knock(port))[:13] for _ in range(8)} == {b"HTTP/1.1 503 "}
            assert (await relay.state())["draining"] is True
            relay.signal(signal.SIGINT)
            relay.signal(signal.SIGTERM)  # another one, for two of a kind may come as one
            for client in clients:
                await client.answer_close()
            assert await relay.ended() == 0


async def test_each_worker_writes_the_lines_of_its_connections(tmp_path: Path) -> None:
    """A line has the worker's number, which with the connection's names one connection of the relay."""
    async with echo_origin() as origin, Crowd() as crowd:
        log = {"samplePercent": 100, "everySeconds": 1, "path": True, "query": True}
        path = write(tmp_path / "relay.json", config(to_origin(origin, accessLog=log)))
        async with RelayProcess("--config", path, *TWO) as relay:
            await crowd.enter(await relay.port("http"), 8)
            for worker in (1, 2):
                opened = await relay.event("connection opened", worker=worker)
                assert (opened["path"], opened["query"]) == ("/room", "")
                number = opened["connection"]
                await relay.event("connection open", worker=worker, connection=number)
            relay.signal(signal.SIGTERM)
            await relay.event("connection", worker=2, ended_by="relay")


async def test_a_signal_hurries_a_drain_by_request_in_each_worker(tmp_path: Path) -> None:
    """After SIGTERM connections have at most drainSeconds, whatever the request allowed."""
    async with echo_origin() as origin, Crowd() as crowd:
        path = write(tmp_path / "relay.json", config(to_origin(origin)))
        async with RelayProcess("--config", path, *TWO) as relay:
            clients = await crowd.enter(await relay.port("http"), 8)
            assert await relay.admin("/drain?seconds=3600", method="POST") == (
                202,
                "The relay is draining.\n",
            )
            for worker in (1, 2):
                await relay.event("drain started", worker=worker, seconds=3600.0)
            relay.signal(signal.SIGTERM)
            for client in clients:
                await client.answer_close()
            assert await relay.ended() == 0


async def test_signals_to_all_processes_are_heeded_once(tmp_path: Path) -> None:
    """A terminal signals each process: no worker ends by it or takes it as the order to hurry."""
    async with echo_origin() as origin, Crowd() as crowd:
        slowly = {"drainSeconds": 3600}
        path = write(tmp_path / "relay.json", config(to_origin(origin, lifecycle=slowly)))
        async with RelayProcess("--config", path, *TWO) as relay:
            processes = await workers(relay)
            clients = await crowd.enter(await relay.port("http"), 8)
            for process in processes:
                os.kill(process, signal.SIGHUP)
            assert len(await survivors(clients)) == 8
            relay.signal(signal.SIGTERM)
            for worker in (1, 2):
                await relay.event("drain started", worker=worker)
            for process in processes:
                os.kill(process, signal.SIGTERM)
                os.kill(process, signal.SIGINT)
            alive = []
            for client in clients:
                try:
                    await client.echo(b"still here")
                    await client.echo(b"still here")
                    alive.append(client)
                except AssertionError:  # each worker closes its first at once
                    client.close()
            assert len(alive) >= 6
            relay.signal(signal.SIGTERM)
            for client in alive:
                await client.answer_close()
            assert await relay.ended() == 0


@pytest.fixture
def own_address() -> Iterator[str]:
    """Return a loopback address that nothing else uses, also before the test listens."""
    ranges = claim()
    yield str(ranges.pair.services[1])
    ranges.release()


async def test_nothing_outlives_a_killed_supervisor(tmp_path: Path, own_address: str) -> None:
    """Its workers end with it, so that the next relay can use ports and spool."""
    listen = {"host": own_address, "http": 0, "admin": 0}
    path = write(tmp_path / "relay.json", config(listen=listen))
    arguments = ("--config", path, "--spool-dir", tmp_path / "spool", *TWO)
    async with RelayProcess(*arguments) as relay:
        listen["http"] = await relay.port("http")
        processes = await workers(relay)
        relay.signal(signal.SIGKILL)
        assert await relay.ended() == -signal.SIGKILL
        await eventually(lambda: all(map(is_gone, processes)))
    write(path, config(listen=listen))
    async with RelayProcess(*arguments) as relay:
        assert await relay.port("http") == listen["http"]


async def test_a_worker_that_hangs_is_told_of(tmp_path: Path) -> None:
    """Liveness and readiness name it, the last known state stays; after it resumes the relay is healthy."""
    async with echo_origin() as origin, Crowd() as crowd:
        path = write(tmp_path / "relay.json", config(to_origin(origin)))
        async with RelayProcess("--config", path, *TWO) as relay:
            clients = await crowd.enter(await relay.port("http"), 8)
            assert (await relay.state())["openConnections"] == 8
            _, second = await workers(relay)
            os.kill(second, signal.SIGSTOP)
            try:
                status, text = await answers(relay, "/healthz", 503)
                assert (status, text[:28]) == (503, "Worker 2 has not answered fo")
                assert (await relay.admin("/readyz"))[0] == 503
                assert (await relay.state())["openConnections"] == 8
            finally:
                os.kill(second, signal.SIGCONT)
            await answers(relay, "/healthz", 200)
            assert await relay.admin("/readyz") == (200, "ok\n")
            assert len(await survivors(clients)) == 8


async def test_a_worker_that_hangs_for_long_is_killed() -> None:
    """The supervisor kills it after 20 seconds of its clock, so that another worker replaces it."""
    loop = asyncio.get_running_loop()
    ahead = 0.0
    limits = make_table(1)
    worker = WorkerProcess(1, limits=limits, clock=lambda: loop.time() + ahead)
    told = Assignment(
        1,
        Settings(config=Path("relay.json")),
        Listen(http=0),
        LoadedConfig(RelayConfig.model_validate(config()), Material()),
        in_pod=False,
    )
    living = asyncio.create_task(worker.run(lambda: told, list))
    async with asyncio.timeout(DEADLINE):
        await worker.started.wait()
        assert worker.process is not None
        os.kill(worker.process, signal.SIGSTOP)
        ahead = HUNG_SECONDS
        assert await living == -signal.SIGKILL
    assert not worker.is_up
    assert cast(int | None, worker.process) is None
    assert worker.silence == 0.0
    os.close(limits)


class TestStart:
    """A fault at the start is one line and exit code 2, and no process is left."""

    @pytest.mark.parametrize("other", [(), TWO], ids=["one process", "several"])
    async def test_a_taken_port_is_told(self, tmp_path: Path, other: tuple[str, ...]) -> None:
        """Another relay with workers, which share its port, still owns the port alone."""
        write(tmp_path / "one.json", config())
        async with RelayProcess("--config", tmp_path / "one.json", *other) as first:
            listen = {"host": "127.0.0.1", "http": await first.port("http"), "admin": 0}
            write(tmp_path / "two.json", config(listen=listen))
            async with RelayProcess("--config", tmp_path / "two.json", *TWO) as second:
                assert await second.ended() == 2
            (line,) = (event["text"] for event in second.events if event["event"] == "text")
            assert line.startswith("wsedge-relay: cannot listen: ")

    @pytest.mark.parametrize("other", [(), TWO], ids=["one process", "several"])
    async def test_an_address_that_is_none_is_told(self, tmp_path: Path, other: tuple[str, ...]) -> None:
        """A host that cannot be sent to a name service."""
        path = write(tmp_path / "relay.json", config())
        async with RelayProcess("--config", path, "--host", "a..b", *other) as relay:
            assert await relay.ended() == 2
        (line,) = (event["text"] for event in relay.events if event["event"] == "text")
        assert line.startswith("wsedge-relay: cannot listen: a..b: ")

    async def test_a_spool_in_use_is_told(self, tmp_path: Path) -> None:
        """A lock on the folder, or on the folder of one worker, ends the whole start."""
        path = write(tmp_path / "relay.json", config())
        spool = tmp_path / "spool"
        for folder in (spool, spool / "worker-2"):
            folder.mkdir()
            with (folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                async with RelayProcess("--config", path, "--spool-dir", spool, *TWO) as relay:
                    assert await relay.ended() == 2
            (line,) = (event["text"] for event in relay.events if event["event"] == "text")
            assert line == f"wsedge-relay: spool folder {folder}: another relay process uses it"


async def test_another_number_of_workers_finds_what_was_spooled(tmp_path: Path) -> None:
    """Killed with three workers, then one process alone, then two: each reports the spools of the others."""
    async with echo_origin() as origin, Statistics() as statistics, Crowd() as crowd:
        path = write(tmp_path / "relay.json", config(to_origin(origin), statistics={"url": statistics.url}))
        spool = tmp_path / "spool"
        arguments = ("--config", path, "--spool-dir", spool, "--report-seconds", "0.2")
        statistics.answers[0] = 503
        for number in (3, 1):
            async with RelayProcess(*arguments, "--workers", str(number)) as relay:
                await crowd.enter(await relay.port("http"), 6)
                await eventually(lambda: journalled(spool) == crowd.received)
                relay.signal(signal.SIGKILL)
                await relay.ended()
        statistics.answers[0] = 204
        async with RelayProcess(*arguments, *TWO) as relay:
            await statistics.until(lambda: statistics.total("sentBytes") == crowd.received)
            relay.signal(signal.SIGTERM)
            assert await relay.ended() == 0
        assert sorted(str(file.relative_to(spool)) for file in spool.rglob("*") if file.is_file()) == [
            "lock",
            "worker-1/lock",
            "worker-2/lock",
        ]


async def knock(port: int) -> bytes:
    """Send an upgrade, return the head and body of the answer, and disconnect."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(upgrade("/room"))
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            return head if head.startswith(b"HTTP/1.1 101 ") else head + await reader.read()
        finally:
            writer.transport.abort()


async def is_admitted(port: int) -> bool:
    """Return whether the relay accepts a connection now."""
    return (await knock(port)).startswith(b"HTTP/1.1 101 ")


async def answers(relay: RelayProcess, target: str, wanted: int) -> tuple[int, str]:
    """Return the first answer of the admin port with this status."""
    async with asyncio.timeout(DEADLINE):
        while True:
            status, body = await relay.admin(target)
            if status == wanted:
                return status, body
            await asyncio.sleep(0.1)


async def shown(port: int) -> bytes:
    """Return the certificate that a new TLS connection receives."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with asyncio.timeout(DEADLINE):
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="chat.example.com"
        )
    found: Any = writer.get_extra_info("ssl_object")
    writer.transport.abort()
    return bytes(found.getpeercert(binary_form=True))
