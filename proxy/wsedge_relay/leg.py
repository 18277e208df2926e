"""One leg of a tunnel: a socket and what the pump must remember of it. Small, for there may be 100,000."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from .frames import Walk  # relative: the compiled form's is compiled too

_COMPILED: Final = not __file__.endswith(".py")

# Counts that nobody looks at, of legs whose owner gave them no other.
_UNSEEN: Final = [0] * 16


class Leg(Walk):
    """One socket of a tunnel, and the direction of the bytes that come from it.

    `received` counts bytes read from the socket, `passed` bytes written to the *other* leg's socket.
    """

    __slots__ = (
        "dead",  # reading failed too: out of the pump
        "deaf",  # writing failed: nothing can be sent to it any more
        "direct",  # a plain socket in the compiled pump: read and written without Python's socket object
        "dropping",  # what still comes from it is read and dropped: it sent Close, or broke the rules
        "eof",
        "fd",
        "finishing",  # shut the sending side once `out` is empty
        "inject",  # frames for it that wait for a frame boundary of the other leg
        "mark",  # heartbeat: `received` at the last look
        "mute",  # what still comes from it is followed but not passed on: the other leg was told Close
        "opcodes",  # counts by opcode, shared by all legs of a domain's side: see counters.LegCounters
        "out",  # what its socket did not take yet
        "parting",  # `inject` ends in a Close
        "passed",
        "peer",
        "pinged",  # heartbeat: the number of the unanswered ping, 0 for none
        "quiet",  # heartbeat: looks in a row without a byte
        "received",
        "recv",
        "rtt",  # heartbeat: seconds the last answered ping took, negative before the first
        "sampled",  # the opcode of its first message was counted
        "send",
        "shut",
        "sock",
        "special",  # the fast path must not be taken
        "stash",  # the start of a header or of a control frame, not passed on yet
        "told",  # a Close frame was sent to it
        "tunnel",
        "watched",  # the events it is in epoll for; 0: it is not in there
    )

    def __init__(
        self, sock: socket.socket, *, masked: bool, deflate: bool, tunnel: Any, limit: int = 0
    ) -> None:
        super().__init__(masked=masked, deflate=deflate, limit=limit)
        self.sock = sock
        self.fd = sock.fileno()
        self.tunnel = tunnel
        self.recv = sock.recv_into
        self.peer: Leg
        self.send: Callable[[Any], int]
        self.direct = _COMPILED and not isinstance(sock, ssl.SSLSocket)
        self.received = self.passed = 0
        self.stash = self.out = self.inject = b""
        self.mute = self.dropping = self.sampled = False
        self.special = True  # until the first message was sampled
        self.opcodes = _UNSEEN
        self.eof = self.deaf = self.dead = False
        self.told = self.parting = self.finishing = self.shut = False
        self.watched = 0
        self.mark = self.quiet = self.pinged = 0
        self.rtt = -1.0

    @property
    def messages(self) -> int:
        """Whole messages that came from this leg."""
        return self.frames - self.partial

    @property
    def stopped(self) -> bool:
        """Whether its reading waits for what the other leg has not taken yet."""
        return bool(self.peer.out)

    @property
    def at_boundary(self) -> bool:
        """Whether a frame can be put in front of what this leg sends next, now or later."""
        return not self.need or not (self.eof or self.dead)


def shut_sending(sock: socket.socket) -> None:
    """Shut the sending side of a connected socket, after TLS's close_notify if it speaks TLS."""
    try:
        if isinstance(sock, ssl.SSLSocket):
            # It was sent, and waits for the other side's; or TLS is broken and TCP must say so.
            with contextlib.suppress(OSError, ValueError):
                sock.unwrap()
        # SSLSocket.shutdown would take TLS away from what is still read.
        socket.socket.shutdown(sock, socket.SHUT_WR)
    except OSError:
        pass  # the other side was quicker
