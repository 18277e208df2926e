"""Plain requests: requests that are no upgrade, from the checked head to the end of the answer.

Bodies pass in both directions at once, one read at a time: the relay does not read a side while the other
accepts no bytes. Each part of an answer is sent at once, so that server-sent events are not delayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from wsedge_relay.contract import Origin, PassThrough
from wsedge_relay.errors import (
    AnswerCutError,
    BadAnswerError,
    HandshakeRefusedError,
    OriginError,
    OriginsFailedError,
    PeerGoneError,
    RelayError,
)
from wsedge_relay.metering.meter import Meter
from wsedge_relay.metering.usage import Usage, UsageKey
from wsedge_relay.origin.balance import Target
from wsedge_relay.origin.exchange import Exchange, final_answer
from wsedge_relay.origin.origins import RequestingClient
from wsedge_relay.protocol import http1, plain_request
from wsedge_relay.protocol.body import BadBodyError, BodyReader, BodyWriter, Framing
from wsedge_relay.protocol.forwarded import Way, was_secure
from wsedge_relay.protocol.http1 import ResponseHead
from wsedge_relay.protocol.plain_request import Passed, PassedAnswer
from wsedge_relay.pump.pace import Pace
from wsedge_relay.site import Site
from wsedge_relay.telemetry.counters import LegCounters
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.transport.duplex import Duplex
from wsedge_relay.transport.readiness import Readiness
from wsedge_relay.transport.sockets import TLS_RECORD_BYTES
from wsedge_relay.transport.wire import Wire

T = TypeVar("T")


class ReadRates:
    """The read rates of a client and of its origins, kept over all plain requests of one connection."""

    __slots__ = ("_paces", "_rate")

    def __init__(self) -> None:
        self._rate = 0
        self._paces: tuple[Pace, Pace] | None = None

    def at(self, rate: int | None) -> tuple[Pace, Pace] | None:
        """Return the paces of the client and of its origins at `rate` bytes a second; None: no limit."""
        if rate is None:
            return None
        if self._paces is None or rate != self._rate:
            self._rate = rate
            self._paces = (Pace(rate), Pace(rate))
        return self._paces


class PlainRequests:
    """The plain requests under way, and the idle connections that wait for the next request, by domain."""

    def __init__(self) -> None:
        self._under_way: dict[Site, set[PlainRequest]] = {}
        self._idle: dict[Site, set[asyncio.Task[object]]] = {}

    def of(self, site: Site) -> Collection[PlainRequest]:
        """Return the requests of a domain that are under way."""
        return self._under_way.get(site, ())

    def idle_of(self, site: Site) -> Collection[asyncio.Task[object]]:
        """Return the idle connections whose last request was for this domain."""
        return self._idle.get(site, ())

    @contextmanager
    def under_way(self, site: Site, plain: PlainRequest) -> Iterator[None]:
        """Count a request among those under way while the block runs."""
        yield from _registered(self._under_way, site, plain)

    @contextmanager
    def idle(self, site: Site, task: asyncio.Task[object] | None) -> Iterator[None]:
        """Count a connection's task among the idle ones while the block runs; do nothing for None."""
        if task is None:
            yield
        else:
            yield from _registered(self._idle, site, task)

    def close_idle(self, site: Site) -> None:
        """Close the idle connections of a domain."""
        for task in list(self.idle_of(site)):
            task.cancel()

    async def drain(self, site: Site, seconds: float) -> None:
        """Wait at most `seconds` for the requests of a domain to end, then cut the rest."""
        under_way = [plain.task for plain in self.of(site) if plain.task is not None]
        if under_way:
            await asyncio.wait(under_way, timeout=seconds)
        for plain in list(self.of(site)):
            plain.cut()


def _registered(register: dict[Site, set[T]], site: Site, one: T) -> Iterator[None]:
    of_site = register.setdefault(site, set())
    of_site.add(one)
    try:
        yield
    finally:
        of_site.discard(one)
        if not of_site and register.get(site) is of_site:
            del register[site]


