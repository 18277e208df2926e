"""One accepted connection, from its first byte to a tunnel, a refusal, or its last plain request."""

from __future__ import annotations

import random
from dataclasses import replace

import structlog

from wsedge_relay.client.arrival import Arrival, Serving
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
from wsedge_relay.origin.exchange import Answered, read_body
from wsedge_relay.origin.origins import AskingClient
from wsedge_relay.protocol import handshake, http1, plain_request
from wsedge_relay.protocol.forwarded import was_secure
from wsedge_relay.protocol.handshake import Accepted, Upgrade
from wsedge_relay.protocol.http1 import BadHeadError, Header, RequestHead, ResponseHead
from wsedge_relay.protocol.plain_request import Passed
from wsedge_relay.pump.frames import GOING_AWAY
from wsedge_relay.site import Site
from wsedge_relay.telemetry.access_log import (
    AccessFacts,
    is_sampled,
    passed_line,
    refused_line,
    shown_subprotocol,
)
from wsedge_relay.transport.hangup import Hangup

log = structlog.get_logger("wsedge_relay")


class Connection:
    """Serves one client's requests, up to its handshake.

    `refused` is a refusal that was decided before: every request is answered by it.
    """

    __slots__ = (
        "_asked",
        "_entered",
        "_from",
        "_kept",
        "_last",
        "_loop",
        "_meter",
        "_rates",
        "_refused",
        "_serving",
        "_sites",
        "_timeouts",
        "_wire",
    )

    def __init__(
        self, arrival: Arrival, *, serving: Serving, refused: HandshakeRefusedError | None = None
    ) -> None:
        self._from = arrival
        self._wire = arrival.wire
        self._kept: str | None = None  # the name of the origin that has the client's session
        self._last: Site | None = None  # the site of the last request
        self._meter = Meter(arrival.wire, serving.usage)
        self._rates: ReadRates | None = None  # set by the first plain request
        self._refused = refused
        self._entered: Site | None = None  # the site at whose limiter a place is taken, until a tunnel has it
        self._serving = serving
        self._sites = serving.sites
        self._timeouts = serving.timeouts
        self._loop = serving.ready.loop
        self._asked = arrival.began  # the loop's time at which the request's head was complete

    async def serve(self) -> None:
        """Serve until the client has its tunnel or its answer; never raises but when cancelled."""
        rest: bytes | None = b""
        try:
            while rest is not None:
                rest = await self._serve_one(rest)
        except (OSError, PeerGoneError) as error:
            # Port scans, health checks of a load balancer, clients that lost patience: too many for the log.
            log.debug("client disconnected", client=self._from.client, error=str(error))
            self._wire.close()
        except ProxyHeaderError as error:
            # No answer: a load balancer that sends no PROXY header may not speak HTTP either.
            self._sites.refused_unattributed("proxyProtocol")
            log.warning("rejected PROXY header", client=self._from.client, error=str(error))
            self._wire.close()
        except BaseException:
            self._wire.close()
            raise
        finally:
            self._leave()

    async def _serve_one(self, rest: bytes) -> bytes | None:
        """Serve the request that begins with `rest`; return the bytes behind it, None after the last one."""
        site: Site | None = None
        head_only = False
        try:
            if self._last is None:
                if self._from.outer is None and await self._from.greet():
                    return None
                head, rest = await self._from.head()
            else:
                head, rest = await self._from.next_head(self._last, rest)
            self._asked = self._loop.time()
            request = http1.parse_request(head, most=self._sites.header_bytes)
            head_only = request.method == b"HEAD"
            site = self._last = self._from.site_of(request)
            http1.check_size(head, site.domain.limits.headerBytes)
            self._from.place(site, request)
            if self._refused is not None:
                raise self._refused
            path = site.check_path(request.target)
            site.origins.loop.check(request.headers)
            request = self._bring_home(site, request)
            # A stream of HTTP/2 carries tunnels only: plain requests would need its own framing of bodies.
            rules = site.domain.passThrough if self._from.outer is None else None
            if rules is not None and not plain_request.is_upgrade(request) and site.passed_paths.allow(path):
                passed = plain_request.check_request(request, rules)
                self._admit(site, request)
                return await self._pass(site, rules, passed, rest)
            upgrade = handshake.check_upgrade(request)
            self._admit(site, request)
            answered, early = await self._ask_origins(site, upgrade, rest)
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
        """Take a place at the limiter for a well-formed request; raises HandshakeRefusedError."""
        self._sites.admit(site)
        _check_origin(site, request)
        self._enter(site)

    def _bring_home(self, site: Site, request: RequestHead) -> RequestHead:
        """Store the origin that the sticky cookie names; return the request without that cookie."""
        self._kept = None
        if site.sticky is None:
            return request
        self._kept = site.sticky.chosen(request.headers)
        return request._replace(headers=site.sticky.without(request.headers))

    def _enter(self, site: Site) -> None:
        """Take a place among the site's clients; raises HandshakeRefusedError when there is none."""
        retry = self._timeouts.retry_after_seconds
        site.limiter.enter(site.domain.limits, self._from.client, self._loop.time(), retry_after=retry)
        self._entered = site

    def _leave(self) -> None:
        if self._entered is not None:
            self._entered.limiter.leave(self._from.client)
            self._entered = None

    async def _ask_origins(self, site: Site, upgrade: Upgrade, rest: bytes) -> tuple[Answered, bytes]:
        """Return an origin's answer, and the client's bytes meanwhile; `rest` arrived before."""
        secure = self._from.secure

        def request(host: str) -> bytes:
            return handshake.origin_request(
                upgrade, host=host, way=self._from.way, secure=secure, loop=site.origins.loop.header
            )

        try:
            with Hangup(self._wire, self._serving.ready, said=rest) as early:
                answered = await site.origins.ask(request, self._asking(), ready=self._serving.ready)
        except (OSError, PeerGoneError):
            self._note_gone(site)
            raise
        return answered, bytes(early)

    def _asking(self) -> AskingClient:
        return AskingClient(self._from.client, self._from.secure, self._from.ends, self._kept)

    async def _answer(self, site: Site, upgrade: Upgrade, answered: Answered, rest: bytes) -> None:
        """Give the client a tunnel, or pass the origin's other answer on."""
        try:
            if answered.head.status == 101:
                accepted = handshake.check_answer(upgrade, answered.head)
                site.origins.worked(answered.target)
                await self._open(site, upgrade, accepted, answered, rest)
                return
            answered.wire.limit(self._timeouts.answer_seconds)
            body = await read_body(answered, limit=self._timeouts.answer_body_bytes)
        except OriginError as failure:
            await self._fail(site, answered, failure)
        except TimeoutError:
            await self._fail(site, answered, OriginError("timeout", "the answer's body did not end in time"))
        except BaseException:
            answered.exchange.close()
            raise
        else:
            answered.exchange.close()
            await self._pass_on(site, answered.head, body)

    async def _open(
        self, site: Site, upgrade: Upgrade, accepted: Accepted, answered: Answered, rest: bytes
    ) -> None:
        self._wire.limit(self._timeouts.head_seconds)
        more = self._cookie(site, upgrade.request, answered)
        try:
            await self._wire.write(handshake.client_answer(accepted, more=more))
        except OSError as error:
            self._note_gone(site)
            raise PeerGoneError(f"the client does not accept its answer: {error}") from error
        key = self._count(site, 101, "", unread=len(rest))
        self._entered = None  # the place is the tunnel's now
        tunnel = self._serving.tunnels.open(
            site,
            key,
            client=self._wire.sock,
            origin=answered.wire.sock,
            watched=(self._wire.leave(), answered.wire.leave()),
            deflate=accepted.deflate,
            client_rest=rest,
            origin_rest=answered.rest,
            target=answered.exchange.leave(),
            address=self._from.client,
            access=self._access(site, accepted, answered, unread=len(rest)),
        )
        try:
            self._sites.admit(site)
        except HandshakeRefusedError:  # a drain began during the handshake and did not find this tunnel
            self._serving.tunnels.close(tunnel, GOING_AWAY, "going away")

    def _cookie(self, site: Site, request: RequestHead, answered: Answered) -> list[Header]:
        """Return the Set-Cookie that binds the client to the origin that answered, if one is needed."""
        if site.sticky is None:
            return []
        secure = was_secure(request.headers, self._from.way, secure=self._from.secure)
        return site.sticky.lines(
            answered.target.name, named=self._kept, secure=secure, answer=answered.head.headers
        )

    async def _pass(self, site: Site, rules: PassThrough, passed: Passed, rest: bytes) -> bytes | None:
        """Pass a plain request through; return the bytes behind it, None when it was the last."""
        key = self._key(site)
        if self._rates is None:
            self._rates = ReadRates()
        plain = PlainRequest(
            self._wire,
            passed,
            rest,
            site=site,
            rules=rules,
            way=self._from.way,
            client=self._asking(),
            stays=lambda: self._stays(site),
            key=key,
            usage=self._serving.usage,
            meter=self._meter,
            rates=self._rates,
            register=self._serving.plain,
            timeouts=self._timeouts,
            ready=self._serving.ready,
        )
        keep, reason = False, ""
        try:
            # A drain may have begun since the answer said that the connection stays.
            keep = await plain.run() and self._stays(site)
        except AnswerCutError as cut:
            reason = cut.reason
            site.counters.cut(reason)
        except (OSError, PeerGoneError):
            reason = "gone"
            self._note_gone(site)
            raise
        finally:
            self._leave()
            if plain.status or reason:
                unread = plain.unread if keep else 0
                self._meter.tell(key, unread=unread)
                self._log_passed(site, plain, reason, unread=unread)
        if keep:
            self._meter.begin()
            return plain.rest
        if reason:
            self._wire.close()
        else:
            await self._wire.finish(self._timeouts.linger_seconds)
            self._meter.tell(key)
        return None

    def _stays(self, site: Site) -> bool:
        """Return whether a connection may be kept for another request."""
        try:
            self._sites.admit(site)
        except HandshakeRefusedError:
            return False
        return True

    def _log_passed(self, site: Site, plain: PlainRequest, reason: str, *, unread: int) -> None:
        if _is_logged(site):
            facts = passed_line(
                self._seen(site, plain.origin, unread=unread),
                method=plain.method,
                code=plain.status or 499,
                reason=reason,
                now=self._loop.time(),
            )
            log.info("request", domain=site.key.domain, namespace=site.key.account, **facts)

    async def _fail(self, site: Site, answered: Answered, failure: OriginError) -> None:
        failure.connected = True
        site.origins.failed(answered.target, failure, self._loop.time())
        answered.exchange.close()
        await self._refuse(site, OriginsFailedError([failure]))

    async def _pass_on(self, site: Site, head: ResponseHead, body: bytes) -> None:
        headers = handshake.passed_headers(head.headers)
        if head.status not in (204, 304):
            headers.append((b"Content-Length", b"%d" % len(body)))
        headers.append((b"Connection", b"close"))
        line = http1.status_line(head.status, head.reason)
        await self._end(site, head.status, "origin answer", http1.build_head(line, headers) + body)

    async def _refuse(
        self, site: Site | None, refused: HandshakeRefusedError, *, head_only: bool = False
    ) -> None:
        await self._end(site, refused.status, refused.reason, handshake.refusal(refused, head_only=head_only))

    async def _end(self, site: Site | None, status: int, reason: str, answer: bytes) -> None:
        """Send the last answer of this connection, and count it even if the client does not receive it."""
        self._wire.limit(self._timeouts.head_seconds)
        try:
            await self._wire.write(answer)
        finally:
            if site is not None:
                self._count(site, status, reason)
                self._log_refusal(site, status, reason)
            else:
                self._sites.refused_unattributed(reason)
            self._leave()
        await self._wire.finish(self._timeouts.linger_seconds)
        if site is not None:
            self._meter.tell(self._key(site))

    def _access(
        self, site: Site, accepted: Accepted, answered: Answered, *, unread: int
    ) -> AccessFacts | None:
        """Return what the access log will want to know of a tunnel, if it gets a line."""
        if not _is_logged(site):
            return None
        return replace(
            self._seen(site, answered.target.origin, unread=unread),
            subprotocol=shown_subprotocol(accepted.answer.headers.one(b"sec-websocket-protocol")),
        )

    def _log_refusal(self, site: Site, status: int, reason: str) -> None:
        if _is_logged(site):
            facts = refused_line(self._seen(site), code=status, reason=reason, now=self._loop.time())
            log.info("connection", domain=site.key.domain, namespace=site.key.account, **facts)

    def _seen(self, site: Site, answered: Origin | None = None, *, unread: int = 0) -> AccessFacts:
        """Return the facts of the present request for the access log; `answered` is the origin, if any."""
        sent, received = self._meter.passed(unread=unread)
        secure = self._from.secure
        return AccessFacts(
            client=self._from.client,
            tls=secure,
            protocol=self._from.protocol,
            began=self._from.began,
            origin=addressing.address(site.domain, answered, client_secure=secure) if answered else None,
            sent_bytes=sent,
            received_bytes=received,
        )

    def _note_gone(self, site: Site) -> None:
        """Count a client that disconnected before its answer; the bytes until then are usage all the same."""
        site.counters.handshake(499, "gone")  # nginx's code for it
        self._meter.tell(self._key(site))

    def _key(self, site: Site) -> UsageKey:
        return site.key_of(self._serving.place_of(self._from.client))

    def _count(self, site: Site, status: int, reason: str, *, unread: int = 0) -> UsageKey:
        site.counters.handshake(status, reason)
        site.counters.handshake_seconds.observe(self._loop.time() - self._asked)
        site.counters.http2_handshakes += self._from.outer is not None
        key = self._key(site)
        self._serving.usage.code(key, status)
        self._meter.tell(key, unread=unread)
        return key


def _is_logged(site: Site) -> bool:
    percent = site.domain.accessLog.samplePercent
    return percent > 0 and is_sampled(percent, random.random())  # noqa: S311  a sample, not a secret


def _check_origin(site: Site, request: RequestHead) -> None:
    if not site.allowed_origins.allow(request.headers.one(b"origin")):
        raise HandshakeRefusedError(403, "allowedOrigins", "Pages of this origin may not connect here.")
