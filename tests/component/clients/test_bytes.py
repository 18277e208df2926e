"""The bytes between a real client and a real origin: a relay changes none, and counts them exactly."""

from __future__ import annotations

from pathlib import Path

from support.clients.conversation import WebsocketsClient, websockets_origin
from support.clients.stage import Files, host, stage
from support.clients.tap import tap

NAME = "websockets"


async def test_bytes_are_passed_on_as_they_came_and_counted_as_they_passed(tmp_path: Path) -> None:
    """After the handshake both legs carry the same bytes; the relay's counts equal a tap's before it."""
    files = Files(tmp_path, (NAME,))
    async with (
        websockets_origin(files) as (heard, ports),
        tap(ports["ws"]) as behind,
        stage(files, {NAME: [{"ws": behind.port, "wss": ports["wss"]}]}) as one,
        tap(await one.relay.port("http")) as before,
    ):
        await WebsocketsClient().conversations(f"ws://{host(NAME)}:{before.port}")
        for _ in range(2):
            await heard.said()

        async def all_are_over() -> bool:
            return not await one.counted("open_connections")

        await one.until(all_are_over)
        assert len(before.connections) == len(behind.connections) == 2
        for client, origin in zip(before.connections, behind.connections, strict=True):
            assert after_the_head(client.to_server) == after_the_head(origin.to_server)
            assert after_the_head(client.to_client) == after_the_head(origin.to_client)
        assert await one.counted("received_bytes_total") == before.total("to_server")
        assert await one.counted("sent_bytes_total") == before.total("to_client")


def after_the_head(stream: bytes | bytearray) -> bytes:
    head, end, rest = bytes(stream).partition(b"\r\n\r\n")
    assert head
    assert end
    assert len(rest) > 100_000
    return rest
