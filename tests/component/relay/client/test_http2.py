"""WebSocket over HTTP/2 (RFC 8441): a client of the library h2, the relay, and real servers."""

from __future__ import annotations

import asyncio
import dataclasses
import zlib
from typing import Any

import h2.settings
import pytest
import structlog
from websockets.asyncio.server import ServerConnection

from support.relay.certificates import authority
from support.relay.frames import frame
from support.relay.heads import KEY, upgrade
from support.relay.http2 import Client, Line, connect_lines, get_lines, http2_client
from support.relay.running import (
    DEADLINE,
    DOMAIN,
    QUICK,
    USUAL,
    config,
    forwarder,
    on_pump_loop,
    origin,
    raw_origin,
    running,
)
from wsedge_relay.config.material import Material
from wsedge_relay.protocol import http2_translation

# What passes does so by the pump; all else is the same for its two forms.
by_each_form = pytest.mark.usefixtures("each_form")

TLS = {"certificateFile": "tls.crt", "keyFile": "tls.key", "http2": True}
CLOSE = b"\x03\xe8"  # 1000
PROTOCOL_ERROR = 1
REFUSED_STREAM = 7
CANCEL = 8
ENHANCE_YOUR_CALM = 11


def material() -> Material:
    """Return the certificate that TLS names."""
    return Material({("tls.crt", "tls.key"): authority().issue(DOMAIN)})


def http2(*origin_ports: int, **fields: Any) -> Any:
    """Run a relay that offers HTTP/2."""
    usual = {"tls": TLS, "heartbeatSeconds": 300}  # no ping between bytes that are compared
    return running(*origin_ports, material=material(), **{**usual, **fields})


async def echoes(client: Client, stream: int, text: bytes = b"hello") -> None:
    """Send a message and get it back."""
    await client.say(stream, text)
    assert await client.hear(stream, len(frame(text))) == frame(text)


@by_each_form
@on_pump_loop
async def test_a_message_passes_and_the_close_ends_the_stream() -> None:
    """An echo, then the closing handshake: END_STREAM is what the end of a TCP stream is."""
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
async def test_the_relay_offers_what_it_does() -> None:
    """Extended CONNECT, and how many streams and bytes it takes."""
    async with http2(1) as relay, http2_client(relay) as client:
        assert client.settings.enable_connect_protocol == 1
        assert client.settings.max_concurrent_streams == 100
        assert client.settings.initial_window_size == 65536
        assert client.protocol.outbound_flow_control_window == 100 * 65536


@on_pump_loop
async def test_usage_counts_as_over_http_1_1() -> None:
    """A request and messages cost the same on both: frames and heads, not what HTTP/2 makes of them."""
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
    """Each has its own messages and its own end."""
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
    """With a key of the relay's own, cookie crumbs joined, and what the client may say of itself."""
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
    """permessage-deflate is agreed on end to end, and its bit is let through."""
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
    """Three megabytes each way on two streams at once, though a window has 64 KiB."""
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


