"""Counts the HTTP/2 frames that real clients and proxies send to a relay, and the budget that they spend.

Each reads 24 MiB of one WebSocket, or sends one request where it cannot open a WebSocket over HTTP/2; for the
proxies a client also opens and closes 300 WebSockets. A program that is not there is left out, with the
reason. The relay runs in this process; subclasses of its counters note the frames. docs/design/http2.md has
the table.

    PYTHONPATH=tests python tests/bench/http2_frames.py
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from unittest import mock

import structlog
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from fuzz.targets.http2_wire import WINDOW_UPDATE, Walk
from interop.proxies import Target, proxy
from support.browser import chromium, firefox
from support.clients.stage import Files
from support.clients.tools import MissingToolError, unavailable
from support.go_program import go_program
from support.relay.certificates import authority
from support.relay.http2_relay import TLS
from support.relay.running import DOMAIN, PumpLoop, Running, origin, running
from wsedge_relay.client import http2_session
from wsedge_relay.config.material import Material
from wsedge_relay.protocol.http2_budget import PREFACE, Budget, FrameTally, Taken

TOTAL = 24 << 20
MESSAGE = bytes(16384)
TUNNELS = 300
QUIET = "/quiet"
PAIR = authority().issue(DOMAIN)
GO_READER = Path(__file__).parents[1] / "support" / "relay" / "http2_reader"
NAMES = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY")
READ = """
new Promise((done, failed) => {
  const socket = new WebSocket('URL');
  let left = TOTAL;
  socket.binaryType = 'arraybuffer';
  socket.onerror = () => failed(new Error('refused'));
  socket.onclose = () => failed(new Error('closed'));
  socket.onmessage = ({data}) => { left -= data.byteLength; if (left <= 0) { done(true); } };
})
"""


class Seen:
    """The frames of one run, over all its connections, and the least that was left of a budget."""

    def __init__(self) -> None:
        self.connections = 0
        self.sent = 0  # DATA frames to the client
        self.kinds: Counter[int] = Counter()
        self.updates: list[int] = []
        self.left = 2000.0

    def row(self, title: str) -> str:
        """Return the row of the table."""
        others = [(kind, count) for kind, count in sorted(self.kinds.items()) if kind != WINDOW_UPDATE]
        named = ", ".join(f"{count} {NAMES[kind]}" for kind, count in others if kind < len(NAMES))
        smallest = f"{min(self.updates):,}" if self.updates else ""
        updates = f"{len(self.updates):,}"
        return f"| {title} | {self.sent:,} | {updates} | {smallest} | {named} | {self.left:,.0f} |"


seen = Seen()


class WatchedTally(FrameTally):
    """Counts by kind what the relay's own tally counts."""

    __slots__ = ("_walk",)

    def __init__(self) -> None:
        super().__init__()
        self._walk = Walk(skip=len(PREFACE))
        seen.connections += 1

    def take(self, data: bytes, most: int) -> Taken:
        """Count frames."""
        taken = super().take(data, most)
        for kind, _, _, payload in self._walk.feed(data[: taken.size]):
            seen.kinds[kind] += 1
            if kind == WINDOW_UPDATE:
                seen.updates.append(int.from_bytes(payload, "big"))
        return taken


class WatchedBudget(Budget):
    """Notes the least that was left."""

    __slots__ = ()

    def spend(self, taken: Taken, now: float) -> bool:
        """Subtract costs."""
        enough = super().spend(taken, now)
        seen.left = min(seen.left, self._left)
        return enough

    def sent(self, size: int, *, is_cut: bool) -> None:
        """Add the answers to a DATA frame."""
        seen.sent += 1
        super().sent(size, is_cut=is_cut)


async def serve(connection: ServerConnection) -> None:
    """Send messages until the connection ends; on the path /quiet, none."""
    assert connection.request is not None
    with suppress(ConnectionClosed):
        while connection.request.path != QUIET:
            await connection.send(MESSAGE)
        await connection.recv()


async def run(*command: str | Path) -> None:
    """Run a client to its end."""
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
    try:
        assert await process.wait() == 0, command
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def go(size: int) -> Callable[[Running], Awaitable[None]]:
    """Return a run of Go's client, which reads `size` bytes at a time."""

    async def read(relay: Running) -> None:
        program = await asyncio.to_thread(go_program, "http2reader", GO_READER, ".")
        host, port = relay.relay.addresses["https"]
        await run(program, f"{host}:{port}", DOMAIN, str(size), str(TOTAL))

    return read


