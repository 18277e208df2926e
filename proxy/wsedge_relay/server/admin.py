"""The admin port: health, readiness, metrics, the configuration in force, open connections, and orders.

A strict, small HTTP/1.1 server: one request per connection, bounded in size, time and number. It serves
probes, a metrics scraper and the operator; it has an address of its own, which clients should not reach.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from wsedge_relay.contract import (
    LEAST_SHED_PER_SECOND,
    MOST_LISTED_CONNECTIONS,
    MOST_SHED_CONNECTIONS,
    MOST_SHED_PER_SECOND,
)
from wsedge_relay.errors import CannotListenError
from wsedge_relay.protocol.forwarded import address_of
from wsedge_relay.transport.listening import bound
from wsedge_relay.tunnel.shedding import ShedOrder

MAX_HEAD_BYTES: Final = 8192
MAX_CONNECTIONS: Final = 64
CALL_SECONDS: Final = 10.0
MAX_DRAIN_SECONDS: Final = 3600.0
_RATE: Final = re.compile(r"[0-9]{1,5}(\.[0-9]{1,6})?")
_ORDER_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CURSOR: Final = re.compile(r"([0-9]{1,4})\.([0-9]{1,15})")
_REQUEST_LINE: Final = re.compile(rb"([A-Z]{1,16}) (/[!-~]{0,1024}) HTTP/1\.[01]")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the admin port."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    extra: tuple[str, ...] = ()  # header lines


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the query's fields, the peer's IP address, and the header lines of the head.

    `name` is the segment of the path that stands for `*` in its route.
    """

    query: Mapping[str, str]
    peer: str
    lines: tuple[str, ...] = ()
    name: str = ""

    def header(self, name: str) -> str | None:
        """Return the value of the header `name` (lower case); None when it is absent or occurs twice."""
        values = self.values(name)
        return values[0] if len(values) == 1 else None

    def values(self, name: str) -> list[str]:
        """Return the values of all headers `name` (lower case), in their order."""
        pairs = (line.partition(":") for line in self.lines)
        return [value.strip(" \t") for key, _, value in pairs if key.lower() == name]


Handler = Callable[[Call], Awaitable[Reply]]
"""Return the answer of one request."""