REFUSED: dict[str, tuple[list[Line], int, bytes]] = {
    "a page of the domain": (get_lines(), 404, b"Only WebSocket connections are served here.\n"),
    "a page of another domain": (
        get_lines(authority=b"other.example.com"),
        421,
        b"This connection was opened for another domain.\n",
    ),
    "a tunnel to another domain": (
        connect_lines(authority=b"other.example.com"),
        421,
        b"This connection was opened for another domain.\n",
    ),
    "another protocol": (
        connect_lines(protocol=b"connect-udp"),
        501,
        b"Only the :protocol websocket is served here.\n",
    ),
    "a proxy's CONNECT": (
        connect_lines(protocol=None, scheme=None, path=None),
        501,
        b"CONNECT without :protocol is not served here.\n",
    ),
    "a scheme without TLS": (connect_lines(scheme=b"http"), 400, b":scheme must be https.\n"),
    "an old version": (
        connect_lines([(b"sec-websocket-version", b"8")]),
        400,
        b"Sec-WebSocket-Version must be 13.\n",
    ),
    "a body": (connect_lines([(b"content-length", b"5")]), 400, b"A WebSocket handshake has no body.\n"),
    "a page that may not connect": (
        connect_lines([(b"origin", b"https://evil.example.com")]),
        403,
        b"Pages of this origin may not connect here.\n",
    ),
    "a method": (get_lines(method=b"DELETE"), 405, b"Only GET opens a WebSocket.\n"),
    "a path of two words": (
        connect_lines(path=b"/a b"),
        400,
        b"The request line is not METHOD TARGET VERSION.\n",
    ),
    "no path": (connect_lines(path=b"*"), 400, b"The target is no path and query (origin-form).\n"),
    "too long a head": (
        connect_lines([(b"cookie", b"x" * 8000), (b"x", b"y" * 8000), (b"z", b"z" * 8000)]),
        431,
        b"The head is longer than 16384 bytes.\n",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@on_pump_loop
async def test_what_is_no_tunnel_is_answered(case: str) -> None:
    """Each with its status and a short text, and the connection goes on."""
    lines, status, text = REFUSED[case]
    async with (
        origin() as port,
        http2(port, clients={"allowedOrigins": ["https://chat.example.com"]}) as relay,
        http2_client(relay) as client,
    ):
        stream = await client.open()
        seen = await client.answer(lines)
        assert (seen.status, seen.data) == (status, text)
        assert b"connection" not in seen.headers
        await echoes(client, stream)


@on_pump_loop
async def test_a_request_that_comes_round_is_refused() -> None:
    """Over HTTP/2 as over HTTP/1.1: the mark of the relay is on each request to an origin."""
    async with http2(1) as relay, await forwarder(relay.relay.addresses["https"]) as server:
        port = server.sockets[0].getsockname()[1]
        relay.apply(
            material=material(),
            origins=[{"host": "127.0.0.1", "httpsPort": port}],
            originProtocol="HTTPS",
            originTLS={"insecureSkipVerify": True},
            originRequest={"host": DOMAIN},
        )
        async with http2_client(relay) as client:
            seen = await client.answer(connect_lines())
            assert seen.status == 508
        await relay.until_idle()
        assert relay.counters.handshakes == {(508, "loop"): 1, (508, "origin answer"): 1}


@on_pump_loop
async def test_refusals_are_counted_with_their_reason() -> None:
    """As over HTTP/1.1."""
    async with http2(1) as relay, http2_client(relay) as client:
        await client.answer(connect_lines(protocol=b"connect-udp"))
        await client.answer(get_lines(), end=True)
        assert relay.counters.refusals() == {"protocol": 1, "upgrade": 1}
        assert relay.counters.http2_handshakes == 2


@on_pump_loop
async def test_limits_hold_for_streams() -> None:
    """One connection of TCP is not one of the limit: each tunnel is."""
    async with (
        origin() as port,
        http2(port, limits={"connectionsPerClient": 1}) as relay,
        http2_client(relay) as client,
    ):
        await client.open()
        seen = await client.answer(connect_lines())
        assert (seen.status, seen.headers[b"retry-after"]) == (429, b"5")


@on_pump_loop
async def test_an_answer_as_long_as_may_be_passes() -> None:
    """One that HTTP/1.1 takes from an origin is none too long with what the relay adds to it."""
    lines = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 150) for number in range(100))
    head = b"HTTP/1.1 403 x\r\n" + lines + b"\r\n"
    head = head.replace(b": x", b": " + b"x" * (16384 - len(head)) + b"x", 1)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)

    async with raw_origin(answer) as port, http2(port) as relay, http2_client(relay) as client:
        seen = await client.answer(connect_lines())
        assert (seen.status, len(seen.headers)) == (403, 101)


