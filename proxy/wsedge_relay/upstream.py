"""Asking a domain's origins: the next one while none has answered a byte, and what the last one said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from wsedge_relay import http1, origin, proxy_header
from wsedge_relay.balance import Target
from wsedge_relay.bounds import Bounds
from wsedge_relay.dial import dial
from wsedge_relay.errors import (
    BadAnswerError,
    HandshakeRefusedError,
    NoDescriptorError,
    OriginError,
    OriginsFailedError,
    PeerGoneError,
)
from wsedge_relay.http1 import BadHeadError, ResponseHead
from wsedge_relay.proxy_header import Ends
from wsedge_relay.readiness import Readiness
from wsedge_relay.site import Site
from wsedge_relay.wire import Wire

log = structlog.get_logger("wsedge_relay")

_MAX_INTERIM: Final = 8


@dataclass(slots=True)
class Answered:
    """An origin that answered: its wire, its head, the bytes behind it; `close` or `leave` it."""

    wire: Wire
    head: ResponseHead
    rest: bytes
    target: Target
    counted: bool = True  # among `target.open`

    def leave(self) -> Target:
        """Return the target, whose count of open connections is the caller's from now on."""
        self.counted = False
        return self.target

    def close(self) -> None:
        """Close the connection."""
        self.wire.close()
        if self.counted:
            self.target.open -= 1
            self.counted = False


async def ask_origins(
    site: Site,
    request: Callable[[str], bytes],
    *,
    client: str,
    ends: Callable[[], Ends],
    secure: bool,
    bounds: Bounds,
    ready: Readiness,
) -> Answered:
    """Return the answer of the first origin that gives one; raises OriginsFailedError when none does.

    `request` returns what is sent to an origin, given its Host header; `client` is the client's address,
    `ends` returns it with the relay's and the ports, `secure` says whether the client came by TLS.

    All of it takes `bounds.answer_seconds` and one time to connect at the most: a drain waits for it. While
    others are left an origin has half of the time that is left, so that a silent one can be passed over.
    """
    failures: list[OriginError] = []
    now = ready.loop.time()
    order = site.balancer.order(now, client)
    until = now + bounds.answer_seconds
    for target in order:
        left = until - ready.loop.time()
        if left <= 0:
            break
        seconds = left if target is order[-1] else left / 2
        target.open += 1
        try:
            answered = await _ask_one(
                site, target, request, ends=ends, secure=secure, seconds=seconds, ready=ready
            )
        except NoDescriptorError as failure:
            target.open -= 1
            after = b"%d" % bounds.retry_after_seconds
            text = "This relay has no room for a connection right now."
            raise HandshakeRefusedError(
                503, "descriptors", text, headers=[(b"Retry-After", after)]
            ) from failure
        except OriginError as failure:
            target.open -= 1
            note_failure(site, target, failure, ready.loop.time())
            failures.append(failure)
            if failure.answered:  # the client has a right to that answer, and not to another's
                break
        except BaseException:
            target.open -= 1
            raise
        else:
            if answered.head.status != 101:  # that is still to be checked, by who knows the request
                site.balancer.worked(target)
            return answered
    raise OriginsFailedError(failures)


def note_failure(site: Site, target: Target, failure: OriginError, now: float) -> None:
    """Count and log that a target could not be used, and choose others for a while."""
    # Who connects and then answers badly or late may do so for one request: no client is to eject an origin.
    site.balancer.failed(target, now, connected=failure.connected)
    site.counters.origin_failed(failure.reason)
    log.warning(
        "origin failed",
        domain=site.key.domain,
        namespace=site.key.account,
        origin=target.origin.host,
        reason=failure.reason,
        detail=failure.detail,
    )


async def _ask_one(
    site: Site,
    target: Target,
    request: Callable[[str], bytes],
    *,
    ends: Callable[[], Ends],
    secure: bool,
    seconds: float,
    ready: Readiness,
) -> Answered:
    domain = site.domain
    tls = origin.speaks_tls(domain, client_secure=secure)
    version = domain.originRequest.proxyProtocol
    preface = proxy_header.header(version, ends()) if version is not None else b""
    context = site.context if tls else None
    began = ready.loop.time()
    wire = await dial(domain, target.origin, context, names=site.names, preface=preface, ready=ready)
    site.counters.connect_seconds.observe(ready.loop.time() - began)
    try:
        host = origin.host_header(domain, target.origin, secure=tls)
        head, rest = await ask(wire, request(host), seconds=seconds)
    except BaseException:
        wire.close()
        raise
    return Answered(wire, head, rest, target)


async def read_head(wire: Wire, already: bytes = b"") -> tuple[bytes, bytes]:
    """Return the next head on `wire` and what was read behind it.

    Raises BadHeadError, PeerGoneError, OSError.
    """
    data = already
    seen = 0
    while not (end := http1.head_end(data, seen=seen)):
        seen = len(data)
        more = await wire.read()
        if not more:
            raise PeerGoneError("the stream ended in a head" if data else "the stream ended without a byte")
        data += more
    return data[:end], data[end:]


async def ask(wire: Wire, request: bytes, *, seconds: float) -> tuple[ResponseHead, bytes]:
    """Send a request and return the head of its final answer and the bytes behind; raises OriginError."""
    wire.limit(seconds)
    try:
        await wire.write(request)
        rest = b""
        for _ in range(_MAX_INTERIM):
            head, rest = await read_head(wire, rest)
            answer = http1.parse_response(head)
            if answer.status == 101 or answer.status >= 200:
                wire.limit(None)
                return answer, rest
        raise BadAnswerError("too many interim answers")
    except BadHeadError as error:
        raise BadAnswerError(error.text) from error
    except TimeoutError as error:
        text = f"no answer within {seconds:.3g} s"
        raise OriginError("timeout", text, answered=wire.received > 0, connected=True) from error
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
