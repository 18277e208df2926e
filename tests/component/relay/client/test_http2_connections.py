"""HTTP/2 connections: drains, idle timeouts, floods and broken rules."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import subprocess
from pathlib import Path

import h2.settings
import pytest
import structlog
from websockets.asyncio.server import ServerConnection

from support.go_program import go_program
from support.relay.http2 import Seen, connect_lines, get_lines, http2_client
from support.relay.http2_relay import CANCEL, echoes, http2, material
from support.relay.running import DEADLINE, DOMAIN, QUICK, USUAL, on_pump_loop, origin

PROTOCOL_ERROR = 1
REFUSED_STREAM = 7
ENHANCE_YOUR_CALM = 11
GO_READER = Path(__file__).parents[3] / "support" / "relay" / "http2_reader"


@on_pump_loop
async def test_a_new_configuration_closes_no_stream() -> None:
    """It applies to the next stream of the same connection."""
    async with (
        origin() as first_port,
        origin(refuse_all) as second_port,
        http2(first_port) as relay,
        http2_client(relay) as client,
    ):
        stream = await client.open()
        relay.apply(material=material(), origins=[{"host": "127.0.0.1", "httpPort": second_port}])
        await echoes(client, stream)
        other = await client.open()
        await client.until(lambda: client.streams[other].data)
        assert client.streams[other].data[:4] == b"\x88\x02\x0f\xa0"
        await echoes(client, stream)


async def refuse_all(connection: ServerConnection) -> None:
    """Close each connection at once, with 4000."""
    await connection.close(4000)


@on_pump_loop
async def test_a_drain_says_goaway_and_ends_with_the_last_stream() -> None:
    """Open tunnels get 1001, a later stream gets 503, then the connection closes."""
    async with origin() as port, http2(port, lifecycle={"drainSeconds": 1}) as relay:
        async with http2_client(relay) as client:
            streams = [await client.open() for _ in range(3)]
            draining = asyncio.create_task(relay.relay.drain())
            await client.until(lambda: client.goaway)
            assert client.goaway == [(0, (1 << 31) - 1)]
            late = client.request(connect_lines())
            await client.until(lambda: client.streams[late].ended)
            assert client.streams[late].status == 503
            assert b"retry-after" in client.streams[late].headers
            for stream in streams:
                seen = client.streams[stream]
                await client.until(functools.partial(getattr, seen, "ended"))
                assert seen.data[:4] == b"\x88\x0c\x03\xe9"
            await client.until(lambda: client.closed)
            await draining
        assert relay.connections_of_http2 == 0


@on_pump_loop
async def test_an_idle_connection_goes_at_a_drain() -> None:
    """A connection without streams closes at once."""
    async with http2(1) as relay, http2_client(relay) as client:
        await relay.relay.drain()
        await client.until(lambda: client.closed)


@on_pump_loop
async def test_a_window_that_stays_closed_holds_up_no_drain() -> None:
    """After its tunnel is closed, unsent output has the time of a Close, whatever stallSeconds is."""

    async def flood(connection: ServerConnection) -> None:
        while True:
            await connection.send(b"x" * 100_000)

    fields = {"limits": {"stallSeconds": 3600}, "lifecycle": {"drainSeconds": 1}}
    async with (
        origin(flood, compression=None) as port,
        http2(port, timeouts=QUICK, **fields) as relay,
        http2_client(relay, frugal=True) as client,
    ):
        client.protocol.increment_flow_control_window(1 << 28)  # of the connection, not of streams
        client.flush()
        stream = await client.open()
        await client.until(lambda: len(client.streams[stream].data) == 65535)
        await relay.until(lambda: relay.relay.pauses)
        await relay.relay.drain()
        assert not relay.connections_of_http2


@on_pump_loop
async def test_a_header_within_a_tunnel_is_an_error_of_its_stream() -> None:
    """RFC 9113 section 8.5: only DATA is allowed; other streams continue."""
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        other, stream = await client.open(), await client.open()
        client.protocol.send_headers(stream, [(b"x-trailer", b"1")], end_stream=True)
        client.flush()
        await client.until(lambda: client.streams[stream].reset is not None)
        assert client.streams[stream].reset == PROTOCOL_ERROR
        await echoes(client, other)


@on_pump_loop
async def test_no_header_is_logged_when_a_rule_is_broken() -> None:
    """The log has the kind of the fault but not the header's value, which may be a secret."""
    with structlog.testing.capture_logs() as logged:
        async with http2(1) as relay, http2_client(relay) as client:
            client.request([*connect_lines(), (b"authorization", b"Bearer sesame ")])
            await client.until(lambda: client.closed)
    assert "client broke HTTP/2 rule" in [line["event"] for line in logged]
    assert "sesame" not in str(logged)


