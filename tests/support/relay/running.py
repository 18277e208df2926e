"""A relay inside a test's own loop, with origins and clients around it, all on loopback ports."""

from __future__ import annotations

import asyncio
import functools
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Any, ParamSpec

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from wsedge_relay.client.plain_requests import PlainRequest
from wsedge_relay.config.material import Material
from wsedge_relay.contract import RelayConfig
from wsedge_relay.geo.labels import NOWHERE, Place
from wsedge_relay.metering.usage import DomainTotals, Usage, UsageKey
from wsedge_relay.pump.selector import Form, PumpSelector
from wsedge_relay.server.relay import Relay
from wsedge_relay.site import Site
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.tunnel.tunnel import Tunnel

DOMAIN = "chat.example.com"
ACCOUNT = "team-a"
# Seconds that only end a test that hangs: a loaded machine may need most of them.
DEADLINE = 20.0
USUAL = Timeouts(
    head_seconds=10,
    answer_seconds=10,
    close_seconds=2,
    linger_seconds=2,
    failed_origin_seconds=5,
)
# For tests in which these timeouts expire; a loaded machine may exceed them.
QUICK = replace(USUAL, head_seconds=1, close_seconds=0.3, linger_seconds=0.3)


class PumpLoop(asyncio.SelectorEventLoop):
    """A loop whose selector a test can pass to a relay. `form`: the pump's; None: the installed one."""

    form: Form | None = None

    def __init__(self) -> None:
        self.pump_selector = PumpSelector(form=self.form)
        super().__init__(self.pump_selector)


P = ParamSpec("P")


def on_pump_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop that a relay can use, with a deadline."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(6 * DEADLINE):
                await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=PumpLoop) as runner:
            runner.run(bounded())

    return run


class Running:
    """A running relay, and its address."""

    def __init__(
        self,
        *,
        timeouts: Timeouts = USUAL,
        place_of: Callable[[str], Place] | None = None,
        denied: Sequence[str] | None = None,
        in_pod: bool = False,
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PumpLoop)
        self.usage = Usage(now=time.time(), monotonic=time.monotonic)
        self.relay = Relay(
            self.usage,
            loop.pump_selector,
            timeouts=timeouts,
            random=random.Random(1),
            place_of=place_of or nowhere,
            in_pod=in_pod,
        )
        self.domain: dict[str, Any] = {}
        self.denied = denied

    def apply(self, *, material: Material | None = None, **changes: Any) -> None:
        """Apply the configuration of the one domain with these fields changed."""
        self.domain = {**self.domain, **changes}
        self.relay.apply(config([self.domain], denied=self.denied), material or Material())

    @property
    def totals(self) -> DomainTotals:
        """Return the counts of the one domain."""
        self.relay.sweep()
        return self.usage.totals.get(DOMAIN, DomainTotals())

    @property
    def site(self) -> Site:
        """Return the one domain's Site."""
        return self.relay.site(DOMAIN)

    @property
    def tunnels(self) -> Collection[Tunnel]:
        """Return the open tunnels of the one domain."""
        return self.relay.tunnels.of(self.site)

    @property
    def plain_requests(self) -> Collection[PlainRequest]:
        """Return the number of plain requests of the one domain that are under way."""
        return self.relay.plain.of(self.site)

    @property
    def idle(self) -> Collection[object]:
        """Return the number of connections that wait for another plain request."""
        return self.relay.plain.idle_of(self.site)

    @property
    def row(self) -> Any:
        """Return the one usage row."""
        self.relay.sweep()
        (row,) = (row for row in self.usage.unacknowledged() if row.key == UsageKey(DOMAIN, ACCOUNT))
        return row

    @property
    def connections_of_http2(self) -> int:
        """Return the number of open HTTP/2 connections from the metrics."""
        (family,) = (one for one in self.relay.metric_families() if one.name == "http2_connections")
        ((_, value),) = family.rows
        assert isinstance(value, float | int)
        return int(value)

    @property
    def counters(self) -> Any:
        """Return the counters of the one domain."""
        return self.relay.counters[DOMAIN]

    def connect(
        self, path: str = "/", *, tls: ssl.SSLContext | None = None, domain: str = DOMAIN, **options: Any
    ) -> connect:
        """Return a real client's connection to the relay, to be used as a context."""
        host, port = self.relay.addresses["https" if tls else "http"]
        options.setdefault("open_timeout", DEADLINE)
        options.setdefault("ping_interval", None)
        scheme = "wss" if tls else "ws"
        return connect(f"{scheme}://{domain}{path}", host=host, port=port, ssl=tls, proxy=None, **options)

    async def raw(self, *, limit: int = 1 << 16) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a plain connection to the relay."""
        host, port = self.relay.addresses["http"]
        return await asyncio.open_connection(host, port, limit=limit)

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes to the relay; return its whole answer until it closes."""
        reader, writer = await self.raw()
        writer.write(data)
        async with asyncio.timeout(DEADLINE):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def until(self, condition: Callable[[], object], *, seconds: float = DEADLINE) -> None:
        """Poll a condition that has no event, every few milliseconds."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  the relay has no event for every count
                await asyncio.sleep(0.005)

    async def until_idle_after_opening(self) -> None:
        """Wait until a first tunnel was opened, then until all are closed."""
        await self.until(lambda: self.totals.opened_connections)
        await self.until_idle()

    async def until_idle(self) -> None:
        """Wait until no tunnel and no handshake is open."""
        await self.until(lambda: not self.relay.open_connections and not self.relay.handshakes_under_way)


def outside() -> str:
    """Return an address of this machine other than loopback; skip the test where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has loopback only")
        return str(probe.getsockname()[0])


