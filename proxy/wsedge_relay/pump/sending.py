"""The sending half of the pump: backlogs of sockets, the relay's own frames, ends of streams.

pump.py has the rules. Its class `Pump` adds the reading half to `Sender`, and both are compiled together.
"""

from __future__ import annotations

import errno
import os
import select
import ssl
from typing import Final

from wsedge_relay.transport.sockets import WOULD_BLOCK

from .leg import END, ERROR, FLOODED, SHUT, Event, Leg

# Events of epoll.
IN: Final = 1
OUT: Final = 4
HUP: Final = 16
# A system call that would block or was interrupted is repeated at the next event.
WAIT: Final = WOULD_BLOCK

# After these errors of a send the kernel still delivers received bytes, then the end of the stream.
_RESET: Final = (errno.EPIPE, errno.ECONNRESET)

# The most bytes that a leg may send after a Close to it, or after its violation: more than the buffers of
# both kernels hold (Linux: 4 + 6 MiB), so that a peer that reads before it writes more can receive its Close.
# After its own Close a leg has nothing to send (RFC 6455 section 5.5.1).
MOST_WASTE: Final = 16 << 20
MOST_AFTER_CLOSE: Final = 1 << 20


class Sender:
    """Sends to legs on one epoll.

    `backed` has the legs with a backlog, among which the owner finds stalled ones. `pauses` counts backlogs.
    `events` are those that the owner has not received yet.
    """

    def __init__(self, epoll: select.epoll) -> None:
        self.backed: set[Leg] = set()
        self.events: list[Event] = []
        self.pauses = 0
        self._epoll = epoll

    def inject(self, leg: Leg, frame: bytes, *, last: bool = False) -> bool:
        """Send a whole frame to `leg` at the next frame boundary; `last` says that the frame is a Close.

        Return False when that is not possible: a Close was sent, the leg cannot be written to, or the other
        leg ended inside a frame, so that no boundary will come.
        """
        ending = leg.ending
        if ending.close_sent or ending.parting or ending.shut or leg.deaf or leg.dead:
            return False
        if not leg.peer.at_boundary:
            return False
        leg.inject += frame
        if last:
            leg.own_ending().parting = True
        if leg.peer.need:
            leg.peer.special = True
        else:
            self._insert(leg)
        return True

    def reserve(self, leg: Leg, close: bytes) -> None:
        """Send `close` to `leg` in the place of the other leg's Close, behind all frames before that."""
        leg.own_ending().verdict = close
        self._mark(leg.peer)

    def end(self, leg: Leg) -> None:
        """Send the backlog of `leg`, then shut its sending side (event SHUT); bytes from it still pass."""
        leg.own_ending().finishing = True
        if not leg.out:
            self._shut(leg)

    def finish(self, leg: Leg) -> None:
        """Send the backlog of `leg`, then shut its sending side (event SHUT); drop bytes it still sends."""
        leg.own_ending().finishing = leg.dropping = leg.special = True
        leg.rest = b""
        self._interest(leg)
        if not leg.out:
            self._shut(leg)

    def abandon(self, leg: Leg) -> None:
        """Stop reading and writing `leg` and drop its backlog; its peer is still served."""
        self._bury(leg)

    def _send(self, leg: Leg, data: bytes | memoryview) -> int:
        """Send `data` to `leg`; return the size sent, -1 when the leg is deaf."""
        try:
            if leg.tls is None:
                return os.write(leg.fd, data)
            return leg.tls.send(data)
        except WAIT:
            return 0
        except OSError as error:
            self._deafen(leg, error)
            return -1

    def _insert(self, leg: Leg) -> None:
        """Send the injected frames of `leg`, whose other leg is at a frame boundary."""
        frames, leg.inject = leg.inject, b""
        peer = leg.peer
        if not leg.ending.close_sent and not leg.deaf:
            self._enqueue(leg, frames)
            if leg.ending.parting:
                leg.own_ending().close_sent = peer.mute = True
                self._interest(peer)
        self._mark(peer)

    def _pronounce(self, leg: Leg) -> None:
        """Send the reserved Close of `leg`."""
        ending = leg.own_ending()
        close, ending.verdict = ending.verdict, b""
        if not leg.deaf:
            self._enqueue(leg, close)
        ending.close_sent = True

    def _waste(self, leg: Leg, size: int) -> None:
        """Count bytes of `leg` that serve nobody; abandon it when they are too many (event FLOODED)."""
        ending = leg.own_ending()
        ending.waste += size
        if ending.waste > MOST_WASTE and not leg.dead:
            self._bury(leg)
            self.events.append((FLOODED, leg, 0))

    def _enqueue(self, leg: Leg, data: bytes) -> None:
        """Send `data` to `leg`, after its backlog."""
        if leg.out:
            leg.out += data
            return
        sent = self._send(leg, data)
        if sent < 0:
            return
        leg.peer.lag -= sent
        if sent < len(data):
            self._begin_backlog(leg, data[sent:])

    def _begin_backlog(self, leg: Leg, data: bytes) -> None:
        """Begin a backlog of `leg` with `data`, and pause the reading of its peer."""
        leg.out = data
        self.backed.add(leg)
        self.pauses += 1
        self._interest(leg)
        self._interest(leg.peer)

    def _drain(self, leg: Leg) -> None:
        """Send the backlog of `leg`; when it is empty, resume reading the peer."""
        sent = self._send(leg, leg.out)
        if sent <= 0:
            return
        leg.peer.lag -= sent
        leg.out = leg.out[sent:]
        if not leg.out:
            self._emptied(leg)

    def _emptied(self, leg: Leg) -> None:
        """Resume the actions that waited for the backlog of `leg`."""
        self.backed.discard(leg)
        self._interest(leg)
        self._interest(leg.peer)
        if leg.ending.finishing:
            self._shut(leg)
        self._report_end(leg.peer)

    def _deafen(self, leg: Leg, error: OSError) -> None:
        """Stop sending to `leg`. Bytes that it sent before a reset are still read, up to its end or error."""
        if error.errno not in _RESET or leg.eof:
            self._die(leg, error)
        elif not leg.deaf:
            leg.deaf = leg.peer.special = True
            leg.out = leg.inject = b""
            self._emptied(leg)

    def _die(self, leg: Leg, error: OSError) -> None:
        """Remove a leg with a broken socket from epoll and report ERROR, once."""
        if not leg.dead:
            self._bury(leg)
            self.events.append((ERROR, leg, 0 if isinstance(error, ssl.SSLError) else error.errno or 0))

    def _bury(self, leg: Leg) -> None:
        leg.deaf = leg.dead = leg.peer.special = True
        leg.out = leg.inject = leg.rest = leg.stash = b""
        self.backed.discard(leg)
        self._unwatch(leg)
        self._interest(leg.peer)
        self._report_end(leg.peer)

    def _end(self, leg: Leg) -> None:
        """Store the end of a stream; END is reported when the other leg's backlog is empty."""
        if leg.ending.paired and not leg.ending.shut and leg.hung_up():
            self._die(leg, ConnectionResetError(errno.ECONNRESET, ""))
            return
        leg.eof = 1
        leg.stash = b""
        self._interest(leg)
        if not leg.peer.out:
            self._report_end(leg)

    def _report_end(self, leg: Leg) -> None:
        """Report END for a stream that has ended, once: later backlogs must not report it again."""
        if leg.eof == 1:
            leg.eof = 2
            self.events.append((END, leg, 0))

    def _shut(self, leg: Leg) -> None:
        """Shut the sending side, after TLS's close_notify, and report SHUT."""
        ending = leg.own_ending()
        if ending.shut:
            return
        ending.shut = True
        if leg.watched == HUP:  # from now on the other socket's close is the expected end of both directions
            self._unwatch(leg)
        # TLS that the other side cut off must not look complete here (RFC 8446 section 6.1).
        if not leg.deaf and not leg.shut_sending(notify=leg.dropping or not leg.peer.ending.ragged):
            leg.dropping = leg.special = True
        self.events.append((SHUT, leg, 0))

    def _mark(self, leg: Leg) -> None:
        """Set whether the fast path of `Pump.run` must leave `leg` to `_other`."""
        leg.special = bool(
            leg.stash
            or leg.mute
            or leg.dropping
            or leg.peer.inject
            or leg.peer.deaf
            or leg.peer.ending.verdict
            or leg.sizes is not None
            or leg.bounds is not None
        )

    def _interest(self, leg: Leg) -> None:
        """Register `leg` in epoll for reads unless they are paused, and for writes while it has a backlog.

        A leg of a pair whose stream has ended is watched for the close of the other socket, which stands for
        a reset behind the end (an HTTP/2 client's RST_STREAM behind its END_STREAM).
        """
        if leg.dead:
            return
        throttled = leg.bounds is not None and leg.bounds.throttled
        waits = throttled or leg.rest or (leg.peer.out and not leg.mute)
        reads = not leg.eof and (leg.dropping or not waits)
        wanted = (IN if reads else 0) | (OUT if leg.out else 0)
        if not wanted and leg.ending.paired and leg.eof and not (leg.ending.shut or leg.dropping):
            wanted = HUP
        if wanted == leg.watched:
            return
        if not wanted:
            self._unwatch(leg)
        elif leg.watched:
            self._epoll.modify(leg.fd, wanted)
        else:
            self._epoll.register(leg.fd, wanted)
        leg.watched = wanted

    def _unwatch(self, leg: Leg) -> None:
        if leg.watched:
            self._epoll.unregister(leg.fd)
            leg.watched = 0
