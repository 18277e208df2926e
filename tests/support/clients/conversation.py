"""The conversations of tests/clients/conversation.mjs in Python, by `websockets` and by aiohttp."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import websockets.asyncio.client
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from support.clients.stage import Files, Ports
from support.relay.certificates import authority

SUBPROTOCOLS: Final = ["chat.v2", "chat.v1"]


def noise(length: int) -> bytes:
    """Return bytes that do not compress."""
    state, made = 1, bytearray()
    for _ in range(length):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        made.append(state >> 16 & 255)
    return bytes(made)


MESSAGES: Final[tuple[str | bytes, ...]] = (
    "hello",
    "",
    "héllo wörld ☃ 𝄞",
    bytes(range(256)),
    "a message that deflates well. " * 7000,
    noise(100_000),
)
COOKIES: Final = {"Cookie": "session=abc; theme=dark"}
PATH: Final = "/room?x=1&y=%20"
BY_CLIENT: Final = (4001, "the client is done ✓")
BY_SERVER: Final = (4002, "the server is done ✓")
Transcript = dict[str, Any]


def described(message: str | bytes) -> list[str | int]:
    """Return type, bytes and CRC-32 of a message."""
    data = message.encode() if isinstance(message, str) else message
    return ["text" if isinstance(message, str) else "binary", len(data), zlib.crc32(data)]


class WebsocketsClient:
    """The client of the package `websockets`."""

    async def conversations(self, url: str) -> Transcript:
        """Run two conversations, the first closed by the client and the second by the server."""
        ended = {}
        for who in ("client", "server"):
            async with self._connect(url + PATH) as connection:
                pong = await connection.ping("are you there?")
                for message in MESSAGES:
                    await connection.send(message)
                messages = [described(await connection.recv()) for _ in MESSAGES]
                await pong
                if who == "client":
                    await connection.close(*BY_CLIENT)
                else:
                    await connection.send("close")
                await connection.wait_closed()
                ended[who] = self._transcript(connection, messages)
        return ended

    async def patience(self, url: str) -> Transcript:
        """Send nothing until the server does."""
        async with self._connect(url + "/") as connection:
            await connection.send("wait")
            messages = [described(await connection.recv())]
            await connection.close(1000)
            return self._transcript(connection, messages)

    def _connect(self, url: str) -> websockets.asyncio.client.connect:
        return websockets.asyncio.client.connect(
            url,
            host="127.0.0.1",
            subprotocols=SUBPROTOCOLS,  # type: ignore[arg-type]
            additional_headers=COOKIES,
            ssl=authority().client_context() if url.startswith("wss:") else None,
            ping_interval=None,
            max_size=None,
            proxy=None,
        )

    def _transcript(
        self, connection: websockets.asyncio.client.ClientConnection, messages: list[Any]
    ) -> Transcript:
        assert connection.response is not None
        return {
            "messages": messages,
            "subprotocol": connection.subprotocol,
            "extensions": connection.response.headers.get("Sec-WebSocket-Extensions"),
            "close": [connection.close_code, connection.close_reason],
            "answers": [_lower(dict(connection.response.headers.raw_items()))],
        }


class AiohttpClient:
    """The client of the package aiohttp."""

    async def conversations(self, url: str) -> Transcript:
        """Run two conversations, the first closed by the client and the second by the server."""
        ended = {}
        for who in ("client", "server"):
            async with self._session() as session, self._connect(session, url + PATH) as connection:
                await connection.ping(b"are you there?")
                for message in MESSAGES:
                    await (
                        connection.send_str(message)
                        if isinstance(message, str)
                        else connection.send_bytes(message)
                    )
                messages = [described((await connection.receive()).data) for _ in MESSAGES]
                if who == "client":
                    await connection.close(code=BY_CLIENT[0], message=BY_CLIENT[1].encode())
                    close = [connection.close_code]
                else:
                    await connection.send_str("close")
                    last = await connection.receive()
                    close = [last.data, last.extra]
                ended[who] = self._transcript(connection, messages, close)
        return ended

    async def patience(self, url: str) -> Transcript:
        """Send nothing until the server does."""
        async with self._session() as session, self._connect(session, url + "/") as connection:
            await connection.send_str("wait")
            messages = [described((await connection.receive()).data)]
            await connection.close(code=1000)
            return self._transcript(connection, messages, [connection.close_code])

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=_Loopback()), headers=COOKIES)

    def _connect(self, session: aiohttp.ClientSession, url: str) -> Any:
        trust = authority().client_context() if url.startswith("wss:") else True
        return session.ws_connect(url, protocols=SUBPROTOCOLS, ssl=trust, compress=15, max_msg_size=0)

    def _transcript(
        self, connection: aiohttp.ClientWebSocketResponse, messages: list[Any], close: list[Any]
    ) -> Transcript:
        return {
            "messages": messages,
            "subprotocol": connection.protocol,
            "extensions": f"permessage-deflate {connection.compress}" if connection.compress else "",
            "close": close,
        }


class _Loopback(aiohttp.abc.AbstractResolver):
    """A resolver that maps every name to this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
        return [
            aiohttp.abc.ResolveResult(hostname=host, host="127.0.0.1", port=port, family=2, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


class Heard:
    """The transcripts of an origin, one for each connection that has ended."""

    def __init__(self) -> None:
        self.transcripts: asyncio.Queue[Transcript] = asyncio.Queue()
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()

    async def said(self) -> Transcript:
        """Return the next transcript."""
        return await self.transcripts.get()

    def ended(
        self,
        url: str,
        headers: Mapping[str, str],
        subprotocol: str | None,
        messages: list[Any],
        close: list[Any],
    ) -> None:
        """Record the transcript of a connection that has ended."""
        self.transcripts.put_nowait(
            {
                "url": url,
                "headers": _lower(headers),
                "subprotocol": subprotocol,
                "messages": messages,
                "close": close,
            }
        )

    async def held(self) -> None:
        """Report that a client waits, and wait until it may continue."""
        self.waiting.set()
        await self.go_on.wait()


@asynccontextmanager
async def websockets_origin(files: Files) -> AsyncIterator[tuple[Heard, Ports]]:
    """Run the server of the package `websockets`."""
    heard = Heard()

    async def handle(connection: ServerConnection) -> None:
        messages = []
        try:
            while True:
                message = await connection.recv()
                messages.append(described(message))
                if message == "close":
                    await connection.close(*BY_SERVER)
                    continue
                if message == "wait":
                    await heard.held()
                await connection.send(message)
        except ConnectionClosed:
            assert connection.request is not None
            heard.ended(
                connection.request.path,
                dict(connection.request.headers.raw_items()),
                connection.subprotocol,
                messages,
                [connection.close_code, connection.close_reason],
            )

    ports: dict[Any, int] = {}
    options: dict[str, Any] = {"subprotocols": SUBPROTOCOLS, "ping_interval": None, "max_size": None}
    async with (
        serve(handle, "127.0.0.1", 0, **options) as plain,
        serve(handle, "127.0.0.1", 0, ssl=files.server_context(), **options) as secure,
    ):
        for scheme, server in {"ws": plain, "wss": secure}.items():
            ports[scheme] = next(iter(server.sockets)).getsockname()[1]
        yield heard, ports


@asynccontextmanager
async def aiohttp_origin(files: Files) -> AsyncIterator[tuple[Heard, Ports]]:
    """Run the server of the package aiohttp."""
    heard = Heard()

    async def handle(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse(protocols=SUBPROTOCOLS, max_msg_size=0)
        await connection.prepare(request)
        messages = []
        close: list[Any] = []
        while not close:
            message = await connection.receive()
            if message.type == aiohttp.WSMsgType.TEXT:
                messages.append(described(message.data))
                if message.data == "close":
                    await connection.close(code=BY_SERVER[0], message=BY_SERVER[1].encode())
                    close = [connection.close_code]
                else:
                    await connection.send_str(message.data)
            elif message.type == aiohttp.WSMsgType.BINARY:
                messages.append(described(message.data))
                await connection.send_bytes(message.data)
            else:
                close = [message.data, message.extra]
        heard.ended(request.raw_path, request.headers, connection.ws_protocol, messages, close)
        return connection

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    ports: dict[Any, int] = {}
    try:
        for scheme, context in {"ws": None, "wss": files.server_context()}.items():
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
            await site.start()
            ports[scheme] = runner.addresses[-1][1]
        yield heard, ports
    finally:
        await runner.cleanup()


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