async def curl(relay: Running) -> None:
    """Send a request by curl."""
    host, port = relay.relay.addresses["https"]
    resolved = f"{DOMAIN}:{port}:{host}"
    await run(_found("curl"), "-sk", "--http2", "--resolve", resolved, f"https://{DOMAIN}:{port}/")


async def nghttp(relay: Running) -> None:
    """Send a request by nghttp."""
    host, port = relay.relay.addresses["https"]
    await run(_found("nghttp"), "-n", "-H", f":authority: {DOMAIN}", f"https://{host}:{port}/")


def behind(name: str, *, tunnels: int) -> Callable[[Running], Awaitable[None]]:
    """Return a run behind a proxy: one WebSocket that reads, or many that come and go."""

    async def talk(relay: Running) -> None:
        async with proxied(name, relay) as port:
            for _ in range(tunnels):
                async with opened(port, QUIET):
                    pass
            if not tunnels:
                async with opened(port) as client:
                    for _ in range(TOTAL // len(MESSAGE)):
                        await client.recv()

    return talk


@asynccontextmanager
async def proxied(name: str, relay: Running) -> AsyncIterator[int]:
    """Run a proxy before the relay; yield its port."""
    with tempfile.TemporaryDirectory(prefix="wsedge-frames-") as folder:
        files = Files(Path(folder), ("chat",))
        _, port = relay.relay.addresses["https"]
        async with proxy(name, files, Target(port, DOMAIN, http2=True)) as ports:
            yield ports["ws"]


def opened(port: int, path: str = "/") -> connect:
    """Return a client's WebSocket to a proxy."""
    url, host = f"ws://{DOMAIN}{path}", "127.0.0.1"
    return connect(url, host=host, port=port, proxy=None, compression=None, ping_interval=None)


async def by_chromium(relay: Running) -> None:
    """Read in a page of Chromium, which must be of the same host to use HTTP/2."""
    host, port = relay.relay.addresses["https"]
    hosts = {f"{DOMAIN}:443": f"{host}:{port}"}
    async with chromium.browser(hosts=hosts, certificates=[PAIR.certificate]) as page:
        await page.goto(f"https://{DOMAIN}/")
        await page.evaluate(READ.replace("URL", f"wss://{DOMAIN}/").replace("TOTAL", str(TOTAL)))


async def by_firefox(relay: Running) -> None:
    """Read in a page of Firefox."""
    _, port = relay.relay.addresses["https"]
    async with firefox.browser() as page:
        await page.goto(f"https://{DOMAIN}:{port}/")
        await page.evaluate(READ.replace("URL", f"wss://{DOMAIN}:{port}/").replace("TOTAL", str(TOTAL)))


def _found(name: str) -> str:
    return shutil.which(name) or unavailable(f"there is no program {name}")


CLIENTS: dict[str, Callable[[Running], Awaitable[None]]] = {
    "Go, golang.org/x/net, reads of 512 bytes": go(512),
    "the same, reads of 4,096 bytes": go(4096),
    "the same, reads of 65,536 bytes": go(65536),
    "HAProxy before the relay": behind("HAProxy", tunnels=0),
    f"HAProxy, {TUNNELS} WebSockets one after another": behind("HAProxy", tunnels=TUNNELS),
    "Envoy before the relay": behind("Envoy", tunnels=0),
    f"Envoy, {TUNNELS} WebSockets one after another": behind("Envoy", tunnels=TUNNELS),
    "Chromium": by_chromium,
    "Firefox": by_firefox,
    "curl, one request": curl,
    "nghttp, one request": nghttp,
}


async def measure(title: str, client: Callable[[Running], Awaitable[None]]) -> None:
    """Run one client before a relay of its own, and print its row."""
    global seen
    seen = Seen()
    material = Material({("tls.crt", "tls.key"): PAIR})
    async with (
        origin(serve, compression=None) as port,
        running(port, tls=TLS, material=material, heartbeatSeconds=300) as relay,
    ):
        try:
            await client(relay)
        except MissingToolError as reason:
            print(f"{title}: {reason}", flush=True)
            return
        opened = relay.totals.opened_connections
    print(seen.row(title), f"({seen.connections} connections, {opened} WebSockets)", flush=True)


def main() -> None:
    """Print the table's rows."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with mock.patch.multiple(http2_session, FrameTally=WatchedTally, Budget=WatchedBudget):
        for title, client in CLIENTS.items():
            with asyncio.Runner(loop_factory=PumpLoop) as runner:
                runner.run(measure(title, client))


if __name__ == "__main__":
    main()
