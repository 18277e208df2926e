"""The pump: bytes of open tunnels, read and written in batches on one epoll.

The pump runs inside the event loop's own selector (see selector.py). One batch is: receive into one shared
buffer, parse the frame headers, send a slice to the other leg. With small messages the kernel uses most of
the CPU (docs/benchmarks.md), and each name that the loop in `Pump.run` looks up is measurable. So the loop
handles only reads of whole messages; `_feed` handles all other reads, at a higher cost.

Rules, each of which a failed trial has shown to be necessary:
- The owner of a tunnel is never called inside a batch: it could close a descriptor that the same batch serves
  again under another owner. The owner gets events, which `notify` passes on after the batch.
- A leg that waits for no event is removed from epoll: epoll reports a hang-up even if nobody asks for it, so
  the loop would spin.
- A failed send makes a leg deaf, not dead: bytes that the peer sent before it failed are still read.
- A leg whose socket accepts no bytes stops the reading of the other leg, so that a backlog never exceeds one
  buffer.
- A turn serves a bounded number of frames of each leg, since a buffer can have 32,768 of them. The unparsed
  rest of a read is kept in the leg (`rest`), which is not read before that is parsed, and `run` returns after
  each turn, so that other legs and the event loop have their turns too (tests/bench/floods.py).

This source runs as it is, or compiled by Cython with pump.pxd beside it (see build.py): therefore it has no
closures and no generators. The compiled form (`_DIRECT`) calls recv and send directly on plain sockets. Its
neighbours are compiled too, so they are imported by relative names.
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

from .frames import CLOSE, FIN, LONGEST_CONTROL, MASKED, PONG, WRONG_MASKING, close_code, payload_of
from .leg import CLOSED, END, ERROR, FLOODED, PONGED, SHUT, THROTTLED, VIOLATION, Bounds, Event, Leg
from .sending import HUP, IN, MOST_AFTER_CLOSE, MOST_WASTE, OUT, WAIT, Sender

__all__ = (
    "CLOSED",
    "END",
    "ERROR",
    "FLOODED",
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
_ROOM: Final = 144  # in front of the read area: the start of a header or of a control frame
_BATCH: Final = 256  # events of one epoll_wait
_CUTS: Final = 4096  # reads below this size have a cached slice
# The most frames of a leg in one turn. Without a bound, 64 KiB of empty frames took the plain pump 30 ms per
# leg, and flooding legs were served one after another. A whole message costs a tenth of another frame; a
# read of whole messages of 26 bytes or more is never divided.
_MESSAGES_AT_ONCE: Final = 2048
_FRAMES_AT_ONCE: Final = 256
_SHORT_READ: Final = 2 * _MESSAGES_AT_ONCE  # cannot have more messages than that
_DIRECT: Final = not __file__.endswith(".py")
_LATER: Final = (errno.EAGAIN, errno.EINTR)

TAG_BYTES: Final = 4
_PING_BYTES: Final = TAG_BYTES + 4
_WHOLE_PONG: Final = FIN | PONG

assert _ROOM >= LONGEST_CONTROL  # noqa: S101  a fact about two constants


class Pump(Sender):
    """Forwards bytes between pairs of legs on one epoll; the module's docstring has the rules.

    `tag` begins the payload of the relay's own pings; pongs that answer them are not forwarded.
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
        self._crowded: list[Leg] = []  # legs with a rest
        # To create a slice costs more than to find one in a list, and small reads repeat few sizes.
        self._cuts: list[memoryview | None] = [None] * _CUTS

    @staticmethod
    def leg(
        sock: socket.socket,
        *,
        masked: bool,
        deflate: bool,
        tunnel: Any,
        limit: int = 0,
        paired: bool = False,
        rates: Any = None,
    ) -> Leg:
        """Return a leg for `add`, of the form (plain, compiled) that this pump has; `rates` as in `limit`."""
        leg = Leg(sock, masked=masked, deflate=deflate, tunnel=tunnel, limit=limit, paired=paired)
        if rates is not None:
            # Not by `limit`, which looks at the peer: the compiled form would read what is not there yet.
            leg.bounds = Bounds(None, rates)
            leg.special = True
        return leg

    def add(self, client: Leg, origin: Leg, *, client_rest: bytes = b"", origin_rest: bytes = b"") -> None:
        """Forward between two legs; the rests are bytes that were read behind the two handshakes.

        Raises OSError when epoll accepts no more descriptors; the caller must `remove` the legs even then.
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
        """Remove a leg and its peer from the pump. Their sockets stay open and belong to the caller."""
        for one in (leg, leg.peer):
            self._unwatch(one)
            self.backed.discard(one)
            self.legs[one.fd] = None
            one.dead = True
            one.out = one.rest = one.stash = one.inject = b""
            if one.ending.verdict:
                one.own_ending().verdict = b""

    def pace(self, leg: Leg, pace: Any) -> None:
        """Limit the rate at which a leg is read to `pace` (see pace.Pace); None: no limit."""
        self.resume(leg)
        self._bound(leg, pace, leg.bounds.rates if leg.bounds is not None else None)

    def limit(self, leg: Leg, rates: Any) -> None:
        """Limit the frames and messages that come from an added leg (see pace.FrameRates); None: no limit."""
        self._bound(leg, leg.bounds.pace if leg.bounds is not None else None, rates)

    def _bound(self, leg: Leg, pace: Any, rates: Any) -> None:
        bounds = leg.bounds
        if pace is None and rates is None:
            leg.bounds = None
        elif bounds is None:
            leg.bounds = Bounds(pace, rates)
        else:
            bounds.pace, bounds.rates = pace, rates
        self._mark(leg)

    def resume(self, leg: Leg) -> None:
        """Resume reading a leg that was THROTTLED."""
        if leg.bounds is not None and leg.bounds.throttled:
            leg.bounds.throttled = False
            self._interest(leg)

    def sample(self, leg: Leg, sizes: Any) -> None:
        """Pass the payload size of each data frame that begins in the leg's next read to `sizes.observe`."""
        leg.sizes = sizes
        leg.special = True

    def take_events(self) -> list[Event]:
        """Return the events since the last call."""
        events, self.events = self.events, []
        return events

    def run(self, timeout: float) -> list[tuple[int, int]]:
        """Serve legs until an event, a ready descriptor of another owner, or `timeout` seconds (-1: no end).

        Returns (descriptor, epoll events) of descriptors that are no legs. A timeout of 0 serves the legs
        that are ready, once.
        """
        poll = self._epoll.poll
        # readv and write need a descriptor only, and cost less than a socket's methods (docs/benchmarks.md).
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
        crowded = self._crowded
        if crowded:
            timeout = 0
            self._serve_rests()
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
                    leg.frames += 1  # exactly one short message: the most frequent read
                elif need > n:
                    leg.need = need - n
                else:
                    end = _ROOM + n
                    at = _ROOM + need
                    if n > _SHORT_READ:
                        before = leg.frames
                        at = self._skim(leg, at, end)
                        if at < end:
                            leg.lag += n
                            self._serve_skimmed(leg, at, end, before)
                            continue
                        leg.need = at - end
                    else:
                        last = end - 4
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
                        if at < end:  # another kind of frame, or part of a header: parse the whole read again
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
                    self._begin_backlog(leg.peer, bytes(area[sent:n]))
            if others or events or crowded or not timeout:
                return others
            if timeout > 0:
                timeout = deadline - time.monotonic()
                if timeout <= 0:
                    return others

    def _read(self, leg: Leg, most: int) -> int:
        """Read from `leg` into the area; return the size, 0 at the end, -1 without bytes or at an error.

        Reads at most `most` bytes from a plain socket. From TLS it reads a whole record, because epoll does
        not report a rest that TLS has decrypted already.
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
        except ssl.SSLZeroReturnError:
            return 0  # close_notify, after the relay's own
        except ssl.SSLEOFError:
            leg.own_ending().ragged = True
            return 0
        except OSError as error:
            self._die(leg, error)
            return -1

    def _read_records(self, tls: ssl.SSLSocket, more: bool) -> int:
        """Read a TLS record; with `more`, read on for as long as records are full.

        A full record is probably part of a longer message. After a shorter one a further read would probably
        find nothing, at the cost of reading a record.
        """
        n = total = tls.recv_into(self._area)
        while more and n == _RECORD and total <= _AREA - _RECORD:
            try:
                n = tls.recv_into(self._area[total:])
            except OSError:
                break  # no bytes now; an error comes again at the next read
            total += n
        return total

    def _read_paced(self, leg: Leg, bounds: Bounds) -> int:
        """Read as many bytes as the leg's pace allows; when the pace is spent, pause until `resume`."""
        pace = bounds.pace
        n = self._read(leg, min(max(1, pace.room(time.monotonic())), _AREA))
        wait = pace.spend(n) if n > 0 else 0.0
        if wait > 0:
            bounds.throttled = True
            self._interest(leg)
            self.events.append((THROTTLED, leg, math.ceil(wait * 1000)))
        return n

    def _write(self, leg: Leg, start: int, end: int) -> int:
        """Send the buffer's `start:end` to the peer of `leg`; return the size, -1 when the peer is deaf."""
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
        """Serve an event that is no plain read: a backlog, an error, a stashed header, a closing leg."""
        if leg.watched == HUP:
            self._die(leg, ConnectionResetError(errno.ECONNRESET, ""))
            return
        if leg.out and what & ~IN:
            self._drain(leg)
        if not leg.watched & IN or not what & ~OUT:
            return
        bounds = leg.bounds
        if bounds is None or bounds.pace is None or leg.dropping:
            n = self._read(leg, _AREA)
        else:
            n = self._read_paced(leg, bounds)
        if n < 0:
            return
        if not n:
            self._end(leg)
            return
        leg.received += n
        leg.lag += n
        if leg.dropping or leg.mute or leg.peer.deaf or leg.peer.ending.verdict:
            self._waste(leg, n)
            if leg.dropping or leg.dead:
                return
        held = len(leg.stash)
        if held:
            self._memory[_ROOM - held : _ROOM] = leg.stash
            leg.stash = b""
            self._mark(leg)
        frames = leg.frames
        if bounds is not None and bounds.rates is not None:
            bounds.rates.refill(time.monotonic())
        self._feed(leg, _ROOM - held, _ROOM + n)
        if leg.sizes is not None and leg.frames != frames:
            leg.sizes = None
            self._mark(leg)

    def _feed(self, leg: Leg, start: int, end: int) -> None:
        """Parse the frames in the buffer's `start:end`, which came from `leg`, and forward them.

        Frames above the bound of a turn are kept as the leg's rest.
        """
        buf = self._buf
        peer = leg.peer
        rates = leg.bounds.rates if leg.bounds is not None else None
        at = start + leg.need
        size = 0
        for _ in range(_FRAMES_AT_ONCE):
            if at > end:
                leg.need = at - end
                self._put(leg, start, end)
                return
            if peer.inject:
                self._put(leg, start, at)
                start = at
                self._insert(peer)
            size = leg.header(self._memory, at, end - at)
            if size <= 0:
                if size == WRONG_MASKING and buf[at] == _WHOLE_PONG:
                    size = self._own_mismasked(leg, at, end - at)
                if size <= 0:
                    break
                leg.frames += 1
                leg.partial += 1
                self._put(leg, start, at)
                at += size
                start = at
                continue
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
                    if rates is not None:
                        broken = rates.spend(buf[at])
                        if broken:
                            size = broken
                            break
                    leg.opcodes[opcode] += 1
            else:
                if rates is not None:
                    broken = rates.spend(buf[at])
                    if broken:
                        size = broken
                        leg.frames -= 1
                        leg.partial -= not buf[at] & FIN
                        break
                if leg.sizes is not None:
                    leg.sizes.observe(leg.payload_of(size))
            at += size
        if at > end:
            leg.need = at - end
            self._put(leg, start, end)
            return
        leg.need = 0
        self._put(leg, start, at)
        if size < 0:
            leg.dropping = leg.special = True
            self.events.append((VIOLATION, leg, size))
        elif at < end and size > 0:
            self._keep_rest(leg, bytes(buf[at:end]))
        elif at < end:
            leg.stash = bytes(buf[at:end])
            leg.special = True

    def _keep_rest(self, leg: Leg, rest: bytes) -> None:
        """Keep bytes of `leg` for the next turns; it is not read before they are parsed."""
        leg.rest = rest
        self._crowded.append(leg)
        self._interest(leg)

    def _serve_rests(self) -> None:
        """Serve the next frames of each leg with a rest."""
        legs = self._crowded[:]
        del self._crowded[:]
        for leg in legs:
            rest = leg.rest
            leg.rest = b""
            if rest and not leg.dropping:
                self._serve_rest(leg, rest)
            if not leg.rest:
                self._interest(leg)

    def _serve_rest(self, leg: Leg, rest: bytes) -> None:
        more = rest[_AREA:]
        end = _ROOM + min(len(rest), _AREA)
        self._memory[_ROOM:end] = rest[:_AREA]
        if leg.bounds is not None and leg.bounds.rates is not None:
            leg.bounds.rates.refill(time.monotonic())
        if leg.special:
            self._feed(leg, _ROOM, end)
        else:
            before = leg.frames
            self._serve_skimmed(leg, self._skim(leg, _ROOM + leg.need, end), end, before)
        if more and not leg.dropping:
            rest = leg.stash + leg.rest + more
            leg.stash = b""
            if leg.rest:
                leg.rest = rest
            else:
                self._mark(leg)
                self._keep_rest(leg, rest)

    def _serve_skimmed(self, leg: Leg, at: int, end: int, before: int) -> None:
        """Forward the messages up to `at` that `_skim` counted, and serve the frames behind them.

        `before` is the leg's count of frames before them.
        """
        leg.need = max(at - end, 0)
        self._put(leg, _ROOM, min(at, end))
        if at < end and leg.frames - before == _MESSAGES_AT_ONCE:
            self._keep_rest(leg, bytes(self._buf[at:end]))
        elif at < end:
            self._feed(leg, at, end)

    def _skim(self, leg: Leg, at: int, end: int) -> int:
        """Count whole messages from `at` on, at most those of one turn; return where the next frame begins.

        Short reads have the same loop in `run`, where a call is measurable.
        """
        buf = self._buf
        last = end - 4
        whole = leg.whole
        steps = leg.steps
        for frames in range(_MESSAGES_AT_ONCE):  # noqa: B007  the count of messages
            if at > last or not whole[buf[at]]:
                break
            step = steps[buf[at + 1]]
            if step <= 0:
                size = buf[at + 2] << 8 | buf[at + 3]
                if not step or size < 126:
                    break
                step = size - step
            at += step
        else:
            frames += 1
        leg.frames += frames
        return at

    def _closed(self, leg: Leg, start: int, at: int, end: int) -> None:
        """Forward all up to the end of a Close from `leg`, and nothing after it (RFC 6455 section 5.5.1)."""
        if leg.peer.ending.verdict:
            self._put(leg, start, at)
            self._pronounce(leg.peer)
        else:
            self._put(leg, start, end)
        if not leg.mute:
            leg.peer.own_ending().close_sent = True
        leg.dropping = leg.special = True
        ending = leg.own_ending()
        ending.waste = max(ending.waste, MOST_WASTE - MOST_AFTER_CLOSE)
        self._interest(leg)
        self.events.append((CLOSED, leg, close_code(bytes(self._buf[at:end]))))

    def _is_own(self, leg: Leg, at: int, size: int) -> bool:
        """Return whether a pong answers one of the relay's own pings, and report it (PONGED) if so."""
        payload = payload_of(bytes(self._buf[at : at + size]))
        if not payload.startswith(self.tag):
            return False
        self.events.append((PONGED, leg, int.from_bytes(payload[TAG_BYTES:], "big")))
        return True

    def _own_mismasked(self, leg: Leg, at: int, left: int) -> int:
        """Return the length of a pong that answers one of the relay's own pings but is masked wrongly.

        Some clients send pongs unmasked (paho-mqtt). Such a pong ends here, so it harms nobody; a pong to the
        origin's ping must keep RFC 6455 section 5.3, which protects proxies on the origin's side. 0: more
        bytes are needed to tell; WRONG_MASKING: it is another pong.
        """
        buf = self._buf
        head = 6 if buf[at + 1] & MASKED else 2
        if buf[at + 1] & 0x7F != _PING_BYTES:
            return WRONG_MASKING
        size = head + _PING_BYTES
        if left > size:
            left = size
        if left <= head:
            return 0
        payload = payload_of(bytes(buf[at : at + left]))
        if payload[:TAG_BYTES] != self.tag[: len(payload)]:
            return WRONG_MASKING
        if left < size:
            return 0
        self.events.append((PONGED, leg, int.from_bytes(payload[TAG_BYTES:], "big")))
        return size

    def _preload(self, leg: Leg, rest: bytes) -> None:
        """Forward bytes that were read from `leg` before `add`."""
        for offset in range(0, len(rest), _AREA):
            if leg.dropping:
                return
            part = rest[offset : offset + _AREA]
            if leg.rest:
                leg.received += len(part)
                leg.lag += len(part)
                leg.rest += part
                continue
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
            self._begin_backlog(peer, bytes(self._buf[start + sent : end]))
