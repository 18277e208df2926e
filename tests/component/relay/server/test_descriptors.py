"""The behaviour when descriptors run out, and when some are free again."""

from __future__ import annotations

import asyncio
import resource
import socket
from contextlib import suppress
from pathlib import Path

from support.relay.heads import upgrade
from support.relay.running import DEADLINE, DOMAIN, on_pump_loop, origin, raw_origin, running
from support.relay_process import config, domain, write
from support.relay_process.process import RelayProcess
from support.relay_process.traffic import Client, echo_origin

LIMIT = 160


def low() -> None:
    """Lower the limit of descriptors, soft and hard, in the child before the program starts."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))


@on_pump_loop
async def test_connections_that_are_only_kept_make_room() -> None:
    """When descriptors run out, idle connections close and new clients are served."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 x\r\n\r\n")

    plain = f"GET / HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n".encode()
    async with raw_origin(answer) as port, running(port, passThrough={}) as relay:
        kept = [await relay.raw() for _ in range(5)]
        for reader, writer in kept:
            writer.write(plain)
            await reader.readuntil(b"\r\n\r\n")
        await relay.until(lambda: len(relay.idle) == 5)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as newest:
            lowest = newest.fileno()
        try:
            # The next one that is accepted is one too many for those that wait and for the reserve.
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 38, hard))
            reader, writer = await relay.raw()
            async with asyncio.timeout(DEADLINE):
                assert [await old.read() for old, _ in kept] == [b""] * 5
            writer.write(plain)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for _, old in (*kept, (reader, writer)):
            old.close()


async def test_a_full_relay_serves_those_it_has_and_then_those_who_wait(tmp_path: Path) -> None:
    """Accepting stops before other work fails, and resumes when connections have closed."""
    async with echo_origin() as port:
        origins = [{"host": "127.0.0.1", "httpPort": port}]
        path = write(tmp_path / "relay.json", config(domain(origins=origins)))
        async with RelayProcess("--config", path, prepare=low) as relay:
            http = await relay.port("http")
            clients: list[Client] = []
            waiting: list[asyncio.Task[Client]] = []
            for _ in range(LIMIT):
                entering = asyncio.create_task(Client().open(http))
                done, _ = await asyncio.wait([entering], timeout=3 if len(clients) > 30 else DEADLINE)
                if not done:
                    waiting.append(entering)
                    break
                clients.append(entering.result())
            assert 40 <= len(clients) <= LIMIT // 2
            await relay.event("accepting paused", reason="few descriptors are left")
            waiting += [asyncio.create_task(Client().open(http)) for _ in range(5)]
            for client in clients:
                await client.echo(b"still here")
            assert (await relay.admin("/healthz"))[0] == 200
            _, metrics = await relay.admin("/metrics")
            assert "wsedge_relay_accept_failures_total 0.0" not in metrics
            assert "wsedge_relay_origin_failures_total{" not in metrics
            assert "wsedge_relay_handshake_refusals_total{" not in metrics
            assert not any(task.done() for task in waiting)
            for client in clients[10:]:
                client.close()
            await relay.event("accepting resumed")
            async with asyncio.timeout(DEADLINE):
                entered = await asyncio.gather(*waiting)
            for client in (*clients[:10], *entered):
                await client.echo(b"hello")
                client.close()


@on_pump_loop
async def test_an_origin_is_not_blamed_for_want_of_descriptors() -> None:
    """The client has the last descriptor: it gets 503 with Retry-After; the origin stays."""
    async with origin() as port, running(port) as relay:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        reader, writer = await relay.raw()
        await relay.until(lambda: relay.relay.handshakes_under_way == 1)
        held: list[socket.socket] = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (writer.get_extra_info("socket").fileno() + 40, hard))
            with suppress(OSError):
                while True:
                    held.append(socket.socket())
            writer.write(upgrade())
            answer = await asyncio.wait_for(reader.read(), DEADLINE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for sock in held:
                sock.close()
            writer.close()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 5\r\n" in answer
        assert relay.counters.refusals() == {"descriptors": 1}
        assert relay.counters.origin_failures == {}
        async with relay.connect() as client:
            await client.send("hello")
            assert await client.recv() == "hello"