@on_pump_loop
async def test_a_newcomer_in_a_drain_gets_503() -> None:
    """A new HTTP/2 connection during a drain has the time for one answer."""
    async with origin() as port, http2(port, lifecycle={"drainSeconds": 2}) as relay:
        async with http2_client(relay) as first:
            await first.open()
            draining = asyncio.create_task(relay.relay.drain())
            await first.until(lambda: first.goaway)
            async with http2_client(relay) as client:
                seen = await client.answer(connect_lines())
                assert seen.status == 503
        await draining


@on_pump_loop
async def test_newcomers_hold_up_no_drain() -> None:
    """A client that opens streams without end gets REFUSED_STREAM after a while."""
    async with (
        origin() as port,
        http2(port, timeouts=QUICK, lifecycle={"drainSeconds": 0}) as relay,
        http2_client(relay) as client,
    ):

        async def insist() -> None:
            while not client.closed:
                client.request(connect_lines())
                await asyncio.sleep(0.05)

        await client.open()
        insisting = asyncio.create_task(insist())
        async with asyncio.timeout(DEADLINE):
            await relay.relay.drain()
        await client.until(lambda: client.closed)
        await insisting
        assert {seen.status for seen in client.streams.values()} == {0, 200, 503}
        assert REFUSED_STREAM in {seen.reset for seen in client.streams.values()}


@on_pump_loop
async def test_a_domain_that_is_switched_off_drains_its_connections() -> None:
    """Clients get GOAWAY and 1001, and no connection is left."""
    async with (
        origin() as port,
        http2(port, lifecycle={"drainSeconds": 0}, timeouts=QUICK) as relay,
        http2_client(relay) as client,
    ):
        stream = await client.open()
        relay.apply(material=material(), enabled=False)
        await client.until(lambda: client.closed)
        assert client.streams[stream].data[:4] == b"\x88\x0c\x03\xe9"


@on_pump_loop
async def test_an_idle_connection_is_closed_after_a_while() -> None:
    """It gets GOAWAY, which tells the client that no stream was lost."""
    timeouts = dataclasses.replace(USUAL, session_idle_seconds=0.2)
    async with http2(1, timeouts=timeouts) as relay, http2_client(relay) as client:
        await client.until(lambda: client.closed)
        assert client.goaway == [(0, 0)]
        assert relay.connections_of_http2 == 0


@on_pump_loop
async def test_a_client_that_says_nothing_is_closed() -> None:
    """The connection preface must arrive within the time of a request's head."""
    timeouts = QUICK
    async with http2(1, timeouts=timeouts) as relay, http2_client(relay, begin=False) as client:
        await client.until(lambda: client.closed)
        await relay.until(lambda: not relay.connections_of_http2)


# What is sent again and again, and the error that it gets.
FLOODS: dict[str, bytes] = {
    "pings": b"\0\0\x08\x06\0\0\0\0\0" + bytes(8),
    "settings": b"\0\0\0\x04\0\0\0\0\0",
    "resets of a stream that has ended": b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
    "priorities": b"\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\0",
    "unknown frames": b"\0\0\0\x77\0\0\0\0\0",
    "window updates": b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01",
}


