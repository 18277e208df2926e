"""An origin of one use case: a page at /, /healthz, and WebSockets at the other paths.

It knows nothing of wsedge: any WebSocket server can be an origin. It listens on port 8000 of POD_IP (default
127.0.0.1). The page has no parts elsewhere, and a Content-Security-Policy by which a browser runs no script
but the page's own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from kit.checks import Bucket, RefusedError

PORT = 8000
LONGEST_MESSAGE = 16_384
_HERE = Path(__file__).parent

Handler = Callable[[ServerConnection, str], Awaitable[None]]


def last_id(client: ServerConnection) -> str | None:
    """Return the id of the last event that a client has, which it sends as ?after=ID."""
    assert client.request is not None  # noqa: S101  set once the handshake is over
    values = parse_qs(client.request.path.partition("?")[2]).get("after")
    return values[0] if values else None


async def send_all(client: ServerConnection, events: AsyncIterator[str]) -> None:
    """Send events at the client's speed, until cancelled."""
    async for event in events:
        await client.send(event)


async def receive_all(
    client: ServerConnection, accept: Callable[[str | bytes], None], *, per_second: float, burst: int
) -> None:
    """Pass each message to `accept` until the client disconnects; tell the client why one is refused."""
    bucket = Bucket(per_second, burst, asyncio.get_running_loop().time)
    async for message in client:
        try:
            bucket.take()
            accept(message)
        except RefusedError as error:
            await client.send(json.dumps({"refused": str(error)}))


async def exchange(
    client: ServerConnection,
    events: AsyncIterator[str],
    accept: Callable[[str | bytes], None],
    *,
    per_second: float = 2,
    burst: int = 5,
) -> None:
    """Send events and accept messages, until the client disconnects."""
    sending = asyncio.create_task(send_all(client, events))
    try:
        await receive_all(client, accept, per_second=per_second, burst=burst)
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError, ConnectionClosed):
            await sending


class Site:
    """The page of a folder, and the paths at which its WebSockets are."""

    def __init__(self, folder: Path, paths: str) -> None:
        style, script = (_HERE / "look.css").read_text(), (_HERE / "connection.js").read_text()
        page = (folder / "page.html").read_text()
        page = page.replace("/* look.css */", style).replace("/* connection.js */", script)
        self._page, self._paths = page.encode(), re.compile(paths)
        self._headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": f"default-src 'none'; connect-src 'self'; img-src data:; "
            f"script-src {_hashes(page, 'script')}; style-src {_hashes(page, 'style')}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain requests; return None for a handshake that goes on."""
        path = request.path.partition("?")[0]
        if path == "/healthz":
            return connection.respond(HTTPStatus.OK, "ok\n")
        if path == "/":
            headers = Headers(
                {**self._headers, "Content-Length": str(len(self._page)), "Connection": "close"}
            )
            return Response(HTTPStatus.OK, "OK", headers, self._page)
        if not self._paths.fullmatch(path):
            return connection.respond(HTTPStatus.NOT_FOUND, f"paths are {self._paths.pattern}\n")
        # A page of another site must not use its visitor's network to connect to this one.
        hosts, pages = request.headers.get_all("Host"), request.headers.get_all("Origin")
        if any([page.partition("://")[2]] != hosts for page in pages):
            return connection.respond(HTTPStatus.FORBIDDEN, "this page belongs to another site\n")
        return None


async def serve_until_stopped(handle: Handler, folder: Path, *, paths: str) -> None:
    """Serve until SIGTERM. `handle` gets each connection and what the pattern `paths` has in its group 1."""
    site, pattern = Site(folder, paths), re.compile(paths)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)

    async def connected(client: ServerConnection) -> None:
        assert client.request is not None  # noqa: S101  set once the handshake is over
        found = pattern.fullmatch(client.request.path.partition("?")[0])
        assert found is not None  # noqa: S101  checked before the handshake
        with suppress(ConnectionClosed):  # a connection that breaks ends as one that is closed
            await handle(client, found[1])

    host = os.environ.get("POD_IP", "127.0.0.1")
    # No pings of its own: the relays' heartbeat pings both ends, and closes connections of a silent end.
    async with serve(
        connected,
        host,
        PORT,
        process_request=site.answer,
        ping_interval=None,
        max_size=LONGEST_MESSAGE,
        max_queue=4,  # frames of a client that sends on, and reads no answer
    ):
        await stopped.wait()


def _hashes(page: str, tag: str) -> str:
    """Return the sources of a Content-Security-Policy that allow the page's own blocks of a tag."""
    blocks = re.findall(f"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in blocks)
    return " ".join(f"'sha256-{each}'" for each in digests)
