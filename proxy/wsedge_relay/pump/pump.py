"""The pump: bytes of open tunnels, read and written in batches on one epoll.

It runs inside the event loop's own selector (see selector.py). One batch is: `recv_into` one shared buffer,
walk the frame headers, `send` a slice to the other leg. At small messages most of the CPU is the kernel's
(docs/benchmarks.md), so the loop in `Pump.run` counts every name it looks up; everything that is not a plain
read of whole messages goes the long way through `_feed`.

Rules that the code keeps, each for a reason met in trials:
- The owner of a tunnel is never called inside a batch (it could close a descriptor that the same batch serves
  again under another owner): what it must see is an event, handed on by `notify` after the batch.
- A leg that waits for nothing is taken out of epoll, or its hang-up would be reported without end.
- What a dead peer sent before it died is read out: a failed send makes a leg deaf, not dead.
- A leg that cannot take a byte stops the other's reading, so at most one buffer's remainder is held.

This source runs as it is, or compiled by Cython with pump.pxd beside it (see build.py): no closures,
no generators. The compiled form (`_DIRECT`) calls recv and send itself where the socket is a plain one, and
its neighbours are compiled too, so they are imported by their relative names.
"""

from __future__ import annotations

import errno
import math
import os
import select
import socket
import ssl
import time
from typing import Any, Final

from wsedge_relay.transport.sockets import TLS_RECORD_BYTES

from .frames import CLOSE, LONGEST_CONTROL, PONG, close_code, payload_of
from .leg import CLOSED, END, ERROR, PONGED, SHUT, THROTTLED, VIOLATION, Event, Leg
from .sending import IN, OUT, WAIT, Sender

__all__ = (
    "CLOSED",
    "END",
    "ERROR",
    "PONGED",
    "SHUT",
    "TAG_BYTES",
    "THROTTLED",
    "VIOLATION",
    "Event",
    "Pump",
)

_AREA: Final = 65536  # more lets a slow peer's backlog grow and gains nothing (measured)
_RECORD: Final = TLS_RECORD_BYTES
_ROOM: Final = 144  # before the read area: a held-back header or control frame
_BATCH: Final = 256
_CUTS: Final = 4096
_DIRECT: Final = not __file__.endswith(".py")
_LATER: Final = (errno.EAGAIN, errno.EINTR)

TAG_BYTES: Final = 4
_PING_BYTES: Final = TAG_BYTES + 4

assert _ROOM >= LONGEST_CONTROL  # noqa: S101  a fact about two constants


