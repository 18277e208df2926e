"""WebSocket clients of several makes, which run the same conversations."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

from support.browser.chromium import browser
from support.browser.script import Scripted
from support.clients.conversation import AiohttpClient, Transcript, WebsocketsClient
from support.clients.program import Program
from support.clients.stage import Files, host, java_clients, node_clients
from support.clients.tools import NODE_FOLDER

_CONVERSATION: Final = NODE_FOLDER / "conversation.mjs"


class Client(Protocol):
    """A client of some make."""

    async def conversations(self, url: str) -> Transcript:
        """Run two conversations, the first closed by the client and the second by the server."""

    async def patience(self, url: str) -> Transcript:
        """Send nothing until the server does."""


class NodeClient:
    """The client of an npm package, by its module of tests/clients."""

    def __init__(self, program: Program, module: str) -> None:
        self._program = program
        self._module = module

    async def conversations(self, url: str) -> Transcript:
        return await play(self._program, self._module, "conversations", url)

    async def patience(self, url: str) -> Transcript:
        return await play(self._program, self._module, "patience", url)


class JavaClient:
    """The WebSocket of java.net.http, which has no extensions."""

    def __init__(self, program: Program) -> None:
        self._program = program

    async def conversations(self, url: str) -> Transcript:
        return await self._program.ask(f"conversations {url}")

    async def patience(self, url: str) -> Transcript:
        return await self._program.ask(f"patience {url}")


class BrowserClient:
    """The WebSocket of a page in a browser."""

    def __init__(self, page: Scripted) -> None:
        self._page = page

    async def conversations(self, url: str) -> Transcript:
        return await self._play("conversations", url)

    async def patience(self, url: str) -> Transcript:
        return await self._play("patience", url)

    async def _play(self, scenario: str, url: str) -> Any:
        source = re.sub("^export ", "", _CONVERSATION.read_text(), flags=re.MULTILINE)
        call = f"{scenario}((...target) => new WebSocket(...target), {json.dumps(url)})"
        return await self._page.evaluate(f"(async () => {{ {source}\nreturn {call}; }})()")


async def play(program: Program, module: str, scenario: str, url: str) -> Any:
    """Run a scenario of one of the Node program's modules."""
    answer = await program.ask(json.dumps({"module": module, "scenario": scenario, "url": url}))
    assert "error" not in answer, f"{answer['error']}\n{program.complaints}"
    return answer


def _node(module: str) -> Callable[[Files], AbstractAsyncContextManager[Client]]:
    @asynccontextmanager
    async def run(files: Files) -> AsyncIterator[Client]:
        async with node_clients(files) as program:
            yield NodeClient(program, module)

    return run


@asynccontextmanager
async def _java(files: Files) -> AsyncIterator[Client]:
    async with java_clients(files) as program:
        yield JavaClient(program)


@asynccontextmanager
async def _chromium(files: Files) -> AsyncIterator[Client]:
    hosts = {host(name): "127.0.0.1" for name in files.names}
    async with browser(hosts=hosts, certificates=[files.certificate.read_bytes()]) as page:
        yield BrowserClient(page)


@asynccontextmanager
async def _websockets(_: Files) -> AsyncIterator[Client]:
    yield WebsocketsClient()


@asynccontextmanager
async def _aiohttp(_: Files) -> AsyncIterator[Client]:
    yield AiohttpClient()


MAKES: Final[Mapping[str, Callable[[Files], AbstractAsyncContextManager[Client]]]] = {
    "ws": _node("ws"),
    "undici": _node("undici"),
    "websocket-node": _node("websocket-node"),
    "websockets": _websockets,
    "aiohttp": _aiohttp,
    "java": _java,
    "chromium": _chromium,
}