@pytest.mark.parametrize("case", FLOODS)
@on_pump_loop
async def test_a_flood_is_sent_away(case: str) -> None:
    """Too many frames without payload get ENHANCE_YOUR_CALM; other clients are served."""
    async with origin() as port, http2(port) as relay:
        async with http2_client(relay) as client, http2_client(relay) as other:
            stream = await other.open()
            await client.answer(get_lines(), end=True)
            client.flush(FLOODS[case] * 3000)
            await client.until(lambda: client.closed)
            assert [code for code, _ in client.goaway] == [ENHANCE_YOUR_CALM]
            await echoes(other, stream)
        await relay.until(lambda: not relay.connections_of_http2)


@on_pump_loop
async def test_a_rapid_reset_is_sent_away() -> None:
    """Streams that are opened and reset at once (CVE-2023-44487) reach no origin and spend the budget."""
    dialled: list[ServerConnection] = []

    async def note(connection: ServerConnection) -> None:
        dialled.append(connection)

    async with origin(note) as port, http2(port) as relay, http2_client(relay) as client:
        for _ in range(300):
            number = client.next_number()
            client.protocol.send_headers(number, connect_lines())
            client.protocol.reset_stream(number, CANCEL)
        client.flush()
        await client.until(lambda: client.closed)
        assert [code for code, _ in client.goaway] == [ENHANCE_YOUR_CALM]
        await relay.until_idle()
        assert len(dialled) < 300


async def send_for_ever(connection: ServerConnection) -> None:
    """Send messages until the connection ends."""
    while True:
        await connection.send(bytes(16384))


