"""One stream of an HTTP/2 connection, bridged to a socket; the relay serves the other end as HTTP/1.1.

DATA of the client is written to the socket, and bytes from the socket become DATA to the client. A side is
not read before the other has accepted the earlier bytes: HTTP/2 windows and the socket's buffer are the
back-pressure.
"""

from __future__ import annotations

import asyncio
import select
import socket
from contextlib import suppress
from typing import Final, Protocol

from h2.errors import ErrorCodes

from wsedge_relay.contract import MOST_HEADER_BYTES
from wsedge_relay.protocol import body, http1, http2_translation
from wsedge_relay.protocol.body import BadBodyError, BodyReader, Framing
from wsedge_relay.protocol.http1 import BadHeadError, Header
from wsedge_relay.protocol.http2_translation import TranslatedRequest

_READ_BYTES: Final = 16384
# The largest limits of an origin's answer, plus room for headers that the relay adds (framing, a cookie).
_HEAD_BYTES: Final = http1.most_of_origin(MOST_HEADER_BYTES) + 1024
_HEADERS: Final = http1.MAX_ORIGIN_HEADERS + 8


class StreamSession(Protocol):
    """The methods of a session that a stream calls. `number` is the stream's."""

    def room(self, number: int) -> int:
        """Return the number of bytes of DATA that may be sent now."""

    def send_headers(self, number: int, lines: list[Header]) -> None:
        """Send the answer's header."""

    def send_data(self, number: int, data: bytes, *, fills: bool) -> None:
        """Send DATA, at most `room` bytes; `fills` says that it has as many."""

    def end(self, number: int) -> None:
        """Send END_STREAM."""

    def reset(self, number: int, code: ErrorCodes) -> None:
        """Send RST_STREAM."""

    def grow_window(self, number: int, count: int) -> None:
        """Let the client send `count` more bytes (WINDOW_UPDATE)."""

    def remove_stream(self, stream: Stream) -> None:
        """Remove a stream that has ended."""