@on_pump_loop
async def test_a_domains_own_limit_of_heads_counts_for_streams() -> None:
    """A head is as long as HTTP/1.1 says it: 431 over the limit; a change counts for the next stream."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 seen\r\nContent-Length: 0\r\n\r\n")

    own = len(http2_translation.translate(connect_lines(), domain=DOMAIN, key=KEY).head)

    def as_long_as(size: int) -> list[Line]:
        """Return a request whose head has so many bytes in the words of HTTP/1.1."""
        whole, rest = divmod(size - own - 100, 8000)
        return connect_lines([*[(b"x", b"x" * 7995)] * whole, (b"y", b"y" * (rest + 95))])

    async with (
        raw_origin(answer) as port,
        http2(port, limits={"headerBytes": 2048}) as relay,
        http2_client(relay) as client,
    ):
        # As long as a head's domain is not known, the most that any takes counts.
        other = {**relay.domain, "domain": "other.example.com", "limits": {"headerBytes": 40_000}}
        relay.relay.apply(config([relay.domain, other]), material())
        assert (await client.answer(as_long_as(2048))).status == 403
        seen = await client.answer(as_long_as(2049))
        assert (seen.status, seen.data) == (431, b"The head is longer than 2048 bytes.\n")
        assert relay.counters.refusals() == {"headerBytes": 1, "origin answer": 1}
        relay.apply(material=material(), limits={"headerBytes": 32_768})
        assert (await client.answer(as_long_as(32_768))).status == 403
        assert (await client.answer(as_long_as(32_769))).status == 431
        assert relay.counters.http2_handshakes == 3  # nobody's is what is longer than any domain takes


@on_pump_loop
async def test_an_origins_refusal_passes_with_its_body() -> None:
    """Status, headers and body, without those of the hop."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 401 No\r\nConnection: close\r\nX-Why: because\r\nContent-Length: 30000\r\n\r\n"
        )
        writer.write(b"n" * 30000)
        await writer.drain()

    async with raw_origin(refuse) as port, http2(port) as relay, http2_client(relay) as client:
        seen = await client.answer(connect_lines())
        assert (seen.status, seen.headers[b"x-why"], seen.data) == (401, b"because", b"n" * 30000)


@on_pump_loop
async def test_a_client_that_resets_before_the_answer_is_gone() -> None:
    """The origin is asked no longer, and 499 is counted."""
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
async def test_a_reset_breaks_the_tunnel() -> None:
    """The origin is told as when a TCP connection breaks."""
    codes: list[int | None] = []

    async def note(connection: ServerConnection) -> None:
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with origin(note) as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open()
        client.protocol.reset_stream(stream, CANCEL)
        client.flush()
        await relay.until(lambda: codes)
        assert codes == [1001]
        await relay.until_idle()
        assert relay.counters.client.broken == 1


