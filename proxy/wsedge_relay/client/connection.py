"""Serves an accepted connection: checks each request, then answers it or opens a tunnel."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import structlog

from wsedge_relay.client.arrival import Arrival, SharedParts
from wsedge_relay.client.passed_answer import pass_body
from wsedge_relay.client.plain_requests import PlainRequest, ReadRates
from wsedge_relay.contract import Origin, PassThrough
from wsedge_relay.errors import (
    AnswerCutError,
    HandshakeRefusedError,
    OriginError,
    OriginsFailedError,
    PeerGoneError,
    ProxyHeaderError,
)
from wsedge_relay.metering.meter import Meter
from wsedge_relay.metering.usage import UsageKey
from wsedge_relay.origin import address as addressing
from wsedge_relay.origin.exchange import AnswerBody, OriginAnswer
from wsedge_relay.origin.origins import RequestingClient
from wsedge_relay.protocol import handshake, http1, plain_request
from wsedge_relay.protocol.body import BodyWriter
from wsedge_relay.protocol.forwarded import was_secure
from wsedge_relay.protocol.handshake import Accepted, Upgrade
from wsedge_relay.protocol.http1 import BadHeadError, Header, RequestHead
from wsedge_relay.protocol.plain_request import Passed
from wsedge_relay.pump.frames import GOING_AWAY
from wsedge_relay.site import Site
from wsedge_relay.telemetry.access_log import (
    AccessFacts,
    is_sampled,
    open_request_line,
    passed_line,
    refused_line,
    shown_subprotocol,
    shown_target,
)
from wsedge_relay.transport.hangup import Hangup

log = structlog.get_logger("wsedge_relay")


class Connection:
    """Serve one client's requests, up to its handshake.

    `refused` is a refusal that was decided before, for a stream of HTTP/2: it answers the request.
    """

    __slots__ = (
        "_arrival",
        "_decided",
        "_head_at",
        "_last_site",
        "_limited_site",
        "_loop",
        "_meter",
        "_next_line",
        "_rates",
        "_shared",
        "_sites",
        "_sticky_origin",
        "_target",
        "_timeouts",
        "_wire",
    )

    def __init__(
        self, arrival: Arrival, *, shared: SharedParts, refused: HandshakeRefusedError | None = None
    ) -> None:
        self._arrival = arrival
        self._wire = arrival.wire
        self._sticky_origin: str | None = None  # the name of the origin in the client's sticky cookie
        self._last_site: Site | None = None  # the site of the last request
        self._meter = Meter(arrival.wire, shared.usage)
        self._rates: ReadRates | None = None  # set by the first plain request
        self._decided = refused
        self._limited_site: Site | None = (
            None  # its limiter counts this connection, until a tunnel owns the place
        )
        self._shared = shared
        self._sites = shared.sites
        self._timeouts = shared.timeouts
        self._loop = shared.ready.loop
        self._head_at = arrival.began  # the loop's time at which the request's head was complete
        self._target: bytes | None = None  # of the present request, once its head is parsed
        self._next_line: asyncio.TimerHandle | None = None  # of the access log, for a plain request under way

    async def serve(self) -> None:
        """Serve until the client has a tunnel or its last answer; raises nothing but a cancellation."""
        rest: bytes | None = b""
        try:
            while rest is not None:
                rest = await self._serve_request(rest)
        except (OSError, PeerGoneError) as error:
            # At level debug: port scans, a load balancer's health checks and impatient clients are many.
            log.debug("client disconnected", client=self._arrival.client, error=str(error))
            self._wire.close()
        except ProxyHeaderError as error:
            # No answer: a load balancer that sends no PROXY header may not speak HTTP either.
            self._sites.count_unattributed_refusal("proxyProtocol")
            log.warning("PROXY header rejected", client=self._arrival.client, error=str(error))
            self._wire.close()
        except BaseException:
            self._wire.close()
            raise
        finally:
            self._leave_limiter()

    async def _serve_request(self, rest: bytes) -> bytes | None:
        """Serve the request that begins with `rest`; return the bytes behind it, None at the end."""
        site: Site | None = None
        head_only = False
        self._target = None
        try:
            if self._last_site is None:
                if self._arrival.http2 is None and await self._arrival.establish():
                    return None
                head, rest = await self._arrival.first_head()
            else:
                head, rest = await self._arrival.next_head(self._last_site, rest)
            self._head_at = self._loop.time()
            request = http1.parse_request(head, most=self._sites.header_bytes)
            head_only = request.method == b"HEAD"
            self._target = request.target
            site = self._last_site = self._arrival.site_of(request)
            http1.check_size(head, site.domain.limits.headerBytes)
            self._arrival.determine_client(site, request)
            if self._decided is not None:
                raise self._decided
            path = site.check_path(request.target)
            site.origins.loop.check(request.headers)
            request = self._read_sticky_cookie(site, request)
            # Streams of HTTP/2 carry tunnels only: their bodies have another framing than HTTP/1.1's.
            rules = site.domain.passThrough if self._arrival.http2 is None else None
            if rules is not None and not plain_request.is_upgrade(request) and site.passed_paths.allow(path):
                passed = plain_request.check_request(request, rules)
                self._admit(site, request)
                return await self._pass_through(site, rules, passed, rest)
            upgrade = handshake.check_upgrade(request)
            self._admit(site, request)
            answered, early = await self._request_answer(site, upgrade, rest)
        except BadHeadError as error:
            refused = HandshakeRefusedError(
                error.status, error.reason, f"{error.text[:1].upper()}{error.text[1:]}."
            )
            await self._refuse(site, refused, head_only=head_only)
        except HandshakeRefusedError as refused:
            await self._refuse(site, refused, head_only=head_only)
        else:
            await self._answer(site, upgrade, answered, rest + early)
        return None

    def _admit(self, site: Site, request: RequestHead) -> None:
        """Check a well-formed request: drain, allowed origins, limits; raises HandshakeRefusedError."""
        self._sites.admit(site)
        _check_origin(site, request)
        self._enter_limiter(site)

    def _read_sticky_cookie(self, site: Site, request: RequestHead) -> RequestHead:
        """Store the origin that the sticky cookie names; return the request without this cookie."""
        self._sticky_origin = None
        if site.sticky is None:
            return request
        self._sticky_origin = site.sticky.chosen(request.headers)
        return request._replace(headers=site.sticky.without(request.headers))

    def _enter_limiter(self, site: Site) -> None:
        """Count the connection at the site's limiter; raises HandshakeRefusedError at a limit."""
        retry = self._timeouts.retry_after_seconds
        site.limiter.enter(site.domain.limits, self._arrival.client, self._loop.time(), retry_after=retry)
        self._limited_site = site

    def _leave_limiter(self) -> None:
        if self._limited_site is not None:
            self._limited_site.limiter.leave(self._arrival.client)
            self._limited_site = None

    async def _request_answer(self, site: Site, upgrade: Upgrade, rest: bytes) -> tuple[OriginAnswer, bytes]:
        """Return an origin's answer, and the bytes that the client sent meanwhile; `rest` arrived before."""
        secure = self._arrival.secure

        def request(host: str) -> bytes:
            return handshake.origin_request(
                upgrade,
                host=host,
                way=self._arrival.way,
                secure=secure,
                loop=site.origins.loop.header,
                real_ip=site.real_ip,
            )

        try:
            with Hangup(self._wire, self._shared.ready, rest=rest) as early:
                answered = await site.origins.request_answer(
                    request, self._requesting_client(upgrade.host), ready=self._shared.ready
                )
        except (OSError, PeerGoneError):
            self._count_disconnect(site)
            raise
        return answered, bytes(early)

    def _requesting_client(self, host: bytes) -> RequestingClient:
        return RequestingClient(
            self._arrival.client, self._arrival.secure, self._arrival.ends, host, self._sticky_origin
        )

    async def _answer(self, site: Site, upgrade: Upgrade, answered: OriginAnswer, rest: bytes) -> None:
        """Open a tunnel after a valid 101, or pass another answer of the origin to the client."""
        try:
            if answered.head.status == 101:
                accepted = handshake.check_answer(upgrade, answered.head)
                site.origins.worked(answered.target)
                await self._open_tunnel(site, upgrade, accepted, answered, rest)
                return
            body = AnswerBody(answered, most_bytes=self._timeouts.answer_body_bytes)
        except OriginError as failure:
            await self._refuse_origin_answer(site, answered, failure)
            return
        except BaseException:
            answered.exchange.close()
            raise
        await self._pass_answer(site, answered, body, has_rest=bool(rest))

    async def _open_tunnel(
        self, site: Site, upgrade: Upgrade, accepted: Accepted, answered: OriginAnswer, rest: bytes
    ) -> None:
        self._wire.limit(self._timeouts.head_seconds)
        more = self._cookie(site, upgrade.request, answered)
        try:
            await self._wire.write(handshake.client_answer(accepted, more=more))
        except OSError as error:
            self._count_disconnect(site)
            raise PeerGoneError(f"the client did not accept its answer: {error}") from error
        key = self._count_answer(site, 101, "", unread=len(rest))
        self._limited_site = None  # the tunnel owns the place now
        tunnel = self._shared.tunnels.open(
            site,
            key,
            client=self._wire.sock,
            origin=answered.wire.sock,
            watched=(self._wire.hand_over(), answered.wire.hand_over()),
            deflate=accepted.deflate,
            client_rest=rest,
            origin_rest=answered.rest,
            target=answered.exchange.hand_over(),
            address=self._arrival.client,
            access=self._tunnel_facts(site, accepted, answered, unread=len(rest)),
        )
        if self._arrival.http2 is not None:
            tunnel.session = self._arrival.http2.session
        try:
            self._sites.admit(site)
        except HandshakeRefusedError:  # a drain began during the handshake and did not find this tunnel
            self._shared.tunnels.close(tunnel, GOING_AWAY, "going away")

    def _cookie(self, site: Site, request: RequestHead, answered: OriginAnswer) -> list[Header]:
        """Return the Set-Cookie headers that bind the client to the origin that answered: none or one."""
        if site.sticky is None:
            return []
        secure = was_secure(request.headers, self._arrival.way, secure=self._arrival.secure)
        return site.sticky.lines(
            answered.target.name, named=self._sticky_origin, secure=secure, answer=answered.head.headers
        )

    async def _pass_through(
        self, site: Site, rules: PassThrough, passed: Passed, rest: bytes
    ) -> bytes | None:
        """Pass a plain request to an origin; return the bytes behind it, None when the connection ends."""
        key = self._usage_key(site)
        if self._rates is None:
            self._rates = ReadRates()
        plain = PlainRequest(
            self._wire,
            passed,
            rest,
            site=site,
            rules=rules,
            way=self._arrival.way,
            client=self._requesting_client(handshake.authority_of(passed.request)),
            may_stay=lambda: self._may_stay(site),
            key=key,
            usage=self._shared.usage,
            meter=self._meter,
            rates=self._rates,
            register=self._shared.plain,
            timeouts=self._timeouts,
            ready=self._shared.ready,
        )
        keep, reason = False, ""
        is_logged = _is_logged(site)
        if is_logged:
            self._schedule_line(site, plain)
        try:
            # A drain may have begun since the answer announced that the connection stays open.
            keep = await plain.run() and self._may_stay(site)
        except AnswerCutError as cut:
            reason = cut.reason
            site.counters.cut(reason)
        except (OSError, PeerGoneError):
            reason = "gone"
            self._count_disconnect(site)
            raise
        finally:
            self._leave_limiter()
            if self._next_line is not None:
                self._next_line.cancel()
                self._next_line = None
            if plain.status or reason:
                unread = plain.unread if keep else 0
                self._meter.count(key, unread=unread)
                if is_logged:
                    self._log_request(site, plain, reason, unread=unread)
        if keep:
            self._meter.begin()
            return plain.rest
        if reason:
            self._wire.close()
        else:
            await self._wire.finish(self._timeouts.linger_seconds)
            self._meter.count(key)
        return None

    def _may_stay(self, site: Site) -> bool:
        """Return whether a connection may stay open for another request: not during a drain."""
        try:
            self._sites.admit(site)
        except HandshakeRefusedError:
            return False
        return True

    def _log_request(self, site: Site, plain: PlainRequest, reason: str, *, unread: int) -> None:
        facts = passed_line(
            self._request_facts(site, plain.origin, unread=unread),
            method=plain.method,
            code=plain.status or 499,
            reason=reason,
            now=self._loop.time(),
        )
        log.info("request", domain=site.key.domain, namespace=site.key.account, **facts)

    def _schedule_line(self, site: Site, plain: PlainRequest) -> None:
        """Schedule the next line of a plain request that is under way, if there are such lines."""
        seconds = site.domain.accessLog.everySeconds
        if seconds is not None:
            self._next_line = self._loop.call_later(seconds, self._log_open_request, site, plain)

    def _log_open_request(self, site: Site, plain: PlainRequest) -> None:
        self._next_line = None
        if site.domain.accessLog.everySeconds is None:
            return  # a change of the configuration ended these lines
        facts = open_request_line(
            self._request_facts(site, plain.origin, unread=plain.unread),
            method=plain.method,
            code=plain.status or None,
            now=self._loop.time(),
        )
        log.info("request open", domain=site.key.domain, namespace=site.key.account, **facts)
        self._schedule_line(site, plain)

    async def _refuse_origin_answer(self, site: Site, answered: OriginAnswer, failure: OriginError) -> None:
        failure.connected = True
        site.origins.failed(answered.target, failure, self._loop.time())
        answered.exchange.close()
        await self._refuse(site, OriginsFailedError([failure]))

    async def _pass_answer(
        self, site: Site, answered: OriginAnswer, body: AnswerBody, *, has_rest: bool
    ) -> None:
        """Pass an origin's answer other than 101: its head at once, its body as it arrives.

        A client sees from the framing that an answer was cut: the connection closes before the body's end.
        """
        status, key, reason = answered.head.status, self._usage_key(site), ""
        try:
            await self._send_answer(site, answered, body, key, has_rest=has_rest)
        except OriginError as failure:
            site.origins.failed(answered.target, failure, self._loop.time())
            reason = "origin"
        except AnswerCutError as cut:
            reason = cut.reason
        finally:
            answered.exchange.close()
            self._log_refusal(site, status, reason or "origin answer")
            self._leave_limiter()
        if reason:
            site.counters.cut(reason)
            self._wire.close()
        else:
            await self._wire.finish(self._timeouts.linger_seconds)
        self._meter.count(key)

    async def _send_answer(
        self, site: Site, answered: OriginAnswer, body: AnswerBody, key: UsageKey, *, has_rest: bool
    ) -> None:
        """Send head and body; raises AnswerCutError, and OriginError when the origin cut the body."""
        outgoing = BodyWriter(body.answer.outward)
        head = plain_request.client_answer(body.answer, keep=False, more=[])
        self._wire.limit(self._timeouts.head_seconds)
        try:
            await self._wire.write(head + outgoing.frame(body.first, last=body.done))
        except OSError as error:
            raise AnswerCutError("client", str(error)) from error
        finally:
            self._count_answer(site, answered.head.status, "origin answer")
        if body.done:
            return
        # A drain waits for handshakes under way, so head and body together have the time of one answer.
        until = (
            self._head_at + self._timeouts.answer_seconds + site.domain.originRequest.connectTimeoutSeconds
        )
        answered.wire.until = until
        await pass_body(
            self._wire,
            body,
            outgoing,
            has_rest=has_rest,
            until=until,
            stall_seconds=site.domain.limits.stallSeconds,
            count=lambda: self._meter.count(key),
            ready=self._shared.ready,
        )

    async def _refuse(
        self, site: Site | None, refused: HandshakeRefusedError, *, head_only: bool = False
    ) -> None:
        """Send the last answer of this connection, and count it even when the client does not receive it."""
        self._wire.limit(self._timeouts.head_seconds)
        try:
            await self._wire.write(handshake.refusal(refused, head_only=head_only))
        finally:
            if site is not None:
                self._count_answer(site, refused.status, refused.reason)
                self._log_refusal(site, refused.status, refused.reason)
            else:
                self._sites.count_unattributed_refusal(refused.reason)
            self._leave_limiter()
        await self._wire.finish(self._timeouts.linger_seconds)
        if site is not None:
            self._meter.count(self._usage_key(site))

    def _tunnel_facts(
        self, site: Site, accepted: Accepted, answered: OriginAnswer, *, unread: int
    ) -> AccessFacts | None:
        """Return the facts of a tunnel for the access log, None when the tunnel is not in the sample."""
        if not _is_logged(site):
            return None
        return replace(
            self._request_facts(site, answered.target.origin, unread=unread),
            subprotocol=shown_subprotocol(
                b", ".join(accepted.answer.headers.members(b"sec-websocket-protocol")) or None
            ),
        )

    def _log_refusal(self, site: Site, status: int, reason: str) -> None:
        if _is_logged(site):
            facts = refused_line(self._request_facts(site), code=status, reason=reason, now=self._loop.time())
            log.info("connection", domain=site.key.domain, namespace=site.key.account, **facts)

    def _request_facts(self, site: Site, answered: Origin | None = None, *, unread: int = 0) -> AccessFacts:
        """Return the facts of the present request for the access log; `answered` is the origin, if any."""
        sent, received = self._meter.passed(unread=unread)
        secure = self._arrival.secure
        rules = site.domain.accessLog
        path, query = None, None
        if self._target is not None:
            path, query = shown_target(self._target, path=bool(rules.path), query=bool(rules.query))
        return AccessFacts(
            client=self._arrival.client,
            tls=secure,
            protocol=self._arrival.protocol,
            began=self._arrival.began,
            origin=addressing.address(site.domain, answered, client_secure=secure) if answered else None,
            sent_bytes=sent,
            received_bytes=received,
            path=path,
            query=query,
        )

    def _count_disconnect(self, site: Site) -> None:
        """Count a client that disconnected before its answer as 499; the bytes so far are usage too."""
        site.counters.handshake(499, "gone")  # nginx's code for a closed request
        self._meter.count(self._usage_key(site))

    def _usage_key(self, site: Site) -> UsageKey:
        return site.key_of(self._shared.place_of(self._arrival.client))

    def _count_answer(self, site: Site, status: int, reason: str, *, unread: int = 0) -> UsageKey:
        site.counters.handshake(status, reason)
        site.counters.handshake_seconds.observe(self._loop.time() - self._head_at)
        site.counters.http2_handshakes += self._arrival.http2 is not None
        key = self._usage_key(site)
        self._shared.usage.code(key, status)
        self._meter.count(key, unread=unread)
        return key


def _is_logged(site: Site) -> bool:
    percent = site.domain.accessLog.samplePercent
    return percent > 0 and is_sampled(percent, random.random())  # noqa: S311  a sample, not a secret


def _check_origin(site: Site, request: RequestHead) -> None:
    # Of several lines an origin server may read any one.
    if not all(map(site.allowed_origins.allow, request.headers.all(b"origin"))):
        raise HandshakeRefusedError(
            403, "allowedOrigins", "Web pages of this origin may not connect to this domain."
        )
