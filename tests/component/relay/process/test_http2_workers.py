"""HTTP/2 with several worker processes: a connection belongs to one worker, with all its streams."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from support.relay.frames import frame
from support.relay.http2 import Client, http2_connection
from support.relay.running import DOMAIN
from support.relay_process.process import RelayProcess
from support.relay_process.secure import http2_config
from support.relay_process.statistics import Statistics
from support.relay_process.traffic import echo_origin

CONNECTIONS = 24  # the kernel chooses a worker for each; that all get one is a chance in eight million
STREAMS = 3
LABEL = f'{{domain="{DOMAIN}"}}'
AWAY = frame(b"\x03\xe9going away", opcode=8)  # 1001


async def talk(client: Client, stream: int) -> None:
    """Send a message and receive its echo."""
    text = b"%d" % stream * 200
    await client.say(stream, text)
    assert await client.hear(stream, len(frame(text))) == frame(text)


async def leave(client: Client, stream: int) -> None:
    """Read the relay's Close, answer it and end the stream."""
    assert await client.hear(stream, len(AWAY)) == AWAY
    await client.say(stream, b"\x03\xe9", opcode=8)
    client.protocol.end_stream(stream)
    client.flush()
    await client.until(lambda: client.streams[stream].ended)


async def counted(relay: RelayProcess) -> dict[str, float]:
    """Return the domain's usage in /metrics."""
    metrics = await relay.metrics()
    names = ("sent_bytes", "received_bytes", "sent_messages", "received_messages", "opened_connections")
    return {name: metrics[f"wsedge_relay_{name}_total{LABEL}"] for name in names}


async def test_streams_of_many_connections_are_one_relays(tmp_path: Path) -> None:
    """All echo; state, metrics and usage are sums over both workers; SIGTERM closes all with 1001."""
    async with echo_origin() as origin, Statistics() as statistics, AsyncExitStack() as stack:
        path = http2_config(tmp_path, origin, drain_seconds=0, statistics={"url": statistics.url})
        async with RelayProcess("--config", path, "--workers", "2") as relay:
            port = await relay.port("https")

            async def enter() -> tuple[Client, list[int]]:
                client = await stack.enter_async_context(http2_connection("127.0.0.1", port))
                await client.begin()
                streams = [await client.open() for _ in range(STREAMS)]
                for stream in streams:
                    await talk(client, stream)
                return client, streams

            entered = [await enter()]
            of_one = await counted(relay)
            entered += [await enter() for _ in range(CONNECTIONS - 1)]
            await asyncio.gather(*(talk(client, stream) for client, streams in entered for stream in streams))
            tunnels = CONNECTIONS * STREAMS
            assert (await relay.state())["openConnections"] == tunnels
            metrics = await relay.metrics()
            assert metrics["wsedge_relay_http2_connections"] == CONNECTIONS
            assert metrics[f"wsedge_relay_http2_handshakes_total{LABEL}"] == tunnels
            # The same requests and messages cost the same on whichever worker; all talked a second time.
            texts = {"sent": len(frame(bytes(200))), "received": len(frame(bytes(200), key=b"mask"))}
            again = {f"{way}_bytes": texts[way] * tunnels for way in texts}
            again |= {f"{way}_messages": tunnels for way in texts} | {"opened_connections": 0}
            total = {name: of_one[name] * CONNECTIONS + again[name] for name in again}
            assert await counted(relay) == total
            relay.signal(signal.SIGTERM)
            await asyncio.gather(
                *(leave(client, stream) for client, streams in entered for stream in streams)
            )
            for client, _ in entered:
                await client.until(lambda client=client: client.closed)  # type: ignore[misc]
                assert client.goaway[0] == (0, (1 << 31) - 1)
            assert await relay.ended() == 0
        check_ledger(statistics, total)


def check_ledger(statistics: Statistics, total: dict[str, float]) -> None:
    """Check that the ledger has the metrics' usage from two sources, and the Closes after it."""
    tunnels = CONNECTIONS * STREAMS
    closes = {"sentBytes": len(AWAY), "receivedBytes": len(frame(b"\x03\xe9", opcode=8, key=b"mask"))}
    for name in ("sentBytes", "receivedBytes", "sentMessages", "receivedMessages", "openedConnections"):
        counted = total["".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)]
        assert statistics.total(name) == counted + closes.get(name, 0) * tunnels, name
    assert statistics.codes() == {"101": tunnels}
    opened: dict[Any, int] = {}
    for (_, epoch, *_), row in statistics.rows.items():
        opened[epoch] = opened.get(epoch, 0) + row["openedConnections"]
    assert len(opened) == 2
    assert all(opened.values())