@on_pump_loop
async def test_a_broken_origin_is_told_by_a_close_frame() -> None:
    """1011, as over HTTP/1.1, and then the stream ends."""

    async def drop(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with origin(drop) as port, http2(port) as relay, http2_client(relay) as client:
        stream = client.request(connect_lines())
        seen = client.streams[stream]
        await client.until(lambda: seen.ended)
        assert seen.data == frame(b"\x03\xe9", opcode=8) or seen.data[:4] == b"\x88\x02\x03\xf3"


@by_each_form
@on_pump_loop
async def test_an_aborted_tunnel_is_a_reset() -> None:
    """Where no Close can be said, the stream is cancelled (RFC 8441 section 5)."""
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open()
        (tunnel,) = relay.tunnels
        relay.relay.tunnels.abort(tunnel)
        seen = client.streams[stream]
        await client.until(lambda: seen.reset is not None)
        assert (seen.ended, seen.reset) == (False, CANCEL)


@on_pump_loop
async def test_a_client_that_does_not_end_its_stream_loses_it() -> None:
    """After the relay's END_STREAM it has a while, then a reset without an error frees the place."""
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        stream = await client.open()
        await client.say(stream, CLOSE, opcode=8)
        seen = client.streams[stream]
        await client.until(lambda: seen.reset is not None)
        assert (seen.ended, seen.reset) == (True, 0)


@on_pump_loop
async def test_heartbeats_pass_inside_the_stream() -> None:
    """The relay's ping is a frame of DATA, and its answer counts as one."""
    async with origin() as port, http2(port, heartbeatSeconds=1) as relay, http2_client(relay) as client:
        stream = await client.open()
        ping = await client.hear(stream, 10)
        assert ping[:2] == b"\x89\x08"
        await client.say(stream, ping[2:], opcode=10)
        await relay.until(lambda: relay.counters.client.pongs)


@by_each_form
@on_pump_loop
async def test_a_stalled_stream_holds_up_no_other() -> None:
    """An origin that does not read fills its stream's window, and no other stream notices."""
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
    """What it does not take is held by the origin's kernel, but for a buffer; at last the stream is reset."""

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
    """The whole connection, when nothing of what it is owed could be sent for a while."""

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


@on_pump_loop
async def test_a_domain_of_another_certificate_is_misdirected() -> None:
    """Also when it is served here: 421, after which a client asks on a connection of its own."""
    pairs = {
        ("tls.crt", "tls.key"): authority().issue(DOMAIN),
        ("live.crt", "live.key"): authority().issue("live.example.com"),
    }
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        files = {"certificateFile": "live.crt", "keyFile": "live.key", "http2": True}
        for tls, status in ((files, 421), (TLS, 200)):
            other = {**relay.domain, "domain": "live.example.com", "tls": tls}
            relay.relay.apply(config([relay.domain, other]), Material(pairs))
            stream = client.request(connect_lines(authority=b"live.example.com"))
            await client.until(lambda stream=stream: client.streams[stream].headers)  # type: ignore[misc]
            assert client.streams[stream].status == status


@on_pump_loop
async def test_http_1_1_is_served_on_the_same_port() -> None:
    """Who offers no HTTP/2 by ALPN gets none; nor does anybody where the domain has it not."""
    async with origin() as port, http2(port) as relay:
        context = authority().client_context()
        async with relay.connect(tls=context) as plain, http2_client(relay) as client:
            stream = await client.open()
            await plain.send("hello")
            assert await plain.recv() == "hello"
            await echoes(client, stream)
            relay.apply(material=material(), tls={**TLS, "http2": False})
            await echoes(client, stream)
            context.set_alpn_protocols(["h2", "http/1.1"])
            async with relay.connect(tls=context) as later:
                assert later.transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


@on_pump_loop
async def test_a_new_configuration_closes_no_stream() -> None:
    """It counts for the next stream of the same connection."""
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
    """Close at once, with 4000."""
    await connection.close(4000)


@on_pump_loop
async def test_a_drain_says_goaway_and_ends_with_the_last_stream() -> None:
    """Open tunnels get 1001, a stream that comes all the same gets 503, then the connection closes."""
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
                await client.until(lambda stream=stream: client.streams[stream].ended)
                assert client.streams[stream].data[:4] == b"\x88\x0c\x03\xe9"
            await client.until(lambda: client.closed)
            await draining
        assert relay.connections_of_http2 == 0


@on_pump_loop
async def test_an_idle_connection_goes_at_a_drain() -> None:
    """It has no stream to wait for."""
    async with http2(1) as relay, http2_client(relay) as client:
        await relay.relay.drain()
        await client.until(lambda: client.closed)


@on_pump_loop
async def test_a_window_that_stays_closed_holds_up_no_drain() -> None:
    """Its tunnel once closed, what is left has the time of a Close, however long stallSeconds is."""

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
    """RFC 9113 section 8.5: DATA alone passes; other streams are none the worse."""
    async with origin() as port, http2(port) as relay, http2_client(relay) as client:
        other, stream = await client.open(), await client.open()
        client.protocol.send_headers(stream, [(b"x-trailer", b"1")], end_stream=True)
        client.flush()
        await client.until(lambda: client.streams[stream].reset is not None)
        assert client.streams[stream].reset == PROTOCOL_ERROR
        await echoes(client, other)


@on_pump_loop
async def test_no_header_is_logged_when_a_rule_is_broken() -> None:
    """What is wrong with a value may be said, the value not: it may be a secret."""
    with structlog.testing.capture_logs() as logged:
        async with http2(1) as relay, http2_client(relay) as client:
            client.request([*connect_lines(), (b"authorization", b"Bearer sesame ")])
            await client.until(lambda: client.closed)
    assert "client broke HTTP/2 rule" in [line["event"] for line in logged]
    assert "sesame" not in str(logged)


@on_pump_loop
async def test_a_newcomer_in_a_drain_gets_503() -> None:
    """A connection of HTTP/2 that is made meanwhile has the time for one answer."""
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
    """A client that opens streams without end, whatever it is told, is refused them after a while."""
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
    """GOAWAY, 1001, and no connection is left."""
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
    """With GOAWAY, so that the client knows that nothing was lost."""
    timeouts = dataclasses.replace(USUAL, session_idle_seconds=0.2)
    async with http2(1, timeouts=timeouts) as relay, http2_client(relay) as client:
        await client.until(lambda: client.closed)
        assert client.goaway == [(0, 0)]
        assert relay.connections_of_http2 == 0


@on_pump_loop
async def test_a_client_that_says_nothing_is_closed() -> None:
    """Its preface has the time of a request's head."""
    timeouts = QUICK
    async with http2(1, timeouts=timeouts) as relay, http2_client(relay, begin=False) as client:
        await client.until(lambda: client.closed)
        await relay.until(lambda: not relay.connections_of_http2)


# What is sent again and again, and the error that it gets.
FLOODS: dict[str, bytes] = {
    "pings": b"\0\0\x08\x06\0\0\0\0\0" + bytes(8),
    "settings": b"\0\0\0\x04\0\0\0\0\0",
    "resets of streams that were none": b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
    "priorities": b"\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\0",
    "unknown frames": b"\0\0\0\x77\0\0\0\0\0",
    "window updates": b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01",
}


@pytest.mark.parametrize("case", FLOODS)
@on_pump_loop
async def test_a_flood_is_sent_away(case: str) -> None:
    """Frames that carry nothing are counted, and too many are ENHANCE_YOUR_CALM; others are served on."""
    async with origin() as port, http2(port) as relay:
        async with http2_client(relay) as client, http2_client(relay) as other:
            stream = await other.open()
            client.flush(FLOODS[case] * 3000)
            await client.until(lambda: client.closed)
            assert [code for code, _ in client.goaway] == [ENHANCE_YOUR_CALM]
            await echoes(other, stream)
        await relay.until(lambda: not relay.connections_of_http2)


@on_pump_loop
async def test_a_rapid_reset_is_sent_away() -> None:
    """Streams that are opened and reset at once (CVE-2023-44487) reach no origin, and soon come no more."""
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
    """By a GOAWAY that says why."""
    said, code = BROKEN[case]
    async with http2(1) as relay:
        async with http2_client(relay) as client:
            client.flush(said)
            await client.until(lambda: client.closed)
            assert [code for code, _ in client.goaway] == [code]
        await relay.until(lambda: not relay.connections_of_http2)


@on_pump_loop
async def test_a_header_list_without_bound_ends_the_connection() -> None:
    """A kilobyte on the wire that would be a megabyte in memory (CVE-2016-6581)."""
    async with http2(1) as relay, http2_client(relay) as client:
        client.request([*connect_lines(), *[(b"x", b"y" * 4000)] * 100])
        await client.until(lambda: client.closed)
        assert [code for code, _ in client.goaway] == [ENHANCE_YOUR_CALM]


@on_pump_loop
async def test_too_many_streams_end_the_connection() -> None:
    """The relay said how many it takes."""
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
    """Who chose h2 and speaks HTTP/1.1 gets nothing but the end."""
    async with http2(1) as relay, http2_client(relay, begin=False) as client:
        client.flush(b"GET / HTTP/1.1\r\nHost: chat.example.com\r\n\r\n")
        await client.until(lambda: client.closed)


@on_pump_loop
async def test_a_client_that_leaves_ends_its_tunnels() -> None:
    """By its GOAWAY or by closing the connection: the origin is told that it went."""
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
