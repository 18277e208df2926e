"""Tunnels between real clients and real origins."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from support.relay.frames import frame
from support.relay.heads import switching, upgrade
from support.relay.running import (
    DEADLINE,
    DOMAIN,
    QUICK,
    Running,
    echo,
    on_pump_loop,
    origin,
    raw_origin,
    running,
)

pytestmark = pytest.mark.usefixtures("each_form")

MESSAGES: dict[str, Any] = {
    "a short text": "hello",
    "an empty text": "",
    "a text of 200 bytes": "x" * 200,
    "binary of 70,000 bytes": b"\x00\x01" * 35000,
    "a megabyte": b"z" * 1_000_000,
    "a message in fragments": ["one", "two" * 100, "three"],
}
KEY = b"\x11\x22\x33\x44"
HEAD = upgrade()
SWITCHING = switching()


@pytest.mark.parametrize("compression", [None, "deflate"])
@on_pump_loop
async def test_messages_come_back_as_they_were_sent(compression: str | None) -> None:
    """Every kind of message is echoed, with and without permessage-deflate."""
    async with origin() as port, running(port) as relay:
        async with relay.connect(compression=compression, max_size=None) as client:
            for message in MESSAGES.values():
                await client.send(message)
                expected = "".join(message) if isinstance(message, list) else message
                assert await client.recv() == expected
        await relay.until_idle()
        totals = relay.totals
        assert (totals.sent_messages, totals.received_messages) == (len(MESSAGES), len(MESSAGES))
        assert (totals.opened_connections, totals.open_connections, totals.codes) == (1, 0, {101: 1})


@on_pump_loop
async def test_pings_pass_both_ways() -> None:
    """Pings of client and origin reach the other end, and so do their pongs."""
    pinged = asyncio.Event()

    async def ping_first(connection: ServerConnection) -> None:
        await (await connection.ping(b"from origin"))
        pinged.set()
        await echo(connection)

    async with origin(ping_first) as port, running(port) as relay, relay.connect() as client:
        await asyncio.wait_for(await client.ping(b"from client"), DEADLINE)
        await asyncio.wait_for(pinged.wait(), DEADLINE)


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4321])
@on_pump_loop
async def test_close_codes_pass_from_the_client(code: int) -> None:
    """The origin gets the client's code and reason, and both streams end."""
    seen: asyncio.Future[tuple[int | None, str | None]] = asyncio.get_running_loop().create_future()

    async def note(connection: ServerConnection) -> None:
        await connection.wait_closed()
        seen.set_result((connection.close_code, connection.close_reason))

    async with origin(note) as port, running(port) as relay:
        async with relay.connect() as client:
            await client.close(code, "why not")
        assert await asyncio.wait_for(seen, DEADLINE) == (code, "why not")
        await relay.until_idle()
        assert relay.counters.client.close_codes == {code if code < 4000 else 0: 1}


@pytest.mark.parametrize("code", [1000, 1011, 4000])
@on_pump_loop
async def test_close_codes_pass_from_the_origin(code: int) -> None:
    """The client gets the origin's code and reason."""
    async with origin(lambda connection: connection.close(code, "over")) as port, running(port) as relay:
        async with relay.connect() as client:
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "over")
        await relay.until_idle()


@on_pump_loop
async def test_bytes_behind_both_heads_are_not_lost() -> None:
    """Frames in the same packet as the request, and as the 101, reach the other end."""
    got = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHING + frame(b"early bird"))
        got.set_result(await reader.readexactly(len(frame(b"eager", key=KEY))))
        await reader.read()

    async with raw_origin(serve) as port, running(port) as relay:
        reader, writer = await relay.raw()
        writer.write(HEAD + frame(b"eager", key=KEY))
        answer = await asyncio.wait_for(reader.readuntil(b"early bird"), DEADLINE)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert await asyncio.wait_for(got, DEADLINE) == frame(b"eager", key=KEY)
        writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_a_client_that_breaks_a_rule_is_told_so() -> None:
    """An unmasked frame ends the tunnel: 1002 for the client, 1001 for the origin, both streams end."""
    seen: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def note(connection: ServerConnection) -> None:
        await connection.wait_closed()
        seen.set_result(connection.close_code)

    async with origin(note, compression=None) as port, running(port) as relay:
        answer = await relay.exchange(HEAD + frame(b"unmasked") + frame(b"more"))
        assert answer.endswith(frame(b"\x03\xeamasking", opcode=8))
        assert await asyncio.wait_for(seen, DEADLINE) == 1001
        await relay.until_idle()
        assert relay.counters.client.violations == {"masking": 1}


