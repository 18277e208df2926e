"""WebSocket over HTTP/2 (RFC 8441): messages, windows and ends of tunnels, between real peers."""

from __future__ import annotations

import asyncio
import errno
import socket
import zlib

import pytest
from websockets.asyncio.server import ServerConnection

from support.relay.frames import frame
from support.relay.heads import ACCEPT, KEY, upgrade
from support.relay.http2 import Line, connect_lines, http2_client
from support.relay.http2_relay import CANCEL, echoes, http2
from support.relay.running import DOMAIN, on_pump_loop, origin, raw_origin, running
from support.relay.tunnel_ends import Origin
from wsedge_relay.telemetry.counters import Ending

# What passes does so by the pump; all else is the same for its two forms.
by_each_form = pytest.mark.usefixtures("each_form")
CLOSE = b"\x03\xe8"  # 1000


@by_each_form
@on_pump_loop
async def test_a_message_passes_and_the_close_ends_the_stream() -> None:
    """After an echo and the closing handshake the stream gets END_STREAM, the counterpart of a TCP FIN."""
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open()
        await echoes(client, stream)
        await client.say(stream, CLOSE, opcode=8)
        seen = client.streams[stream]
        await client.until(lambda: seen.ended)
        assert (seen.data, seen.reset) == (frame(CLOSE, opcode=8), None)
        client.protocol.end_stream(stream)
        client.flush()
        await relay.until_idle()
        assert relay.totals.codes == {101: 1}
        assert [(end.by, end.code) for end in relay.counters.endings] == [("client", 1000)]
        assert not client.closed


@on_pump_loop
async def test_a_key_from_behind_a_proxy_gets_its_accept() -> None:
    """Envoy passes the key of its own HTTP/1.1 client and leaves the Accept to the server."""
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        keyed = await client.open([(b"sec-websocket-key", KEY)])
        assert client.streams[keyed].headers[b"sec-websocket-accept"] == ACCEPT
        await echoes(client, keyed)
        plain = await client.open()
        assert b"sec-websocket-accept" not in client.streams[plain].headers


@on_pump_loop
async def test_the_relay_offers_what_it_does() -> None:
    """SETTINGS announce extended CONNECT and the maximum of streams and bytes."""
    async with http2(1) as relay, http2_client(relay) as client:
        assert client.settings.enable_connect_protocol == 1
        assert client.settings.max_concurrent_streams == 100
        assert client.settings.initial_window_size == 65536
        assert client.protocol.outbound_flow_control_window == 100 * 65536


@on_pump_loop
async def test_usage_counts_as_over_http_1_1() -> None:
    """A request and messages count the same: frames and heads, not the framing of HTTP/2."""
    counted = []
    agent = [(b"user-agent", b"test")]
    async with origin() as port:
        async with http2(port) as relay, http2_client(relay) as client:
            stream = await client.open(agent)
            await echoes(client, stream, b"x" * 1000)
            await client.say(stream, CLOSE, opcode=8)
            await relay.until_idle()
            counted.append((relay.row.sent_bytes, relay.row.received_bytes))
        async with running(port) as relay:
            reader, writer = await relay.raw()
            writer.write(upgrade("/", "User-Agent: test"))
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(b"x" * 1000, key=b"mask"))
            await reader.readexactly(len(frame(b"x" * 1000)))
            writer.write(frame(CLOSE, opcode=8, key=b"mask"))
            await reader.read()
            writer.close()
            await relay.until_idle()
            counted.append((relay.row.sent_bytes, relay.row.received_bytes))
    assert counted[0] == counted[1]


@by_each_form
@on_pump_loop
async def test_two_tunnels_share_a_connection() -> None:
    """Each tunnel has its own messages and its own end."""
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        first, second = await client.open(), await client.open()
        for stream, text in ((first, b"one"), (second, b"two"), (first, b"three")):
            await echoes(client, stream, text)
        assert relay.connections_of_http2 == 1
        assert relay.relay.open_connections == 2
        client.protocol.reset_stream(first, CANCEL)
        client.flush()
        await relay.until(lambda: relay.relay.open_connections == 1)
        await echoes(client, second, b"still here")


