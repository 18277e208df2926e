"""Slow, half and many connections, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from prometheus_client import CollectorRegistry, Counter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.server import ServerState

from support.relay_process.process import eventually
from support.statistics.process import statistics
from wsedge_statistics.web.connections import Connections, Limits, bounded

LIMITS = Limits(most=5, head=0.5, body=0.5, stalled=0.5, sweep=0.05)
PATIENCE = 20.0
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """A server with these bounds. `held` are requests that are being served until `release`."""

    def __init__(self) -> None:
        self.closed = Counter("closed", "x", ["reason"], registry=CollectorRegistry())
        self.release = asyncio.Event()
        self.held = asyncio.Semaphore(0)
        self.port = 0

    async def body(self, request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def ignore(self, _: Request) -> Response:
        return PlainTextResponse("unread")

    async def large(self, _: Request) -> Response:
        return PlainTextResponse("x" * (64 << 20))

    async def hold(self, _: Request) -> Response:
        self.held.release()
        await self.release.wait()
        return PlainTextResponse("held")

    def ended(self, reason: str) -> float:
        (family,) = self.closed.collect()
        return sum(
            sample.value
            for sample in family.samples
            if sample.name == "closed_total" and sample.labels == {"reason": reason}
        )


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Serve on a port of the kernel's choice."""
    made = Server()
    paths = {"/healthz": made.ignore, "/large": made.large, "/hold": made.hold}
    routes = [Route(path, handler) for path, handler in paths.items()]
    routes += [Route(f"/{each.__name__}", each, methods=["POST"]) for each in (made.body, made.ignore)]
    protocol = bounded(Connections(LIMITS, made.closed))
    config = uvicorn.Config(Starlette(routes=routes), http=protocol, lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    listening = await asyncio.get_running_loop().create_server(
        lambda: protocol(config, state, {}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    made.release.set()
    listening.close()
    await eventually(lambda: not state.connections and not state.tasks)


async def connect(server: Server, *content: bytes) -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for each in content:
        writer.write(each)
    await writer.drain()
    return reader, writer


async def ended(streams: Streams) -> bytes:
    """Return what comes until the server ends the connection."""
    reader, writer = streams
    async with asyncio.timeout(PATIENCE):
        received = bytearray()
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                received += piece
        writer.transport.abort()
        return bytes(received)


async def drip(streams: Streams, pieces: bytes) -> bytes:
    """Send a byte every tenth of a second until the server ends the connection."""

    async def send() -> None:
        with contextlib.suppress(ConnectionError):
            for number in range(1000):
                streams[1].write(pieces[number % len(pieces) :][:1])
                await streams[1].drain()
                await asyncio.sleep(0.1)

    sending = asyncio.create_task(send())
    received = await ended(streams)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    return received


async def health(server: Server) -> bytes:
    return await ended(await connect(server, GET + b"Connection: close\r\n\r\n"))


async def test_a_connection_without_a_request_ends(server: Server) -> None:
    """Not a byte is sent."""
    assert await ended(await connect(server)) == b""
    assert server.ended("head") == 1


async def test_a_head_that_never_ends_ends_the_connection(server: Server) -> None:
    """A byte every now and then changes nothing; after an answered request neither."""
    for before in ((), (GET + b"\r\n",)):
        await drip(await connect(server, *before, GET), b"X-A: b\r\n")
    assert server.ended("head") == 2


async def test_a_body_that_drips_ends_the_connection(server: Server) -> None:
    """Whether the request waits for it, or was answered before."""
    assert await drip(await connect(server, POST), b"x") == b""
    assert server.ended("body") == 1
    answered = await drip(await connect(server, POST.replace(b"/body", b"/ignore")), b"x")
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert server.ended("head") == 1


async def test_an_answer_that_nobody_reads_ends_the_connection(server: Server) -> None:
    """Its memory is free again."""
    reader, writer = await connect(server, GET.replace(b"healthz", b"large") + b"\r\n")
    await eventually(lambda: server.ended("stalled"))
    assert (await health(server)).endswith(b"unread")
    assert len(await ended((reader, writer))) < 64 << 20


async def test_slow_work_ends_no_connection(server: Server) -> None:
    """A request that is being served is not the client's fault."""
    streams = await connect(server, GET.replace(b"healthz", b"hold") + b"Connection: close\r\n\r\n")
    await server.held.acquire()
    assert await ended(await connect(server)) == b""  # as long as any limit
    server.release.set()
    assert (await ended(streams)).endswith(b"held")


async def test_a_request_in_pieces_is_served(server: Server) -> None:
    """Each part has its own time, and so has each request of a connection."""
    reader, writer = await connect(server)
    for number in range(4):
        for piece in (POST[:20], POST[20:], b"x" * 60, b"x" * 40):
            await asyncio.sleep(0.1)
            writer.write(piece)
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 "), number
            assert await reader.readexactly(3) == b"100"
    writer.transport.abort()


async def test_many_connections_leave_room_for_others(server: Server) -> None:
    """Each new connection of the crowd, and each request for health, replaces the longest that waits."""
    crowd = [await connect(server, GET) for _ in range(3 * LIMITS.most)]
    assert (await health(server)).endswith(b"unread")
    for streams in crowd:
        assert await ended(streams) == b""
    assert server.ended("replaced") == 2 * LIMITS.most + 1


async def test_requests_that_are_served_are_not_replaced(server: Server) -> None:
    """When all are, the newcomer is closed."""
    hold = GET.replace(b"healthz", b"hold") + b"Connection: close\r\n\r\n"
    busy = [await connect(server, hold) for _ in range(LIMITS.most)]
    for _ in busy:
        await server.held.acquire()
    assert await health(server) == b""
    assert server.ended("no-room") == 1
    server.release.set()
    for streams in busy:
        assert (await ended(streams)).endswith(b"held")


def test_as_many_connections_as_descriptors_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger needs some; an unlimited number allows all."""
    for soft, most in ((1024, 896), (100, 1), (-1, 2000), (1 << 20, 2000)):
        monkeypatch.setattr("resource.getrlimit", lambda _, soft=soft: (soft, soft))
        assert Limits().within_descriptors() == Limits(most=most)


async def test_the_program_answers_health_beside_a_crowd(tmp_path: Path) -> None:
    """More half requests than it has room for."""
    with statistics(tmp_path / "data", prefix=("prlimit", "--nofile=256")) as program:
        crowd = [await asyncio.open_connection("127.0.0.1", program.port) for _ in range(200)]
        for _, writer in crowd:
            writer.write(GET)
        assert (await asyncio.to_thread(program.get, "/healthz")).status == 200
        metrics = (await asyncio.to_thread(program.get, "/metrics")).text.decode()
        assert 'wsedge_statistics_closed_connections_total{reason="replaced"}' in metrics
        for _, writer in crowd:
            writer.transport.abort()
