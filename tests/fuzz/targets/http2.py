"""An HTTP/2 client and the far ends of its streams, with any behaviour: nothing remains, nothing grows."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final, cast

from hpack import Encoder

from fuzz.targets.http2_wire import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Tap,
    Walk,
    check_order,
    cost_of,
    made,
)
from fuzz.targets.pumping import Source
from support.relay.virtual import Loop
from wsedge_relay.client import http2_session as served
from wsedge_relay.client.http2_session import MAX_STREAMS, STREAM_WINDOW, Session
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.protocol import http1
from wsedge_relay.protocol.http2_budget import PREFACE
from wsedge_relay.protocol.http2_translation import TranslatedRequest
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.transport.sockets import TLS_RECORD_BYTES

DOMAIN: Final = "chat.example.com"
TIMEOUTS: Final = Timeouts(head_seconds=4, close_seconds=2, linger_seconds=1, session_idle_seconds=6)
STALL_SECONDS: Final = 8.0
# The time that a session may outlive its streams: the sum of its waits, each found at a late check.
_LONGEST: Final = 2 * (TIMEOUTS.session_idle_seconds + STALL_SECONDS + TIMEOUTS.linger_seconds)
# The growth of held bytes that the answers to one read may cause.
_MOST_HELD: Final = served._OVERFULL_BYTES + 200_000
_MOST_STEPS: Final = 48
_MOST_SENT: Final = 700_000
_READ_BYTES: Final = 16384
_HEAD_BYTES: Final = 65536 + 200
_LONGEST_FRAME: Final = 16384
_FIRST_WINDOW: Final = 65535
_MOST_COST, _COST_PER_SECOND = 2000, 100

NUMBERS: Final = (0, 1, 3, 5, 7, 9, 11, 2, 13, 15, 17, 99, 0x7FFFFFFF, 0x80000001, 4, 21)
KINDS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x77)
SIZES: Final = (0, 1, 2, 8, 125, 1000, 5000, 16384)
Lines = list[tuple[bytes, bytes]]

_CONNECT: Final[Lines] = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"https"),
    (b":authority", DOMAIN.encode()),
    (b":path", b"/"),
    (b"sec-websocket-version", b"13"),
]
_GET: Final[Lines] = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", DOMAIN.encode()),
    (b":path", b"/"),
]
REQUESTS: Final[tuple[Lines, ...]] = (
    _CONNECT,
    _GET,
    [*_CONNECT, (b"origin", b"https://a"), (b"cookie", b"a=1"), (b"cookie", b"b=2")],
    [*_CONNECT, (b"x", b"a\r\nX-Smuggled: b")],
    [*_CONNECT, (b"x-a:b", b"c")],
    [*_CONNECT, (b"x", b"y" * 20_000)],
    [*_CONNECT, (b"content-length", b"5")],
    [*_GET, (b"content-length", b"5")],
    [*_GET, (b"transfer-encoding", b"chunked")],
    [(name, b"/ HTTP/1.1\r\n\r\nGET /" if name == b":path" else value) for name, value in _CONNECT],
    [(name, b"/a b" if name == b":path" else value) for name, value in _CONNECT],
    [line for line in _CONNECT if line[0] != b":protocol"],
    [line for line in _CONNECT if line[0] != b":authority"],
    [*_CONNECT[1:], _CONNECT[0]],
    [*_CONNECT, *_CONNECT],
    [(name, b"POST" if name == b":method" else value) for name, value in _GET],
)
ANSWERS: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbehind it",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 503 No\r\nRetry-After: 5\r\n\r\n",
    b"HTTP/1.1 101 Swit",
    b"nothing like HTTP\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
)


@dataclass(eq=False)
class Far:
    """The far end of a stream's socket, which an HTTP/1.1 connection has in a relay."""

    sock: socket.socket
    near: socket.socket
    head: bytes
    number: int = 0  # of the stream, once it is known
    got: bytearray = field(default_factory=bytearray)
    said: bytearray = field(default_factory=bytearray)


def http2(data: bytes) -> None:
    """Run the script in `data` with one client and its streams, then end all of it."""
    with ExitStack() as stack:
        _Life(Source(data), stack).play()