class Admin:
    """Serve `routes`, handlers by method and path such as ("GET", "/healthz"). GET handlers answer HEAD.

    A path of three segments may have `*` in its middle, for any segment: ("POST", "/connections/*/close").

    `check` returns the answer that rejects a request of any method and path, None when a route may answer it.
    """

    def __init__(
        self,
        routes: Mapping[tuple[str, str], Handler],
        *,
        check: Callable[[Call], Reply | None] = lambda _: None,
    ) -> None:
        self._routes = dict(routes)
        self._check = check
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and return the IP address and the port, which the kernel chooses for 0.

        Of a host name the first address is used; "::" accepts IPv4 too. Raises CannotListenError.
        """
        try:
            sock = await bound(host, port)
        except OSError as error:
            raise CannotListenError(error) from error
        try:
            self._server = await asyncio.start_server(self._serve, sock=sock, limit=MAX_HEAD_BYTES)
        except OSError as error:  # another program began to listen at the address
            sock.close()
            raise CannotListenError(error) from error
        address, number = sock.getsockname()[:2]
        return str(address), int(number)

    async def close(self) -> None:
        """Stop listening and end every call."""
        if self._server is not None:
            self._server.close()
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        assert call is not None  # noqa: S101  start_server runs this in a task
        if len(self._calls) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._calls.add(call)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                reply, head_only = await self._answer(reader, _address(writer.get_extra_info("peername")))
                writer.write(_encode(reply, head_only=head_only))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # the caller disconnected or is too slow: no answer can reach it
        finally:
            self._calls.discard(call)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, peer: str) -> tuple[Reply, bool]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return Reply(431, b"The request's head is too large.\n"), False
        except asyncio.IncompleteReadError:
            return Reply(400, b"The request ended early.\n"), False
        first, *lines = head[:-4].split(b"\r\n")
        line = _REQUEST_LINE.fullmatch(first)
        if line is None:
            return Reply(400, b"This is not an HTTP/1.1 request.\n"), False
        method, target = line[1].decode(), line[2].decode()
        path, _, query = target.partition("?")
        try:
            fields = dict(parse_qsl(query, max_num_fields=16))
        except ValueError:
            return Reply(400, b"The query has too many fields.\n"), False
        call = Call(fields, peer, tuple(text.decode("latin-1") for text in lines))
        rejected = self._check(call)
        reply = await self._route(method, path, call) if rejected is None else rejected
        return reply, method == "HEAD"

    async def _route(self, method: str, path: str, call: Call) -> Reply:
        match path.split("/"):
            case ["", first, name, last]:
                path, call = f"/{first}/*/{last}", replace(call, name=name)
        handler = self._routes.get(("GET" if method == "HEAD" else method, path))
        if handler is not None:
            return await handler(call)
        allowed = [known for known, place in self._routes if place == path]
        if allowed:
            text = b"This path does not support this method.\n"
            return Reply(405, text, extra=(f"Allow: {', '.join(allowed)}",))
        return Reply(404, b"This path does not exist.\n")


def drain_seconds(query: Mapping[str, str]) -> float | None:
    """Return the field `seconds` of a query, None when it is absent; raises ValueError (0 to 3600)."""
    if "seconds" not in query:
        return None
    try:
        seconds = float(query["seconds"])
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_DRAIN_SECONDS:
        raise ValueError(f"The field seconds must be a number from 0 to {MAX_DRAIN_SECONDS:g}.")
    return seconds


def shed_order(query: Mapping[str, str]) -> ShedOrder:
    """Return the order to shed of a query; raises ValueError."""
    name = query.get("order", "")
    if not _ORDER_NAME.fullmatch(name):
        raise ValueError(
            "The field order must be a name: 1 to 64 letters, digits, dots, dashes or underscores."
        )
    connections = _whole(query, "connections", MOST_SHED_CONNECTIONS)
    rate = query.get("perSecond", "")
    if not _RATE.fullmatch(rate) or not LEAST_SHED_PER_SECOND <= float(rate) <= MOST_SHED_PER_SECOND:
        bounds = f"{LEAST_SHED_PER_SECOND} to {MOST_SHED_PER_SECOND}"
        raise ValueError(f"The field perSecond must be a number from {bounds}.")
    return ShedOrder(name, connections, float(rate))


def _whole(query: Mapping[str, str], field: str, most: int) -> int:
    text = query.get(field, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
        raise ValueError(f"The field {field} must be a whole number from 1 to {most}.")
    return int(text)


@dataclass(frozen=True, slots=True)
class Question:
    """A question for a page of open connections: those of `domain` (None: all) behind a place.

    The place is a worker process (0: a relay of one process, or the first) and a number in it.
    """

    domain: str | None
    worker: int
    after: int
    limit: int


def question_of(query: Mapping[str, str]) -> Question:
    """Return the question of a query; raises ValueError."""
    limit = MOST_LISTED_CONNECTIONS
    if "limit" in query:
        limit = _whole(query, "limit", MOST_LISTED_CONNECTIONS)
    place = _CURSOR.fullmatch(query.get("after", "0.0"))
    if place is None:
        raise ValueError("The field after must be the field next of an answer.")
    return Question(query.get("domain"), int(place[1]), int(place[2]), limit)


def json_reply(status: int, document: object) -> Reply:
    """Return a Reply with a JSON body."""
    return Reply(status, json.dumps(document).encode() + b"\n", "application/json")


def text_reply(status: int, text: str) -> Reply:
    """Return a Reply with one line of text."""
    return Reply(status, text.encode() + b"\n")


def _address(peer: tuple[Any, ...]) -> str:
    return address_of(str(peer[0]).partition("%")[0])


def _encode(reply: Reply, *, head_only: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        f"Content-Type: {reply.content_type}",
        f"Content-Length: {len(reply.body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *reply.extra,
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head if head_only else head + reply.body
