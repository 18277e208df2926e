"""All open tunnels of a process, from the 101 to the last FIN, on top of the pump.

A tunnel ends in phases (closing, finishing, gone), which are drawn in `tunnel.py`. The transitions are in
`_settle` and `_deadline_passed`.
"""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import ssl
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from random import Random as Chance
from typing import Final

import structlog

from wsedge_relay.metering.usage import Usage, UsageKey
from wsedge_relay.origin.balance import Target
from wsedge_relay.pump import frames, pump
from wsedge_relay.pump.leg import Leg
from wsedge_relay.pump.pace import FrameRates, Pace
from wsedge_relay.pump.pump import Pump
from wsedge_relay.site import Site
from wsedge_relay.telemetry.access_log import AccessFacts
from wsedge_relay.telemetry.counters import Ending, LegCounters
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.tunnel.access_lines import AccessLines
from wsedge_relay.tunnel.drain import seconds_left
from wsedge_relay.tunnel.heartbeat import PING_AFTER, TICK_SECONDS, Beat, Wheel, check_leg, ticks_per_check
from wsedge_relay.tunnel.stalls import Stalls
from wsedge_relay.tunnel.tunnel import (
    CLOSING,
    FINISHING,
    GONE,
    OPEN,
    RESETTING,
    Tunnel,
    has_ended,
    is_settled,
    reset,
    side_of,
)

log = structlog.get_logger("wsedge_relay")

_PING_UNITS: Final = 10_000  # the number of a ping is its time, in tenths of a millisecond
_PING_MASK: Final = 0xFFFFFFFF
_NO_CLOSE: Final = 1006  # no Close frame arrived (RFC 6455 section 7.1.5)
_ABORTED: Final = Ending("relay", "abort", _NO_CLOSE)
_RESETS: Final = (errno.ECONNRESET, errno.EPIPE)
# How often the kernel is asked whether a leg that is to be reset has got all bytes before the reset.
_SENT_SECONDS: Final = 0.02

# The most tunnels on which a sweep samples frame sizes, so that its cost does not grow with the tunnels.
_SAMPLES: Final = 64