@on_pump_loop
async def test_an_origin_that_breaks_a_rule_is_told_so() -> None:
    """A masked frame of an origin ends the tunnel: 1002 for the origin, 1011 for the client."""
    got = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHING + frame(b"masked", key=KEY))
        got.set_result(await reader.read())

    async with raw_origin(serve) as port, running(port) as relay:
        answer = await relay.exchange(HEAD)
        assert answer.endswith(frame(b"\x03\xf3", opcode=8))
        sent = await asyncio.wait_for(got, DEADLINE)
        assert (sent[0], sent[1]) == (0x88, 0x80 | len(b"\x03\xeamasking"))
        await relay.until_idle()


@on_pump_loop
async def test_a_slow_reader_holds_back_the_sender_and_loses_nothing() -> None:
    """A client that stops reading stops the origin's sending; all arrives once it reads again."""
    total = 40 * 1_000_000

    async def flood(connection: ServerConnection) -> None:
        for _ in range(40):
            await connection.send(b"x" * 1_000_000)

    async with origin(flood, compression=None) as port, running(port) as relay:
        reader, writer = await relay.raw()
        writer.write(HEAD)
        await reader.readuntil(b"\r\n\r\n")
        await relay.until(lambda: relay.relay.pauses)
        assert relay.totals.sent_bytes < total
        got = 0
        async with asyncio.timeout(20):
            while data := await reader.read(1 << 20):
                got += len(data)
        assert got == 40 * (10 + 1_000_000) + len(frame(b"\x03\xe8", opcode=8))
        writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_a_stalled_reader_is_given_up() -> None:
    """A client that accepts no bytes for stallSeconds is disconnected, and the origin gets 1001."""
    seen: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def flood(connection: ServerConnection) -> None:
        try:
            while True:
                await connection.send(b"x" * 1_000_000)
        except ConnectionClosed:
            seen.set_result(connection.close_code)

    async with (
        origin(flood, compression=None, write_limit=1024) as port,
        running(port, limits={"stallSeconds": 3600}) as relay,
    ):
        _, writer = await relay.raw()
        cast(asyncio.Transport, writer.transport).pause_reading()
        writer.write(HEAD)
        await relay.until(lambda: relay.totals.opened_connections)
        relay.apply(limits={"stallSeconds": 1})
        await relay.until_idle_after_opening()
        assert relay.counters.client.stalled == 1
        assert await asyncio.wait_for(seen, DEADLINE) == 1001
        writer.transport.abort()
        await asyncio.sleep(0)


@on_pump_loop
async def test_bytes_are_counted_exactly_on_the_clients_side() -> None:
    """Every byte a plain socket sends and receives is counted, heads and control frames included."""
    async with origin(compression=None) as port, running(port) as relay:
        reader, writer = await relay.raw(limit=1 << 20)
        sent = HEAD
        for size in (0, 125, 126, 70000):
            sent += frame(b"y" * size, opcode=2, key=KEY)
        sent += frame(b"ping", opcode=9, key=KEY)
        close = frame(b"\x03\xe8", opcode=8, key=KEY)
        writer.write(sent)
        received = await reader.readuntil(b"y" * 70000)
        writer.write(close)
        received += await reader.read()
        writer.close()
        await relay.until_idle()
        row = relay.row
        assert (row.received_bytes, row.sent_bytes) == (len(sent + close), len(received))
        assert (row.received_messages, row.sent_messages) == (4, 4)


