"""The origins of one domain: choose one, dial it, send a request, count failures, try the next."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

import structlog

from wsedge_relay.config.material import Material
from wsedge_relay.contract import Domain
from wsedge_relay.errors import (
    NoDescriptorError,
    OriginError,
    OriginsFailedError,
    no_room,
)
from wsedge_relay.origin import address as addressing
from wsedge_relay.origin.balance import Balancer, Target
from wsedge_relay.origin.dial import dial
from wsedge_relay.origin.exchange import Exchange, OriginAnswer, send_request
from wsedge_relay.origin.reach import Reach
from wsedge_relay.origin.resolver import Resolver
from wsedge_relay.policy.loops import Loop
from wsedge_relay.protocol import http1, proxy_protocol
from wsedge_relay.protocol.proxy_protocol import Ends
from wsedge_relay.telemetry.counters import DomainCounters
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.transport.readiness import Readiness
from wsedge_relay.transport.tls import origin_context
from wsedge_relay.transport.wire import Wire

log = structlog.get_logger("wsedge_relay")

T = TypeVar("T")
Attempt = Callable[[Exchange, float], Awaitable[T]]
"""Use one connected origin, within so many seconds, and return a result.

The attempt closes the exchange or hands it over; when it raises, the caller closes the exchange.
"""


class RequestingClient(NamedTuple):
    """The client on whose behalf the relay sends a request to an origin.

    `address` is the client's IP address; `secure` says whether it connected by TLS; `ends` returns the two
    ends of its connection, for a PROXY header; `host` is its Host header; `sticky` is the name of the origin
    in its sticky cookie.
    """

    address: str
    secure: bool
    ends: Callable[[], Ends]
    host: bytes
    sticky: str | None = None


class Origins:
    """The origins of a domain. Their failures and resolved addresses survive a new configuration."""

    __slots__ = (
        "_balancer",
        "_context",
        "_counters",
        "_domain",
        "_reach",
        "_resolver",
        "_timeouts",
        "head_bytes",
        "loop",
    )

    def __init__(
        self,
        domain: Domain,
        material: Material,
        *,
        timeouts: Timeouts,
        counters: DomainCounters,
        reach: Reach | None = None,
    ) -> None:
        self._reach = reach or Reach()
        self._timeouts = timeouts
        self._counters = counters
        self._resolver = Resolver(fresh_seconds=timeouts.name_seconds)
        self._balancer = Balancer(
            forget_seconds=timeouts.failed_origin_seconds, most_seconds=timeouts.failed_origin_most_seconds
        )
        self._domain = domain
        self.loop: Loop
        self.head_bytes: int  # the limit of an answer's head
        self._context: ssl.SSLContext | None = None
        self.apply(domain, material)

    def apply(self, domain: Domain, material: Material) -> None:
        """Use another configuration from now on.

        Raises ssl.SSLError, with nothing changed, when the material cannot be used.
        """
        self._context = origin_context(domain, material)
        if domain.origins != self._domain.origins:
            self._resolver.forget()
        self._domain = domain
        self.loop = Loop(domain)
        self.head_bytes = http1.most_of_origin(domain.limits.headerBytes)
        self._balancer.set_origins(domain.origins, domain.originRequest.loadBalancing)

    @property
    def domain(self) -> Domain:
        """The configuration in force."""
        return self._domain

    @property
    def targets(self) -> tuple[Target, ...]:
        """The origins in use."""
        return self._balancer.targets

    async def request_answer(
        self, request: Callable[[str], bytes], client: RequestingClient, *, ready: Readiness
    ) -> OriginAnswer:
        """Return the answer of the first origin that answers; raises OriginsFailedError when none does.

        `request` returns the bytes to send to an origin, given its Host header. The whole takes at most
        `timeouts.answer_seconds` and one connect timeout: a drain waits for it. While others are left, an
        origin has half of the remaining time, so that there is time to try another after a silent one.
        """

        async def attempt(exchange: Exchange, seconds: float) -> OriginAnswer:
            head, rest = await send_request(
                exchange.wire, request(exchange.host), seconds=seconds, most=self.head_bytes
            )
            if head.status != 101:  # the caller still has to check a 101 against its request
                self.worked(exchange.target)
            return OriginAnswer(exchange, head, rest)

        return await self.first_success(client, attempt, ready=ready, seconds=self._timeouts.answer_seconds)

    async def first_success(
        self,
        client: RequestingClient,
        attempt: Attempt[T],
        *,
        ready: Readiness,
        seconds: float | None = None,
        may_repeat: Callable[[OriginError], bool] = lambda _: True,
    ) -> T:
        """Return the result of `attempt` with the first origin that does not fail.

        An OriginError of the dial or of `attempt` is counted against the origin, and the next origin is
        tried. It is not tried when the failed origin began to answer (the request was processed), or when it
        was connected and `may_repeat` returns False. Raises OriginsFailedError with all failures,
        HandshakeRefusedError (503) without a free descriptor, and any other error of `attempt`. `seconds`
        limits all attempts together; None: the attempts have limits of their own.
        """
        failures: list[OriginError] = []
        now = ready.loop.time()
        order = self._balancer.order(now, client.address, sticky=client.sticky)
        until = now + seconds if seconds is not None else None
        for target in order:
            left = until - ready.loop.time() if until is not None else float("inf")
            if left <= 0:
                break
            exchange: Exchange | None = None
            target.open += 1
            try:
                # Here and not in a method: each wake-up passes through every coroutine on the stack.
                began = ready.loop.time()
                wire, host = await self.dial(
                    target, secure=client.secure, ends=client.ends, client_host=client.host, ready=ready
                )
                self._counters.connect_seconds.observe(ready.loop.time() - began)
                exchange = Exchange(wire, target, host)
                return await attempt(exchange, left if target is order[-1] else left / 2)
            except NoDescriptorError as failure:
                _give_up(exchange, target)
                raise no_room(self._timeouts.retry_after_seconds) from failure
            except OriginError as failure:
                _give_up(exchange, target)
                self.failed(target, failure, ready.loop.time())
                failures.append(failure)
                if failure.answered or (exchange is not None and not may_repeat(failure)):
                    break
            except BaseException:
                _give_up(exchange, target)
                raise
        raise OriginsFailedError(failures)

    async def dial(
        self,
        target: Target,
        *,
        secure: bool,
        ends: Callable[[], Ends | None],
        client_host: bytes | None,
        ready: Readiness,
    ) -> tuple[Wire, str]:
        """Connect to an origin; return the wire and the Host header for it. Raises OriginError.

        `secure` says whether the client uses TLS, which with Follow the origin gets too. `client_host` is the
        client's Host header, None for a request of the relay itself. The caller closes the wire.
        """
        domain = self._domain
        tls = addressing.speaks_tls(domain, client_secure=secure)
        version = domain.originRequest.proxyProtocol
        preface = proxy_protocol.header(version, ends()) if version is not None else b""
        context = self._context if tls else None
        wire = await dial(
            domain,
            target.origin,
            context,
            resolver=self._resolver,
            reach=self._reach,
            preface=preface,
            ready=ready,
        )
        host = addressing.host_header(domain, target.origin, secure=tls, client_host=client_host)
        return wire, host

    def worked(self, target: Target) -> None:
        """Reset the failures of an origin that answered."""
        self._balancer.worked(target)

    def failed(self, target: Target, failure: OriginError, now: float) -> None:
        """Count and log a failure of an origin, which may eject it."""
        # A bad or late answer may be caused by the client's request, and one client must not eject an origin.
        self._balancer.failed(target, now, connected=failure.connected)
        self._counters.origin_failed(failure.reason)
        log.warning(
            "origin failed",
            domain=self._domain.domain,
            namespace=self._domain.account,
            origin=target.origin.host,
            reason=failure.reason,
            detail=failure.detail,
        )


def _give_up(exchange: Exchange | None, target: Target) -> None:
    """Close the exchange; without one, undo the count of the connection that failed."""
    if exchange is not None:
        exchange.close()
    else:
        target.open -= 1