@pytest.mark.parametrize("piece", [1024, 4096, 8192])
@on_pump_loop
async def test_window_may_be_returned_in_small_pieces(piece: int) -> None:
    """A client whose program reads 4096 bytes at a time returns window so (Go's net/http2 does)."""
    async with (
        origin(send_for_ever, compression=None) as port,
        http2(port) as relay,
        http2_client(relay, frugal=True) as client,
    ):
        stream = await client.open()
        for _ in range((10 << 20 if piece > 1024 else 3 << 20) // piece):
            await client.hear(stream, piece)
            client.protocol.increment_flow_control_window(piece)
            client.protocol.increment_flow_control_window(piece, stream)
            client.flush()
        assert not client.goaway


@pytest.fixture(scope="module")
def go_reader() -> Path:
    """Return a program of Go's own HTTP/2 client."""
    return go_program("http2reader", GO_READER, ".")


@on_pump_loop
async def test_go_reads_in_small_pieces_without_end(go_reader: Path) -> None:
    """Go returns the window of the stream and of the connection for every 4096 bytes that were read."""
    async with origin(send_for_ever, compression=None) as port, http2(port) as relay:
        host, https = relay.relay.addresses["https"]
        command = (str(go_reader), f"{host}:{https}", DOMAIN, "4096", str(12 << 20))
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        try:
            async with asyncio.timeout(3 * DEADLINE):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert (process.returncode, said) == (0, b"")


@on_pump_loop
async def test_megabytes_may_be_answered_late() -> None:
    """A client with a large window whose program pauses answers all of it at once."""
    async with (
        origin(send_for_ever, compression=None) as port,
        http2(port) as relay,
        http2_client(relay, frugal=True) as client,
    ):
        client.protocol.increment_flow_control_window(4 << 20)
        stream = await client.open()
        client.protocol.increment_flow_control_window(4 << 20, stream)
        client.flush()
        await client.hear(stream, 4 << 20)
        for _ in range(2048):
            client.protocol.increment_flow_control_window(2048)
            client.protocol.increment_flow_control_window(2048, stream)
        client.flush()
        await client.hear(stream, 1 << 20)
        assert not client.goaway


@on_pump_loop
async def test_window_in_single_bytes_is_sent_away() -> None:
    """The relay would send a frame for each byte (CVE-2019-9511); such window updates are paid by nothing."""
    async with (
        origin(send_for_ever, compression=None) as port,
        http2(port) as relay,
        http2_client(relay, frugal=True) as client,
    ):
        stream = await client.open()
        await client.hear(stream, 65535)  # all of the window
        for _ in range(3000):
            client.protocol.increment_flow_control_window(1)
            client.protocol.increment_flow_control_window(1, stream)
        client.flush()
        await client.until(lambda: client.closed)
        assert [code for code, _ in client.goaway] == [ENHANCE_YOUR_CALM]


def answered(seen: Seen) -> bool:
    """Return whether a stream has its answer."""
    return seen.status == 200


@on_pump_loop
async def test_tunnels_may_come_and_go_without_bound() -> None:
    """A proxy opens and resets the tunnels of all its clients on few connections."""
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        for _ in range(10):
            streams = [client.request(connect_lines()) for _ in range(40)]
            for stream in streams:
                await client.until(functools.partial(answered, client.streams[stream]))
            for stream in streams:
                client.protocol.reset_stream(stream, CANCEL)
            client.flush()
        await echoes(client, await client.open())
        assert not client.goaway


# What is sent once, and the code of the GOAWAY (None: there is none).
BROKEN: dict[str, tuple[bytes, int]] = {
    "a frame that is too large": (b"\0\x40\x01\0\0\0\0\0\x01" + bytes(16385), 6),
    "the head of one that will be": (b"\xff\xff\xff\0\0\0\0\0\x01", 6),
    "a promise": (b"\0\0\x04\x05\x04\0\0\0\x01\0\0\0\x02", 1),
    "headers without end": (
        b"\0\0\x01\x01\0\0\0\0\x01\x82" + b"\0\0\0\x09\0\0\0\0\x01" * 100,
        1,
    ),
    "a header that is no HPACK": (b"\0\0\x02\x01\x05\0\0\0\x01\xff\xff", 1),
    "a header in capitals": (b"\0\0\x07\x01\x05\0\0\0\x01\x82\x87\x84\x40\x01A\0", 1),
    "more DATA than the window": (b"\0\0\x01\0\0\0\0\0\x03x", 1),
}


@pytest.mark.parametrize("case", BROKEN)
@on_pump_loop
async def test_a_broken_rule_ends_the_connection(case: str) -> None:
    """The client gets GOAWAY with the error code."""
    said, code = BROKEN[case]
    async with http2(1) as relay:
        async with http2_client(relay) as client:
            client.flush(said)
            await client.until(lambda: client.closed)
            assert [code for code, _ in client.goaway] == [code]
        await relay.until(lambda: not relay.connections_of_http2)


@on_pump_loop
async def test_a_header_list_without_bound_ends_the_connection() -> None:
    """A kilobyte on the wire would need a megabyte of memory (CVE-2016-6581)."""
    async with http2(1) as relay, http2_client(relay) as client:
        client.request([*connect_lines(), *[(b"x", b"y" * 4000)] * 100])
        await client.until(lambda: client.closed)
        assert [code for code, _ in client.goaway] == [ENHANCE_YOUR_CALM]


@on_pump_loop
async def test_too_many_streams_end_the_connection() -> None:
    """The relay's SETTINGS announced the maximum."""
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        client.protocol.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 1000
        client.protocol.remote_settings.acknowledge()
        for _ in range(101):
            client.request(connect_lines())
        await client.until(lambda: client.closed)
        assert [code for code, _ in client.goaway] == [1]
        await relay.until_idle()


@on_pump_loop
async def test_another_preface_is_no_connection() -> None:
    """A client that chose h2 and sends HTTP/1.1 gets no answer; the connection is closed."""
    async with http2(1) as relay, http2_client(relay, begin=False) as client:
        client.flush(b"GET / HTTP/1.1\r\nHost: chat.example.com\r\n\r\n")
        await client.until(lambda: client.closed)


@on_pump_loop
async def test_a_client_that_leaves_ends_its_tunnels() -> None:
    """A GOAWAY or a disconnect of the client ends them at once, as a reset of each stream does."""
    async with origin() as port, http2(port) as relay:
        for says_so in (True, False):
            async with http2_client(relay) as client:
                await client.open()
                if says_so:
                    client.protocol.close_connection()
                    client.flush()
                    await client.until(lambda client=client: client.closed)  # type: ignore[misc]
            await relay.until_idle()
        assert relay.counters.client.broken == 2
