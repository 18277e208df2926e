"""Active health checks of origins, as `originHealthCheck` configures them.

One timer for the whole relay starts the checks, each at a random time of its interval, so that neither an
origin nor the relay gets a burst. A check connects as a client's connection does: same protocol, TLS and
PROXY header. A check that opened a WebSocket ends it with a Close, so that the origin logs no error.
"""

from __future__ import annotations

import asyncio
import base64
import heapq
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import structlog

from wsedge_relay.contract import OriginHealthCheck
from wsedge_relay.errors import BadAnswerError, NoDescriptorError, OriginError
from wsedge_relay.origin.balance import Target
from wsedge_relay.origin.exchange import send_request
from wsedge_relay.origin.origins import Origins
from wsedge_relay.protocol import handshake
from wsedge_relay.protocol.handshake import Upgrade
from wsedge_relay.protocol.http1 import Header, Headers, RequestHead, ResponseHead, build_head
from wsedge_relay.pump import frames
from wsedge_relay.telemetry.families import Family
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.transport.readiness import Readiness
from wsedge_relay.transport.wire import Wire

log = structlog.get_logger("wsedge_relay")

_AT_ONCE: Final = 32
_AGENT: Final = (b"User-Agent", b"wsedge-relay (health check)")
_NORMAL: Final = 1000


class HealthChecks:
    """Check the origins that the last call of `watch` named."""

    def __init__(self, *, ready: Readiness, timeouts: Timeouts, random: random.Random) -> None:
        self._ready = ready
        self._loop = ready.loop
        self._timeouts = timeouts
        self._random = random
        self._watched: set[Origins] = set()
        self._plan: list[tuple[float, int, Origins, Target]] = []
        self._planned = 0
        self._timer: asyncio.TimerHandle | None = None
        self._checks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def watch(self, watched: Iterable[Origins]) -> None:
        """Check these domains' origins by the configuration in force, and no others from now on."""
        now = self._loop.time()
        before, self._watched = self._watched, set()
        for origins in watched:
            rules = origins.domain.originHealthCheck if origins.domain.enabled else None
            if rules is not None:
                self._watched.add(origins)
                for target in origins.targets:
                    if not now < target.due <= now + rules.intervalSeconds:
                        self._add(origins, target, now + self._random.random() * rules.intervalSeconds)
            elif origins in before:
                for target in origins.targets:
                    target.unchecked()
        self._set_timer(now)

    def close(self) -> list[asyncio.Task[None]]:
        """Cancel all checks; return the tasks of the checks under way."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
        for check in self._checks:
            check.cancel()
        return list(self._checks)

    def _add(self, origins: Origins, target: Target, due: float) -> None:
        target.due = due
        self._planned += 1
        heapq.heappush(self._plan, (due, self._planned, origins, target))

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._plan:
            self._timer = self._loop.call_at(max(now, self._plan[0][0]), self._fire)

    def _fire(self) -> None:
        now = self._loop.time()
        self._timer = None
        while self._plan and self._plan[0][0] <= now:
            due, _, origins, target = heapq.heappop(self._plan)
            if target.due == due and self._wanted(origins, target):
                check = self._loop.create_task(self._check(origins, target))
                self._checks.add(check)
                check.add_done_callback(self._checked)
        self._set_timer(now)

    def _wanted(self, origins: Origins, target: Target) -> bool:
        return origins in self._watched and target in origins.targets

    def _checked(self, check: asyncio.Task[None]) -> None:
        self._checks.discard(check)
        if not check.cancelled() and check.exception() is not None:
            log.error("health check crashed", exc_info=check.exception())

    async def _check(self, origins: Origins, target: Target) -> None:
        try:
            await self._check_once(origins, target)
        finally:  # after a crash too: without further checks an origin would keep its last health for ever
            rules = origins.domain.originHealthCheck
            now = self._loop.time()
            if rules is not None and self._wanted(origins, target) and target.due <= now:
                self._add(origins, target, now + rules.intervalSeconds * self._random.uniform(0.9, 1.1))
                self._set_timer(now)

    async def _check_once(self, origins: Origins, target: Target) -> None:
        rules = origins.domain.originHealthCheck
        if rules is None:
            return
        failure: OriginError | None = None
        async with self._slots:
            began = self._loop.time()
            try:
                await check(
                    origins, target, rules, timeouts=self._timeouts, random=self._random, ready=self._ready
                )
            except NoDescriptorError:
                return  # the relay lacks a descriptor, which says nothing about the origin
            except OriginError as error:
                failure = error
        rules = origins.domain.originHealthCheck
        if rules is None or not self._wanted(origins, target):
            return
        if failure is None:
            target.latency = self._loop.time() - began
            target.good += 1
        else:
            target.bad += 1
        if target.checked(rules, good=failure is None):
            _log_change(origins, target, failure)


async def check(
    origins: Origins,
    target: Target,
    rules: OriginHealthCheck,
    *,
    timeouts: Timeouts,
    random: random.Random,
    ready: Readiness,
) -> None:
    """Check one origin once; raises OriginError for a bad result.

    With Follow the check uses TLS if the domain has a certificate for clients.
    """
    secure = origins.domain.tls is not None
    seconds = rules.timeoutSeconds
    try:
        async with asyncio.timeout(seconds):
            wire, host = await origins.dial(
                target, secure=secure, ends=_no_client, client_host=None, ready=ready
            )
            try:
                upgrade = _upgrade(random) if rules.path is None else None
                request = _request(rules, host, upgrade, loop=origins.loop.header)
                head, _ = await send_request(wire, request, seconds=seconds, most=origins.head_bytes)
                _check_answer(head, upgrade)
            except BaseException:
                wire.close()
                raise
    except TimeoutError as error:
        raise OriginError("timeout", f"no answer within {seconds} s") from error
    await _close(wire, upgraded=head.status == 101, timeouts=timeouts, random=random)


def families(watched: Mapping[str, Origins], now: float) -> Iterator[Family]:
    """Yield the health, ejection and counts of each origin as metrics; `now` is the loop's time."""
    rows = [((name, target.name), target) for name, origins in watched.items() for target in origins.targets]
    labels = ("domain", "origin")
    yield Family(
        "origin_healthy",
        "0 for an origin whose health checks failed.",
        labels,
        [(at, target.healthy) for at, target in rows],
        gauge=True,
    )
    yield Family(
        "origin_ejected",
        "1 for an origin that is tried last because it failed.",
        labels,
        [(at, target.ejected(now)) for at, target in rows],
        gauge=True,
    )
    yield Family(
        "origin_connections",
        "Handshakes and tunnels open to an origin now.",
        labels,
        [(at, target.open) for at, target in rows],
        gauge=True,
    )
    yield Family(
        "origin_check_seconds",
        "Seconds that the last good health check took.",
        labels,
        [(at, target.latency) for at, target in rows if target.latency >= 0],
        gauge=True,
    )
    yield Family(
        "origin_ejections",
        "Ejections of an origin because it failed.",
        labels,
        [(at, target.ejections) for at, target in rows],
    )
    yield Family(
        "origin_checks",
        "Health checks of an origin, by result.",
        (*labels, "result"),
        [
            ((*at, result), times)
            for at, target in rows
            for result, times in (("good", target.good), ("bad", target.bad))
        ],
    )


