"""Real servers, a real client and raw heads for tests of plain requests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from support.relay.running import DOMAIN, Running

PASS: dict[str, Any] = {"passThrough": {}}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def tell(request: web.Request) -> web.StreamResponse:
    """Send what arrived."""
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": [[name.decode(), value.decode()] for name, value in request.raw_headers],
            "body": body.decode("latin-1"),
        }
    )


@asynccontextmanager
async def site(handler: Handler = tell, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run a real HTTP server whose every path and method is `handler`'s; yield its port."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await place.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def browser(
    relay: Running, *, tls: bool = False, **options: Any
) -> AsyncIterator[aiohttp.ClientSession]:
    """Run a real client with the relay as its base, with connections and cookies that persist."""
    host, port = relay.relay.addresses["https" if tls else "http"]
    jar = aiohttp.CookieJar(unsafe=True)
    headers = {"Host": DOMAIN, **options.pop("headers", {})}
    base = f"{'https' if tls else 'http'}://{host}:{port}"
    async with aiohttp.ClientSession(base, headers=headers, cookie_jar=jar, **options) as session:
        yield session


def raw(first: str, *lines: str, body: bytes = b"") -> bytes:
    """Return a request in its wire form."""
    return "\r\n".join([first, f"Host: {DOMAIN}", *lines, "", ""]).encode("latin-1") + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer that has a length or no body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), headers, body


async def mirror(request: web.Request) -> web.StreamResponse:
    """Send a body back as it arrives."""
    response = web.StreamResponse()
    await response.prepare(request)
    async for data in request.content.iter_chunked(1 << 16):
        await response.write(data)
    return response


async def reflected(client: aiohttp.ClientSession, size: int, **options: Any) -> int:
    """Upload this many bytes to a mirror; return the number of bytes that it sends back."""

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(size >> 16):
            yield b"x" * (1 << 16)

    came = 0
    async with client.post("/", data=upload(), **options) as got:
        async for data in got.content.iter_chunked(1 << 16):
            came += len(data)
    return came


async def name_of(client: aiohttp.ClientSession, path: str = "/") -> str:
    """Return the origin's name from its answer."""
    async with client.get(path) as got:
        return await got.text()
