"""One leg of a tunnel: a socket and the pump's state of it. Small, because there may be 100,000 of them.

Reading and sending have states of their own, named by their flags. Of these flags none is cleared again
(`throttled` and `special` are, and are no states). The events in brackets go to the owner of the tunnel.

    reading      passed on ──(a)──▶ mute ──────┬──(c)──▶ eof = 1 ──(d)──▶ eof = 2 [END]
                     │                │        │
                     └──────(b)───────┴▶ dropping
                     every state ──(e)──▶ dead

    sending      open ──(f)──▶ parting ──(g)──▶ told ──(h)──▶ finishing ──(i)──▶ shut [SHUT]
                   every state ──(j)──▶ deaf

    (a) The relay sent its own Close to the other leg. Frames are still parsed, and not passed on.
    (b) Close came from the leg [CLOSED], it broke a frame rule [VIOLATION], or `finish` was called. Bytes are
        read and dropped.
    (c) The peer ended its stream; from all three states.
    (d) The other leg has no backlog any more: the owner must not close a leg that is still sent to.
    (e) The socket broke [ERROR], or the owner abandoned the leg. It is out of epoll, and deaf as well.
    (f) `inject` was called with the relay's Close.
    (g) The other leg reached a frame boundary and the Close was sent, or Close came from the other leg.
    (h) `finish` was called; also without a Close before.
    (i) The backlog is empty. TLS's close_notify and a FIN are sent.
    (j) A send failed because the peer has reset the connection. What the peer sent before is still read.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any, Final

from wsedge_relay.transport.sockets import reset_at_close, shut_sending

from .frames import Walk  # relative: the compiled form's is compiled too

_COMPILED: Final = not __file__.endswith(".py")

# Kinds of the pump's events.
END: Final = 1  # the leg's peer ended its stream
ERROR: Final = 2  # the leg's socket broke; argument: errno, or 0 for a fault of TLS
VIOLATION: Final = 3  # the leg broke a frame rule; argument: frames.VIOLATIONS has its name
CLOSED: Final = 4  # a Close frame came from the leg; argument: its code
PONGED: Final = 5  # the leg answered one of our own pings; argument: the ping's number
SHUT: Final = 6  # the leg was told everything and its sending side is shut
THROTTLED: Final = 7  # the leg sent more than its pace; argument: milliseconds until `resume` is due

# Counts that nobody looks at, of legs whose owner gave them no other.
_UNSEEN: Final = [0] * 16


class Leg(Walk):
    """One socket of a tunnel, and the direction of the bytes that come from it.

    Of a plain socket it keeps the descriptor alone, for Python's object and its two methods took a third of
    an idle tunnel's memory. The descriptor is the caller's to close, by `close` or by its own socket object.

    `received` counts bytes read from the socket, `passed` bytes written to the *other* leg's socket.
    """

    __slots__ = (
        "dead",  # reading failed too: out of the pump
        "deaf",  # writing failed: nothing can be sent to it any more
        "dropping",  # what still comes from it is read and dropped: it sent Close, or broke the rules
        "eof",  # its stream ended (1), and the owner was told so (2)
        "fd",
        "finishing",  # shut the sending side once `out` is empty
        "inject",  # frames for it that wait for a frame boundary of the other leg
        "inline",  # the plain pump's loop reads it itself
        "lag",  # bytes received but not passed, less those passed but not received (the relay's own frames)
        "mark",  # heartbeat: `received` at the last look
        "mute",  # what still comes from it is followed but not passed on: the other leg was told Close
        "opcodes",  # counts of control frames, shared by all legs of a domain's side: counters.LegCounters
        "out",  # what its socket did not take yet
        "pace",  # how fast it may send, if that is limited: see pace.Pace
        "parting",  # `inject` ends in a Close
        "peer",
        "pinged",  # heartbeat: the number of the unanswered ping, 0 for none
        "quiet",  # heartbeat: looks in a row without a byte
        "received",
        "shut",
        "sizes",  # what observes the sizes of data frames in its next read; None most of the time
        "special",  # the fast path must not be taken
        "stash",  # the start of a header or of a control frame, not passed on yet
        "throttled",  # not read for now: it sent more than its pace
        "tls",  # the socket object, if it speaks TLS
        "to",  # the descriptor that the plain pump's loop writes to itself: the other leg's, or -1
        "told",  # a Close frame was sent to it
        "tunnel",
        "watched",  # the events it is in epoll for; 0: it is not in there
    )

    def __init__(
        self, sock: socket.socket, *, masked: bool, deflate: bool, tunnel: Any, limit: int = 0
    ) -> None:
        super().__init__(masked=masked, deflate=deflate, limit=limit)
        self.tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self.fd = sock.fileno()
        self.to = -1
        self.inline = not _COMPILED and self.tls is None
        self.tunnel = tunnel
        self.peer: Leg
        self.received = self.lag = 0
        self.stash = self.out = self.inject = b""
        self.pace: Any = None
        self.throttled = False
        self.mute = self.dropping = False
        self.special = False
        self.sizes: Any = None
        self.opcodes = _UNSEEN
        self.eof = 0
        self.deaf = self.dead = False
        self.told = self.parting = self.finishing = self.shut = False
        self.watched = 0
        self.mark = self.quiet = self.pinged = 0

    @property
    def passed(self) -> int:
        """Bytes written to the other leg, the relay's own frames among them."""
        return self.received - self.lag

    @property
    def stopped(self) -> bool:
        """Whether it is not read now: the other leg has not taken all yet, or it sent too fast."""
        return bool(self.peer.out) or self.throttled

    @property
    def at_boundary(self) -> bool:
        """Whether a frame can be put in front of what this leg sends next, now or later."""
        return not self.need or not (self.eof or self.dead)

    def close(self) -> None:
        """Close the socket."""
        if self.tls is not None:
            self.tls.close()
        else:
            os.close(self.fd)

    def reset_at_close(self) -> None:
        """Let `close` reset the connection and drop what the kernel still holds."""
        sock = self.tls or _borrowed(self.fd)
        reset_at_close(sock)
        if sock is not self.tls:
            sock.detach()

    def shut_sending(self) -> None:
        """Shut the sending side, after TLS's own good-bye."""
        if self.tls is not None:
            shut_sending(self.tls)
            return
        sock = _borrowed(self.fd)
        shut_sending(sock)
        sock.detach()


def _borrowed(fd: int) -> socket.socket:
    """Return a socket object for a descriptor that stays another's: to be detached again."""
    # With all three said, the constructor asks the kernel for none; no call here depends on the family.
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)


# (kind, leg, argument)
Event = tuple[int, Leg, int]