@on_pump_loop
async def test_refused_handshakes_are_counted_in_bytes_too() -> None:
    """The bytes of a refused request and its answer are counted, and its code."""
    async with running(1) as relay:
        request = f"GET / HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n".encode()
        answer = await relay.exchange(request)
        await relay.until_idle()
        row = relay.row
        assert (row.received_bytes, row.sent_bytes) == (len(request), len(answer))
        assert row.codes == ((426, 1),)


@on_pump_loop
async def test_a_peer_that_does_not_answer_a_close_is_not_waited_for() -> None:
    """The tunnel ends soon after the Close when the other end neither answers nor disconnects."""
    told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHING)
        told.set_result(await reader.readexactly(8))
        await over.wait()

    async with raw_origin(ignore) as port, running(port, timeouts=QUICK) as relay:
        reader, writer = await relay.raw()
        writer.write(HEAD + frame(b"\x03\xe8", opcode=8, key=KEY))
        assert (await asyncio.wait_for(told, DEADLINE))[0] == 0x88
        await relay.until_idle()
        assert (await reader.read()).endswith(b"\r\n\r\n")
        writer.close()
        over.set()


@on_pump_loop
async def test_a_half_closed_client_still_gets_its_answer() -> None:
    """A client that sends Close and shuts its side at once gets the origin's Close before the end."""
    async with origin(compression=None) as port, running(port) as relay:
        reader, writer = await relay.raw()
        writer.write(HEAD + frame(b"\x03\xe8", opcode=8, key=KEY))
        writer.write_eof()
        async with asyncio.timeout(DEADLINE):
            answer = await reader.read()
        assert answer.endswith(frame(b"\x03\xe8", opcode=8))
        writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_an_origin_that_ends_inside_a_frame_leaves_no_false_close() -> None:
    """Where no frame boundary is left, the client's stream ends without a Close (1006), not inside one."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHING + frame(b"x" * 1000)[:500])

    async with raw_origin(cut) as port, running(port) as relay:
        answer = await relay.exchange(HEAD)
        assert answer.endswith(frame(b"x" * 1000)[:500])
        await relay.until_idle()
        assert relay.counters.origin.broken == 1


def open_descriptors() -> int:
    """Return the number of open descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


@on_pump_loop
async def test_many_tunnels_share_one_loop_and_leave_nothing() -> None:
    """A hundred clients echo at once; afterwards no leg, no task and no descriptor is left."""

    async def talk(relay: Running, number: int) -> None:
        async with relay.connect() as client:
            for size in (1, 200, 70_000):
                await client.send(f"{number}" * size)
                assert await client.recv() == f"{number}" * size

    descriptors = open_descriptors()
    async with origin() as port, running(port) as relay:
        await asyncio.gather(*(talk(relay, number) for number in range(100)))
        await relay.until_idle()
        assert relay.row.opened_connections == 100
        assert relay.row.sent_messages == relay.row.received_messages == 300
    await asyncio.sleep(0)
    assert open_descriptors() <= descriptors


@on_pump_loop
async def test_sweeps_and_the_end_count_every_byte_once() -> None:
    """Sweeps at any time do not change the sums."""
    async with (
        origin(compression=None) as port,
        running(port) as relay,
        relay.connect(compression=None) as client,
    ):
        before = relay.totals.received_bytes
        for number in range(1, 6):
            await client.send("x" * 100)
            await client.recv()
            assert relay.totals.received_bytes == before + number * 106
            assert relay.totals.sent_messages == number
        await client.close()
        await relay.until_idle()
        assert relay.totals.received_bytes == before + 5 * 106 + 8


@on_pump_loop
async def test_tunnels_that_are_gone_leave_no_memory() -> None:
    """Not one of Python's blocks per tunnel, though the heartbeat would look at them in a minute."""

    async def least(relay: Running) -> int:
        """Return the fewest blocks after each of some hundreds: what the wheel drops late comes and goes."""
        counts = []
        for _ in range(4):
            for _ in range(100):
                async with relay.connect(compression=None) as client:
                    client.transport.abort()
            await relay.until_idle()
            gc.collect()
            counts.append(sys.getallocatedblocks())
        return min(counts)

    async with origin(compression=None) as port, running(port, heartbeatSeconds=300) as relay:
        before = await least(relay)
        assert await least(relay) - before < 400
