"""An hour's work of a busy relay in a minute: everything at once, repeatedly, without growth.

20 rounds of 180 connections are one a second for an hour; WSEDGE_TEST_SOAK_ROUNDS=120 goes on for minutes.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from support.relay.frames import frame
from support.relay.heads import upgrade
from support.relay_process import config, domain, write
from support.relay_process.plateau import check_flat, held, settled
from support.relay_process.process import RelayProcess
from support.relay_process.rough import DOMAIN, KEY, Client, origins

ROUNDS = int(os.environ.get("WSEDGE_TEST_SOAK_ROUNDS", "20"))
ROUGH = "rough.example.com"  # where clients vanish, so that what they sent is not known to the byte
CLIENTS = 16


class Counts:
    """The bytes that well-behaved clients sent and received, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent = self.received = self.opened = 0
        self.codes: dict[int, int] = {}

    def add(self, client: Client, code: int) -> None:
        """Count a client that has disconnected."""
        with self._lock:
            self.sent += client.sent
            self.received += client.received
            self.opened += code == 101
            self.codes[code] = self.codes.get(code, 0) + 1


def enter(port: int, path: str = "/echo", *, host: str = DOMAIN) -> Client:
    """Open a tunnel."""
    client = Client(port)
    client.send(upgrade(path, host=host))
    assert client.enter().startswith(b"HTTP/1.1 101 ")
    return client


def chat(port: int, counts: Counts, seed: int) -> None:
    """Echo messages of many sizes, whole and in fragments, with pings between."""
    rng = random.Random(seed)
    client = enter(port)
    for _ in range(10):
        size = rng.choice([0, 1, 125, 126, 1000, 65535, 65536, 200_000])
        client.send(frame(b"a" * size, opcode=2, key=KEY) + frame(b"ping", opcode=9, key=KEY))
        client.send(frame(b"b", fin=False, key=KEY) + frame(b"c" * 300, opcode=0, key=KEY))
        answers = [client.message() for _ in range(4)]
        assert [(opcode, len(payload)) for opcode, payload in answers] == [
            (2, size),
            (10, 4),
            (1, 1),
            (0, 300),
        ]
    client.leave()
    counts.add(client, 101)


def read_slowly(port: int, counts: Counts, seed: int) -> None:
    """Request more than the sockets hold, and read it later."""
    client = enter(port, "/flood")
    big = frame(b"z" * 500_000, opcode=2, key=KEY)

    def send() -> None:
        for _ in range(6):
            client.send(big)

    sending = threading.Thread(target=send)
    sending.start()
    sizes = [len(client.message()[1]) for _ in range(7)]
    sending.join()
    assert sizes == [1_000_000, *[500_000] * 6]
    client.leave()
    counts.add(client, 101)


def be_refused(port: int, counts: Counts, seed: int) -> None:
    """Send requests that the relay refuses."""
    for path, code in (("/refuse", 403), ("/wrong", 502)):
        client = Client(port)
        client.send(upgrade(path))
        assert client.rest().startswith(b"HTTP/1.1 %d " % code)
        client.sock.close()
        counts.add(client, code)


def vanish(port: int, counts: Counts, seed: int) -> None:
    """Disconnect in the middle of an exchange."""
    for part in (
        upgrade("/echo", host=ROUGH)[:50],
        upgrade("/slow", host=ROUGH),
        upgrade("/echo", host=ROUGH) + b"\x81",
    ):
        client = Client(port)
        client.send(part)
        client.reset()
    client = enter(port, host=ROUGH)
    client.send(frame(b"x" * 1000, key=KEY)[:200])
    client.reset()


def wait_for_the_end(port: int, counts: Counts, waiting: threading.Barrier) -> None:
    """Wait until the origin ends the connection, which the relay passes as it came: without a Close."""
    client = enter(port)
    client.send(frame(b"hello", key=KEY))
    assert client.message() == (1, b"hello")
    waiting.wait(120)
    assert client.rest() == b""
    client.sock.close()
    counts.add(client, 101)


