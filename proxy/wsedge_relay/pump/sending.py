"""The half of the pump that sends: what a socket did not take, frames put between others, ends of streams.

The rules are in pump.py, whose class `Pump` is a `Sender` that reads; this source is compiled with it.
"""

from __future__ import annotations

import errno
import os
import select
import ssl
from typing import Final

from wsedge_relay.transport.sockets import WOULD_BLOCK

from .leg import END, ERROR, SHUT, Event, Leg

# Events of epoll.
IN: Final = 1
OUT: Final = 4
# No answer to a system call: the next wake-up is time enough.
WAIT: Final = WOULD_BLOCK

# After these a socket still gives what came before, then reports its end.
_RESET: Final = (errno.EPIPE, errno.ECONNRESET)


class Sender:
    """Sends to legs on one epoll.

    `backed` holds the legs whose socket does not take what they are sent: the owner looks for stalls there.
    `pauses` counts how often that happened. `events` are what the owner has not been told yet.
    """

    def __init__(self, epoll: select.epoll) -> None:
        self.backed: set[Leg] = set()
        self.events: list[Event] = []
        self.pauses = 0
        self._epoll = epoll

    def inject(self, leg: Leg, frame: bytes, *, last: bool = False) -> bool:
        """Send a whole frame to `leg` at the next boundary; `last` says that it is a Close.

        False: it was told Close, cannot be written to, or its next boundary will never come.
        """
        if leg.told or leg.parting or leg.deaf or leg.dead or not leg.peer.at_boundary:
            return False
        leg.inject += frame
        leg.parting = last
        if leg.peer.need:
            leg.peer.special = True
        else:
            self._insert(leg)
        return True

    def finish(self, leg: Leg) -> None:
        """Send what is held for `leg`, then shut its sending side (event SHUT); drop what it still sends."""
        leg.finishing = leg.dropping = leg.special = True
        self._interest(leg)
        if not leg.out:
            self._shut(leg)

    def abandon(self, leg: Leg) -> None:
        """Neither read nor write `leg` any more; what is held for it is dropped, its peer is served on."""
        self._bury(leg)

    def _send(self, leg: Leg, data: bytes | memoryview) -> int:
        """Send `data` to `leg`; -1: nothing can be sent to it any more."""
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
        """Send the injected frames of `leg`: the other leg is at a frame boundary."""
        frames, leg.inject = leg.inject, b""
        peer = leg.peer
        if not leg.told and not leg.deaf:
            self._keep(leg, frames)
            if leg.parting:
                leg.told = peer.mute = True
                self._interest(peer)
        self._mark(peer)

    def _keep(self, leg: Leg, data: bytes) -> None:
        """Send `data` to `leg`, behind what is held for it."""
        if leg.out:
            leg.out += data
            return
        sent = self._send(leg, data)
        if sent < 0:
            return
        leg.peer.lag -= sent
        if sent < len(data):
            self._hold(leg, data[sent:])

    def _hold(self, leg: Leg, data: bytes) -> None:
        """Keep what the socket of `leg` did not take and stop the reading of its peer."""
        leg.out = data
        self.backed.add(leg)
        self.pauses += 1
        self._interest(leg)
        self._interest(leg.peer)

    def _drain(self, leg: Leg) -> None:
        """Send what is held for `leg`; once all is gone its peer is read again."""
        sent = self._send(leg, leg.out)
        if sent <= 0:
            return
        leg.peer.lag -= sent
        leg.out = leg.out[sent:]
        if not leg.out:
            self._emptied(leg)

    def _emptied(self, leg: Leg) -> None:
        """Go on with what waited for the backlog of `leg`."""
        self.backed.discard(leg)
        self._interest(leg)
        self._interest(leg.peer)
        if leg.finishing:
            self._shut(leg)
        self._tell_end(leg.peer)

    def _deafen(self, leg: Leg, error: OSError) -> None:
        """Give up sending to `leg`. What it sent before is still read; then comes its end or error."""
        if error.errno not in _RESET:
            self._die(leg, error)
        elif not leg.deaf:
            leg.deaf = leg.peer.special = True
            leg.out = leg.inject = b""
            self._emptied(leg)

    def _die(self, leg: Leg, error: OSError) -> None:
        """Give up a leg whose socket is broken."""
        if not leg.dead:
            self._bury(leg)
            self.events.append((ERROR, leg, 0 if isinstance(error, ssl.SSLError) else error.errno or 0))

    def _bury(self, leg: Leg) -> None:
        leg.deaf = leg.dead = leg.peer.special = True
        leg.out = leg.inject = leg.stash = b""
        self.backed.discard(leg)
        self._unwatch(leg)
        self._interest(leg.peer)
        self._tell_end(leg.peer)

    def _end(self, leg: Leg) -> None:
        """Note the end of a stream; the owner hears of it once the peer has got all that came before."""
        leg.eof = 1
        leg.stash = b""
        self._interest(leg)
        if not leg.peer.out:
            self._tell_end(leg)

    def _tell_end(self, leg: Leg) -> None:
        """Tell the owner of an end that waited for the other leg's backlog: once, whatever is held later."""
        if leg.eof == 1:
            leg.eof = 2
            self.events.append((END, leg, 0))

    def _shut(self, leg: Leg) -> None:
        """Shut the sending side, after TLS's own good-bye."""
        if leg.shut:
            return
        leg.shut = True
        if not leg.deaf:
            leg.shut_sending()
        self.events.append((SHUT, leg, 0))

    def _mark(self, leg: Leg) -> None:
        """Tell the fast path whether `leg` is plain again."""
        leg.special = bool(
            leg.stash
            or leg.mute
            or leg.dropping
            or leg.peer.inject
            or leg.peer.deaf
            or leg.sizes is not None
            or leg.pace is not None
        )

    def _interest(self, leg: Leg) -> None:
        """Wait for exactly what can be served: to read unless the peer is behind, to write what is held."""
        if leg.dead:
            return
        waits = leg.throttled or (leg.peer.out and not leg.mute)
        reads = not leg.eof and (leg.dropping or not waits)
        wanted = (IN if reads else 0) | (OUT if leg.out else 0)
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
