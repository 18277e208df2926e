"""HTTP/2 connections: each extended CONNECT becomes a WebSocket tunnel (RFC 8441).

The library `h2` implements the protocol without I/O. This module adds the I/O, and limits against clients
that use too many resources. A stream is bridged to one end of a pair of sockets (http2_stream.py); the relay
serves the other end as an HTTP/1.1 connection, so handshakes, limits, tunnels and counts are the same for
both.

A session has these states. The names in brackets are the flags that the transition sets.

    new ──(1)──▶ greeted ──(2)──▶ going away ──(3)──▶ ending ──(4)──▶ closed
     │              │                  │                ▲              ▲
     └─────(5)──────┴──────────────────┴────────────────┘              │
     every state ──────────────────────────(6)─────────────────────────┘

    (1) The client's SETTINGS arrived [`_is_greeted`].
    (2) `go_away` sent a GOAWAY that forbids no stream yet [`_is_going`]; also from new. For `linger_seconds`
        new streams are still opened, so that each gets its 503; later streams get REFUSED_STREAM.
    (3) The last stream ended, or none was open. The final GOAWAY is queued [`_is_ending`].
    (4) All output was sent and the sending side is shut. Input is read and dropped until the client ends its
        side, sends over 1 MiB, or `linger_seconds` pass [not `_is_open`].
    (5) As (3), and open streams are closed: the client broke a rule of HTTP/2, spent the budget of empty
        frames or sent GOAWAY; or no SETTINGS arrived within `head_seconds`, or no stream was open for
        `session_idle_seconds`.
    (6) `abort`: the socket failed, the client ended its side or accepted no byte for `stall_seconds` (at the
        end of a session for `close_seconds`, if that is shorter), or the relay closes.

Two flags are independent of the state: `_is_writing` (the socket was full, and the loop reports when it
is writable) and `_is_paused` (too much output is queued, so the client is not read).
"""

from __future__ import annotations

import asyncio
import base64
import math
import os
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import h2.connection
import h2.events
import structlog
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from wsedge_relay.client.http2_stream import Stream
from wsedge_relay.contract import MOST_HEADER_BYTES
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.protocol import http2_translation
from wsedge_relay.protocol.http1 import MAX_HEADERS, Header
from wsedge_relay.protocol.http2_budget import MAX_FRAME_BYTES, Budget, FrameTally
from wsedge_relay.protocol.http2_translation import TranslatedRequest
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.transport.sockets import TLS_RECORD_BYTES, WOULD_BLOCK, shut_sending

log = structlog.get_logger("wsedge_relay")

MAX_STREAMS: Final = 100
# The most bytes that are buffered for an origin that does not read: of a stream, and of all of a connection.
STREAM_WINDOW: Final = 65536
_CONNECTION_WINDOW: Final = MAX_STREAMS * STREAM_WINDOW
_DEFAULT_WINDOW: Final = 65535  # RFC 9113 section 6.9.2
# A request head over HTTP/1.1's limit is answered by 431; a head over this limit is an error of the library,
# which ends the connection. A list counts 32 bytes more for each line (RFC 9113 section 6.5.2).
_HEADER_LIST_BYTES: Final = MOST_HEADER_BYTES + 32 * (MAX_HEADERS + 8)
# The size of the encoder's dynamic table, however much the client allows (RFC 7541 section 4.2): the encoder
# searches all of it for each header.
_HEADER_TABLE_BYTES: Final = 4096
_READS_AT_ONCE: Final = 4
# The most frames of one read that one turn of the loop serves: the library needs some 50 µs for each, and a
# read may have 1,800 of them, so that others would wait for a tenth of a second.
_FRAMES_AT_ONCE: Final = 16
_WRITE_BYTES: Final = 65536
# Above the first bound of queued output no stream is read, above the second the client is not read either.
_FULL_BYTES: Final = 65536
_OVERFULL_BYTES: Final = 4 * _FULL_BYTES
_LINGER_BYTES: Final = 1 << 20
_LAST_STREAM: Final = (1 << 31) - 1

Opener = Callable[[TranslatedRequest], socket.socket]


class _Protocol(h2.connection.H2Connection):
    """The library's connection, which stores fewer closed streams (its default: 65,536)."""

    MAX_CLOSED_STREAMS = 1024
    DEFAULT_MAX_HEADER_LIST_SIZE = _HEADER_LIST_BYTES


