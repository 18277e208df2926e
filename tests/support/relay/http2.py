"""An HTTP/2 client by the library `h2`, which sends valid and invalid frames and records what it receives."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

import h2.connection
import h2.errors
import h2.events
import h2.settings
from h2.config import H2Configuration
from hyperframe.frame import Frame, GoAwayFrame

from support.relay.certificates import authority
from support.relay.frames import frame
from support.relay.running import DEADLINE, DOMAIN, Running

Line = tuple[bytes, bytes]


@dataclass
class Seen:
    """The received parts of one stream."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    data: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        """Return the answer's status, or 0 before it."""
        return int(self.headers.get(b":status", b"0"))


class _Protocol(h2.connection.H2Connection):
    """The library's connection, which survives a GOAWAY: open streams continue (RFC 9113 section 6.8).

    It accepts longer answers than the library's default, as browsers do.
    """

    DEFAULT_MAX_HEADER_LIST_SIZE = 1 << 19

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        event = h2.events.ConnectionTerminated()
        event.error_code = h2.errors.ErrorCodes(frame.error_code)
        event.last_stream_id = frame.last_stream_id
        return [], [event]


class Client:
    """One connection. It reads at once; a `frugal` one returns no window for it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A test may send what no client would.
        config = H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.protocol = _Protocol(config)
        self.streams: dict[int, Seen] = defaultdict(Seen)
        self.goaway: list[tuple[int, int]] = []  # code, last stream
        self.closed = False
        self.frugal = False
        self._numbers = itertools.count(1, 2)
        self._ended: set[int] = set()
        self._reader = reader
        self._writer = writer
        self._news = asyncio.Condition()

    @property
    def settings(self) -> h2.settings.Settings:
        """Return the relay's settings."""
        return self.protocol.remote_settings

    async def begin(self) -> None:
        """Send the preface and wait for the relay's."""
        self.protocol.initiate_connection()
        self.flush()
        await self.until(lambda: self.settings.enable_connect_protocol)

    def next_number(self) -> int:
        """Return the next stream's number."""
        return next(self._numbers)

    def flush(self, more: bytes = b"") -> None:
        """Send the library's pending bytes, and `more`."""
        self._writer.write(self.protocol.data_to_send() + more)

    def request(self, lines: Sequence[Line], *, end: bool = False) -> int:
        """Send a request and return its stream's number."""
        number = self.next_number()
        self.protocol.send_headers(number, lines, end_stream=end)
        self.flush()
        return number

    async def open(self, lines: Sequence[Line] = (), *, path: str = "/") -> int:
        """Open a tunnel; return its stream's number."""
        number = self.request(connect_lines(lines, path=path.encode()))
        await self.until(lambda: self.streams[number].headers)
        assert self.streams[number].status == 200, self.streams[number]
        return number

    async def answer(self, lines: Sequence[Line], *, end: bool = False) -> Seen:
        """Send a request and return its whole answer."""
        number = self.request(lines, end=end)
        seen = self.streams[number]
        await self.until(lambda: seen.ended or seen.reset is not None)
        return seen

    async def send(self, number: int, data: bytes) -> None:
        """Send DATA as the windows allow."""
        left = memoryview(data)
        while left:
            await self.until(lambda: self.protocol.local_flow_control_window(number))
            size = min(
                len(left),
                self.protocol.local_flow_control_window(number),
                self.protocol.max_outbound_frame_size,
            )
            self.protocol.send_data(number, bytes(left[:size]))
            left = left[size:]
            self.flush()
            await self._writer.drain()
            async with self._news:  # the windows have shrunk, and no further frame may follow
                self._news.notify_all()

    def end(self, number: int) -> None:
        """Send END_STREAM, once."""
        if number not in self._ended:
            self._ended.add(number)
            self.protocol.end_stream(number)
            self.flush()

    async def say(self, number: int, payload: bytes, *, opcode: int = 1) -> None:
        """Send one masked frame."""
        await self.send(number, frame(payload, opcode=opcode, key=b"mask"))

    async def hear(self, number: int, size: int) -> bytes:
        """Wait for `size` bytes on a stream; remove and return them."""
        seen = self.streams[number]
        await self.until(lambda: len(seen.data) >= size or seen.ended)
        taken, seen.data = seen.data[:size], seen.data[size:]
        return taken

    def pause(self) -> None:
        """Stop reading."""
        cast(asyncio.Transport, self._writer.transport).pause_reading()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a received or sent frame fulfils a condition."""
        async with self._news, asyncio.timeout(DEADLINE):
            await self._news.wait_for(condition)

    async def read(self) -> None:
        """Read until the end of the connection."""
        with suppress(OSError):
            while data := await self._reader.read(65536):
                for event in self.protocol.receive_data(data):
                    self._see(event)
                if not self.closed:
                    self.flush()
                async with self._news:
                    self._news.notify_all()
        self.closed = True
        async with self._news:
            self._news.notify_all()

    def _see(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.streams[event.stream_id].headers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.streams[event.stream_id].data += event.data
            if not self.frugal:
                self.protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.streams[event.stream_id].ended = True
        elif isinstance(event, h2.events.StreamReset):
            self.streams[event.stream_id].reset = int(event.error_code)
        elif isinstance(event, h2.events.ConnectionTerminated):
            assert event.error_code is not None
            assert event.last_stream_id is not None
            self.goaway.append((int(event.error_code), event.last_stream_id))


def connect_lines(more: Sequence[Line] = (), **changed: bytes | None) -> list[Line]:
    """Return the lines of a valid extended CONNECT, with pseudo-header fields changed (None: omitted)."""
    pseudo: dict[str, bytes | None] = {
        "method": b"CONNECT",
        "protocol": b"websocket",
        "scheme": b"https",
        "authority": DOMAIN.encode(),
        "path": b"/",
        **changed,
    }
    lines = [(b":" + name.encode(), value) for name, value in pseudo.items() if value is not None]
    version = [] if any(name == b"sec-websocket-version" for name, _ in more) else [VERSION]
    return [*lines, *version, *more]


def get_lines(more: Sequence[Line] = (), **changed: bytes | None) -> list[Line]:
    """Return the lines of a plain request."""
    lines = connect_lines(more, **{"method": b"GET", "protocol": None, **changed})
    return [line for line in lines if line != VERSION]


VERSION: Line = (b"sec-websocket-version", b"13")


@asynccontextmanager
async def http2_client(
    relay: Running, *, frugal: bool = False, domain: str = DOMAIN, begin: bool = True, limit: int = 1 << 16
) -> AsyncIterator[Client]:
    """Connect to a relay by HTTP/2; close the connection at the end."""
    address = relay.relay.addresses["https"]
    async with http2_connection(*address, domain=domain, limit=limit) as client:
        client.frugal = frugal
        if begin:
            await client.begin()
        yield client


@asynccontextmanager
async def http2_connection(
    host: str, port: int, *, domain: str = DOMAIN, limit: int = 1 << 16
) -> AsyncIterator[Client]:
    """Connect by TLS to an HTTP/2 server; the client has sent nothing yet."""
    context = authority().client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    reader, writer = await asyncio.open_connection(
        host, port, ssl=context, server_hostname=domain, limit=limit
    )
    tls = writer.get_extra_info("ssl_object")
    assert tls.selected_alpn_protocol() == "h2"
    client = Client(reader, writer)
    reading = asyncio.create_task(client.read())
    try:
        yield client
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                await writer.wait_closed()
        writer.transport.abort()  # a client that does not read does not notice the end
