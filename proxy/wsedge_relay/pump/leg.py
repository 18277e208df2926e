"""One leg of a tunnel: a socket and its state.

A relay may have 200,000 legs, most of them idle. So a leg has slots, and the fields that an idle leg does not
need are in objects of their own, `Bounds` and `Ending`.

Reading and sending have separate states, named by their flags. A flag of a state is never cleared
(`throttled` and `special` are cleared; they are no states). The tunnel's owner gets the events in brackets.

    reading      passed on ──(a)──▶ mute ──────┬──(c)──▶ eof = 1 ──(d)──▶ eof = 2 [END]
                     │                │        │
                     └──────(b)───────┴▶ dropping
                     every state ──(e)──▶ dead

    sending      open ──(f)──▶ parting ──(g)──▶ close_sent ──(h)──▶ finishing ──(i)──▶ shut [SHUT]
                   every state ──(j)──▶ deaf

    (a) The relay sent its own Close to the other leg. Frames are still parsed, but not forwarded.
    (b) The leg sent Close [CLOSED] or broke a frame rule [VIOLATION], or `finish` was called. Bytes are read
        and dropped.
    (c) The peer ended its stream; from all three states.
    (d) The other leg's backlog is empty: the owner must not close a leg to which bytes are still sent.
    (e) The socket broke [ERROR], or, of a pair, the other socket was closed, also after an end of the stream;
        the leg sent too much after a Close or a violation [FLOODED], or the owner abandoned it. It is removed
        from epoll, and deaf too.
    (f) `inject` was called with the relay's Close.
    (g) The other leg reached a frame boundary, so that the Close was sent; or the other leg sent Close, in
        whose place a reserved Close (`verdict`) is sent.
    (h) `finish` was called, or `end`, which passes the other leg's end and lets this leg be read on; with or
        without a Close before.
    (i) The backlog is empty. TLS's close_notify, unless the other leg's TLS was cut off, and a FIN are sent.
    (j) A send failed because the peer has reset the connection. Bytes that it sent before are still read; a
        leg whose stream has ended before is dead instead [ERROR].
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import ssl
import sys
import termios
from typing import Any, Final

from wsedge_relay.transport.sockets import reset_at_close, shut_sending

from .frames import Walk  # relative: the compiled form needs the compiled neighbour

_COMPILED: Final = not __file__.endswith(".py")

# Kinds of the pump's events.
END: Final = 1  # the leg's stream ended
ERROR: Final = 2  # the leg's socket broke; argument: errno, or 0 for a fault of TLS
VIOLATION: Final = 3  # the leg broke a frame rule; argument: frames.VIOLATIONS has its name
CLOSED: Final = 4  # a Close frame came from the leg; argument: its code
PONGED: Final = 5  # the leg answered one of the relay's own pings; argument: the ping's number
SHUT: Final = 6  # the leg's backlog is sent and its sending side is shut
THROTTLED: Final = 7  # the leg exceeded its pace; argument: milliseconds until `resume` is due
FLOODED: Final = 8  # the leg sent too many bytes after a Close or a violation; it is abandoned

# Shared by legs whose owner needs no counts of control frames.
_UNSEEN: Final = [0] * 16


class Bounds:
    """The limits of what comes from a leg. `throttled`: its reading is paused, since it exceeded its pace."""

    __slots__ = (
        "pace",  # limits the rate at which it is read (pace.Pace); None: no limit
        "rates",  # limits its frames and messages (pace.FrameRates); None: no limit
        "throttled",
    )

    def __init__(self, pace: Any, rates: Any) -> None:
        self.pace = pace
        self.rates = rates
        self.throttled = False


class Ending:
    """The state of a leg at its end. Before that, legs share `NOT_ENDING`, which must not change.

    `Leg.own_ending` returns one that may change.
    """

    __slots__ = (
        "close_sent",  # a Close frame was sent to the leg
        "finishing",  # shut the sending side once `out` is empty
        "paired",  # one of a socket pair, which cannot be reset: the close of the other stands for that
        "parting",  # `inject` ends in a Close
        "ragged",  # its TLS ended without close_notify
        "shut",  # the sending side is shut
        "verdict",  # the relay's Close for it, which is sent in the place of the other leg's Close
        "waste",  # bytes that were read after a Close or a violation, see sending.MOST_WASTE
    )

    def __init__(self) -> None:
        self.close_sent = self.finishing = self.paired = self.parting = self.ragged = self.shut = False
        self.verdict = b""
        self.waste = 0


NOT_ENDING: Final = Ending()


class Leg(Walk):
    """One socket of a tunnel, and the direction of the bytes that come from it.

    A leg of a plain socket has the descriptor only: the socket object and its two bound methods took a third
    of an idle tunnel's memory. The caller closes the descriptor, by `close` or by its own socket object.

    `received` counts bytes read from the socket, `passed` bytes written to the *other* leg's socket.
    """

    __slots__ = (
        "bounds",  # limits the bytes, frames and messages that come from it (Bounds); None: no limit
        "dead",  # neither read nor written any more
        "deaf",  # a write failed: no more bytes are sent to it
        "dropping",  # its bytes are read and dropped: it sent Close, or broke a rule
        "ending",  # the rest of its state at its end, see `Ending`
        "eof",  # its stream ended (1), and END is reported (2)
        "fd",
        "inject",  # frames for it that wait for a frame boundary of the other leg
        "inline",  # read by the loop of the plain pump itself, without a call
        "lag",  # bytes received but not passed, less those passed but not received (the relay's own frames)
        "mark",  # heartbeat: `received` at the last check
        "mute",  # its frames are parsed but not forwarded: a Close was sent to the other leg
        "opcodes",  # counts of control frames, shared by all legs of a domain's side: counters.LegCounters
        "out",  # its backlog: bytes that its socket has not accepted yet
        "peer",
        "pinged",  # heartbeat: the number of the unanswered ping, 0 for none
        "quiet",  # heartbeat: checks in a row without a byte
        "received",
        "rest",  # bytes read but not parsed yet: a turn serves a bounded number of frames
        "sizes",  # observes the sizes of data frames in its next read (`Pump.sample`); else None
        "special",  # the fast path must not be used
        "stash",  # the start of a header or of a control frame, not forwarded yet
        "tls",  # the socket object of a TLS connection, else None
        "to",  # the other leg's descriptor, to which the loop of the plain pump writes itself; else -1
        "tunnel",
        "watched",  # the events for which it is registered in epoll; 0: not registered
    )

    def __init__(
        self,
        sock: socket.socket,
        *,
        masked: bool,
        deflate: bool,
        tunnel: Any,
        limit: int = 0,
        paired: bool = False,
    ) -> None:
        super().__init__(masked=masked, deflate=deflate, limit=limit)
        self.tls = sock if isinstance(sock, ssl.SSLSocket) else None
        if self.tls is not None:
            # A truncation must not look like close_notify. The attribute is in no type stub.
            setattr(self.tls, "suppress_ragged_eofs", False)  # noqa: B010
        self.ending = NOT_ENDING
        if paired:
            self.own_ending().paired = True
        self.fd = sock.fileno()
        self.to = -1
        self.inline = not _COMPILED and self.tls is None
        self.tunnel = tunnel
        self.peer: Leg
        self.received = self.lag = 0
        self.stash = self.rest = self.out = self.inject = b""
        self.bounds: Bounds | None = None
        self.mute = self.dropping = False
        self.special = False
        self.sizes: Any = None
        self.opcodes = _UNSEEN
        self.eof = 0
        self.deaf = self.dead = False
        self.watched = 0
        self.mark = self.quiet = self.pinged = 0

    @property
    def passed(self) -> int:
        """The bytes written to the other leg, including the relay's own frames."""
        return self.received - self.lag

    @property
    def stopped(self) -> bool:
        """Whether its reading is paused: the other leg has a backlog, or this leg sends too fast."""
        bounds = self.bounds
        return bool(self.peer.out) or bool(self.rest) or (bounds is not None and bounds.throttled)

    @property
    def at_boundary(self) -> bool:
        """Whether this leg is at a frame boundary, or can still reach the next one."""
        return not self.need or not (self.eof or self.dead)

    def own_ending(self) -> Ending:
        """Return an `ending` of this leg alone, which may change."""
        if self.ending is NOT_ENDING:
            self.ending = Ending()
        return self.ending

    def close(self) -> None:
        """Close the socket."""
        if self.tls is not None:
            self.tls.close()
        else:
            os.close(self.fd)

    def reset_at_close(self) -> None:
        """Make `close` reset the connection and discard the kernel's send buffer."""
        sock = self.tls or _borrowed(self.fd)
        reset_at_close(sock)
        if sock is not self.tls:
            sock.detach()

    def shut_sending(self, *, notify: bool = True) -> bool:
        """Shut the sending side, with `notify` after TLS's close_notify; see sockets.shut_sending."""
        if self.tls is not None:
            return shut_sending(self.tls, notify=notify)
        sock = _borrowed(self.fd)
        shut_sending(sock)
        sock.detach()
        return True

    def unsent(self) -> int:
        """Return the bytes in the kernel that the peer has not acknowledged (of a pair: not read)."""
        return int.from_bytes(fcntl.ioctl(self.fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def hung_up(self) -> bool:
        """Return whether both directions of the socket have ended."""
        poll = select.poll()
        poll.register(self.fd, 0)
        return any(what & select.POLLHUP for _, what in poll.poll(0))


def _borrowed(fd: int) -> socket.socket:
    """Return a socket object for a descriptor that it does not own; the caller must detach it."""
    # Explicit values avoid three system calls of the constructor; no call here depends on the family.
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)


# (kind, leg, argument)
Event = tuple[int, Leg, int]