class Session:
    """Serve a connection whose TLS handshake chose "h2", until either side closes it.

    `domain` is the domain that the TLS handshake named. `open_stream` returns the session's end of a pair of
    sockets for a request, or raises HandshakeRefusedError. `ended` is called once, when the socket is closed.
    `stall_seconds` returns the seconds that queued output may stay unread.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        domain: str,
        open_stream: Opener,
        ended: Callable[[Session], object],
        stall_seconds: Callable[[], float],
        timeouts: Timeouts,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.domain = domain
        self._sock = sock
        self._open_stream = open_stream
        self._ended = ended
        self._stall_seconds = stall_seconds
        self._timeouts = timeouts
        self._loop = loop
        self._streams: dict[int, Stream] = {}
        self._out = bytearray()
        self._tally = FrameTally()
        now = loop.time()
        self._budget = Budget(now)
        self._sent_at = self._stream_at = (
            now  # the last write, or the last time nothing was queued; the last time a stream was open
        )
        self._is_open = True
        self._is_greeted = self._is_going = self._is_ending = self._is_writing = self._is_paused = False
        self._refuse_from = math.inf  # the loop's time from which on new streams are refused
        self._dropped = 0
        self._held = b""  # input for the next turns of the loop; meanwhile the client is not read
        self._next_turn: asyncio.Handle | None = None
        self._protocol = _protocol()
        self._timer = loop.call_later(self._tick, self._check_limits)

    def start(self) -> None:
        """Start to read, and send the relay's SETTINGS."""
        self._loop.add_reader(self._sock.fileno(), self._readable)
        self._flush()

    @property
    def _tick(self) -> float:
        timeouts = self._timeouts
        return min(timeouts.head_seconds, self._stall_seconds(), timeouts.session_idle_seconds) / 4

    def go_away(self) -> None:
        """Send GOAWAY, wait for open streams to end, then close."""
        if self._is_going or not self._is_open:
            return
        self._is_going = True
        # Built here, because the library sends nothing after its own GOAWAY. This GOAWAY forbids no stream
        # yet (RFC 9113 section 6.8): the client may have opened streams before it arrives, which are answered
        # by 503 as in HTTP/1.1. Later streams get REFUSED_STREAM; a client could otherwise delay a drain for
        # ever.
        self._refuse_from = self._loop.time() + self._timeouts.linger_seconds
        self._flush(GoAwayFrame(0, last_stream_id=_LAST_STREAM).serialize())
        if not self._streams:
            self._end(ErrorCodes.NO_ERROR)

    def abort(self) -> None:
        """Close the socket at once."""
        if not self._is_open:
            return
        self._is_open = False
        self._is_ending = True
        self._timer.cancel()
        if self._next_turn is not None:
            self._next_turn.cancel()
        self._held = b""
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._close_streams()
        self._sock.close()
        self._out.clear()
        self._ended(self)

    # Calls of a stream.

    def room(self, number: int) -> int:
        """Return the number of bytes of DATA that may be sent on a stream now."""
        if len(self._out) >= _FULL_BYTES or self._is_ending:
            return 0
        try:
            return min(self._protocol.local_flow_control_window(number), MAX_FRAME_BYTES)
        except H2Error:  # as in `_send_frame`
            return 0

    def send_headers(self, number: int, lines: list[Header]) -> None:
        """Send the answer's header."""
        self._budget.answered()
        self._send_frame(number, partial(self._protocol.send_headers, number, lines))

    def send_data(self, number: int, data: bytes, *, fills: bool) -> None:
        """Send DATA, at most `room` bytes; `fills` says that it has as many."""
        self._budget.sent(len(data), is_cut=fills and len(data) < MAX_FRAME_BYTES)
        self._send_frame(number, partial(self._protocol.send_data, number, data))

    def end(self, number: int) -> None:
        """Send END_STREAM."""
        self._send_frame(number, partial(self._protocol.end_stream, number))

    def reset(self, number: int, code: ErrorCodes) -> None:
        """Send RST_STREAM."""
        self._send_frame(number, partial(self._protocol.reset_stream, number, code))

    def grow_window(self, number: int, count: int) -> None:
        """Let the client send `count` more bytes (WINDOW_UPDATE)."""
        self._send_frame(number, partial(self._protocol.acknowledge_received_data, count, number))

    def _send_frame(self, number: int, send: Callable[[], None]) -> None:
        if self._is_ending:
            return
        try:
            send()
        except H2Error:
            # One read had frames of a stream and, behind them, the end of the stream or of the connection.
            # The library has parsed that end before this session serves the frames in front of it.
            if stream := self._streams.get(number):
                stream.close()
            return
        self._flush()

    def remove_stream(self, stream: Stream) -> None:
        """Remove a stream that has ended."""
        self._streams.pop(stream.number, None)
        self._stream_at = self._loop.time()
        if self._is_going and not self._streams and not self._is_ending:
            self._end(ErrorCodes.NO_ERROR)

    # Input of the client.

    def _readable(self) -> None:
        try:
            for _ in range(_READS_AT_ONCE):
                if not self._is_open or self._is_paused or self._held or not self._read():
                    return
        except BaseException:  # else a program fault would repeat at each turn of the loop
            self.abort()
            raise

    def _read(self) -> bool:
        """Read once and serve the frames; return whether more may be readable."""
        try:
            data = self._sock.recv(TLS_RECORD_BYTES)
        except WOULD_BLOCK:
            return False
        except OSError as error:
            log.debug("client disconnected", domain=self.domain, error=str(error))
            self.abort()
            return False
        if not data:
            self.abort()
        elif self._is_ending:
            self._dropped += len(data)
            if self._dropped > _LINGER_BYTES:
                self.abort()
        else:
            self._receive(data)
        return self._is_open

    def _receive(self, data: bytes) -> None:
        taken = self._tally.take(data, _FRAMES_AT_ONCE)
        held = data[taken.size :]
        data = data[: taken.size]
        if not self._budget.spend(taken, self._loop.time()):
            log.warning("client sent too many empty frames", domain=self.domain)
            self._end(ErrorCodes.ENHANCE_YOUR_CALM)
            return
        if self._tally.is_overlong:
            log.info("client broke HTTP/2 rule", domain=self.domain, error="a frame is too long")
            self._end(ErrorCodes.FRAME_SIZE_ERROR)
            return
        try:
            events = self._protocol.receive_data(data)
        except H2Error as error:
            # The library's text quotes names and values of headers, which may be secrets.
            text = re.split("['\"]", str(error), maxsplit=1)[0]
            log.info(
                "client broke HTTP/2 rule", domain=self.domain, error=f"{type(error).__name__}: {text[:200]}"
            )
            self._end(None)
            return
        # A stream that is opened and reset in one read is not opened at all (CVE-2023-44487, rapid reset).
        reset = {event.stream_id for event in events if isinstance(event, h2.events.StreamReset)}
        for event in events:
            if isinstance(event, h2.events.RequestReceived) and event.stream_id in reset:
                continue
            self._serve(event)
            if self._is_ending:
                return
        self._flush()
        if held and self._is_open:
            self._held = held
            self._loop.remove_reader(self._sock.fileno())
            self._next_turn = self._loop.call_soon(self._serve_held)

    def _serve_held(self) -> None:
        """Serve the next frames of the held input, then read again when none is left."""
        if not self._is_open or self._is_paused or not self._held:
            return
        data, self._held = self._held, b""
        try:
            if not self._is_ending:
                self._receive(data)
        except BaseException:  # as in `_readable`
            self.abort()
            raise
        self._watch()

    def _watch(self) -> None:
        """Read the client, unless there is too much output or held input."""
        if self._is_open and not self._is_paused and not self._held:
            self._loop.add_reader(self._sock.fileno(), self._readable)

    def _serve(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            charged = event.flow_controlled_length
            if stream := self._streams.get(event.stream_id):
                stream.receive(bytes(event.data), charged=charged)
            else:
                self.grow_window(event.stream_id, charged)
        elif isinstance(event, h2.events.RequestReceived):
            self._open(event.stream_id, list(event.headers))
        elif isinstance(event, h2.events.StreamEnded):
            if stream := self._streams.get(event.stream_id):
                stream.receive_end()
        elif isinstance(event, h2.events.TrailersReceived):
            if stream := self._streams.get(event.stream_id):
                stream.receive_trailers()
        elif isinstance(event, h2.events.StreamReset):
            if stream := self._streams.get(event.stream_id):
                stream.close()
        elif isinstance(event, h2.events.WindowUpdated) and event.stream_id:
            if stream := self._streams.get(event.stream_id):
                stream.resume()
        elif isinstance(event, h2.events.WindowUpdated):
            self._resume()
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self._is_greeted = True
            encoder = self._protocol.encoder
            if encoder.header_table_size > _HEADER_TABLE_BYTES:
                encoder.header_table_size = _HEADER_TABLE_BYTES
            self._resume()
        elif isinstance(event, h2.events.ConnectionTerminated):
            # The client sent GOAWAY. The library sends nothing after that, so the streams end here.
            self._end(None)

    def _open(self, number: int, lines: list[tuple[bytes, bytes]]) -> None:
        if self._loop.time() >= self._refuse_from:
            self.reset(number, ErrorCodes.REFUSED_STREAM)
            return
        key = base64.b64encode(os.urandom(16))
        request = http2_translation.translate(lines, domain=self.domain, key=key)
        try:
            sock = self._open_stream(request)
        except HandshakeRefusedError as refused:
            lines, body = http2_translation.refusal_lines(refused)
            self.send_headers(number, lines)
            if len(body) <= (room := self.room(number)):
                self.send_data(number, body, fills=len(body) == room)
            self.end(number)
            self.reset(number, ErrorCodes.NO_ERROR)
            return
        self._streams[number] = Stream(
            self, number, sock, request, linger_seconds=self._timeouts.linger_seconds, loop=self._loop
        )

    def _resume(self) -> None:
        for stream in list(self._streams.values()):
            stream.resume()

    def _close_streams(self) -> None:
        for stream in list(self._streams.values()):
            stream.close()

    # Output to the client.

    def _flush(self, more: bytes = b"") -> None:
        """Send the library's output, and `more` behind it."""
        if not self._out:
            self._sent_at = self._loop.time()
        self._out += self._protocol.data_to_send()
        self._out += more
        if not self._is_writing and self._is_open:
            self._write()
        # Here and not in `_write`: a client that reads nothing may still cause output, for example by PING.
        if self._is_open and not self._is_paused and len(self._out) > _OVERFULL_BYTES:
            self._is_paused = True
            self._loop.remove_reader(self._sock.fileno())

    def _write(self) -> None:
        before = len(self._out)
        try:
            while self._out:
                with memoryview(self._out) as view, view[:_WRITE_BYTES] as part:
                    sent = self._sock.send(part)
                del self._out[:sent]
        except WOULD_BLOCK:
            if not self._is_writing:
                self._is_writing = True
                self._loop.add_writer(self._sock.fileno(), self._writable)
        except OSError as error:
            log.debug("client disconnected", domain=self.domain, error=str(error))
            self.abort()
            return
        if len(self._out) < before:
            self._sent_at = self._loop.time()

    def _writable(self) -> None:
        was_full = len(self._out) >= _FULL_BYTES
        self._write()
        if not self._is_open:
            return
        if not self._out:
            self._is_writing = False
            self._loop.remove_writer(self._sock.fileno())
        if self._is_paused and len(self._out) < _FULL_BYTES:
            self._is_paused = False
            self._serve_held()
            self._watch()
        if self._is_ending:
            self._shut_when_sent()
        elif was_full and len(self._out) < _FULL_BYTES:
            self._resume()

    # The end of the session.

    def _end(self, code: ErrorCodes | None) -> None:
        """Send GOAWAY with `code` (None: no GOAWAY), close the streams; close the socket after all output."""
        if self._is_ending:
            return
        if code is not None:
            with suppress(H2Error):  # the client's own GOAWAY was read already
                self._protocol.close_connection(code)
        self._flush()
        self._is_ending = True
        self._close_streams()
        self._shut_when_sent()

    def _shut_when_sent(self) -> None:
        if self._is_open and not self._out:
            shut_sending(self._sock)
            self._timer.cancel()
            # Further input is read and dropped: a close with unread input resets the connection, and the
            # client could lose output that it has not read yet.
            self._timer = self._loop.call_later(self._timeouts.linger_seconds, self.abort)

    def _check_limits(self) -> None:
        """Apply the time limits of the session and of its streams."""
        now = self._loop.time()
        timeouts = self._timeouts
        stall_seconds = self._stall_seconds()
        # After its tunnels are closed, a client that reads nothing must not delay a drain.
        last_seconds = min(stall_seconds, timeouts.close_seconds)
        abandoned = {stream for stream in self._streams.values() if self._is_going and stream.is_abandoned}
        is_last = self._is_ending or (self._is_going and len(abandoned) == len(self._streams))
        self._timer = self._loop.call_later(self._tick, self._check_limits)
        if self._out and now - self._sent_at >= (last_seconds if is_last else stall_seconds):
            log.info("client stopped reading", domain=self.domain)
            self.abort()
        elif not self._is_greeted and now - self._stream_at >= timeouts.head_seconds:
            self._end(ErrorCodes.SETTINGS_TIMEOUT)
        elif not self._streams and now - self._stream_at >= timeouts.session_idle_seconds:
            self._end(ErrorCodes.NO_ERROR)
        for stream in list(self._streams.values()):
            if stream.is_stalled(now, last_seconds if stream in abandoned else stall_seconds):
                stream.reset(ErrorCodes.CANCEL)


def _protocol() -> _Protocol:
    protocol = _Protocol(H2Configuration(client_side=False, header_encoding=None))
    protocol.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            SettingCodes.MAX_FRAME_SIZE: MAX_FRAME_BYTES,
            SettingCodes.MAX_HEADER_LIST_SIZE: _HEADER_LIST_BYTES,
        },
    )
    protocol.initiate_connection()
    protocol.increment_flow_control_window(_CONNECTION_WINDOW - _DEFAULT_WINDOW)
    return protocol
