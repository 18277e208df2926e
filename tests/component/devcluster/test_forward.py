"""The forwarder behind a ClusterIP, on real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from wsedge_devcluster.agent.forward import Forwarder
from wsedge_devcluster.agent.selectors import Endpoint
from wsedge_devcluster.machine.ranges import claim

HOST = "127.0.0.1"
PORT = 8080


@contextmanager
def refusing() -> Iterator[Endpoint]:
    with socket.socket() as bound:  # it never listens, and no other process gets its port
        bound.bind((HOST, 0))
        yield Endpoint(HOST, bound.getsockname()[1])


@asynccontextmanager
async def server(handler: object) -> AsyncIterator[Endpoint]:
    running = await asyncio.start_server(handler, HOST, 0)  # type: ignore[arg-type]
    async with running:
        yield Endpoint(HOST, running.sockets[0].getsockname()[1])


@asynccontextmanager
async def forwarder(*endpoints: Endpoint) -> AsyncIterator[Forwarder]:
    ranges = (
        claim()
    )  # nobody else listens there, so that the port is the forwarder's while it does not listen
    forward = Forwarder(str(ranges.pair.services[1]), PORT)
    try:
        await forward.serve(endpoints)
        yield forward
    finally:
        forward.close(connections=True)
        ranges.release()


async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read())[::-1])
    await writer.drain()
    writer.close()


async def ask(forward: Forwarder, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(forward.host, forward.port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_half_close_and_back_pressure() -> None:
    """Eight megabytes and the end of input pass, and the same bytes return."""
    data = bytes(range(256)) * 32768
    async with server(reverse) as endpoint, forwarder(endpoint) as forward:
        assert await ask(forward, data) == data[::-1]


async def test_next_endpoint_when_one_is_refused() -> None:
    """An endpoint that refuses is skipped."""
    with refusing() as nobody:
        async with server(reverse) as endpoint, forwarder(nobody, endpoint) as forward:
            assert [await ask(forward, b"ab") for _ in range(4)] == [b"ba"] * 4


async def test_reset_when_no_endpoint_answers() -> None:
    """When no endpoint answers the client's connection is reset."""
    with refusing() as nobody:
        async with forwarder(nobody) as forward:
            with pytest.raises(ConnectionResetError):
                await ask(forward, b"ab")


async def test_refused_without_endpoints() -> None:
    """Without endpoints there is no listener; with new endpoints there is."""
    async with server(reverse) as endpoint, forwarder(endpoint) as forward:
        await forward.serve(())
        with pytest.raises(ConnectionRefusedError):
            await ask(forward, b"ab")
        await forward.serve((endpoint,))
        assert await ask(forward, b"ab") == b"ba"


async def test_open_connections_survive_a_change() -> None:
    """A connection stays with its endpoint when the endpoints change, and when none is left."""
    async with server(reverse) as first, server(reverse) as second, forwarder(first) as forward:
        reader, writer = await asyncio.open_connection(forward.host, forward.port)
        writer.write(b"a")
        await forward.serve((second,))
        assert await ask(forward, b"xy") == b"yx"
        await forward.serve(())
        writer.write(b"b")
        writer.write_eof()
        assert await reader.read() == b"ba"
        writer.close()


async def test_reset_passes() -> None:
    """A reset by the endpoint is a reset for the client."""

    async def rude(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1" + b"\0" * 7)
        writer.transport.abort()

    async with server(rude) as endpoint, forwarder(endpoint) as forward:
        reader, writer = await asyncio.open_connection(forward.host, forward.port)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