class Tunnels:
    """All open tunnels of a relay. `random` makes masks, which a peer must not be able to predict."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        pump: Pump,
        usage: Usage,
        timeouts: Timeouts,
        random: random.Random,
    ) -> None:
        self._loop = loop
        self._pump = pump
        self._usage = usage
        self._timeouts = timeouts
        self._random = random
        self._chance = Chance(random.randbytes(16))  # noqa: S311  spreads timers, no secret
        self._wheel: Wheel[Tunnel] = Wheel()
        self._ticker: asyncio.TimerHandle | None = None
        self._ticked = 0.0
        self._stalls = Stalls()
        self._access_lines = AccessLines(loop)
        self._by_site: dict[Site, set[Tunnel]] = {}  # of sites that have tunnels
        self._count = 0
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._numbers = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Tunnel]:
        """Iterate over all tunnels; copy them before closing any."""
        return chain.from_iterable(self._by_site.values())

    def of(self, site: Site) -> Collection[Tunnel]:
        """Return the open tunnels of a domain; copy them before closing any."""
        return self._by_site.get(site, ())

    def open(
        self,
        site: Site,
        key: UsageKey,
        *,
        client: socket.socket,
        origin: socket.socket,
        deflate: bool,
        client_rest: bytes,
        origin_rest: bytes,
        target: Target,
        address: str,
        access: AccessFacts | None = None,
        watched: tuple[int, int] = (0, 0),
    ) -> Tunnel:
        """Open a tunnel between two sockets after their handshakes; raises OSError when epoll is full.

        `client_rest` and `origin_rest` are the bytes that were read behind the heads.

        `watched` are the events for which the client's and the origin's socket are in epoll already. The
        tunnel owns the sockets from now on; plain sockets are detached from their Python objects.

        The count of open connections of `target` and the limiter's places of the client at `address` include
        this tunnel already; its end frees both.
        """
        self._numbers += 1
        tunnel = Tunnel(self._numbers, site, key, self._loop.time(), address)
        tunnel.target = target
        limit = site.domain.limits.messageBytes or 0
        tunnel.access = access
        tunnel.client = self._pump.leg(
            client,
            masked=True,
            deflate=deflate,
            tunnel=tunnel,
            limit=limit,
            paired=client.family == socket.AF_UNIX,  # a stream of HTTP/2
            rates=_frame_rates(site),
        )
        tunnel.origin = self._pump.leg(origin, masked=False, deflate=deflate, tunnel=tunnel, limit=limit)
        tunnel.client.watched, tunnel.origin.watched = watched
        for sock in (client, origin):
            if not isinstance(sock, ssl.SSLSocket):
                sock.detach()
        tunnel.client.opcodes = site.counters.client.opcodes
        tunnel.origin.opcodes = site.counters.origin.opcodes
        self._count += 1
        self._by_site.setdefault(site, set()).add(tunnel)
        self._none_left.clear()
        self._usage.opened(key)
        self._schedule_heartbeat(tunnel)
        self._start_ticking()
        try:
            self._pump.add(tunnel.client, tunnel.origin, client_rest=client_rest, origin_rest=origin_rest)
        except OSError:
            self._remove(tunnel)
            raise
        self._limit_age(tunnel)
        if site.domain.limits.bytesPerSecond is not None:
            self._limit_rate(tunnel)
        self._access_lines.opened(tunnel)
        return tunnel

    def handle(self, events: Iterable[pump.Event]) -> None:
        """Act on the pump's events."""
        for kind, leg, argument in events:
            tunnel: Tunnel = leg.tunnel
            if kind == pump.FLOODED:
                leg.reset_at_close()
            if tunnel.phase in (RESETTING, GONE):
                continue
            counters = self._counters_of(leg)
            if kind == pump.PONGED:
                self._handle_pong(leg, counters, argument)
                continue
            if kind == pump.THROTTLED:
                counters.throttled += 1
                self._loop.call_later(argument / 1000, self._pump.resume, leg)
                continue
            if kind == pump.CLOSED:
                counters.closed_with(argument)
                tunnel.set_ending(side_of(leg), "close", argument)
            elif kind == pump.VIOLATION:
                rule = frames.VIOLATIONS[argument]
                code = frames.CLOSE_CODES.get(argument, frames.PROTOCOL_ERROR)
                counters.violated(rule)
                tunnel.set_ending(side_of(leg), "violation", code)
                self._log(tunnel, "peer broke frame rule", side=side_of(leg), rule=rule)
                self._fail(leg, code, rule)
            elif kind == pump.FLOODED:
                counters.flooded += 1
                self._log(tunnel, "peer sent on after a Close", side=side_of(leg))
                self._finish(tunnel)
            elif kind in (pump.END, pump.ERROR):
                self._pass_end(leg, counters, argument if kind == pump.ERROR else None)
            self._settle(tunnel)

    def _fail(self, leg: Leg, code: int, rule: str) -> None:
        """Close a leg that broke a rule, behind the other leg's answers to the valid frames before.

        The other leg's own Close, by which it answers the relay's, is the proof that no more answers come. So
        it gets its Close first, and the leg's is sent in the place of the answer: at the latest after
        `close_seconds` without a byte, or when the other leg sends too many (FLOODED).
        """
        peer = leg.peer
        was_told = leg.ending.close_sent or leg.ending.parting
        if peer.ending.verdict:
            self._pronounce(peer)
        else:
            self.send_close(peer, frames.GOING_AWAY if leg.mask else frames.INTERNAL_ERROR)
        if peer.ending.close_sent and not (was_told or peer.dropping or peer.eof or peer.dead):
            self._pump.reserve(leg, self._close_frame(leg, code, rule))
        else:
            self.send_close(leg, code, rule)

    def _pass_end(self, leg: Leg, counters: LegCounters, error: int | None) -> None:
        """Pass the end of a leg's stream to the other leg as it came: a FIN as a FIN, a reset as a reset.

        `error` is the errno of a broken socket, None at the end of a stream. After a reset that a failed send
        reported, reads see an ordinary end; such a leg is deaf.
        """
        tunnel: Tunnel = leg.tunnel
        if tunnel.phase == FINISHING:
            return
        if tunnel.ending is None:
            counters.broken += 1
            if error is None and not leg.deaf:
                reason = "end"
            else:
                reason = "reset" if error is None or error in _RESETS else "broken"
            tunnel.set_ending(side_of(leg), reason, _NO_CLOSE)
        if leg.peer.ending.verdict:
            self._pronounce(leg.peer)
        elif leg.mute:
            pass  # the other leg has the relay's own Close, and time to answer it
        elif error is None and not leg.deaf:
            self._pump.end(leg.peer)
        elif not leg.peer.dead:
            self._set_phase(tunnel, RESETTING)
            self._reset_when_sent(leg.peer, self._loop.time() + self._timeouts.close_seconds)

    def _reset_when_sent(self, leg: Leg, until: float) -> None:
        """Reset a leg, as its other leg was, once its peer has all bytes before, at the latest at `until`.

        A reset discards the bytes that the kernel has not sent yet.
        """
        tunnel: Tunnel = leg.tunnel
        lasts = self._loop.time() < until and not leg.deaf
        if lasts and (leg.out or leg.unsent()):
            tunnel.deadline = self._loop.call_later(_SENT_SECONDS, self._reset_when_sent, leg, until)
            return
        reset(leg)
        self._remove(tunnel)

    def _pronounce(self, leg: Leg) -> None:
        """Send the Close that was reserved for a leg, if any: nothing more comes from the other leg."""
        if leg.ending.verdict:
            close, leg.ending.verdict = leg.ending.verdict, b""
            if not self._pump.inject(leg, close, last=True):
                self._pump.finish(leg)

    def _close_frame(self, leg: Leg, code: int, reason: str) -> bytes:
        return frames.close(code, reason, None if leg.mask else self._random.randbytes(4))

    def send_close(self, leg: Leg, code: int, reason: str = "") -> None:
        """Send Close to a leg at its next frame boundary, or end its stream where no frame may follow."""
        close = self._close_frame(leg, code, reason)
        if not self._pump.inject(leg, close, last=True) and not (leg.ending.close_sent or leg.ending.parting):
            self._pump.finish(leg)

    def close(self, tunnel: Tunnel, code: int, reason: str = "") -> None:
        """Close both legs of an open tunnel at their next frame boundaries (a drain, its age)."""
        if tunnel.phase == OPEN:
            tunnel.set_ending("relay", reason, code)
            self.send_close(tunnel.client, code, reason)
            self.send_close(tunnel.origin, code, reason)
            self._settle(tunnel)

    def abort(self, tunnel: Tunnel) -> None:
        """Close both sockets at once, by a reset."""
        if tunnel.phase != GONE:
            reset(tunnel.client)
            reset(tunnel.origin)
            self._remove(tunnel)

    def abort_all(self) -> None:
        """Abort every tunnel (the process ends)."""
        for tunnel in list(chain.from_iterable(self._by_site.values())):
            self.abort(tunnel)
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None

    async def wait_until_none(self) -> None:
        """Return once no tunnel is left."""
        await self._none_left.wait()

    def reschedule_heartbeats(self, site: Site) -> None:
        """Apply a changed heartbeat interval to the open tunnels of `site`."""
        for tunnel in self.of(site):
            self._schedule_heartbeat(tunnel)

    def limit_ages(self, site: Site) -> None:
        """Apply a changed maximum age to the open tunnels of `site`."""
        for tunnel in self.of(site):
            if tunnel.phase == OPEN:
                self._limit_age(tunnel)

    def limit_rates(self, site: Site) -> None:
        """Apply changed bytesPerSecond to the open tunnels of `site`."""
        for tunnel in self.of(site):
            self._limit_rate(tunnel)

    def _limit_rate(self, tunnel: Tunnel) -> None:
        rate = tunnel.site.domain.limits.bytesPerSecond
        for leg in (tunnel.client, tunnel.origin):
            self._pump.pace(leg, None if rate is None else Pace(rate))

    def limit_frames(self, site: Site) -> None:
        """Apply changed framesPerSecond or messagesPerSecond to the open tunnels of `site`."""
        for tunnel in self.of(site):
            self._pump.limit(tunnel.client, _frame_rates(site))

    def _limit_age(self, tunnel: Tunnel) -> None:
        if tunnel.deadline is not None:
            tunnel.deadline.cancel()
            tunnel.deadline = None
        age = tunnel.site.domain.lifecycle.maxConnectionAgeSeconds
        if age is not None:
            left = seconds_left(age, lived=self._loop.time() - tunnel.began, chance=self._chance.random())
            tunnel.deadline = self._loop.call_later(left, self._close_aged, tunnel)

    def _close_aged(self, tunnel: Tunnel) -> None:
        tunnel.deadline = None
        self.close(tunnel, frames.GOING_AWAY, "maximum age")

    def sweep(self) -> None:
        """Add the counts since the last sweep to the usage and the metrics."""
        sums: dict[UsageKey, list[int]] = {}
        changed = []
        for tunnel in chain.from_iterable(self._by_site.values()):
            # Most tunnels are idle. Bytes from the origin count once the client's socket has accepted them.
            if tunnel.client.received == tunnel.counted[1] and tunnel.origin.passed == tunnel.counted[0]:
                continue
            counts = tunnel.counts()
            if counts != tunnel.counted:
                changed.append(tunnel)
                total = sums.setdefault(tunnel.key, [0, 0, 0, 0])
                for index, more in enumerate(tunnel.count(counts)):
                    total[index] += more
        for key, (sent, received, sent_messages, received_messages) in sums.items():
            self._usage.add(
                key,
                sent_bytes=sent,
                received_bytes=received,
                sent_messages=sent_messages,
                received_messages=received_messages,
            )
        if len(changed) > _SAMPLES:
            changed = random.sample(changed, _SAMPLES)
        for tunnel in changed:
            for leg in (tunnel.client, tunnel.origin):
                self._pump.sample(leg, self._counters_of(leg).frame_bytes)

    def tick(self, ticks: int, now: float) -> None:
        """Check the legs that are due and those that are stalled; `now` is the loop's clock."""
        # One check per leg, however many ticks were missed: between two checks a leg needs time to answer.
        for tunnel in list(self._wheel.turn(ticks)):
            site = tunnel.site
            if tunnel.phase == OPEN:
                if site.pings_client:
                    self._check_leg(tunnel.client, now)
                if site.pings_origin and tunnel.phase != GONE:  # that check may have ended the tunnel
                    self._check_leg(tunnel.origin, now)
            if tunnel.phase == OPEN:
                self._wheel.add(tunnel, ticks=ticks_per_check(site.domain.heartbeatSeconds))
        self._check_stalls(now)

    def _check_leg(self, leg: Leg, now: float) -> None:
        beat = check_leg(leg)
        if beat is Beat.PING:
            number = round(now * _PING_UNITS) & _PING_MASK or 1
            payload = self._pump.tag + number.to_bytes(4, "big")
            mask = None if leg.mask else self._random.randbytes(4)
            if self._pump.inject(leg, frames.control(frames.PING, payload, mask)):
                leg.pinged = number
                self._counters_of(leg).pings += 1
        elif beat is Beat.DEAD:
            self._counters_of(leg).dead += 1
            self._give_up_leg(leg, "dead_leg")

    def _handle_pong(self, leg: Leg, counters: LegCounters, number: int) -> None:
        if number and number == leg.pinged:  # else it answers no ping of ours; 0: no ping is unanswered
            leg.pinged = 0
            units = (round(self._loop.time() * _PING_UNITS) - number) & _PING_MASK
            counters.pongs += 1
            counters.rtt.observe(units / _PING_UNITS)

    def _check_stalls(self, now: float) -> None:
        for leg in self._stalls.due(self._pump.backed, now):
            if leg.tunnel.phase != GONE:  # the end of its other leg may have ended the tunnel
                self._counters_of(leg).stalled += 1
                self._give_up_leg(leg, "stalled_leg")

    def _give_up_leg(self, leg: Leg, reason: str) -> None:
        """Close a leg that does not answer (`reason`: dead_leg, stalled_leg), and send Close to the other."""
        leg.tunnel.set_ending(side_of(leg), reason, _NO_CLOSE)
        self._log(leg.tunnel, "leg closed", side=side_of(leg), reason=reason)
        reset(leg)  # a FIN would wait behind a backlog that the peer does not read
        self._pump.abandon(leg)
        if leg.peer.ending.verdict:
            self._pronounce(leg.peer)
        else:
            self.send_close(leg.peer, frames.GOING_AWAY)
        self._settle(leg.tunnel)

    def _settle(self, tunnel: Tunnel) -> None:
        """Make the next transition of the tunnel, if its legs are ready for it."""
        if tunnel.phase in (RESETTING, GONE):
            return
        client, origin = tunnel.client, tunnel.origin
        if tunnel.phase in (OPEN, CLOSING):
            if is_settled(client) and is_settled(origin):
                self._finish(tunnel)
            elif tunnel.phase == OPEN:
                tunnel.phase = CLOSING
                self._set_deadline(tunnel, self._timeouts.close_seconds)
        if tunnel.phase == FINISHING and has_ended(client) and has_ended(origin):
            self._remove(tunnel)

    def _finish(self, tunnel: Tunnel) -> None:
        """Send what is left for both legs, and end their streams."""
        for leg in (tunnel.client, tunnel.origin):
            self._pronounce(leg)
            self._pump.finish(leg)
        self._set_phase(tunnel, FINISHING)
        self._set_deadline(tunnel, self._timeouts.linger_seconds)

    def _set_phase(self, tunnel: Tunnel, phase: int) -> None:
        tunnel.phase = phase
        if tunnel.deadline is not None:
            tunnel.deadline.cancel()
            tunnel.deadline = None

    def _set_deadline(self, tunnel: Tunnel, seconds: float) -> None:
        if tunnel.deadline is not None:
            tunnel.deadline.cancel()
        tunnel.progress = tunnel.client.passed + tunnel.origin.passed
        tunnel.deadline = self._loop.call_later(seconds, self._deadline_passed, tunnel)

    def _deadline_passed(self, tunnel: Tunnel) -> None:
        passed = tunnel.client.passed + tunnel.origin.passed
        if passed != tunnel.progress and tunnel.patience:
            tunnel.patience -= (
                1  # bytes still pass, for example the end of a long message on a slow connection
            )
            self._set_deadline(tunnel, self._timeouts.close_seconds)
        elif tunnel.phase == CLOSING:
            self._finish(tunnel)
            self._settle(tunnel)
        else:
            self._remove(tunnel)

    def _remove(self, tunnel: Tunnel) -> None:
        self._set_phase(tunnel, GONE)
        self._wheel.remove(tunnel)
        client, origin = tunnel.client, tunnel.origin
        self._pump.remove(client)
        new = tunnel.counts()
        sent, received, sent_messages, received_messages = tunnel.count(new)
        self._usage.add(
            tunnel.key,
            sent_bytes=sent,
            received_bytes=received,
            sent_messages=sent_messages,
            received_messages=received_messages,
        )
        self._usage.closed(tunnel.key)
        for leg in (client, origin):
            self._stalls.forget(leg)
            leg.close()
        of_site = self._by_site[tunnel.site]
        of_site.discard(tunnel)
        if not of_site:
            del self._by_site[tunnel.site]
        tunnel.site.limiter.leave(tunnel.address)
        tunnel.target.open -= 1
        self._count -= 1
        ending = tunnel.ending or _ABORTED
        tunnel.site.counters.ended(ending)
        self._access_lines.ended(tunnel, new[:4], ending)
        if not self._count:
            self._none_left.set()
        self._log(tunnel, "tunnel closed", sent_bytes=new[0], received_bytes=new[1])
        # Break the reference cycle: the garbage collector would free closed tunnels much later.
        del client.peer, origin.peer, tunnel.client, tunnel.origin

    def _schedule_heartbeat(self, tunnel: Tunnel) -> None:
        """Schedule the first pings at random between one and three quarters of the interval, if any."""
        site = tunnel.site
        period = ticks_per_check(site.domain.heartbeatSeconds)
        # With a random tick alone, tunnels that were opened together would be pinged in the same quarter.
        checks, ticks = divmod(int(self._chance.random() * (PING_AFTER - 1) * period), period)
        for leg, is_pinged in ((tunnel.client, site.pings_client), (tunnel.origin, site.pings_origin)):
            if leg.quiet <= PING_AFTER or not is_pinged:  # else the deadline of a ping must not move
                leg.quiet = checks
        if site.pings_client or site.pings_origin:
            self._wheel.add(tunnel, ticks=1 + ticks)
        else:
            self._wheel.remove(tunnel)

    def _start_ticking(self) -> None:
        if self._ticker is None:
            self._ticked = self._loop.time()
            self._ticker = self._loop.call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        ticks = int((now - self._ticked) / TICK_SECONDS)
        self._ticked += ticks * TICK_SECONDS
        self.tick(ticks, now)
        if self._count:
            self._ticker = self._loop.call_at(self._ticked + TICK_SECONDS, self._tick)
        else:
            self._ticker = None

    def _counters_of(self, leg: Leg) -> LegCounters:
        tunnel: Tunnel = leg.tunnel
        counters = tunnel.site.counters
        return counters.client if leg.mask else counters.origin

    def _log(self, tunnel: Tunnel, event: str, **facts: object) -> None:
        log.debug(
            event,
            domain=tunnel.key.domain,
            namespace=tunnel.key.account,
            connection=tunnel.number,
            **facts,
        )


def _frame_rates(site: Site) -> FrameRates | None:
    """Return full buckets for the frames of a client, or None where they have no limit."""
    limits = site.domain.limits
    if limits.framesPerSecond is None and limits.messagesPerSecond is None:
        return None
    return FrameRates(limits.framesPerSecond, limits.messagesPerSecond)
