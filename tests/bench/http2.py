"""Measures the cost of a message over HTTP/2 in a relay, compared with wss over HTTP/1.1.

One relay on its own core serves both; load and origin run on another. Each kind gets its load in short
slices, in turn, on open connections. CPU is the run time of the relay's threads (schedstat); the figures are
medians over the rounds, the ratio is the median of the rounds' ratios.

    PYTHONPATH=tests python tests/bench/http2.py [--pump plain|compiled]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import ssl
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from support.relay.certificates import authority
from support.relay.frames import frame
from support.relay.heads import accepted, upgrade
from support.relay.http2 import Client, connect_lines
from support.relay_process.process import RelayProcess

DOMAIN = "chat.example.com"
RELAY_CORE, LOAD_CORE = 0, 1
ROUNDS, CONNECTIONS = 7, 8
# Bytes of a message, messages under way per connection, messages of a slice per connection.
SHAPES = {
    "125 B, ping-pong": (125, 1, 300),
    "125 B, 16 under way": (125, 16, 300),
    "16 KiB, 4 under way": (16384, 4, 60),
}

# Sends messages: size, number, number under way at once.
Exchange = Callable[[int, int, int], Awaitable[None]]


async def main(pump: str) -> None:
    """Print one row per shape of load."""
    os.sched_setaffinity(0, {LOAD_CORE})
    print(f"CPU µs of the relay per echoed message, {CONNECTIONS} connections, pump: {pump}")
    async with contextlib.AsyncExitStack() as stack:
        relay, pid = await stack.enter_async_context(serving(pump))
        host = ("127.0.0.1", await relay.port("https"))
        kinds = {
            "http/1.1": [await stack.enter_async_context(plain(host)) for _ in range(CONNECTIONS)],
            "h2": [await stack.enter_async_context(stream(host)) for _ in range(CONNECTIONS)],
        }
        for title, (size, under_way, messages) in SHAPES.items():
            costs: dict[str, list[float]] = {kind: [] for kind in kinds}
            for _ in range(ROUNDS):
                for kind, exchanges in kinds.items():
                    before = cpu(pid)
                    await asyncio.gather(*(one(size, messages, under_way) for one in exchanges))
                    costs[kind].append((cpu(pid) - before) / (messages * CONNECTIONS) / 1000)
            ratio = statistics.median(
                two / one for one, two in zip(costs["http/1.1"], costs["h2"], strict=True)
            )
            medians = ", ".join(f"{kind} {statistics.median(values):.1f}" for kind, values in costs.items())
            print(f"{title}: {medians}, ratio {ratio:.2f}")


def cpu(pid: int) -> int:
    """Return the run time of a process's threads in nanoseconds."""
    stats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in stats)


@contextlib.asynccontextmanager
async def serving(pump: str) -> AsyncIterator[tuple[RelayProcess, int]]:
    """Run a relay and an origin that echoes bytes."""
    with tempfile.TemporaryDirectory() as folder:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        config = configuration(Path(folder), server.sockets[0].getsockname()[1])
        arguments = ("--config", config, "--pump", pump, "--log-format", "json")
        async with RelayProcess(*arguments, prepare=keep_apart) as relay:
            await relay.event("listening", listener="https")
            try:
                yield relay, relay._process.pid
            finally:
                server.close()


def keep_apart() -> None:
    """Pin the relay to its core."""
    os.sched_setaffinity(0, {RELAY_CORE})


def configuration(folder: Path, origin: int) -> Path:
    """Write the relay's configuration and certificate."""
    pair = authority().issue(DOMAIN)
    folder.joinpath("tls.crt").write_bytes(pair.certificate)
    folder.joinpath("tls.key").write_bytes(pair.key)
    domain = {
        "domain": DOMAIN,
        "account": "bench",
        "originProtocol": "HTTP",
        "origins": [{"host": "127.0.0.1", "httpPort": origin}],
        "tls": {"certificateFile": "tls.crt", "keyFile": "tls.key", "http2": True},
    }
    listen = {"http": 0, "https": 0, "admin": 0}
    path = folder / "relay.json"
    path.write_text(json.dumps({"version": 1, "generation": "bench", "listen": listen, "domains": [domain]}))
    return path


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a handshake, then send each frame back without its mask (which is zero)."""
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(accepted(head))
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readexactly(2)
            extra = await reader.readexactly(2) if head[1] & 127 == 126 else b""
            size = int.from_bytes(extra, "big") if extra else head[1] & 127
            payload = (await reader.readexactly(4 + size))[4:]
            writer.write(bytes([head[0], head[1] & 127]) + extra + payload)
    writer.close()


def context(protocol: str) -> ssl.SSLContext:
    """Return a client's context that offers one protocol."""
    made = authority().client_context()
    made.set_alpn_protocols([protocol])
    return made


@contextlib.asynccontextmanager
async def plain(host: tuple[str, int]) -> AsyncIterator[Exchange]:
    """Open a tunnel over HTTP/1.1."""
    reader, writer = await asyncio.open_connection(
        *host, ssl=context("http/1.1"), server_hostname=DOMAIN, limit=1 << 20
    )
    writer.write(upgrade(host=DOMAIN))
    await reader.readuntil(b"\r\n\r\n")

    async def exchange(size: int, count: int, under_way: int) -> None:
        said, heard = frame(bytes(size), opcode=2, key=bytes(4)), len(frame(bytes(size)))
        writer.write(said * under_way)
        for sent in range(under_way, count + under_way):
            await reader.readexactly(heard)
            if sent < count:
                writer.write(said)

    try:
        yield exchange
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def stream(host: tuple[str, int]) -> AsyncIterator[Exchange]:
    """Open a tunnel over HTTP/2, on its own connection."""
    reader, writer = await asyncio.open_connection(*host, ssl=context("h2"), server_hostname=DOMAIN)
    client = Client(reader, writer)
    reading = asyncio.create_task(client.read())
    await client.begin()
    number = client.request(connect_lines())
    await client.until(lambda: client.streams[number].headers)

    async def exchange(size: int, count: int, under_way: int) -> None:
        said, heard = frame(bytes(size), opcode=2, key=bytes(4)), len(frame(bytes(size)))
        for _ in range(under_way):
            await client.send(number, said)
        for sent in range(under_way, count + under_way):
            await client.hear(number, heard)
            if sent < count:
                await client.send(number, said)

    try:
        yield exchange
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.transport.abort()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pump", default="plain", choices=["plain", "compiled"])
    asyncio.run(main(arguments.parse_args().pump))
