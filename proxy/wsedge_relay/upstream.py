"""Asking a domain's origins: the next one while none has answered a byte, and what the last one said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from wsedge_relay import http1, origin, proxy_header
from wsedge_relay.balance import Target
from wsedge_relay.body import BadBodyError, BodyReader, of_answer
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
    kept: str | None = None,
) -> Answered:
    """Return the answer of the first origin that gives one; raises OriginsFailedError when none does.

    `request` returns what is sent to an origin, given its Host header; `client` is the client's address,
    `ends` returns it with the relay's and the ports, `secure` says whether the client came by TLS, `kept` is
    the name of the origin that has its session.

    All of it takes `bounds.answer_seconds` and one time to connect at the most: a drain waits for it. While
    others are left an origin has half of the time that is left, so that a silent one can be passed over.
    """
    failures: list[OriginError] = []
    now = ready.loop.time()
    order = site.balancer.order(now, client, kept=kept)
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
            raise no_room(bounds) from failure
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


def no_room(bounds: Bounds) -> HandshakeRefusedError:
    """Return the refusal of a client for which there is no socket to an origin."""
    after = b"%d" % bounds.retry_after_seconds
    text = "This relay has no room for a connection right now."
    return HandshakeRefusedError(503, "descriptors", text, headers=[(b"Retry-After", after)])


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
    wire, host = await connect(site, target, ends=ends, secure=secure, ready=ready)
    try:
        head, rest = await ask(wire, request(host), seconds=seconds)
    except BaseException:
        wire.close()
        raise
    return Answered(wire, head, rest, target)


async def connect(
    site: Site, target: Target, *, ends: Callable[[], Ends], secure: bool, ready: Readiness
) -> tuple[Wire, str]:
    """Connect to an origin; return the wire and what its Host header says. Raises OriginError."""
    domain = site.domain
    tls = origin.speaks_tls(domain, client_secure=secure)
    version = domain.originRequest.proxyProtocol
    preface = proxy_header.header(version, ends()) if version is not None else b""
    context = site.context if tls else None
    began = ready.loop.time()
    wire = await dial(
        domain,
        target.origin,
        context,
        names=site.names,
        reach=site.reach,
        preface=preface,
        ready=ready,
    )
    site.counters.connect_seconds.observe(ready.loop.time() - began)
    return wire, origin.host_header(domain, target.origin, secure=tls)


async def read_head(
    wire: Wire, already: bytes = b"", *, most: int = http1.MAX_HEAD_BYTES
) -> tuple[bytes, bytes]:
    """Return the next head on `wire`, of at most so many bytes, and what was read behind it.

    Raises BadHeadError, PeerGoneError, OSError.
    """
    data: bytes | bytearray = already or await wire.read()
    if not data:
        raise PeerGoneError("the stream ended without a byte")
    seen = 0
    while not (end := http1.head_end(data, seen=seen, most=most)):
        seen = len(data)
        more = await wire.read()
        if not more:
            raise PeerGoneError("the stream ended in a head")
        # In place from here on: who sends byte by byte must not have all of it copied each time.
        data = data if isinstance(data, bytearray) else bytearray(data)
        data += more
    return bytes(data[:end]), bytes(data[end:])


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
    head, wire = answered.head, answered.wire
    try:
        framing, length = of_answer(head.headers, status=head.status, head_only=False, minor=head.minor)
        reader = BodyReader(framing, length)
        body = bytearray(reader.feed(answered.rest))
        while not reader.done and max(len(body), length) <= limit:
            data = await wire.read()
            if data:
                body += reader.feed(data)
            else:
                reader.end()
    except BadBodyError as error:
        raise BadAnswerError(error.text) from error
    except TimeoutError:
        raise
    except OSError as error:
        raise OriginError("closed", str(error)) from error
    if max(len(body), length) > limit:
        raise BadAnswerError(f"its body is longer than {limit} bytes")
    return bytes(body)
