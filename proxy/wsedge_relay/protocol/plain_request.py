"""A plain request (no upgrade) and its answer, checked and forwarded by an intermediary. Pure.

The counterpart of `handshake` for the requests of fallback transports: Socket.IO's polling, SignalR's
server-sent events and long polling, SockJS. The functions take parsed heads and return heads, or raise a
refusal; `body` frames the bodies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wsedge_relay.contract import PassThrough
from wsedge_relay.errors import BadAnswerError, HandshakeRefusedError
from wsedge_relay.protocol import body
from wsedge_relay.protocol.body import BadBodyError, Framing
from wsedge_relay.protocol.forwarded import Way, forwarding_headers, says_way
from wsedge_relay.protocol.handshake import (
    authority_of,
    connection_headers,
    dropped_headers,
    passed_headers,
)
from wsedge_relay.protocol.http1 import Header, RequestHead, ResponseHead, build_head, status_line

# Idempotent methods (RFC 9110 section 9.2.2) may be sent to a second origin.
_IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))

CONTINUE: Final = build_head(status_line(100), [])


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that may be passed. `length` is the length of its body if `framing` is LENGTH, else 0."""

    request: RequestHead
    framing: Framing
    length: int
    expects: bool  # the client waits for 100 Continue before it sends the body
    keeps: bool  # the client keeps its connection for another request

    @property
    def head_only(self) -> bool:
        """Whether the answer has no body, even if the answer's head has a Content-Length."""
        return self.request.method == b"HEAD"

    @property
    def repeatable(self) -> bool:
        """Whether the request may be sent to another origin after the first one received it."""
        bodiless = self.framing is not Framing.CHUNKED and not self.length
        return bodiless and self.request.method in _IDEMPOTENT


@dataclass(frozen=True, slots=True)
class PassedAnswer:
    """An origin's answer that may be passed: `framing` by the origin, `outward` framing to the client."""

    head: ResponseHead
    framing: Framing
    length: int
    outward: Framing


def is_upgrade(request: RequestHead) -> bool:
    """Return whether a request asks for a WebSocket; other upgrades (h2c) may be ignored (RFC 9110 7.8)."""
    members = request.headers.members(b"upgrade")
    return any(member.lower().partition(b"/")[0] == b"websocket" for member in members)


def check_request(request: RequestHead, rules: PassThrough) -> Passed:
    """Check a request that passed `handshake.host_of`; raises HandshakeRefusedError."""
    method = request.method.decode()
    if method not in rules.methods:
        text = f"This domain allows only {', '.join(rules.methods)}."
        allow = (b"Allow", ", ".join(rules.methods).encode())
        raise HandshakeRefusedError(405, "method", text, headers=[allow])
    try:
        framing, length = body.of_request(request.headers, minor=request.minor)
    except BadBodyError as error:
        raise refused_body(error) from error
    if length > rules.maxBodyBytes:
        raise too_long(rules)
    expectations = [value.lower() for value in request.headers.members(b"expect")]
    if request.minor and any(value != b"100-continue" for value in expectations):
        raise HandshakeRefusedError(417, "expect", "Only 100-continue may be expected.")
    options = [value.lower() for value in request.headers.members(b"connection")]
    return Passed(
        request,
        framing,
        length,
        expects=bool(request.minor and expectations),
        keeps=request.minor == 1 and b"close" not in options,
    )


def refused_body(error: BadBodyError) -> HandshakeRefusedError:
    """Return the refusal of a request with a malformed body."""
    return HandshakeRefusedError(error.status, "body", f"{error.text[:1].upper()}{error.text[1:]}.")


def too_long(rules: PassThrough) -> HandshakeRefusedError:
    """Return the refusal of a request whose body is over the limit."""
    return HandshakeRefusedError(
        413, "maxBodyBytes", f"A request's body may have at most {rules.maxBodyBytes} bytes."
    )


def origin_request(
    passed: Passed, *, host: str, way: Way, secure: bool, loop: Header, real_ip: bool = False
) -> bytes:
    """Return the head of the request to an origin, the only one on its connection.

    `host` is the origin's Host header, `way` has the hops of the request, `secure` says whether the peer used
    TLS, `loop` is the CDN-Loop line of the domain's relays, `real_ip` adds X-Real-IP.
    """
    request = passed.request
    dropped = dropped_headers(request.headers)
    headers: list[Header] = [(b"Host", host.encode()), (b"Connection", b"close")]
    headers += [
        line
        for name, line in request.headers.items()
        if name not in dropped and name != b"host" and not says_way(name)
    ]
    host_sent = authority_of(request)
    headers += forwarding_headers(request.headers, way, host=host_sent, secure=secure, real_ip=real_ip)
    headers.append(loop)
    headers += _framing_headers(passed.framing, passed.length)
    return build_head(request.method + b" " + request.target + b" HTTP/1.1", headers)


def check_answer(passed: Passed, head: ResponseHead) -> PassedAnswer:
    """Check an origin's final answer; raises BadAnswerError."""
    if head.status == 101:
        raise BadAnswerError("101 to a request that was no upgrade")
    return passed_answer(head, head_only=passed.head_only, minor=passed.request.minor)


def passed_answer(head: ResponseHead, *, head_only: bool, minor: int) -> PassedAnswer:
    """Return an answer other than 101 with its framings; raises BadAnswerError.

    `head_only` says that the request was a HEAD, `minor` is the second digit of the request's version.
    """
    try:
        framing, length = body.of_answer(
            head.headers, status=head.status, head_only=head_only, minor=head.minor
        )
    except BadBodyError as error:
        raise BadAnswerError(error.text) from error
    outward = framing
    if framing in (Framing.CHUNKED, Framing.CLOSE):
        outward = Framing.CHUNKED if minor else Framing.CLOSE
    return PassedAnswer(head, framing, length, outward)


def client_answer(answer: PassedAnswer, *, keep: bool, more: list[Header]) -> bytes:
    """Return the head for the client; `keep` says that the connection is kept, `more` are added lines."""
    headers = passed_headers(answer.head.headers)
    if answer.framing is Framing.NONE:
        if answer.length >= 0 and answer.head.status != 204:  # the length that a GET would have had
            headers.append((b"Content-Length", b"%d" % answer.length))
    else:
        headers += _framing_headers(answer.outward, answer.length)
    headers += [*more, *connection_headers(answer.head, close=not keep)]
    return build_head(status_line(answer.head.status, answer.head.reason), headers)


def interim_answer(head: ResponseHead) -> bytes:
    """Return the head for the client of an origin's 1xx answer (RFC 9110 section 15.2)."""
    return build_head(status_line(head.status, head.reason), passed_headers(head.headers))


def _framing_headers(framing: Framing, length: int) -> list[Header]:
    if framing is Framing.CHUNKED:
        return [(b"Transfer-Encoding", b"chunked")]
    if framing is Framing.LENGTH:
        return [(b"Content-Length", b"%d" % length)]
    return []
