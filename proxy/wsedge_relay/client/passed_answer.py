"""The body of an origin's answer to a handshake other than 101: passed to the client as it arrives."""

from __future__ import annotations

from collections.abc import Callable

from wsedge_relay.errors import AnswerCutError, PeerGoneError
from wsedge_relay.origin.exchange import AnswerBody
from wsedge_relay.protocol.body import BodyWriter
from wsedge_relay.transport.hangup import Hangup
from wsedge_relay.transport.readiness import Readiness
from wsedge_relay.transport.wire import Wire


async def pass_body(
    wire: Wire,
    body: AnswerBody,
    outgoing: BodyWriter,
    *,
    has_rest: bool,
    until: float,
    stall_seconds: float,
    count: Callable[[], object],
    ready: Readiness,
) -> None:
    """Send the rest of `body` to the client at `wire`, one read of the origin at a time.

    `has_rest` says that the client sent bytes behind its request; they and later ones are dropped. The client
    has `stall_seconds` for each piece, but only until the loop's time `until`; `count` is called after each.
    Raises AnswerCutError when the answer cannot be completed, and OriginError as `AnswerBody.read` does.
    """
    while not body.done:
        try:
            with Hangup(wire, ready, rest=b"x" if has_rest else b"") as early:
                payload = await body.read()
        except PeerGoneError as error:
            raise AnswerCutError("client", str(error)) from error
        has_rest = has_rest or bool(early)
        wire.until = min(until, ready.loop.time() + stall_seconds)
        try:
            await wire.write(outgoing.frame(payload, last=body.done))
        except TimeoutError as error:
            raise AnswerCutError("stalled", "it accepts no bytes") from error
        except OSError as error:
            raise AnswerCutError("client", str(error)) from error
        count()
