"""Ten thousand refused clients, and as many that disconnect: the relay keeps nothing of them."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from support.relay.certificates import authority
from support.relay.frames import frame
from support.relay.heads import upgrade
from support.relay.running import refusing
from support.relay_process import config, domain, write
from support.relay_process.plateau import check_flat, held, settled
from support.relay_process.process import RelayProcess
from support.relay_process.rough import DOMAIN, KEY, Client, Origins, in_batches, origins

COUNT = 10_000
OFF, FULL, NOBODY, OTHER = "off.example.com", "full.example.com", "nobody.example.com", "other.example.com"
PAGES = "https://good.example"


class Refusal(NamedTuple):
    """A request, its answer, and the domain that counts it (None: unattributed)."""

    request: bytes
    status: int
    domain: str | None
    reason: str
    tls: bool = False


def changed(old: str, new: str) -> bytes:
    """Return a handshake with a part replaced."""
    return upgrade("/echo").replace(old.encode(), new.encode())


# By reason; several requests of one reason take turns.
REFUSALS = [
    Refusal(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, None, "head"),
    Refusal(b"GET / HTTP/1.1\nHost: x\n\n", 400, None, "head"),
    Refusal(changed("HTTP/1.1", "HTTP/1.0"), 505, DOMAIN, "head"),
    Refusal(upgrade("/", *["X-A: b"] * 100), 431, None, "head"),
    Refusal(upgrade("/", "X-A: " + "b" * 17000), 431, None, "headerBytes"),
    Refusal(upgrade("/echo", host="unknown.example.com"), 421, None, "domain"),
    Refusal(upgrade("/echo", host=OTHER), 421, None, "domain", tls=True),
    Refusal(changed("GET", "POST"), 405, DOMAIN, "method"),
    Refusal(upgrade("/", "Content-Length: 3") + b"abc", 400, DOMAIN, "body"),
    Refusal(upgrade("/", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, DOMAIN, "body"),
    Refusal(changed("Upgrade: websocket", "Upgrade: h2c"), 426, DOMAIN, "upgrade"),
    Refusal(changed("-Version: 13", "-Version: 8"), 426, DOMAIN, "version"),
    Refusal(changed("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400, DOMAIN, "key", tls=True),
    Refusal(upgrade("/", "Origin: https://evil.example"), 403, DOMAIN, "allowedOrigins"),
    Refusal(upgrade("/refuse", f"Origin: {PAGES}"), 403, DOMAIN, "origin answer"),
    Refusal(upgrade("/wrong"), 502, DOMAIN, "origin"),
    Refusal(upgrade("/half"), 502, DOMAIN, "origin"),
    Refusal(upgrade("/echo", host=NOBODY), 502, NOBODY, "origin"),
    Refusal(upgrade("/echo", host=OFF), 503, OFF, "disabled"),
    Refusal(upgrade("/echo", host=FULL), 429, FULL, "connectionsPerClient"),
]


class Relayed(NamedTuple):
    """The ports of a relay, and its number of descriptors without connections."""

    http: int
    https: int
    tls: ssl.SSLContext
    descriptors: int


def documents(folder: Path, port: int, nobody: int) -> Path:
    """Write a configuration with a domain for each kind of refusal, and the certificates."""
    origin = {"origins": [{"host": "127.0.0.1", "httpPort": port}]}
    pair = authority().issue(DOMAIN)
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)
    tls = {"certificateFile": "tls.crt", "keyFile": "tls.key"}
    listen = {"host": "127.0.0.1", "http": 0, "https": 0, "admin": 0}
    document = config(
        domain(domain=DOMAIN, tls=tls, clients={"allowedOrigins": [PAGES]}, **origin),
        domain(domain=OFF, enabled=False, **origin),
        domain(domain=FULL, limits={"connectionsPerClient": 1}, **origin),
        domain(domain=NOBODY, origins=[{"host": "127.0.0.1", "httpPort": nobody}]),
        listen=listen,
    )
    return write(folder / "relay.json", document)


@asynccontextmanager
async def relaying(folder: Path) -> AsyncIterator[tuple[Origins, RelayProcess]]:
    """Run the origins and a relay in front of them."""
    with refusing() as nobody:
        async with origins() as there, RelayProcess("--config", documents(folder, there.port, nobody)) as one:
            yield there, one


async def reached(relay: RelayProcess) -> Relayed:
    """Return the relay's ports, once it has served a first connection."""
    http, https = await relay.port("http"), await relay.port("https")
    await relay.metrics()
    return Relayed(http, https, authority().client_context(), held(relay.pid).descriptors)


