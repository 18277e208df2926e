"""A request that is no upgrade, between two others: what may pass, and what is said anew. Pure.

What `handshake` is for tunnels, this is for the requests of fallback transports (Socket.IO's polling,
SignalR's server-sent events and long polling, SockJS): heads in, heads or a refusal out. `body` frames what
follows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wsedge_relay.contract import PassThrough
from wsedge_relay.errors import BadAnswerError, HandshakeRefusedError
from wsedge_relay.protocol import body
from wsedge_relay.protocol.body import BadBodyError, Framing
from wsedge_relay.protocol.forwarded import Way, forwarding_headers, says_way
from wsedge_relay.protocol.handshake import dropped_headers, passed_headers
from wsedge_relay.protocol.http1 import Header, RequestHead, ResponseHead, build_head, status_line

# RFC 9110 section 9.2.2: done twice is done once.
_IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))

CONTINUE: Final = build_head(status_line(100), [])


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that may pass. `length` is of its body, 0 unless LENGTH frames it."""

    request: RequestHead
    framing: Framing
    length: int
    expects: bool  # that it is told to go on before it sends its body
    keeps: bool  # its connection for a next request

    @property
    def head_only(self) -> bool:
        """Whether its answer has no body, whatever the head of it says."""
        return self.request.method == b"HEAD"

    @property
    def repeatable(self) -> bool:
        """Whether another origin may be asked when one took it and did not answer."""
        bodiless = self.framing is not Framing.CHUNKED and not self.length
        return bodiless and self.request.method in _IDEMPOTENT


@dataclass(frozen=True, slots=True)
class PassedAnswer:
    """An origin's answer that may pass, and how its body is framed: as it comes, and towards the client."""

    head: ResponseHead
    framing: Framing
    length: int
    outward: Framing


def is_upgrade(request: RequestHead) -> bool:
    """Tell whether a WebSocket is asked for. Other upgrades (h2c) are a wish that a server may ignore."""
    members = request.headers.members(b"upgrade")
    return any(member.lower().partition(b"/")[0] == b"websocket" for member in members)


def check_request(request: RequestHead, rules: PassThrough) -> Passed:
    """Check a request that passed `handshake.host_of`; raises HandshakeRefusedError."""
    method = request.method.decode()
    if method not in rules.methods:
        text = f"Only {', '.join(rules.methods)} may be asked for here."
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
    """Return the refusal of a request whose body breaks the rules."""
    return HandshakeRefusedError(error.status, "body", f"{error.text[:1].upper()}{error.text[1:]}.")


def too_long(rules: PassThrough) -> HandshakeRefusedError:
    """Return the refusal of a request whose body is over the limit."""
    return HandshakeRefusedError(
        413, "maxBodyBytes", f"A request's body may have {rules.maxBodyBytes} bytes here."
    )


def origin_request(passed: Passed, *, host: str, way: Way, secure: bool, loop: Header) -> bytes:
    """Return the head by which an origin is asked, once on a connection.

    `host` is what the origin is called, `way` how the request came, `secure` whether it came by TLS, `loop`
    the line by which a request is known that comes round.
    """
    request = passed.request
    dropped = dropped_headers(request.headers)
    headers: list[Header] = [(b"Host", host.encode()), (b"Connection", b"close")]
    headers += [
        line
        for name, line in request.headers.items()
        if name not in dropped and name != b"host" and not says_way(name)
    ]
    asked = request.headers.one(b"host") or b""
    headers += forwarding_headers(request.headers, way, host=asked, secure=secure)
    headers.append(loop)
    headers += _framing_headers(passed.framing, passed.length)
    return build_head(request.method + b" " + request.target + b" HTTP/1.1", headers)


def check_answer(passed: Passed, head: ResponseHead) -> PassedAnswer:
    """Check an origin's final answer; raises BadAnswerError."""
    if head.status == 101:
        raise BadAnswerError("101 to a request that was no upgrade")
    try:
        framing, length = body.of_answer(
            head.headers, status=head.status, head_only=passed.head_only, minor=head.minor
        )
    except BadBodyError as error:
        raise BadAnswerError(error.text) from error
    outward = framing
    if framing in (Framing.CHUNKED, Framing.CLOSE):
        outward = Framing.CHUNKED if passed.request.minor else Framing.CLOSE
    return PassedAnswer(head, framing, length, outward)


def client_answer(answer: PassedAnswer, *, keep: bool, more: list[Header]) -> bytes:
    """Return the head for the client; `keep` says whether its connection goes on, `more` are added lines."""
    headers = passed_headers(answer.head.headers)
    if answer.framing is Framing.NONE:
        if answer.length >= 0 and answer.head.status != 204:  # what a GET would have had
            headers.append((b"Content-Length", b"%d" % answer.length))
    else:
        headers += _framing_headers(answer.outward, answer.length)
    headers += more
    if not keep:
        headers.append((b"Connection", b"close"))
    return build_head(status_line(answer.head.status, answer.head.reason), headers)


def interim_answer(head: ResponseHead) -> bytes:
    """Return a 1xx of the origin for the client (RFC 9110 section 15.2)."""
    return build_head(status_line(head.status, head.reason), passed_headers(head.headers))


def _framing_headers(framing: Framing, length: int) -> list[Header]:
    if framing is Framing.CHUNKED:
        return [(b"Transfer-Encoding", b"chunked")]
    if framing is Framing.LENGTH:
        return [(b"Content-Length", b"%d" % length)]
    return []