def nowhere(_: str) -> Place:
    """Return no location, as a relay without databases does."""
    return NOWHERE


def config(
    domains: Sequence[dict[str, Any]], *, https: bool = False, denied: Sequence[str] | None = None
) -> RelayConfig:
    """Return a configuration whose ports the kernel chooses."""
    listen = {"http": 0, "https": 0 if https else None, "admin": 0}
    document = {
        "version": 1,
        "generation": "test@1",
        "listen": listen,
        "domains": domains,
        "deniedNetworks": denied,
    }
    return RelayConfig.model_validate(document)


@asynccontextmanager
async def running(
    *origin_ports: int,
    material: Material | None = None,
    timeouts: Timeouts = USUAL,
    place_of: Callable[[str], Place] | None = None,
    denied: Sequence[str] | None = None,
    in_pod: bool = False,
    listen: str = "127.0.0.1",
    **fields: Any,
) -> AsyncIterator[Running]:
    """Run a relay for one domain with its origins on these loopback ports; close all of it at the end."""
    one = Running(timeouts=timeouts, place_of=place_of, denied=denied, in_pod=in_pod)
    one.domain = {
        "domain": DOMAIN,
        "account": ACCOUNT,
        "originProtocol": "HTTP",
        "origins": [{"host": "127.0.0.1", "httpPort": port, "httpsPort": port} for port in origin_ports],
        **fields,
    }
    one.apply(material=material)
    await one.relay.start(config([], https="tls" in fields).listen.model_copy(update={"host": listen}))
    try:
        yield one
    finally:
        await one.relay.close()
    assert one.relay.open_connections == one.relay.handshakes_under_way == 0


async def echo(connection: ServerConnection) -> None:
    """Send every message back, until the connection ends in any way."""
    with suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


@asynccontextmanager
async def origin(
    handler: Callable[[ServerConnection], Awaitable[None]] = echo,
    *,
    host: str = "127.0.0.1",
    sock: socket.socket | None = None,
    **options: Any,
) -> AsyncIterator[int]:
    """Run a real WebSocket server, on a reserved socket if one is given; yield its port."""
    options.setdefault("ping_interval", None)
    place = (host, 0) if sock is None else (None, None)
    async with serve(handler, *place, sock=sock, close_timeout=1, **options) as server:
        yield port_of(server)


def port_of(server: Server | asyncio.Server) -> int:
    """Return a server's port."""
    (sock,) = server.sockets
    return int(sock.getsockname()[1])


@asynccontextmanager
async def raw_origin(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Run a server that receives each connection's raw bytes; yield its port."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield port_of(server)
    finally:
        server.close()


async def forwarder(target: tuple[str, int]) -> asyncio.Server:
    """Return a server that forwards bytes, as a Service's address or a load balancer does."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*target)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def reserved() -> socket.socket:
    """Return a bound socket: it refuses connections, and no other process gets its port until it closes.

    A server may listen on it later. A port that was free a moment before may belong to another test by then.
    """
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


@contextmanager
def refusing() -> Iterator[int]:
    """Yield a port on which nothing listens."""
    with reserved() as sock:
        yield int(sock.getsockname()[1])