class Refused:
    """Send refused requests and count the answers."""

    def __init__(self, at: Relayed) -> None:
        self._at = at
        self.sent: Counter[str | None] = Counter()
        self.received: Counter[str | None] = Counter()

    def send(self, batch: Sequence[Refusal]) -> None:
        """Send a batch at once, then read the answers."""
        clients = []
        for refusal in batch:
            tls = self._at.tls if refusal.tls else None
            clients.append(Client(self._at.https if tls else self._at.http, tls=tls))
        for client, refusal in zip(clients, batch, strict=True):
            client.send(refusal.request)
        for client, refusal in zip(clients, batch, strict=True):
            answer = client.rest()
            assert answer.startswith(b"HTTP/1.1 %d " % refusal.status), (refusal, answer)
            client.sock.close()
            self.sent[refusal.domain] += client.sent
            self.received[refusal.domain] += client.received


async def test_ten_thousand_refused_upgrades_leave_nothing(tmp_path: Path) -> None:
    """Each is answered and counted, by reason and to the byte; memory and descriptors do not grow."""
    order = [REFUSALS[number % len(REFUSALS)] for number in range(COUNT)]
    random.Random(1).shuffle(order)
    async with relaying(tmp_path) as (origin, relay):
        at = await reached(relay)
        holder = await asyncio.to_thread(Client, at.http)
        await asyncio.to_thread(holder.send, upgrade("/echo", host=FULL))
        await asyncio.to_thread(holder.enter)
        at = at._replace(descriptors=at.descriptors + 2)
        refused = Refused(at)
        third = COUNT // 3
        await asyncio.to_thread(in_batches, order[:third], refused.send)
        plateau = await settled(relay, descriptors=at.descriptors)
        await asyncio.to_thread(in_batches, order[third:], refused.send)
        end = await settled(relay, descriptors=at.descriptors, quiet=lambda: len(origin.open_now) == 1)
        check_flat(plateau, end)
        metrics = await relay.metrics()
        wanted = Counter((refusal.domain, refusal.reason) for refusal in order)
        for (name, reason), times in wanted.items():
            if name is None:
                assert metrics[f'wsedge_relay_unattributed_refusals_total{{reason="{reason}"}}'] == times
            else:
                labels = f'{{domain="{name}",reason="{reason}"}}'
                assert metrics[f"wsedge_relay_handshake_refusals_total{labels}"] == times
        for name in (DOMAIN, NOBODY, OFF):
            assert metrics[f'wsedge_relay_received_bytes_total{{domain="{name}"}}'] == refused.sent[name]
            assert metrics[f'wsedge_relay_sent_bytes_total{{domain="{name}"}}'] == refused.received[name]
        assert not [event for event in relay.events if event.get("event") == "handshake crashed"]
        await asyncio.to_thread(holder.leave)
        await settled(relay, descriptors=at.descriptors - 2, quiet=lambda: not origin.open_now)


# Whether it finds its 101 or not is a matter of time.
UNDECIDED = "with the request, by an end"
STAGES = (
    "after connecting, by a reset",
    "after connecting, by an end",
    "after half a head, by a reset",
    "after half a head, by an end",
    "within TLS's first message, by a reset",
    "after TLS's first message, by a reset",
    "after TLS's handshake, by a reset",
    "while the origin is slow, by a reset",
    "while the origin is slow, by an end",
    UNDECIDED,
    "after the 101, by a reset",
    "after the 101, by an end",
    "within a frame, by a reset",
    "within a frame, by an end",
    "within an origin's long message, by a reset",
    "with a Close, by an end at once",
    "with a Close, by a reset at once",
    "after a refusal that it does not read, by a reset",
)
OPENED = [stage for stage in STAGES if any(word in stage for word in ("101", "frame", "long", "Close"))]
AT_ORIGIN = "wsedge_relay_origin_connections"