@on_pump_loop
async def test_the_origin_gets_a_handshake_of_http_1_1() -> None:
    """It has the relay's own key, joined cookie crumbs, and the allowed headers of the client."""
    heads: list[ServerConnection] = []

    async def keep(connection: ServerConnection) -> None:
        heads.append(connection)
        await connection.wait_closed()

    lines: list[Line] = [
        (b"origin", b"https://chat.example.com"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"sec-websocket-protocol", b"chat.v1, chat.v2"),
        (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
        (b"x-forwarded-for", b"203.0.113.9"),
    ]
    async with (
        origin(keep, subprotocols=["chat.v2"]) as port,
        http2(port) as relay,
        http2_client(relay) as client,
    ):
        stream = client.request(connect_lines(lines, path=b"/room?id=7"))
        seen = client.streams[stream]
        await client.until(lambda: seen.headers)
        assert seen.status == 200
        assert seen.headers[b"sec-websocket-protocol"] == b"chat.v2"
        assert seen.headers[b"sec-websocket-extensions"].startswith(b"permessage-deflate")
        assert not {b"sec-websocket-accept", b"connection", b"upgrade"} & seen.headers.keys()
        (connection,) = heads
        assert connection.request is not None
        assert connection.request.path == "/room?id=7"
        asked = connection.request.headers
        assert asked["Cookie"] == "a=1; b=2"
        assert asked["X-Forwarded-For"] == "127.0.0.1"
        assert asked["X-Forwarded-Proto"] == "https"
        assert asked["X-Forwarded-Host"] == DOMAIN


@by_each_form
@on_pump_loop
async def test_compressed_messages_pass() -> None:
    """permessage-deflate is negotiated end to end, and its bit passes."""
    offer = [(b"sec-websocket-extensions", b"permessage-deflate; server_no_context_takeover")]
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open(offer)
        packer = zlib.compressobj(wbits=-12)
        packed = (packer.compress(b"hello " * 50) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
        await client.send(stream, frame(packed, rsv=4, key=b"mask"))
        await client.until(lambda: len(client.streams[stream].data) > 2)
        got = client.streams[stream].data
        assert got[0] == 0xC1
        assert zlib.decompressobj(wbits=-15).decompress(got[2:] + b"\0\0\xff\xff") == b"hello " * 50


@by_each_form
@on_pump_loop
async def test_large_messages_pass_within_the_windows() -> None:
    """Three megabytes pass each way on two streams at once, with windows of 64 KiB."""
    async with (
        origin(compression=None, max_size=None) as port,
        http2(port) as relay,
        http2_client(relay) as client,
    ):
        payloads = [bytes([number]) * 3_000_000 for number in (1, 2)]
        streams = [await client.open() for _ in payloads]

        async def exchange(stream: int, payload: bytes) -> None:
            await client.say(stream, payload, opcode=2)
            assert await client.hear(stream, len(frame(payload))) == frame(payload, opcode=2)

        await asyncio.gather(*map(exchange, streams, payloads))


@on_pump_loop
async def test_a_client_that_resets_before_the_answer_is_gone() -> None:
    """The request to the origin ends, and 499 is counted."""
    asked = asyncio.Event()

    async def keep_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        assert not await reader.read()

    async with raw_origin(keep_silent) as port, http2(port) as relay, http2_client(relay) as client:
        stream = client.request(connect_lines())
        await asked.wait()
        client.protocol.reset_stream(stream, CANCEL)
        client.flush()
        await relay.until(lambda: relay.counters.refusals() == {"gone": 1})


@by_each_form
@on_pump_loop
async def test_a_reset_of_the_stream_resets_the_origin() -> None:
    """Bytes before it arrive; no Close does, because nobody sent one."""
    far = Origin()
    async with raw_origin(far.serve) as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open()
        await client.say(stream, b"last")
        assert await far.receive(10) == frame(b"last", key=b"mask")
        client.protocol.reset_stream(stream, CANCEL)
        client.flush()
        assert await far.end() == (b"", "reset")
        await relay.until_idle()
        assert relay.counters.endings == {Ending("client", "reset", 1006): 1}
        far.over.set()


@by_each_form
@on_pump_loop
async def test_the_end_of_the_stream_is_an_end_towards_the_origin() -> None:
    """END_STREAM is the counterpart of a FIN: the origin may still answer."""
    far = Origin()
    async with raw_origin(far.serve) as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open()
        client.protocol.end_stream(stream)
        client.flush()
        assert await far.end() == (b"", "end")
        far.writer.write(frame(b"answer"))
        assert await client.hear(stream, 8) == frame(b"answer")
        far.over.set()
        seen = client.streams[stream]
        await client.until(lambda: seen.ended)
        assert (seen.data, seen.reset) == (b"", None)
        await relay.until_idle()
        assert relay.counters.endings == {Ending("client", "end", 1006): 1}


@by_each_form
@on_pump_loop
async def test_a_reset_behind_the_end_of_the_stream_resets_the_origin() -> None:
    """A stream's error is a TCP reset (RFC 9113 section 8.5), also for an origin that says nothing."""
    far = Origin()
    async with raw_origin(far.serve) as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open()
        await client.say(stream, b"last")
        client.protocol.end_stream(stream)
        client.flush()
        assert await far.end() == (frame(b"last", key=b"mask"), "end")
        client.protocol.reset_stream(stream, CANCEL)
        client.flush()
        sock = far.writer.get_extra_info("socket")
        # Of a socket that has received a FIN the kernel reports a RST so.
        await relay.until(lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EPIPE)
        await relay.until_idle()
        assert relay.counters.endings == {Ending("client", "end", 1006): 1}
        far.over.set()


@by_each_form
@on_pump_loop
async def test_an_origins_end_ends_the_stream_without_a_close() -> None:
    """The client gets END_STREAM and may still send for as long as the tunnel is open."""
    far = Origin()
    async with raw_origin(far.serve) as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open()
        far.writer.write(frame(b"last"))
        far.writer.write_eof()
        seen = client.streams[stream]
        await client.until(lambda: seen.ended)
        assert (seen.data, seen.reset) == (frame(b"last"), None)
        await client.say(stream, b"late")
        assert await far.receive(10) == frame(b"late", key=b"mask")
        client.protocol.end_stream(stream)
        client.flush()
        assert await far.end() == (b"", "end")
        await relay.until_idle()
        assert relay.counters.endings == {Ending("origin", "end", 1006): 1}
        far.over.set()


@by_each_form
@on_pump_loop
async def test_an_origins_reset_resets_the_stream() -> None:
    """The bytes before it arrive, then RST_STREAM with CANCEL (RFC 8441 section 5)."""
    far = Origin()
    async with raw_origin(far.serve) as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open()
        far.writer.write(frame(b"last"))
        far.reset()
        seen = client.streams[stream]
        await client.until(lambda: seen.reset is not None)
        assert (seen.data, seen.ended, seen.reset) == (frame(b"last"), False, CANCEL)
        await relay.until_idle()
        assert relay.counters.endings == {Ending("origin", "reset", 1006): 1}


@by_each_form
@on_pump_loop
async def test_an_aborted_tunnel_is_a_reset() -> None:
    """Where no Close can be sent, the stream is cancelled (RFC 8441 section 5)."""
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open()
        (tunnel,) = relay.tunnels
        relay.relay.tunnels.abort(tunnel)
        seen = client.streams[stream]
        await client.until(lambda: seen.reset is not None)
        assert (seen.ended, seen.reset) == (False, CANCEL)


@on_pump_loop
async def test_a_client_that_does_not_end_its_stream_loses_it() -> None:
    """Some time after the relay's END_STREAM a reset with NO_ERROR frees the stream."""
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open()
        await client.say(stream, CLOSE, opcode=8)
        seen = client.streams[stream]
        await client.until(lambda: seen.reset is not None)
        assert (seen.ended, seen.reset) == (True, 0)


@on_pump_loop
async def test_heartbeats_pass_inside_the_stream() -> None:
    """The relay's ping is a frame in DATA, and its pong is counted."""
    async with origin() as port, http2(port, heartbeatSeconds=1) as relay, http2_client(relay) as client:
        stream = await client.open()
        ping = await client.hear(stream, 10)
        assert ping[:2] == b"\x89\x08"
        await client.say(stream, ping[2:], opcode=10)
        await relay.until(lambda: relay.counters.client.pongs)


@by_each_form
@on_pump_loop
async def test_a_stalled_stream_holds_up_no_other() -> None:
    """An origin that does not read fills its own stream's window only."""
    release = asyncio.Event()

    async def serve(connection: ServerConnection) -> None:
        if connection.request is not None and connection.request.path == "/deaf":
            connection.transport.pause_reading()
            await release.wait()
            return
        async for message in connection:
            await connection.send(message)

    async with origin(serve, max_size=None) as port, http2(port) as relay, http2_client(relay) as client:
        deaf = client.request(connect_lines(path=b"/deaf"))
        await client.until(lambda: client.streams[deaf].headers)
        other = await client.open()
        message = frame(b"x" * (1 << 24), opcode=2, key=b"mask")
        sending = asyncio.create_task(client.send(deaf, message))
        await relay.until(lambda: relay.relay.pauses)
        await client.until(lambda: not client.protocol.local_flow_control_window(deaf))
        await echoes(client, other)
        assert not sending.done()
        release.set()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


@by_each_form
@on_pump_loop
async def test_a_client_that_gives_no_window_holds_up_no_other() -> None:
    """Its data stays in the origin's kernel, except for a buffer; at last the stream is reset."""

    async def flood(connection: ServerConnection) -> None:
        if connection.request is not None and connection.request.path == "/flood":
            while True:
                await connection.send(b"x" * 100_000)
        async for message in connection:
            await connection.send(message)

    async with (
        origin(flood, compression=None) as port,
        http2(port, limits={"stallSeconds": 1}) as relay,
        http2_client(relay, frugal=True) as client,
    ):
        client.protocol.increment_flow_control_window(1 << 20)  # of the connection, not of streams
        other = await client.open()
        stream = client.request(connect_lines(path=b"/flood"))
        await client.until(lambda: len(client.streams[stream].data) == 65535)
        await echoes(client, other)
        await client.until(lambda: client.streams[stream].reset is not None)
        await echoes(client, other)


@on_pump_loop
async def test_a_client_that_reads_nothing_is_closed() -> None:
    """The connection closes when no output could be sent for stallSeconds."""

    async def flood(connection: ServerConnection) -> None:
        while True:
            await connection.send(b"x" * 100_000)

    async with origin(flood, compression=None) as port, http2(port, limits={"stallSeconds": 1}) as relay:
        async with http2_client(relay) as client:
            client.protocol.increment_flow_control_window(1 << 28)
            client.protocol.update_settings({4: 1 << 28})  # SETTINGS_INITIAL_WINDOW_SIZE
            client.flush()
            await client.open()
            client.pause()
            await relay.until(lambda: not relay.connections_of_http2)
        await relay.until_idle()