def _no_client() -> None:
    """Return None: the PROXY header of a check is LOCAL (version 2) or UNKNOWN (version 1)."""


def _upgrade(random: random.Random) -> Upgrade:
    key = base64.b64encode(random.randbytes(16))
    return Upgrade(RequestHead(b"GET", b"/", Headers(())), b"", key, (), ())


def _request(rules: OriginHealthCheck, host: str, upgrade: Upgrade | None, *, loop: Header) -> bytes:
    headers: list[Header] = [(b"Host", host.encode()), _AGENT, loop]
    if upgrade is None:
        headers.append((b"Connection", b"close"))
    else:
        headers += [
            (b"Connection", b"Upgrade"),
            (b"Upgrade", b"websocket"),
            (b"Sec-WebSocket-Version", b"13"),
            (b"Sec-WebSocket-Key", upgrade.key),
        ]
    return build_head(f"GET {rules.path or '/'} HTTP/1.1".encode(), headers)


def _check_answer(head: ResponseHead, upgrade: Upgrade | None) -> None:
    """Raise BadAnswerError unless the answer is 2xx or 3xx; to an upgrade, unless it is 101 or 4xx."""
    if upgrade is None:
        if not 200 <= head.status < 400:
            raise BadAnswerError(f"status {head.status}")
    elif head.status == 101:
        handshake.check_answer(upgrade, head)
    elif not 400 <= head.status < 500:  # a healthy origin may refuse a check, which has no user's session
        raise BadAnswerError(f"status {head.status}")


async def _close(wire: Wire, *, upgraded: bool, timeouts: Timeouts, random: random.Random) -> None:
    try:
        if upgraded:
            wire.limit(timeouts.head_seconds)
            await wire.write(frames.close(_NORMAL, "", random.randbytes(4)))
        await wire.finish(timeouts.linger_seconds)
    except OSError:  # or TimeoutError: the origin has answered, so the result of the check stays
        pass
    finally:
        wire.close()


def _log_change(origins: Origins, target: Target, failure: OriginError | None) -> None:
    where = {"domain": origins.domain.domain, "namespace": origins.domain.account, "origin": target.name}
    if failure is None:
        log.info("origin became healthy", **where)
    else:
        log.warning("origin became unhealthy", **where, reason=failure.reason, detail=failure.detail)
