"""One HTTP/2 session without a relay: its buffers for a client that reads nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import h2.connection
import h2.events
import pytest
from h2.config import H2Configuration

from support.relay.http2 import connect_lines
from support.relay.running import DOMAIN
from wsedge_relay.client.http2_session import Session
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.protocol.http2_translation import TranslatedRequest
from wsedge_relay.timeouts import Timeouts

WINDOW = 65535  # RFC 9113 section 6.9.2
SWITCHING = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Pair:
    """A session and its client, over a pair of sockets with small buffers."""

    def __init__(self, stack: ExitStack, open_stream: Callable[[TranslatedRequest], socket.socket]) -> None:
        self.loop = asyncio.get_running_loop()
        self.sock, near = pair(stack)
        self.protocol = h2.connection.H2Connection(H2Configuration(client_side=True))
        self.ended = asyncio.Event()
        self.session = Session(
            near,
            domain=DOMAIN,
            open_stream=open_stream,
            ended=lambda _: self.ended.set(),
            stall_seconds=lambda: 60,
            timeouts=Timeouts(),
            loop=self.loop,
        )
        self.session.start()
        stack.callback(self.session.abort)

    async def ask(self) -> None:
        """Open a connection, and a tunnel as its stream 1."""
        self.protocol.initiate_connection()
        self.protocol.send_headers(1, connect_lines())
        await self.loop.sock_sendall(self.sock, self.protocol.data_to_send())

    async def until(self, kind: type[h2.events.Event]) -> None:
        """Read until `wanted` arrived, without enlarging the window."""
        async with asyncio.timeout(10):
            while data := await self.loop.sock_recv(self.sock, 1 << 16):
                if any(isinstance(event, kind) for event in self.protocol.receive_data(data)):
                    return
        raise AssertionError(f"the end, and no {kind.__name__}")


def pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    for sock in (one, other):
        stack.enter_context(sock)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return one, other


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def test_answers_to_a_client_that_takes_nothing_have_a_bound(stack: ExitStack) -> None:
    """Data on a reset stream is answered by resets; with 256 KiB of them unread the client is not read."""

    def refuse(_: TranslatedRequest) -> socket.socket:
        raise HandshakeRefusedError(503, "descriptors", "No room.")

    one = Pair(stack, refuse)
    await one.ask()
    data = b"\0\0\x01\0\0\0\0\0\x01x" * 1000
    flooding = asyncio.create_task(one.loop.sock_sendall(one.sock, data * 25))  # answered by 325 kB
    async with asyncio.timeout(10):
        while not one.session._is_paused:
            assert not flooding.done(), "all of it was read"
            await asyncio.sleep(0)
    assert 1 << 18 < len(one.session._out) < 300_000
    async with asyncio.timeout(10):
        while not flooding.done():  # once it takes them it is read on
            await one.loop.sock_recv(one.sock, 1 << 16)
    assert one.session._is_open


async def test_the_end_of_a_stream_needs_no_window(stack: ExitStack) -> None:
    """A stream whose last byte used up the window still gets END_STREAM, and no buffer is left."""
    far, near = pair(stack)
    one = Pair(stack, lambda _: near)
    await one.ask()
    await one.loop.sock_sendall(far, SWITCHING)
    sending = asyncio.create_task(one.loop.sock_sendall(far, bytes(WINDOW)))
    sending.add_done_callback(lambda _: far.shutdown(socket.SHUT_WR))
    await one.until(h2.events.StreamEnded)
    assert one.protocol.remote_flow_control_window(1) == 0
    one.protocol.end_stream(1)
    await one.loop.sock_sendall(one.sock, one.protocol.data_to_send())
    async with asyncio.timeout(10):
        while one.session._streams:  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0)


async def test_a_turn_serves_few_tiny_frames(stack: ExitStack) -> None:
    """A read may have 1,600 DATA frames of one byte; a turn of the loop serves a few, and none is lost."""
    far, near = pair(stack)
    one = Pair(stack, lambda _: near)
    await one.ask()
    await one.loop.sock_sendall(far, SWITCHING)
    await one.until(h2.events.ResponseReceived)
    head = await one.loop.sock_recv(far, 1 << 16)
    assert head.endswith(b"\r\n\r\n")
    count = 350
    one.sock.send(b"".join(b"\0\0\1\0\0\0\0\0\1" + bytes([number % 251]) for number in range(count)))
    got, left, turns = b"", 0, 0
    async with asyncio.timeout(10):
        while len(got) < count:
            await asyncio.sleep(0)
            held = len(one.session._held)
            assert not left or left - held <= 16 * 10
            turns += held > 0
            left = held
            with suppress(BlockingIOError):
                got += far.recv(1 << 16)
    assert turns > 10
    assert got == bytes(number % 251 for number in range(count))
    await asyncio.sleep(0)
    one.sock.send(b"\0\0\x08\x06\0\0\0\0\0" + bytes(8))
    await one.until(h2.events.PingAckReceived)  # it is read again


async def test_a_session_that_ends_drops_its_held_input(stack: ExitStack) -> None:
    """Frames behind the one that broke a rule are not served, and the client's end is still read."""
    far, near = pair(stack)
    one = Pair(stack, lambda _: near)
    await one.ask()
    await one.loop.sock_sendall(far, SWITCHING)
    await one.until(h2.events.ResponseReceived)
    await one.loop.sock_recv(far, 1 << 16)
    data = b"\0\0\1\0\0\0\0\0\1x"
    one.sock.send(data * 20 + b"\0\0\0\5\4\0\0\0\1" + data * 100)  # a PUSH_PROMISE between them
    async with asyncio.timeout(10):
        while not one.session._is_ending:  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0)
        one.sock.shutdown(socket.SHUT_WR)
        await one.ended.wait()
    assert not one.session._held
