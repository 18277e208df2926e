"""One accepted connection, from its first byte to a tunnel or a refusal."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import Protocol

import structlog

from wsedge_relay import handshake, http1, origin
from wsedge_relay.bounds import Bounds
from wsedge_relay.contract import Origin
from wsedge_relay.errors import (
    BadAnswerError,
    HandshakeRefusedError,
    OriginError,
    OriginsFailedError,
    PeerGoneError,
)
from wsedge_relay.frames import GOING_AWAY
from wsedge_relay.handshake import Accepted, Upgrade
from wsedge_relay.http1 import BadHeadError, RequestHead, ResponseHead
from wsedge_relay.site import Site
from wsedge_relay.tls import Front, domain_of
from wsedge_relay.tunnel import Tunnels
from wsedge_relay.usage import Usage
from wsedge_relay.wire import Wire

log = structlog.get_logger("wsedge_relay")

_MAX_INTERIM = 8


class Sites(Protocol):
    """What a connection asks of the relay."""

    def site(self, name: str) -> Site:
        """Return the site that serves a domain; raises HandshakeRefusedError (421)."""

    def admit(self, site: Site) -> None:
        """Raise HandshakeRefusedError (503) while the site takes no newcomers."""

    def refused_unattributed(self, reason: str) -> None:
        """Count a refusal that belongs to no served domain."""


@dataclass(slots=True)
class Answered:
    """An origin that answered: its wire, its head, the bytes behind it."""

    wire: Wire
    head: ResponseHead
    rest: bytes


class Connection:
    """Serves one client's handshake. `front` is given on a TLS listener."""

    __slots__ = ("_bounds", "_client", "_front", "_loop", "_sites", "_tunnels", "_usage", "_wire")

    def __init__(
        self,
        wire: Wire,
        *,
        client: str,
        front: Front | None,
        sites: Sites,
        tunnels: Tunnels,
        usage: Usage,
        bounds: Bounds,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._wire = wire
        self._client = client
        self._front = front
        self._sites = sites
        self._tunnels = tunnels
        self._usage = usage
        self._bounds = bounds
        self._loop = loop

    async def serve(self) -> None:
        """Serve until the client has its tunnel or its answer; never raises but when cancelled."""
        try:
            await self._serve()
        except (OSError, PeerGoneError) as error:
            # Port scans, health checks of a load balancer, clients that lost patience: no news.
            log.debug("client gone", client=self._client, error=str(error))
            self._wire.close()
        except BaseException:
            self._wire.close()
            raise

    async def _serve(self) -> None:
        site: Site | None = None
        head_only = False
        try:
            head, rest = await self._head()
            request = http1.parse_request(head)
            head_only = request.method == b"HEAD"
            site = self._site(request)
            upgrade = handshake.check_upgrade(request)
            self._sites.admit(site)
            answered = await self._ask_origins(site, upgrade)
        except BadHeadError as error:
            refused = HandshakeRefusedError(
                error.status, "head", f"{error.text[:1].upper()}{error.text[1:]}."
            )
            await self._refuse(site, refused, head_only=head_only)
        except HandshakeRefusedError as refused:
            await self._refuse(site, refused, head_only=head_only)
        else:
            await self._answer(site, upgrade, answered, rest)

    async def _head(self) -> tuple[bytes, bytes]:
        """Return the request head and what was read behind it."""
        try:
            async with asyncio.timeout(self._bounds.head_seconds):
                if self._front is not None:
                    await self._wire.start_tls(self._front.context)
                return await read_head(self._wire)
        except TimeoutError as error:
            if not self._wire.received:
                raise PeerGoneError("no request came") from error
            raise HandshakeRefusedError(408, "timeout", "The request did not come in time.") from error

    def _site(self, request: RequestHead) -> Site:
        name = handshake.host_of(request)
        shown = domain_of(self._wire.sock)
        if shown is not None and shown != name:
            raise HandshakeRefusedError(421, "domain", "This connection was made for another domain.")
        return self._sites.site(name)

    async def _ask_origins(self, site: Site, upgrade: Upgrade) -> Answered:
        """Return the answer of the first origin that gives one; raises when none does."""
        failures: list[tuple[str, OriginError]] = []
        balancer = site.balancer
        for target in balancer.order(self._loop.time()):
            try:
                answered = await self._ask(site, target, upgrade)
            except OriginError as failure:
                balancer.failed(target, self._loop.time())
                site.counters.origin_failed(failure.reason)
                log.warning(
                    "origin failed",
                    domain=site.key.domain,
                    namespace=site.key.account,
                    origin=target.host,
                    reason=failure.reason,
                    detail=failure.detail,
                )
                failures.append((target.host, failure))
                if failure.answered:  # it may have acted on the request: asking another would ask twice
                    break
            else:
                balancer.worked(target)
                return answered
        raise OriginsFailedError(failures)

    async def _ask(self, site: Site, target: Origin, upgrade: Upgrade) -> Answered:
        domain = site.domain
        secure = origin.speaks_tls(domain, client_secure=self._wire.secure)
        wire = await origin.dial(domain, target, site.context if secure else None, loop=self._loop)
        try:
            host = origin.host_header(domain, target, secure=secure)
            request = handshake.origin_request(
                upgrade, host=host, client=self._client, secure=self._wire.secure
            )
            return await ask(wire, request, seconds=self._bounds.answer_seconds)
        except BaseException:
            wire.close()
            raise

    async def _answer(self, site: Site, upgrade: Upgrade, answered: Answered, rest: bytes) -> None:
        """Give the client the origin's answer: a tunnel, or what it said instead."""
        try:
            if answered.head.status == 101:
                accepted = handshake.check_answer(upgrade, answered.head)
                await self._open(site, accepted, answered, rest)
                return
            async with asyncio.timeout(self._bounds.answer_seconds):
                body = await read_body(answered, limit=self._bounds.answer_body_bytes)
        except OriginError as failure:
            await self._fail(site, answered, failure)
        except TimeoutError:
            await self._fail(site, answered, OriginError("timeout", "its body did not end in time"))
        except BaseException:
            answered.wire.close()
            raise
        else:
            answered.wire.close()
            await self._pass_on(site, answered.head, body)

    async def _open(self, site: Site, accepted: Accepted, answered: Answered, rest: bytes) -> None:
        try:
            async with asyncio.timeout(self._bounds.head_seconds):
                await self._wire.write(handshake.client_answer(accepted))
        except TimeoutError as error:
            raise PeerGoneError("the client does not read its answer") from error
        self._count(site, 101, "", unread=len(rest))
        tunnel = self._tunnels.open(
            site,
            site.key,
            client=self._wire.sock,
            origin=answered.wire.sock,
            deflate=accepted.deflate,
            client_rest=rest,
            origin_rest=answered.rest,
        )
        try:
            self._sites.admit(site)
        except HandshakeRefusedError:  # it was switched off meanwhile, and the drain did not see this tunnel
            self._tunnels.close(tunnel, GOING_AWAY, "going away")

    async def _fail(self, site: Site, answered: Answered, failure: OriginError) -> None:
        answered.wire.close()
        site.counters.origin_failed(failure.reason)
        log.warning(
            "origin failed",
            domain=site.key.domain,
            namespace=site.key.account,
            reason=failure.reason,
            detail=failure.detail,
        )
        await self._refuse(site, OriginsFailedError([("", failure)]))

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
        """Send the last answer of this connection and count it, whatever becomes of it."""
        try:
            async with asyncio.timeout(self._bounds.head_seconds):
                await self._wire.write(answer)
        finally:
            if site is not None:
                self._count(site, status, reason)
            else:
                self._sites.refused_unattributed(reason)
        read = self._wire.received
        await self._wire.finish(self._bounds.linger_seconds)
        if site is not None:
            self._usage.add(site.key, received_bytes=self._wire.received - read)

    def _count(self, site: Site, status: int, reason: str, *, unread: int = 0) -> None:
        site.counters.handshake(status, reason)
        self._usage.code(site.key, status)
        self._usage.add(site.key, sent_bytes=self._wire.sent, received_bytes=self._wire.received - unread)


def client_address(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """Return a peer's IP address as text; an IPv4 client of a dual-stack socket in IPv4 form."""
    parsed = ipaddress.ip_address(address[0].partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


async def read_head(wire: Wire, already: bytes = b"") -> tuple[bytes, bytes]:
    """Return the next head on `wire` and what was read behind it.

    Raises BadHeadError, PeerGoneError, OSError.
    """
    data = bytearray(already)
    seen = 0
    while not (end := http1.head_end(data, seen=seen)):
        seen = len(data)
        more = await wire.read()
        if not more:
            raise PeerGoneError("the stream ended in a head" if data else "the stream ended without a byte")
        data += more
    return bytes(data[:end]), bytes(data[end:])


async def ask(wire: Wire, request: bytes, *, seconds: float) -> Answered:
    """Send a request and return its final answer; raises OriginError."""
    try:
        async with asyncio.timeout(seconds):
            await wire.write(request)
            rest = b""
            for _ in range(_MAX_INTERIM):
                head, rest = await read_head(wire, rest)
                answer = http1.parse_response(head)
                if answer.status == 101 or answer.status >= 200:
                    return Answered(wire, answer, rest)
            raise BadAnswerError("too many interim answers")
    except BadHeadError as error:
        raise BadAnswerError(error.text) from error
    except TimeoutError as error:
        raise OriginError("timeout", f"no answer within {seconds:g} s", answered=True) from error
    except (OSError, PeerGoneError) as error:
        raise OriginError("closed", str(error), answered=wire.received > 0) from error


async def read_body(answered: Answered, *, limit: int) -> bytes:
    """Return the body behind a head that is no 101; raises OriginError when broken or over `limit` bytes."""
    head = answered.head
    if head.status in (204, 304):
        return b""
    try:
        coding = head.headers.one(b"transfer-encoding")
        length = head.headers.one(b"content-length")
    except BadHeadError as error:
        raise BadAnswerError(error.text) from error
    if coding is not None and (length is not None or coding.lower() != b"chunked"):
        raise BadAnswerError("its body has no clear end")
    if length is not None and not (length.isdigit() and len(length) < 19):
        raise BadAnswerError("its Content-Length is no number")
    reader = _Body(answered, limit)
    if coding is not None:
        return await reader.chunked()
    return await reader.exactly(int(length)) if length is not None else await reader.rest()


class _Body:
    """Reads one body from a wire, never more than `limit` bytes of it."""

    def __init__(self, answered: Answered, limit: int) -> None:
        self._wire = answered.wire
        self._data = bytearray(answered.rest)
        self._limit = limit

    async def exactly(self, size: int) -> bytes:
        if size > self._limit:
            raise BadAnswerError(f"its body is longer than {self._limit} bytes")
        while len(self._data) < size:
            if not await self._more():
                raise OriginError("closed", "its body ended early")
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken

    async def rest(self) -> bytes:
        while await self._more():
            if len(self._data) > self._limit:
                raise BadAnswerError(f"its body is longer than {self._limit} bytes")
        return await self.exactly(len(self._data))

    async def chunked(self) -> bytes:
        body = bytearray()
        while True:
            size = self._chunk_size(await self._line())
            if size + len(body) > self._limit:
                raise BadAnswerError(f"its body is longer than {self._limit} bytes")
            if not size:
                while await self._line():  # trailers
                    pass
                return bytes(body)
            body += await self.exactly(size)
            if await self._line():
                raise BadAnswerError("a chunk has another length than it says")

    def _chunk_size(self, line: bytes) -> int:
        digits = line.partition(b";")[0].strip(b" \t")
        if not 0 < len(digits) <= 8 or not set(digits) <= set(b"0123456789abcdefABCDEF"):
            raise BadAnswerError("a chunk has no size")
        return int(digits, 16)

    async def _line(self) -> bytes:
        while (end := self._data.find(b"\r\n")) < 0:
            if len(self._data) > http1.MAX_LINE_BYTES or not await self._more():
                raise BadAnswerError("a chunk line does not end")
        line = bytes(self._data[:end])
        del self._data[: end + 2]
        return line

    async def _more(self) -> bool:
        try:
            data = await self._wire.read()
        except TimeoutError:
            raise
        except OSError as error:
            raise OriginError("closed", str(error)) from error
        self._data += data
        return bool(data)