def client_hello(context: ssl.SSLContext) -> bytes:
    """Return the first message of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=DOMAIN)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class Vanishing:
    """Clients that disconnect at a given stage."""

    def __init__(self, at: Relayed) -> None:
        self._at = at
        self._hello = client_hello(at.tls)

    def vanish(self, stages: Sequence[str]) -> None:
        """Bring a batch of clients to their stages, then disconnect all."""
        clients = [(stage, self._come(stage)) for stage in stages]
        for stage, client in clients:
            if stage in OPENED:
                client.enter()
            self._act(stage, client)
        for stage, client in clients:
            if "reset" in stage:
                client.reset()
            else:
                with suppress(OSError):
                    client.sock.shutdown(socket.SHUT_WR)
        for _, client in clients:
            client.sock.close()

    def _come(self, stage: str) -> Client:
        if "TLS's handshake" in stage:
            return Client(self._at.https, tls=self._at.tls)
        client = Client(self._at.https if "TLS" in stage else self._at.http)
        if "half a head" in stage:
            client.send(upgrade("/echo")[:70])
        elif "within TLS" in stage:
            client.send(self._hello[:100])
        elif "TLS's first" in stage:
            client.send(self._hello)
        elif "slow" in stage:
            client.send(upgrade("/slow"))
        elif "long message" in stage:
            client.send(upgrade("/flood"))
        elif "refusal" in stage:
            client.send(upgrade("/refuse") * 3)
        elif "connecting" not in stage:
            client.send(upgrade("/echo"))
        return client

    def _act(self, stage: str, client: Client) -> None:
        if "within a frame" in stage:
            client.send(frame(b"x" * 1000, key=KEY)[:300])
        elif "Close" in stage:
            client.send(frame(b"\x03\xe8", opcode=8, key=KEY))


async def test_ten_thousand_clients_that_vanish_leave_nothing(tmp_path: Path) -> None:
    """At any stage, by a reset or an end: no descriptor, memory, connection or place is left."""
    order = [STAGES[number % len(STAGES)] for number in range(COUNT)]
    random.Random(2).shuffle(order)
    async with relaying(tmp_path) as (origin, relay):
        at = await reached(relay)
        vanishing = Vanishing(at)

        def nobody_is_left() -> bool:
            return not origin.open_now

        third = COUNT // 3
        await asyncio.to_thread(in_batches, order[:third], vanishing.vanish)
        plateau = await settled(relay, descriptors=at.descriptors, quiet=nobody_is_left)
        await asyncio.to_thread(in_batches, order[third:], vanishing.vanish)
        end = await settled(relay, descriptors=at.descriptors, quiet=nobody_is_left)
        check_flat(plateau, end)
        metrics = await relay.metrics()
        opened = metrics[f'wsedge_relay_opened_connections_total{{domain="{DOMAIN}"}}']
        entered = sum(map(OPENED.__contains__, order))
        assert entered <= opened <= entered + order.count(UNDECIDED)
        assert metrics[f'wsedge_relay_handshakes_total{{code="101",domain="{DOMAIN}"}}'] == opened
        ended = [times for name, times in metrics.items() if name.startswith("wsedge_relay_ended_")]
        assert sum(ended) == opened
        assert metrics[f'wsedge_relay_open_connections{{domain="{DOMAIN}"}}'] == 0
        (of_origin,) = (name for name in metrics if name.startswith(f'{AT_ORIGIN}{{domain="{DOMAIN}"'))
        assert metrics[of_origin] == 0
        assert not [event for event in relay.events if event.get("event") == "handshake crashed"]
        # The one place of a client's was taken by none of them.
        full = await asyncio.to_thread(Client, at.http)
        await asyncio.to_thread(full.send, upgrade("/echo", host=FULL))
        assert (await asyncio.to_thread(full.enter)).startswith(b"HTTP/1.1 101 ")
        await asyncio.to_thread(full.leave)
