"""One request that is no upgrade, from its checked head to the end of its answer.

Bodies stream both ways at once, a read at a time: a side that takes no bytes stops the other's reading. An
answer goes on as it comes, so that server-sent events and streamed answers arrive when they were sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from wsedge_relay import exchange, http1, upstream
from wsedge_relay.balance import Target
from wsedge_relay.body import BadBodyError, BodyReader, BodyWriter, Framing
from wsedge_relay.bounds import Bounds
from wsedge_relay.contract import Origin, PassThrough
from wsedge_relay.counters import LegCounters
from wsedge_relay.errors import (
    AnswerCutError,
    BadAnswerError,
    HandshakeRefusedError,
    NoDescriptorError,
    OriginError,
    OriginsFailedError,
    PeerGoneError,
    RelayError,
)
from wsedge_relay.exchange import Answer, Passed
from wsedge_relay.forwarded import Way, was_secure
from wsedge_relay.http1 import BadHeadError, ResponseHead
from wsedge_relay.meter import Meter
from wsedge_relay.pace import Pace
from wsedge_relay.proxy_header import Ends
from wsedge_relay.readiness import Readiness
from wsedge_relay.site import Site
from wsedge_relay.stream import Stream
from wsedge_relay.usage import Usage, UsageKey
from wsedge_relay.wire import READ_BYTES, Wire

_MAX_INTERIM: Final = 8


class Passing:
    """A request under way. `run` carries it; `cut` ends it.

    `rest` is what was read behind its head, then what was read behind its body. `kept` is the name of the
    origin that has the client's session; `stays` says whether the connection may be kept for another request.
    Bytes are counted as they pass, for `key`.
    """

    def __init__(
        self,
        wire: Wire,
        passed: Passed,
        rest: bytes,
        *,
        site: Site,
        rules: PassThrough,
        way: Way,
        kept: str | None,
        ends: Callable[[], Ends],
        stays: Callable[[], bool],
        key: UsageKey,
        usage: Usage,
        meter: Meter,
        bounds: Bounds,
        ready: Readiness,
    ) -> None:
        self.origin: Origin | None = None  # that answered
        self.status = 0  # of the answer, once it has begun
        self.task: asyncio.Task[object] | None = None
        self._wire = wire
        self._secure = wire.secure
        self._passed = passed
        self._site = site
        self._rules = rules
        self._way = way
        self._kept = kept
        self._ends = ends
        self._stays = stays
        self._key = key
        self._usage = usage
        self._meter = meter
        self._bounds = bounds
        self._paces = meter.paces(site.domain.limits.bytesPerSecond)
        self._stall_seconds = site.domain.limits.stallSeconds
        self._ready = ready
        self._loop = ready.loop
        self._early = bytearray()  # what the client said behind its body
        self._silent = not rest  # nothing of the body came yet
        self._body = BodyReader(passed.framing, passed.length)
        self._outgoing = BodyWriter(passed.framing)
        self._first = self._feed(rest)
        self._uploading = not self._body.done
        self._began = self._last_move = ready.loop.time()
        self._taker: asyncio.Future[Stream] | None = None  # the origin that takes the body's rest
        self._target: Target | None = None  # that is asked
        self._stopped_by: RelayError | None = None

    @property
    def method(self) -> str:
        """The request's method."""
        return self._passed.request.method.decode()

    @property
    def rest(self) -> bytes:
        """What the client said behind this request."""
        return self._body.rest + bytes(self._early)

    @property
    def unread(self) -> int:
        """How many bytes `rest` has."""
        return len(self._body.rest) + len(self._early)

    async def run(self) -> bool:
        """Carry the request; return whether the connection may be used again.

        While nothing is answered it raises HandshakeRefusedError, or PeerGoneError when the client is gone;
        then AnswerCutError.
        """
        await self._ready.in_task()
        self._client = Stream(self._wire, self._ready)
        self.task = asyncio.current_task(self._loop)
        if self.task is None:
            raise RuntimeError("a request is carried by a task")
        before = self.task.cancelling()
        self._site.passing.add(self)
        uploading: asyncio.Task[None] | None = None
        if self._uploading:
            self._taker = self._loop.create_future()
            uploading = self._loop.create_task(self._upload(self._taker))
        else:
            self._listen()
        try:
            return await self._carry()
        except asyncio.CancelledError:
            # As asyncio.timeout does: who else cancelled the task is not hidden.
            if self._stopped_by is None or self.task.uncancel() > before:
                raise
            if isinstance(self._stopped_by, OriginError) and self._target is not None:
                upstream.note_failure(self._site, self._target, self._stopped_by, self._loop.time())
            raise self._shown(self._stopped_by) from None
        finally:
            self._site.passing.discard(self)
            if uploading is not None:
                uploading.cancel()
                await asyncio.wait([uploading])
            self._client.listen(None)

    def cut(self) -> None:
        """End it: the relay goes away, or the domain."""
        after = (b"Retry-After", b"%d" % self._bounds.retry_after_seconds)
        text = "This relay goes away."
        self._stop(HandshakeRefusedError(503, "draining", text, headers=[after]))

    def _stop(self, error: RelayError) -> None:
        if self._stopped_by is None and self in self._site.passing and self.task is not None:
            self._stopped_by = error
            self.task.cancel()

    def _shown(self, error: RelayError) -> RelayError:
        """Return what an error that stopped the request is to who called `run`."""
        if not self.status:
            return OriginsFailedError([error]) if isinstance(error, OriginError) else error
        if isinstance(error, HandshakeRefusedError):
            return AnswerCutError("going away" if error.reason == "draining" else "body", str(error))
        return AnswerCutError("origin" if isinstance(error, OriginError) else "client", str(error))

    def _listen(self) -> None:
        """Hear the client, unless it has said so much that it must wait: it may pipeline without end."""
        if self.unread < READ_BYTES:
            self._client.listen(self._hear)

    def _hear(self) -> None:
        """Take what the client says behind its request, or notice that it hangs up."""
        try:
            data = self._client.take()
        except OSError as error:
            self._client.listen(None)
            self._stop(PeerGoneError(str(error)))
            return
        if data:
            self._early += data
        if data == b"" or self.unread >= READ_BYTES:
            self._client.listen(None)
        if data == b"" and not self.unread:  # who said more and then shut its side may wait for the answers
            self._stop(PeerGoneError("the client hung up before its answer ended"))

    async def _upload(self, taker: asyncio.Future[Stream]) -> None:
        """Send the rest of the body to the origin that takes it, then listen."""
        try:
            await self._send_rest(await taker)
        except OSError as error:
            self._stop(PeerGoneError(str(error)))
        except RelayError as error:
            self._stop(error)
        else:
            self._uploading = False
            self._listen()

    async def _send_rest(self, origin: Stream) -> None:
        while not self._body.done:
            try:
                data = await self._client.read(self._stall_seconds)
            except TimeoutError as error:
                text = "The request's body did not come in time."
                raise HandshakeRefusedError(408, "timeout", text) from error
            if not data:
                raise PeerGoneError("the client hung up within its request")
            piece = self._outgoing.frame(self._feed(data), last=self._body.done)
            try:
                await origin.write(piece, self._rules.timeoutSeconds)
            except TimeoutError as error:
                raise OriginError("timeout", "it does not take the request's body", connected=True) from error
            except OSError:
                return  # it may have answered before it stopped to read; if not, its stream ends as well
            self._last_move = self._loop.time()
            self._moved()
            if self._paces is not None and not self._body.done:
                await self._slow(self._paces[0], len(data), self._site.counters.client)

    async def _slow(self, pace: Pace, size: int, side: LegCounters) -> None:
        """Wait until a side that was read for `size` bytes may be read again."""
        pace.room(self._loop.time())
        seconds = pace.spend(size)
        if seconds:
            side.throttled += 1
            await asyncio.sleep(seconds)

    def _feed(self, data: bytes) -> bytes:
        try:
            payload = self._body.feed(data)
        except BadBodyError as error:
            raise exchange.refused_body(error) from error
        if self._body.payload_bytes > self._rules.maxBodyBytes:
            raise exchange.too_long(self._rules)
        return payload

    async def _carry(self) -> bool:
        failures: list[OriginError] = []
        for target in self._site.balancer.order(self._loop.time(), self._way.client, kept=self._kept):
            wire: Wire | None = None
            target.open += 1
            try:
                wire, host = await upstream.connect(
                    self._site, target, ends=self._ends, secure=self._secure, ready=self._ready
                )
                return await self._ask(Stream(wire, self._ready), target, host)
            except NoDescriptorError as failure:
                raise upstream.no_room(self._bounds) from failure
            except OriginError as failure:
                upstream.note_failure(self._site, target, failure, self._loop.time())
                if self.status:
                    raise AnswerCutError("origin", str(failure)) from failure
                failures.append(failure)
                if wire is not None and not (self._passed.repeatable and failure.reason == "closed"):
                    break  # it may be at work on this request
                if failure.answered:
                    break
            finally:
                target.open -= 1
                if wire is not None:
                    wire.close()
        raise OriginsFailedError(failures)

    async def _ask(self, origin: Stream, target: Target, host: str) -> bool:
        self._target = target
        head = exchange.origin_request(
            self._passed, host=host, way=self._way, secure=self._secure, loop=self._site.loop.header
        )
        first = self._outgoing.frame(self._first, last=self._body.done)
        try:
            await origin.write(head + first, self._rules.timeoutSeconds)
        except TimeoutError as error:
            raise OriginError("timeout", "it does not take the request", connected=True) from error
        except OSError as error:
            raise OriginError("closed", str(error)) from error
        self._last_move = self._loop.time()
        if self._taker is not None:
            if self._passed.expects and self._silent:
                await self._to_client(exchange.CONTINUE)
            self._taker.set_result(origin)
        answer, rest = await self._answer(origin)
        self._site.balancer.worked(target)
        self.origin = target.origin
        return await self._download(origin, answer, rest, self._cookie(target, answer))

    async def _answer(self, origin: Stream) -> tuple[Answer, bytes]:
        """Return the head of the origin's final answer, and what was read behind it."""
        data = b""
        for _ in range(_MAX_INTERIM):
            try:
                head, data = await self._head(origin, data)
            except BadHeadError as error:
                raise BadAnswerError(error.text) from error
            if head.status == 101 or head.status >= 200:
                return exchange.check_answer(self._passed, head), data
            if head.status != 100 and self._passed.request.minor:
                await self._to_client(exchange.interim_answer(head))
        raise BadAnswerError("too many interim answers")

    async def _head(self, origin: Stream, already: bytes) -> tuple[ResponseHead, bytes]:
        data = bytearray(already)
        seen = 0
        while not (end := http1.head_end(data, seen=seen)):
            seen = len(data)
            seconds = self._rules.timeoutSeconds
            until = self._last_move + seconds
            try:
                more = await origin.read(seconds if self._uploading else max(0.0, until - self._loop.time()))
            except TimeoutError as error:
                if self._uploading or self._last_move + seconds > until:
                    continue  # the request's body has times of its own, and the answer's begins behind it
                text = f"no answer within {seconds} s"
                answered = origin.wire.received > 0
                raise OriginError("timeout", text, answered=answered, connected=True) from error
            except OSError as error:
                raise OriginError("closed", str(error), answered=origin.wire.received > 0) from error
            if not more:
                text = "the stream ended in a head" if data else "the stream ended without a byte"
                raise OriginError("closed", text, answered=origin.wire.received > 0)
            data += more
        return http1.parse_response(bytes(data[:end])), bytes(data[end:])

    async def _download(
        self, origin: Stream, answer: Answer, rest: bytes, cookie: list[http1.Header]
    ) -> bool:
        keep = (
            self._passed.keeps and self._body.done and answer.outward is not Framing.CLOSE and self._stays()
        )
        head = exchange.client_answer(answer, keep=keep, more=cookie)
        body = BodyReader(answer.framing, answer.length)
        outward = BodyWriter(answer.outward)
        ends_by_close = answer.outward is Framing.CLOSE
        try:
            payload = body.feed(rest)
            self.status = answer.head.status
            self._usage.code(self._key, self.status)
            self._site.counters.request(self.status, self._loop.time() - self._began)
            if ends_by_close:
                # Until it is whole, or a part of it would look like the whole, however it is cut.
                self._wire.reset_at_close(True)
            await self._to_client(head + outward.frame(payload, last=body.done))
            while not body.done:
                data = await self._from_origin(origin)
                if data:
                    payload = body.feed(data)
                else:
                    body.end()
                    payload = b""
                await self._to_client(outward.frame(payload, last=body.done))
                if self._paces is not None and not body.done:
                    await self._slow(self._paces[1], len(data), self._site.counters.origin)
            if ends_by_close:
                self._wire.reset_at_close(False)
        except BadBodyError as error:
            raise BadAnswerError(error.text) from error
        return keep

    def _moved(self) -> None:
        self._meter.tell(self._key, unread=self.unread)

    def _cookie(self, target: Target, answer: Answer) -> list[http1.Header]:
        if self._site.sticky is None:
            return []
        return self._site.sticky.lines(
            target.name,
            named=self._kept,
            secure=was_secure(self._passed.request.headers, self._way, secure=self._secure),
            answer=answer.head.headers,
        )

    async def _from_origin(self, origin: Stream) -> bytes:
        try:
            return await origin.read(self._rules.timeoutSeconds)
        except TimeoutError as error:
            raise OriginError("timeout", "its body pauses too long", answered=True) from error
        except OSError as error:
            raise OriginError("closed", str(error), answered=True) from error

    async def _to_client(self, data: bytes) -> None:
        try:
            await self._client.write(data, self._stall_seconds)
        except TimeoutError as error:
            raise self._client_gone("stalled", "it takes no bytes") from error
        except OSError as error:
            raise self._client_gone("client", str(error)) from error
        self._moved()

    def _client_gone(self, reason: str, detail: str) -> RelayError:
        return AnswerCutError(reason, detail) if self.status else PeerGoneError(detail)