class Stream:
    """Bridge one stream to `sock`, which the stream owns and closes.

    The bridge ends when both sides have ended, when either side is reset, or `linger_seconds` after the
    answer's end when the client does not end its side.
    """

    __slots__ = (
        "_accept",
        "_answer",
        "_body",
        "_ended",
        "_head_left",
        "_head_only",
        "_inward",
        "_is_open",
        "_linger",
        "_linger_seconds",
        "_loop",
        "_outward",
        "_paused",
        "_peer_ended",
        "_session",
        "_sock",
        "_stalled",
        "_tunnel",
        "number",
    )

    def __init__(
        self,
        session: StreamSession,
        number: int,
        sock: socket.socket,
        request: TranslatedRequest,
        *,
        linger_seconds: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        sock.setblocking(False)
        self.number = number
        self._session = session
        self._sock = sock
        self._loop = loop
        self._linger_seconds = linger_seconds
        self._tunnel = request.tunnel
        self._accept = request.accept
        self._inward = bytearray(request.head)  # bytes that the socket has not accepted yet
        self._head_left = len(
            request.head
        )  # bytes at the start of `_inward` that the relay itself wrote, which use no window
        self._outward = b""  # bytes for which the client's windows had no room
        self._answer: bytearray | None = bytearray()  # the head as far as it is read; None after it was sent
        self._head_only = request.head.startswith(b"HEAD ")
        self._body = BodyReader(Framing.CLOSE)  # of the answer; a tunnel's bytes end with the connection
        self._is_open = True
        self._paused = self._peer_ended = self._ended = False
        self._linger: asyncio.TimerHandle | None = None
        self._stalled: float | None = None
        loop.add_reader(sock.fileno(), self._readable)
        self._write_input()

    def receive(self, data: bytes, *, charged: int) -> None:
        """Pass DATA of the client to the socket; `charged` is the bytes by which the windows shrank."""
        if not self._is_open or self._ignores_input():
            self._session.grow_window(self.number, charged)
            return
        if charged > len(data):  # padding
            self._session.grow_window(self.number, charged - len(data))
        self._inward += data
        if len(self._inward) == len(data):
            self._write_input()

    def receive_end(self) -> None:
        """Pass the client's END_STREAM to the socket."""
        self._peer_ended = True
        if self._ended:
            self.close()
        elif self._tunnel and not self._inward:
            self._shut()

    def receive_trailers(self) -> None:
        """Reset a tunnel, which allows DATA only (RFC 9113 section 8.5); ignore trailers of a request."""
        if self._tunnel:
            self.reset(ErrorCodes.PROTOCOL_ERROR)

    def resume(self) -> None:
        """Send again, if the stream waits for room."""
        if self._paused:
            self._paused = False
            self._stalled = None
            self._send()
            if self._is_open and not self._paused and not self._ended:
                self._loop.add_reader(self._sock.fileno(), self._readable)

    def is_stalled(self, now: float, seconds: float) -> bool:
        """Return whether output has waited for room for `seconds`; the session calls this periodically."""
        if not self._paused or not (self._outward or self._peek()):
            self._stalled = None
            return False
        if self._stalled is None:
            self._stalled = now
        return now - self._stalled >= seconds

    @property
    def is_abandoned(self) -> bool:
        """Whether the other end of the socket is closed, by its tunnel or its connection."""
        return self._is_open and _is_hung_up(self._sock)

    def reset(self, code: ErrorCodes) -> None:
        """Reset the stream and close the socket."""
        if self._is_open:
            self._session.reset(self.number, code)
            self.close()

    def close(self) -> None:
        """Close the socket; at its other end this is a disconnect of the client."""
        if not self._is_open:
            return
        self._is_open = False
        if self._linger is not None:
            self._linger.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        if left := len(self._inward) - self._head_left:
            self._session.grow_window(self.number, left)
        self._inward.clear()
        self._session.remove_stream(self)

    def _ignores_input(self) -> bool:
        return self._ended and not self._tunnel

    def _write_input(self) -> None:
        """Write as much of the client's input as the socket accepts."""
        written = 0
        try:
            while self._inward:
                sent = self._sock.send(self._inward)
                del self._inward[:sent]
                written += sent
        except BlockingIOError:
            self._loop.add_writer(self._sock.fileno(), self._socket_writable)
        except OSError:  # the other end is closed; the next read of the socket handles that
            written += len(self._inward)
            self._inward.clear()
        own = min(self._head_left, written)
        self._head_left -= own
        if written > own:
            self._session.grow_window(self.number, written - own)
        if self._peer_ended and self._tunnel and not self._inward:
            self._shut()

    def _socket_writable(self) -> None:
        self._loop.remove_writer(self._sock.fileno())
        self._write_input()

    def _shut(self) -> None:
        with suppress(OSError):  # the other end is closed already
            self._sock.shutdown(socket.SHUT_WR)

    def _readable(self) -> None:
        if self._answer is None and self._body.done:
            self._finish()  # also when bytes follow the answer, which the client's window must not slow down
            return
        room = _READ_BYTES if self._answer is not None else self._session.room(self.number)
        if room <= 0:
            waiting = self._peek()
            if waiting:
                self._pause()
            elif waiting is not None:  # END_STREAM needs no room, and the window may never grow
                self._finish()
            return
        try:
            data = self._sock.recv(room)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if self._answer is not None:
            self._read_head(data)
        elif not data:
            self._finish()
        elif payload := self._fed(data):
            self._session.send_data(self.number, payload, fills=len(data) == room)

    def _fed(self, data: bytes) -> bytes:
        """Return the payload in the socket's next bytes, which HTTP/2 frames in its own way."""
        try:
            return self._body.feed(data)
        except BadBodyError:
            self.reset(ErrorCodes.INTERNAL_ERROR)
            return b""

    def _read_head(self, data: bytes) -> None:
        """Add `data` to the answer's head; send the head once it is complete."""
        answer = self._answer
        if answer is None or not data:
            self.reset(ErrorCodes.CANCEL)  # the connection closed without an answer
            return
        seen = len(answer)
        answer += data
        try:
            end = http1.head_end(answer, seen=seen, most=_HEAD_BYTES)
            if not end:
                return
            head = http1.parse_response(bytes(answer[:end]), most=_HEAD_BYTES, most_headers=_HEADERS)
            if head.status != 101:
                framing, length = body.of_answer(
                    head.headers, status=head.status, head_only=self._head_only, minor=head.minor
                )
                self._body = BodyReader(framing, length)
        except (BadHeadError, BadBodyError):
            self.reset(ErrorCodes.INTERNAL_ERROR)
            return
        self._answer = None
        lines = http2_translation.answer_lines(head, tunnel=self._tunnel, accept=self._accept)
        self._tunnel = self._tunnel and head.status == 101
        self._session.send_headers(self.number, lines)
        self._outward = self._fed(bytes(answer[end:]))
        if self._is_open and self._outward:
            self._send()

    def _send(self) -> None:
        """Send the bytes that wait for room."""
        while self._outward and self._is_open:
            room = self._session.room(self.number)
            if room <= 0:
                self._pause()
                return
            part, self._outward = self._outward[:room], self._outward[room:]
            self._session.send_data(self.number, part, fills=len(part) == room)

    def _pause(self) -> None:
        self._paused = True
        self._loop.remove_reader(self._sock.fileno())

    def _peek(self) -> bytes | None:
        """Return the socket's next byte without reading it: empty at the end, None when there is none."""
        try:
            return self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _finish(self) -> None:
        """Pass the socket's end to the client: END_STREAM, or RST_STREAM when a tunnel was cut."""
        self._loop.remove_reader(self._sock.fileno())
        if self._tunnel and not self._peer_ended and _is_hung_up(self._sock):
            self.reset(ErrorCodes.CANCEL)  # RFC 8441 section 5: the counterpart of a TCP reset
            return
        try:
            self._body.end()
        except BadBodyError:  # the relay closed the connection within the body: END_STREAM would complete it
            self.reset(ErrorCodes.INTERNAL_ERROR)
            return
        self._ended = True
        self._session.end(self.number)
        if self._peer_ended:
            self.close()
        elif self._is_open:
            self._wait_for_end()
            if not self._tunnel:
                self._shut()

    def _wait_for_end(self) -> None:
        self._linger = self._loop.call_later(self._linger_seconds, self._linger_passed)

    def _linger_passed(self) -> None:
        """Reset the stream with NO_ERROR, as RFC 9113 section 8.1 allows after a complete answer.

        A tunnel may be half closed for longer: its other end, which bounds that, closes the socket then.
        """
        if self._tunnel and not _is_hung_up(self._sock):
            self._wait_for_end()
        else:
            self.reset(ErrorCodes.NO_ERROR)


def _is_hung_up(sock: socket.socket) -> bool:
    """Return whether the other end is closed, not only shut for sending."""
    poll = select.poll()
    poll.register(sock, 0)
    return any(what & select.POLLHUP for _, what in poll.poll(0))