class Soak:
    """One relay, its origin, and rounds of all kinds of clients."""

    def __init__(self, folder: Path, origin: Any, relay: RelayProcess, pool: ThreadPoolExecutor) -> None:
        self._folder = folder
        self._origin = origin
        self._relay = relay
        self._pool = pool
        self.counts = Counts()
        self.descriptors = 0

    async def round(self, number: int) -> None:
        """Run all kinds of clients at once, change the configuration meanwhile, restart the origin."""
        port = await self._relay.port("http")
        work = [(act, number * 100 + seed) for act, times in MIX for seed in range(times)]
        random.Random(number).shuffle(work)
        loop = asyncio.get_running_loop()
        running = [loop.run_in_executor(self._pool, act, port, self.counts, seed) for act, seed in work]
        for change in range(3):
            await self._configure(f"{number}.{change}", heartbeat=(3, 30, 300)[change])
        await asyncio.gather(*running)
        waiting = threading.Barrier(9)
        staying = [
            loop.run_in_executor(self._pool, wait_for_the_end, port, self.counts, waiting) for _ in range(8)
        ]
        await loop.run_in_executor(None, waiting.wait, 120)
        await self._origin.stop()
        await asyncio.gather(*staying)
        await self._origin.start()

    async def _configure(self, generation: str, *, heartbeat: int) -> None:
        documents(self._folder, self._origin.port, generation=generation, heartbeatSeconds=heartbeat)
        await self._relay.event("configuration applied", generation=generation)


# With 8 that stay: 24 + 4 + 24 * 2 + 24 * 4 + 8 connections.
MIX = ((chat, 24), (read_slowly, 4), (be_refused, 24), (vanish, 24))


def documents(folder: Path, port: int, *, generation: str = "first", **fields: Any) -> Path:
    """Write the configuration."""
    origin = {"origins": [{"host": "127.0.0.1", "httpPort": port}], **fields}
    one, other = domain(domain=DOMAIN, **origin), domain(domain=ROUGH, **origin)
    return write(folder / "relay.json", config(one, other, generation=generation))


async def rounds(soak: Soak, numbers: Sequence[int]) -> None:
    """Run some rounds."""
    for number in numbers:
        await soak.round(number)


async def test_an_hours_work_leaves_nothing(tmp_path: Path) -> None:
    """Every message is echoed, every byte is counted once, memory and descriptors do not grow."""
    async with origins() as origin:
        path = documents(tmp_path, origin.port)
        async with RelayProcess("--config", path) as relay:
            await relay.port("http")
            await relay.metrics()
            descriptors = held(relay.pid).descriptors
            with ThreadPoolExecutor(CLIENTS) as pool:
                soak = Soak(tmp_path, origin, relay, pool)
                third = max(1, ROUNDS // 3)
                await rounds(soak, range(third))
                plateau = await settled(relay, descriptors=descriptors, quiet=lambda: not origin.open_now)
                await rounds(soak, range(third, ROUNDS))
                end = await settled(relay, descriptors=descriptors, quiet=lambda: not origin.open_now)
            check_flat(plateau, end)
            metrics = await relay.metrics()
            check_counts(metrics, soak.counts)
            assert not [event for event in relay.events if event.get("event") == "handshake crashed"]


def check_counts(metrics: dict[str, float], counts: Counts) -> None:
    """Compare the relay's counts of the well-behaved clients with their own."""

    def counted(name: str, label: str = "") -> float:
        return metrics[f'wsedge_relay_{name}{{{label}domain="{DOMAIN}"}}']

    assert counted("opened_connections_total") == counts.opened
    assert counted("open_connections") == 0
    assert (counted("received_bytes_total"), counted("sent_bytes_total")) == (counts.sent, counts.received)
    for code, times in counts.codes.items():
        assert counted("handshakes_total", f'code="{code}",') == times
