"""Scrapes of a relay process, and the traffic that they show."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from support.promql import Scrape
from support.relay.heads import upgrade
from support.relay_process import domain
from support.relay_process.process import RelayProcess


async def nothing() -> None:
    """Do nothing before a scrape."""


def of(relay: RelayProcess, before: Callable[[], Awaitable[object]] = nothing) -> Scrape:
    """Return the scrape of a running relay; `before` is awaited before each."""

    async def scrape() -> str | None:
        await before()
        status, body = await relay.admin("/metrics")
        assert status == 200
        return body

    return scrape


async def metric(relay: RelayProcess, name: str) -> float:
    return (await relay.metrics())[f"wsedge_relay_{name}"]


async def until(relay: RelayProcess, name: str, wanted: Callable[[float], bool]) -> None:
    """Wait until a metric has a wanted value."""
    async with asyncio.timeout(40):
        while not wanted(await metric(relay, name)):  # noqa: ASYNC110  each look is a scrape
            await asyncio.sleep(0.02)


def to(port: int, **fields: Any) -> dict[str, Any]:
    """Return a domain with its origin on this port."""
    return domain(origins=[{"host": "127.0.0.1", "httpPort": port}], lifecycle={"drainSeconds": 0}, **fields)


def knock(relay: RelayProcess, head: bytes = upgrade("/room")) -> Callable[[], Awaitable[object]]:
    """Return a client's handshake, or another request; the answer may be any."""

    async def knock() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", await relay.port("http"))
        writer.write(head)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 ")
        writer.transport.abort()

    return knock