class PlainRequest:
    """A request under way. `run` passes it to an origin and the answer to the client; `cut` ends it.

    `rest` has the bytes that were read behind the head; afterwards the property `rest` has those behind the
    body. `may_stay` returns whether the connection may stay open for another request. Bytes are counted for
    `key` as they pass.
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
        client: RequestingClient,
        may_stay: Callable[[], bool],
        key: UsageKey,
        usage: Usage,
        meter: Meter,
        rates: ReadRates,
        register: PlainRequests,
        timeouts: Timeouts,
        ready: Readiness,
    ) -> None:
        self.origin: Origin | None = None  # the origin that answered
        self.status = 0  # of the answer, once it has begun
        self.task: asyncio.Task[object] | None = None
        self._wire = wire
        self._secure = wire.secure
        self._passed = passed
        self._site = site
        self._rules = rules
        self._way = way
        self._requesting_client = client
        self._register = register
        self._may_stay = may_stay
        self._key = key
        self._usage = usage
        self._meter = meter
        self._timeouts = timeouts
        self._paces = rates.at(site.domain.limits.bytesPerSecond)
        self._stall_seconds = site.domain.limits.stallSeconds
        self._ready = ready
        self._loop = ready.loop
        self._ahead = bytearray()  # bytes that were read behind the body
        self._body_unseen = not rest  # no byte of the body has arrived yet
        self._body = BodyReader(passed.framing, passed.length)
        self._outgoing = BodyWriter(passed.framing)
        self._first = self._feed(rest)
        self._uploading = not self._body.done
        self._began = self._last_move = ready.loop.time()
        self._body_origin: asyncio.Future[Duplex] | None = None  # the origin that gets the rest of the body
        self._target: Target | None = None  # the origin that has the request
        self._stopped_by: RelayError | None = None

    @property
    def method(self) -> str:
        """The request's method."""
        return self._passed.request.method.decode()

    @property
    def rest(self) -> bytes:
        """The bytes that the client sent behind this request."""
        return self._body.rest + bytes(self._ahead)

    @property
    def unread(self) -> int:
        """The length of `rest`."""
        return len(self._body.rest) + len(self._ahead)

    async def run(self) -> bool:
        """Carry out the request; return whether the connection may be used again.

        Raises HandshakeRefusedError, or PeerGoneError when the client disconnected, before the answer began;
        AnswerCutError afterwards.
        """
        await self._ready.in_task()
        self._client = Duplex(self._wire, self._ready)
        self.task = asyncio.current_task(self._loop)
        if self.task is None:
            raise RuntimeError("a plain request must run in a task")
        before = self.task.cancelling()
        with self._register.under_way(self._site, self):
            return await self._run(before)

    async def _run(self, cancelled_before: int) -> bool:
        uploading: asyncio.Task[None] | None = None
        if self._uploading:
            self._body_origin = self._loop.create_future()
            uploading = self._loop.create_task(self._upload(self._body_origin))
        else:
            self._watch_client()
        try:
            return await self._carry()
        except asyncio.CancelledError:
            # As in asyncio.timeout: a cancellation by other code is raised again.
            if self._stopped_by is None or self.task is None or self.task.uncancel() > cancelled_before:
                raise
            if isinstance(self._stopped_by, OriginError) and self._target is not None:
                self._site.origins.failed(self._target, self._stopped_by, self._loop.time())
            raise self._error_for(self._stopped_by) from None
        finally:
            if uploading is not None:
                uploading.cancel()
                await asyncio.wait([uploading])
            self._client.on_readable(None)

    def cut(self) -> None:
        """End the request: the relay shuts down, or the domain is disabled."""
        text = "This relay is shutting down."
        after = self._timeouts.retry_after_seconds
        self._stop(HandshakeRefusedError(503, "draining", text, retry_after=after))

    def _stop(self, error: RelayError) -> None:
        if self._stopped_by is None and self in self._register.of(self._site) and self.task is not None:
            self._stopped_by = error
            self.task.cancel()

    def _error_for(self, error: RelayError) -> RelayError:
        """Return the error that `run` raises for `error`, which stopped the request."""
        if not self.status:
            return OriginsFailedError([error]) if isinstance(error, OriginError) else error
        if isinstance(error, HandshakeRefusedError):
            return AnswerCutError("going away" if error.reason == "draining" else "body", str(error))
        return AnswerCutError("origin" if isinstance(error, OriginError) else "client", str(error))

    def _watch_client(self) -> None:
        """Read further bytes of the client, up to a bound: a client may pipeline requests without end."""
        if self.unread < TLS_RECORD_BYTES:
            self._client.on_readable(self._read_ahead)

    def _read_ahead(self) -> None:
        """Read the client's bytes behind its request, or stop the request when the client disconnects."""
        try:
            data = self._client.read_now()
        except OSError as error:
            self._client.on_readable(None)
            self._stop(PeerGoneError(str(error)))
            return
        if data:
            self._ahead += data
        if data == b"" or self.unread >= TLS_RECORD_BYTES:
            self._client.on_readable(None)
        # A client that pipelined requests and shut its side still waits for answers. An empty line is no
        # request: some clients write one behind a body.
        if data == b"" and http1.is_empty_lines(self.rest):
            self._stop(PeerGoneError("the client disconnected before its answer ended"))

    async def _upload(self, body_origin: asyncio.Future[Duplex]) -> None:
        """Send the rest of the body to the origin, then watch for the client's disconnect."""
        try:
            await self._send_rest(await body_origin)
        except OSError as error:
            self._stop(PeerGoneError(str(error)))
        except RelayError as error:
            self._stop(error)
        else:
            self._uploading = False
            self._watch_client()

    async def _send_rest(self, origin: Duplex) -> None:
        while not self._body.done:
            try:
                data = await self._client.read(self._stall_seconds)
            except TimeoutError as error:
                text = "The request's body did not arrive in time."
                raise HandshakeRefusedError(408, "timeout", text) from error
            if not data:
                raise PeerGoneError("the client disconnected within its request")
            piece = self._outgoing.frame(self._feed(data), last=self._body.done)
            try:
                await origin.write(piece, self._rules.timeoutSeconds)
            except TimeoutError as error:
                raise OriginError("timeout", "it does not read the request's body", connected=True) from error
            except OSError:
                return  # the origin may have answered already; else reading its answer fails
            self._last_move = self._loop.time()
            self._count_bytes()
            if self._paces is not None and not self._body.done:
                await self._throttle(self._paces[0], len(data), self._site.counters.client)

    async def _throttle(self, pace: Pace, size: int, side: LegCounters) -> None:
        """Wait until a side may be read again, after `size` bytes of it were read."""
        pace.room(self._loop.time())
        seconds = pace.spend(size)
        if seconds:
            side.throttled += 1
            await asyncio.sleep(seconds)

    def _feed(self, data: bytes) -> bytes:
        try:
            payload = self._body.feed(data)
        except BadBodyError as error:
            raise plain_request.refused_body(error) from error
        if self._body.payload_bytes > self._rules.maxBodyBytes:
            raise plain_request.too_long(self._rules)
        return payload

    async def _carry(self) -> bool:
        return await self._site.origins.first_success(
            self._requesting_client, self._attempt, ready=self._ready, may_repeat=self._may_repeat
        )

    def _may_repeat(self, failure: OriginError) -> bool:
        """Return whether another origin may get the request, which the failed origin may have acted on.

        RFC 9110 section 9.2.2: only an idempotent request may be repeated after the connection closed.
        """
        return self._passed.repeatable and failure.reason == "closed"

    async def _attempt(self, exchange: Exchange, _: float) -> bool:
        try:
            keep = await self._exchange_with(
                Duplex(exchange.wire, self._ready), exchange.target, exchange.host
            )
        except OriginError as failure:
            if self.status:
                # A client may ask for an answer that pauses, so a pause is no failure of the origin.
                if failure.reason != "timeout":
                    self._site.origins.failed(exchange.target, failure, self._loop.time())
                raise AnswerCutError("origin", str(failure)) from failure
            raise
        exchange.close()
        return keep

    async def _exchange_with(self, origin: Duplex, target: Target, host: str) -> bool:
        self._target = target
        request_head = plain_request.origin_request(
            self._passed,
            host=host,
            way=self._way,
            secure=self._secure,
            loop=self._site.origins.loop.header,
            real_ip=self._site.real_ip,
        )
        first = self._outgoing.frame(self._first, last=self._body.done)
        try:
            await origin.write(request_head + first, self._rules.timeoutSeconds)
        except TimeoutError as error:
            raise OriginError("timeout", "it does not read the request", connected=True) from error
        except OSError as error:
            raise OriginError("closed", str(error), connected=True) from error
        self._last_move = self._loop.time()
        if self._body_origin is not None:
            if self._passed.expects and self._body_unseen:
                await self._to_client(plain_request.CONTINUE)
            self._body_origin.set_result(origin)
        head, rest = await final_answer(
            origin.wire,
            partial(self._read_answer, origin),
            self._interim,
            most=self._site.origins.head_bytes,
        )
        answer = plain_request.check_answer(self._passed, head)
        self._site.origins.worked(target)
        self.origin = target.origin
        return await self._download(origin, answer, rest, self._cookie(target, answer))

    async def _interim(self, head: ResponseHead) -> None:
        """Pass a 1xx answer to the client, except 100, which the relay sends itself, and not to HTTP/1.0."""
        if head.status != 100 and self._passed.request.minor:
            await self._to_client(plain_request.interim_answer(head))

    async def _read_answer(self, origin: Duplex) -> bytes:
        """Return the next bytes of an answer's head, b"" at the end; raises OriginError."""
        seconds = self._rules.timeoutSeconds
        while True:
            until = self._last_move + seconds
            try:
                return await origin.read(seconds if self._uploading else max(0.0, until - self._loop.time()))
            except TimeoutError as error:
                if self._uploading or self._last_move + seconds > until:
                    continue  # the body has own limits; the answer's limit begins at the body's end
                text = f"no answer within {seconds} s"
                answered = origin.wire.received > 0
                raise OriginError("timeout", text, answered=answered, connected=True) from error
            except OSError as error:
                answered = origin.wire.received > 0
                raise OriginError("closed", str(error), answered=answered, connected=True) from error

    async def _download(
        self, origin: Duplex, answer: PassedAnswer, rest: bytes, cookie: list[http1.Header]
    ) -> bool:
        keep = (
            self._passed.keeps
            and self._body.done
            and answer.outward is not Framing.CLOSE
            and self._may_stay()
        )
        head = plain_request.client_answer(answer, keep=keep, more=cookie)
        body = BodyReader(answer.framing, answer.length)
        outward = BodyWriter(answer.outward)
        ends_by_close = answer.outward is Framing.CLOSE
        try:
            payload = body.feed(rest)
            self.status = answer.head.status
            self._usage.code(self._key, self.status)
            self._site.counters.request(self.status, self._loop.time() - self._began)
            if ends_by_close:
                # Until the answer is complete: after a plain close the client would accept a cut answer as
                # complete.
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
                    await self._throttle(self._paces[1], len(data), self._site.counters.origin)
            if ends_by_close:
                self._wire.reset_at_close(False)
        except BadBodyError as error:
            raise BadAnswerError(error.text) from error
        return keep

    def _count_bytes(self) -> None:
        self._meter.count(self._key, unread=self.unread)

    def _cookie(self, target: Target, answer: PassedAnswer) -> list[http1.Header]:
        if self._site.sticky is None:
            return []
        return self._site.sticky.lines(
            target.name,
            named=self._requesting_client.sticky,
            secure=was_secure(self._passed.request.headers, self._way, secure=self._secure),
            answer=answer.head.headers,
        )

    async def _from_origin(self, origin: Duplex) -> bytes:
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
            raise self._client_error("stalled", "it accepts no bytes") from error
        except OSError as error:
            raise self._client_error("client", str(error)) from error
        self._count_bytes()

    def _client_error(self, reason: str, detail: str) -> RelayError:
        return AnswerCutError(reason, detail) if self.status else PeerGoneError(detail)
