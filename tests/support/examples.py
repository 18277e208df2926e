"""Clients of the use cases in examples/: as their pages connect, and Chromium with the page itself."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from support.browser.chromium import Page, browser
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.quickstart.example import RELAYS

SECONDS = 45
ATTACK = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@dataclass(frozen=True, slots=True)
class RunningExample:
    """An applied example: its name is that of its namespace and the first label of its domain."""

    cluster: Cluster
    name: str
    address: tuple[str, int]
    _ended: list[str] = field(default_factory=list)

    @property
    def domain(self) -> str:
        return f"{self.name}.localhost"

    def connect(self, path: str) -> connect:
        """Return the connection of a client through the relays, to use with `async with`."""
        host, port = self.address
        return connect(f"ws://{self.domain}{path}", host=host, port=port, proxy=None, compression=None)

    async def end_all_relays(self) -> None:
        """Let all relays drain at once, as the last pods of a rollout do; do not wait for their end."""
        arguments = ("delete", "pods", "--selector", RELAYS, "--wait=false", "--output=name")
        self._ended.extend((await asyncio.to_thread(self._kubectl, *arguments)).split())

    def settle(self) -> None:
        """Wait until the relays that were ended are gone: a Service has them while no other is ready."""
        if self._ended:
            self._kubectl("wait", *self._ended, "--for=delete", f"--timeout={SECONDS}s")
            self._kubectl("rollout", "status", "deployment", "--selector", RELAYS, f"--timeout={SECONDS}s")
            self._ended.clear()

    def _kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("--namespace", self.name, *arguments)

    @asynccontextmanager
    async def page(self, *, live: bool = True) -> AsyncIterator[Page]:
        """Open the page in Chromium; wait until it is connected, if it connects by itself (`live`)."""
        host, port = self.address
        async with browser(hosts={f"{self.domain}:80": f"{host}:{port}"}) as page:
            for domain in ("Runtime", "Log"):
                await page.command(f"{domain}.enable")
            await show(page, width=1000, height=760)
            await page.goto(f"http://{self.domain}/")
            if live:
                await until(page, "document.getElementById('state')?.className === 'live'")
            yield page


async def show(page: Page, *, width: int, height: int) -> None:
    """Set the size of the page's window."""
    await page.command(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=width < 600,
    )


async def on_a_phone(page: Page) -> None:
    """Show the page on the window of a phone, with dark colours."""
    await show(page, width=390, height=780)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    await page.command("Emulation.setEmulatedMedia", features=dark)
    if "WSEDGE_TEST_PICTURES" in os.environ:  # without transitions that are under way
        await page.evaluate("new Promise((done) => setTimeout(done, 1500))")


async def until(page: Page, condition: str) -> None:
    """Wait until JavaScript in a page is true."""
    async with asyncio.timeout(SECONDS):
        while not await page.evaluate(condition):
            await page.evaluate("new Promise((done) => setTimeout(done, 50))")


def errors_of(page: Page) -> list[str]:
    """Return errors of the page's console and exceptions of its scripts, but for lost connections."""
    told = []
    for event in page.events:
        if event["method"] == "Runtime.exceptionThrown":
            told.append(json.dumps(event["params"]["exceptionDetails"]))
        elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            told.append(event["params"]["entry"]["text"] + " " + event["params"]["entry"].get("url", ""))
        elif event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] == "error":
            told.append(json.dumps(event["params"]["args"]))
    return [each for each in told if "favicon.ico" not in each and "WebSocket connection to" not in each]


async def picture(page: Page, name: str) -> None:
    """Save a picture of the page, for people, in the folder that WSEDGE_TEST_PICTURES names."""
    if folder := os.environ.get("WSEDGE_TEST_PICTURES"):
        shot = await page.command("Page.captureScreenshot", format="png")
        (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


async def say(client: ClientConnection, **message: Any) -> None:
    await client.send(json.dumps(message))


async def hear(client: ClientConnection, key: str) -> dict[str, Any]:
    """Return the next message of a client that has a key, or any message for ""."""
    async with asyncio.timeout(SECONDS):
        while True:
            message: dict[str, Any] = json.loads(await client.recv())
            if not key or key in message:
                return message


class Follower:
    """A client that resumes as the pages do: it asks for what came after its last id."""

    def __init__(self, example: RunningExample, path: str, *, first: dict[str, Any] | None = None) -> None:
        self._example, self._path, self._first = example, path, first
        self._client: ClientConnection | None = None
        self.events: list[dict[str, Any]] = []
        self.closes: list[int | None] = []
        self.connected = asyncio.Event()
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Follower]:
        """Follow until the end of the context."""
        task = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(SECONDS):
                await self.connected.wait()
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def send(self, **message: Any) -> None:
        """Send a message on the connection that is open."""
        assert self._client is not None
        await say(self._client, **message)

    async def wait_for(self, wanted: int) -> list[dict[str, Any]]:
        """Return the events once there are `wanted`."""
        async with asyncio.timeout(SECONDS):
            while len(self.events) < wanted:
                self._changed.clear()
                await self._changed.wait()
        return self.events

    async def wait_for_closes(self, wanted: int) -> None:
        """Wait until connections were closed `wanted` times."""
        async with asyncio.timeout(SECONDS):
            while len(self.closes) < wanted:
                self._changed.clear()
                await self._changed.wait()

    async def _run(self) -> None:
        last: str | None = None
        while True:
            try:
                async with self._example.connect(self._path + (f"?after={last}" if last else "")) as client:
                    if self._first:
                        await say(client, **self._first)
                    self._client = client
                    self.connected.set()
                    async for message in client:
                        event = json.loads(message)
                        last = event.get("id", last)
                        self.events.append(event)
                        self._changed.set()
            except ConnectionClosed:
                pass
            except (OSError, InvalidHandshake, InvalidMessage, TimeoutError):
                await asyncio.sleep(0.1)  # no relay is ready
                continue
            self.closes.append(client.close_code)
            self._changed.set()