class Pump(Sender):
    """Forwards between pairs of legs on one epoll; see the module for the rules.

    `tag` begins the payload of our own pings, whose pongs are swallowed.
    """

    def __init__(self, epoll: select.epoll, tag: bytes) -> None:
        if len(tag) != TAG_BYTES:
            raise ValueError(f"the tag has {TAG_BYTES} bytes")
        super().__init__(epoll)
        self.tag = tag
        self.legs: list[Leg | None] = []  # by descriptor
        self._memory = bytearray(_ROOM + _AREA)
        self._buf = self._memory  # compiled: the address of its first byte
        self._view = memoryview(self._memory)
        self._area = self._view[_ROOM:]
        self._into = (self._area,)
        # A slice costs more than a look-up, and the sizes of small reads repeat.
        self._cuts: list[memoryview | None] = [None] * _CUTS

    @staticmethod
    def leg(sock: socket.socket, *, masked: bool, deflate: bool, tunnel: Any, limit: int = 0) -> Leg:
        """Return a leg for `add`, in the form (plain or compiled) that this pump has."""
        return Leg(sock, masked=masked, deflate=deflate, tunnel=tunnel, limit=limit)

    def add(self, client: Leg, origin: Leg, *, client_rest: bytes = b"", origin_rest: bytes = b"") -> None:
        """Begin to forward between two legs; the rests are what was read behind the two handshakes.

        Raises OSError when epoll takes no more; the legs are to be removed then all the same.
        """
        client.peer, origin.peer = origin, client
        missing = max(client.fd, origin.fd) + 1 - len(self.legs)
        if missing > 0:
            self.legs += [None] * missing
        for leg in (client, origin):
            self.legs[leg.fd] = leg
            leg.to = leg.peer.fd if leg.peer.inline else -1
        for leg, rest in ((client, client_rest), (origin, origin_rest)):
            if leg.watched != IN:
                self._interest(leg)
            if rest:
                self._preload(leg, rest)

    def remove(self, leg: Leg) -> None:
        """Forget a leg and its peer. Their sockets are the caller's again, not closed."""
        for one in (leg, leg.peer):
            self._unwatch(one)
            self.backed.discard(one)
            self.legs[one.fd] = None
            one.dead = True
            one.out = one.stash = one.inject = b""

    def pace(self, leg: Leg, pace: Any) -> None:
        """Let a leg send no faster than `pace` (see pace.Pace) says; None: as fast as it can."""
        leg.pace = pace
        self._mark(leg)
        self.resume(leg)

    def resume(self, leg: Leg) -> None:
        """Read a leg again that was THROTTLED."""
        if leg.throttled:
            leg.throttled = False
            self._interest(leg)

    def sample(self, leg: Leg, sizes: Any) -> None:
        """Let `sizes.observe` have the payload of each data frame that begins in the leg's next read."""
        leg.sizes = sizes
        leg.special = True

    def take_events(self) -> list[Event]:
        """Return the events since the last call."""
        events, self.events = self.events, []
        return events

    def run(self, timeout: float) -> list[tuple[int, int]]:
        """Serve until an event, a descriptor of another owner or the end of `timeout` seconds (-1: none).

        Returns (descriptor, epoll events) of the others. A timeout of 0 serves what is ready once.
        """
        poll = self._epoll.poll
        # readv and write take a descriptor and cost less than the methods of a socket (docs/benchmarks.md).
        readv = os.readv
        write = os.write
        legs = self.legs
        known = len(legs)
        events = self.events
        buf = self._buf
        area = self._area
        into = self._into
        cuts = self._cuts
        first = _ROOM
        second = _ROOM + 1
        others: list[tuple[int, int]] = []
        if events:
            timeout = 0
        deadline = time.monotonic() + timeout if timeout > 0 else 0.0
        while True:
            for fd, what in poll(timeout, _BATCH):
                leg = legs[fd] if fd < known else None
                if leg is None:
                    others.append((fd, what))
                    continue
                if what != 1 or leg.special:
                    self._other(leg, what)
                    continue
                if leg.inline:
                    try:
                        n = readv(fd, into)
                    except WAIT:
                        continue
                    except OSError as error:
                        self._die(leg, error)
                        continue
                else:
                    n = self._read(leg, _AREA)
                    if n < 0:
                        continue
                if not n:
                    self._end(leg)
                    continue
                leg.received += n
                need = leg.need
                if not need and leg.steps[buf[second]] == n and leg.whole[buf[first]]:
                    leg.frames += 1  # one short message and nothing else: what most reads are
                elif need > n:
                    leg.need = need - n
                else:
                    end = _ROOM + n
                    last = end - 4
                    at = _ROOM + need
                    whole = leg.whole
                    steps = leg.steps
                    frames = 0
                    while at <= last and whole[buf[at]]:  # whole messages with lengths of 7 or 16 bits
                        step = steps[buf[at + 1]]
                        if step <= 0:
                            size = buf[at + 2] << 8 | buf[at + 3]
                            if not step or size < 126:
                                break
                            step = size - step
                        at += step
                        frames += 1
                    if at < end:  # anything else: the long way, from the start
                        leg.lag += n
                        self._feed(leg, _ROOM, end)
                        continue
                    leg.need = at - end
                    leg.frames += frames
                to = leg.to
                if to >= 0:
                    cut = cuts[n] if n < _CUTS else area[:n]
                    if cut is None:
                        cut = cuts[n] = area[:n]
                    try:
                        sent = write(to, cut)
                    except WAIT:
                        sent = 0
                    except OSError as error:
                        leg.lag += n
                        self._deafen(leg.peer, error)
                        continue
                else:
                    sent = self._write(leg, _ROOM, _ROOM + n)
                    if sent < 0:
                        leg.lag += n
                        continue
                if sent < n:
                    leg.lag += n - sent
                    self._hold(leg.peer, bytes(area[sent:n]))
            if others or events or not timeout:
                return others
            if timeout > 0:
                timeout = deadline - time.monotonic()
                if timeout <= 0:
                    return others

    def _read(self, leg: Leg, most: int) -> int:
        """Read from `leg` into the area. 0: its stream ended; -1: nothing is there, or it broke.

        At most `most` bytes of a plain leg; of TLS a whole record, for no selector would report its rest.
        """
        if _DIRECT and leg.tls is None:
            n: int = c_recv(leg.fd, self._buf + _ROOM, most)  # type: ignore[name-defined, operator] # noqa: F821
            if n < 0 and -n not in _LATER:
                self._die(leg, OSError(-n, ""))
            return n if n > 0 else 0 if not n else -1
        try:
            if leg.tls is None:
                return os.readv(leg.fd, self._into if most == _AREA else (self._area[:most],))
            return self._read_records(leg.tls, most == _AREA)
        except WAIT:
            return -1
        except OSError as error:
            self._die(leg, error)
            return -1

    def _read_records(self, tls: ssl.SSLSocket, more: bool) -> int:
        """Read a TLS record; behind a full one, with `more`, those that are there too.

        A full one is a piece of something longer. Behind a shorter one nothing is looked for: to find that
        nothing is there costs as much as a record.
        """
        n = total = tls.recv_into(self._area)
        while more and n == _RECORD and total <= _AREA - _RECORD:
            try:
                n = tls.recv_into(self._area[total:])
            except OSError:
                break  # nothing is there, or the next read meets the same again
            total += n
        return total

    def _read_paced(self, leg: Leg) -> int:
        """Read what the leg's pace allows; when it is spent, stop until `resume`."""
        n = self._read(leg, min(max(1, leg.pace.room(time.monotonic())), _AREA))
        wait = leg.pace.spend(n) if n > 0 else 0.0
        if wait > 0:
            leg.throttled = True
            self._interest(leg)
            self.events.append((THROTTLED, leg, math.ceil(wait * 1000)))
        return n

    def _write(self, leg: Leg, start: int, end: int) -> int:
        """Send the buffer's `start:end` to the peer of `leg`; -1: nothing can be sent to it any more."""
        peer = leg.peer
        if _DIRECT and peer.tls is None:
            n: int = c_send(peer.fd, self._buf + start, end - start)  # type: ignore[name-defined, operator] # noqa: F821
            if n < 0 and -n in _LATER:
                return 0
            if n < 0:
                self._deafen(peer, OSError(-n, ""))
            return n if n >= 0 else -1
        return self._send(peer, self._view[start:end])

    def _other(self, leg: Leg, what: int) -> None:
        """Serve whatever is not a plain read: a backlog, an error, a held-back header, a leg at its end."""
        if leg.out and what & ~IN:
            self._drain(leg)
        if not leg.watched & IN or not what & ~OUT:
            return
        n = self._read(leg, _AREA) if leg.pace is None or leg.dropping else self._read_paced(leg)
        if n < 0:
            return
        if not n:
            self._end(leg)
            return
        leg.received += n
        leg.lag += n
        if leg.dropping:
            return
        held = len(leg.stash)
        if held:
            self._memory[_ROOM - held : _ROOM] = leg.stash
            leg.stash = b""
            self._mark(leg)
        frames = leg.frames
        self._feed(leg, _ROOM - held, _ROOM + n)
        if leg.sizes is not None and leg.frames != frames:
            leg.sizes = None
            self._mark(leg)

    def _feed(self, leg: Leg, start: int, end: int) -> None:
        """Follow the frames in the buffer's `start:end`, which came from `leg`, and pass them on."""
        buf = self._buf
        peer = leg.peer
        at = start + leg.need
        while at <= end:
            if peer.inject:
                self._put(leg, start, at)
                start = at
                self._insert(peer)
            size = leg.header(self._memory, at, end - at)
            if size <= 0:
                break
            if buf[at] & 8:
                if size > end - at:
                    size = 0
                    break
                leg.frames += 1
                leg.partial += 1
                opcode = buf[at] & 15
                if opcode == CLOSE:
                    leg.need = 0
                    self._closed(leg, start, at, at + size)
                    return
                if opcode == PONG and size == leg.head + _PING_BYTES and self._is_own(leg, at, size):
                    self._put(leg, start, at)
                    start = at + size
                else:
                    leg.opcodes[opcode] += 1
            elif leg.sizes is not None:
                leg.sizes.observe(leg.payload_of(size))
            at += size
        else:
            leg.need = at - end
            self._put(leg, start, end)
            return
        leg.need = 0
        self._put(leg, start, at)
        if size < 0:
            leg.dropping = leg.special = True
            self.events.append((VIOLATION, leg, size))
        elif at < end:
            leg.stash = bytes(buf[at:end])
            leg.special = True

    def _closed(self, leg: Leg, start: int, at: int, end: int) -> None:
        """Pass on everything up to a Close frame from `leg`; nothing may follow it (RFC 6455 5.5.1)."""
        self._put(leg, start, end)
        if not leg.mute:
            leg.peer.told = True
        leg.dropping = leg.special = True
        self._interest(leg)
        self.events.append((CLOSED, leg, close_code(bytes(self._buf[at:end]))))

    def _is_own(self, leg: Leg, at: int, size: int) -> bool:
        """Tell, and report, a pong that answers one of our own pings."""
        payload = payload_of(bytes(self._buf[at : at + size]))
        if not payload.startswith(self.tag):
            return False
        self.events.append((PONGED, leg, int.from_bytes(payload[TAG_BYTES:], "big")))
        return True

    def _preload(self, leg: Leg, rest: bytes) -> None:
        """Serve bytes that were read before the pump had the leg."""
        for offset in range(0, len(rest), _AREA):
            if leg.dropping:
                return
            part = rest[offset : offset + _AREA]
            held = len(leg.stash)
            self._memory[_ROOM - held : _ROOM + len(part)] = leg.stash + part
            leg.stash = b""
            leg.received += len(part)
            leg.lag += len(part)
            self._mark(leg)
            self._feed(leg, _ROOM - held, _ROOM + len(part))

    def _put(self, leg: Leg, start: int, end: int) -> None:
        """Send the buffer's `start:end`, which came from `leg`, to its peer."""
        peer = leg.peer
        if start >= end or leg.mute or peer.deaf:
            return
        if peer.out:
            peer.out += self._buf[start:end]
            return
        sent = self._write(leg, start, end)
        if sent < 0:
            return
        leg.lag -= sent
        if sent < end - start:
            self._hold(peer, bytes(self._buf[start + sent : end]))