class _Life:
    """One session, its client, and the far ends of its streams."""

    def __init__(self, source: Source, stack: ExitStack) -> None:
        flags = source.byte()
        self._source = source
        self._stack = stack
        self._loop = Loop()
        self._far: list[Far] = []
        self._refusing = False
        self._ends = 0
        self._sent = 0
        self._encoder = Encoder()
        self._next = 1
        self._began = self._loop.time()
        self._hangs_up = bool(flags & 1)
        self._reads = bool(flags & 2)
        self._client, near = self._pair(4096 if flags & 4 else 1 << 20)
        self._near = stack.enter_context(Tap(near))
        self._session = Session(
            self._near,
            domain=DOMAIN,
            open_stream=self._open,
            ended=self._ended,
            stall_seconds=lambda: STALL_SECONDS,
            timeouts=TIMEOUTS,
            loop=cast(asyncio.AbstractEventLoop, self._loop),
        )
        self._session.start()
        if not flags & 8:
            self._send(PREFACE)
        if not flags & 16:
            self._send(made(SETTINGS, 0, 0))

    def play(self) -> None:
        """Run the script, close every far end, and wait until nothing remains."""
        for _ in range(_MOST_STEPS):
            if not self._source.left or self._sent > _MOST_SENT:
                break
            self._step()
            self._settle()
            if self._reads:
                self._read(1 << 16)
                self._settle()
        if self._hangs_up:
            self._client.close()
        waited = 0.0
        while self._session._is_open and waited < _LONGEST:
            for far in self._far:  # each time: input that waits for its turn may open streams still
                far.sock.close()
            self._loop.run(0.25)
            self._settle()
            if self._reads and not self._hangs_up:
                self._read(1 << 20)
            waited += 0.25
        self._check_nothing_left()
        self._check_said()

    def _pair(self, buffer: int) -> tuple[socket.socket, socket.socket]:
        pair = socket.socketpair()
        for sock in pair:
            self._stack.enter_context(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        return pair

    def _open(self, asked: TranslatedRequest) -> socket.socket:
        assert http1.head_end(asked.head, most=1 << 17) == len(asked.head), "two requests in one"
        if self._refusing:
            raise HandshakeRefusedError(503, "descriptors", "No room.", headers=[(b"Retry-After", b"5")])
        near, far = self._pair(65536)
        self._far.append(Far(far, near, asked.head))
        return near

    def _ended(self, session: Session) -> None:
        assert session is self._session
        self._ends += 1

    # Events.

    def _step(self) -> None:
        source = self._source
        first = source.byte()
        what, low = first >> 4, first & 15
        if what == 0:
            self._send(source.bytes(low + 1))
        elif what == 1:
            kind, flags, size = KINDS[source.byte() % len(KINDS)], source.byte(), source.byte() % 64
            self._send(made(kind, flags, NUMBERS[low], source.bytes(size)))
        elif what in (2, 3):
            self._request(REQUESTS[low], end=what == 3)
        elif what in (4, 5):
            size = SIZES[source.byte() % len(SIZES)]
            data = (b"%07d." % self._sent * (size // 8 + 1))[:size]
            self._send(made(DATA, END_STREAM if what == 5 else 0, NUMBERS[low], data))
        elif what == 6:
            self._flood(source.byte(), NUMBERS[low])
        elif what == 7:
            self._read(1 << low)
        elif what == 8:
            self._loop.run((0.05, 0.5, 1.5, 5.0)[low % 4])
        elif what == 9:
            self._of_relay(low)
        else:
            self._of_far(what, low)

    def _request(self, lines: Lines, *, end: bool) -> None:
        block = self._encoder.encode(lines, huffman=False)
        parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
        for number, part in enumerate(parts):
            flags = END_HEADERS if number == len(parts) - 1 else 0
            kind = HEADERS if number == 0 else CONTINUATION
            self._send(made(kind, flags | (END_STREAM if end and kind == HEADERS else 0), self._next, part))
        self._next += 2

    def _flood(self, choice: int, number: int) -> None:
        frames = (
            made(PING, 0, 0, bytes(8)),
            made(WINDOW_UPDATE, 0, number, (1 << (choice >> 4)).to_bytes(4, "big")),
            made(RST_STREAM, 0, number, bytes(4)),
            made(SETTINGS, 0, 0, b"\0\4" + (0, 10, 70_000, 1 << 30)[choice >> 6].to_bytes(4, "big")),
            made(DATA, 0, number, b"x"),
            made(PRIORITY, 0, number, bytes(5)),
            made(DATA, 0, number),
            made(DATA, PADDED, number, b"\x10x" + bytes(16)),
        )
        times = 3000 if choice >> 3 == 31 else (1, 5, 30, 100)[choice >> 3 & 3]
        self._send(frames[choice & 7] * times)

    def _of_relay(self, low: int) -> None:
        if low < 6:
            self._session.go_away()
        elif low < 12:
            self._refusing = low % 2 == 0
        elif low == 12:
            self._session.abort()
        elif low == 13:
            self._reads = not self._reads
        else:
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_WR)

    def _of_far(self, what: int, low: int) -> None:
        if not self._far:
            return
        far = self._far[low % len(self._far)]
        with suppress(OSError):
            if what == 10:
                self._say(far, ANSWERS[self._source.byte() % len(ANSWERS)])
            elif what == 11:
                size = SIZES[self._source.byte() % len(SIZES)]
                self._say(far, (b"%07d;" % len(far.said) * (size // 8 + 1))[:size])
            elif what == 12:
                far.got += far.sock.recv(1 << 17)
            elif what == 13:
                far.sock.close()
            elif what == 14:
                far.sock.shutdown(socket.SHUT_WR)
            else:
                far.got += far.sock.recv(100)

    @staticmethod
    def _say(far: Far, data: bytes) -> None:
        far.said += data[: far.sock.send(data)]

    def _send(self, data: bytes) -> None:
        """Send as much as the session accepts."""
        idle = 0
        while data and idle < 3:
            before = len(data)
            with suppress(OSError):
                taken = self._client.send(data)
                self._sent += taken
                data = data[taken:]
            if not self._turn() and len(data) == before:
                idle += 1

    def _read(self, size: int) -> None:
        with suppress(OSError):
            self._client.recv(size)

    # Invariants.

    def _settle(self) -> None:
        for _ in range(200):
            if not self._turn():
                return

    def _turn(self) -> bool:
        before = self._moved()
        self._loop.serve()
        self._check_bounds()
        return self._moved() != before

    def _moved(self) -> tuple[int, ...]:
        session = self._session
        held = sum(len(stream._inward) + len(stream._outward) for stream in session._streams.values())
        return self._ends, self._near.taken, self._near.given, len(session._out), len(self._far), held

    def _check_bounds(self) -> None:
        """Assert that held bytes are bounded, and that a flood is refused.

        Frames that wait for a later turn of the loop are not served yet, so they cost nothing yet.
        """
        session = self._session
        assert len(session._out) <= _MOST_HELD, len(session._out)
        assert len(session._held) <= TLS_RECORD_BYTES, len(session._held)
        assert len(session._streams) <= MAX_STREAMS
        for number, stream in session._streams.items():
            assert len(stream._inward) <= STREAM_WINDOW + _HEAD_BYTES
            assert len(stream._outward) <= _READ_BYTES
            for far in self._far:
                if far.near is stream._sock:
                    far.number = number
        if session._is_ending:
            assert not session._streams
            return
        allowed = _MOST_COST + _COST_PER_SECOND * (self._loop.time() - self._began)
        if self._near.read.cost > allowed:
            cost = self._near.read.cost - cost_of(session._held)
            waiting = [kind for kind, _, _, _ in Walk().feed(bytes(session._out))]
            kinds = self._near.wrote.kinds
            allowed += 2 * (kinds.get(DATA, 0) + waiting.count(DATA))
            allowed += 15 * (kinds.get(HEADERS, 0) + waiting.count(HEADERS))
            sent = sum(len(data) for data in self._near.wrote.data.values()) + len(session._out)
            assert cost <= allowed + 2 * sent / 512, "a flood is served"

    def _check_nothing_left(self) -> None:
        session = self._session
        assert not session._is_open, "the session outlives its streams"
        assert self._ends == 1
        assert not session._streams
        assert not session._out
        assert (self._loop.readers, self._loop.writers) == ({}, {})
        assert self._loop.waiting == 0, "a timer outlives the session"
        assert all(far.near.fileno() < 0 for far in self._far), "a stream's socket is open"

    def _check_said(self) -> None:
        """Assert that each stream got its far end's bytes in order, within the client's window."""
        said, read = self._near.wrote, self._near.read
        assert said.first in (SETTINGS, None)
        assert said.kinds.keys() <= {DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE}
        assert said.longest <= _LONGEST_FRAME
        assert sum(map(len, said.data.values())) <= _FIRST_WINDOW + read.given.get(0, 0)
        for number, data in said.data.items():
            assert len(data) <= max(_FIRST_WINDOW, read.window) + read.given.get(number, 0)
        for number, kinds in said.order.items():
            check_order(number, kinds)
        for far in self._far:
            got = bytes(far.got)
            assert got[: len(far.head)] == far.head[: len(got)]
            if far.number:
                assert read.data.get(far.number, b"").startswith(got[len(far.head) :])
                end = far.said.find(b"\r\n\r\n") + 4
                answered = far.said[end:] if end > 3 else b""
                assert answered.startswith(said.data.get(far.number, b""))
