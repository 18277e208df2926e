"""HTTP/2 requests without a tunnel: the answer of each, and the limit that causes it."""

from __future__ import annotations

import asyncio

import pytest

from support.relay.certificates import authority
from support.relay.heads import KEY
from support.relay.http2 import Line, connect_lines, get_lines, http2_client
from support.relay.http2_relay import TLS, echoes, http2, material
from support.relay.running import DOMAIN, config, forwarder, on_pump_loop, origin, raw_origin
from wsedge_relay.config.material import Material
from wsedge_relay.protocol import http2_translation

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
    "another scheme": (connect_lines(scheme=b"ftp"), 400, b":scheme must be http or https.\n"),
    "a URL as path": (
        connect_lines(path=b"https://other.example.com/"),
        400,
        b"The target is no path and query (origin-form).\n",
    ),
    "an old version": (
        connect_lines([(b"sec-websocket-version", b"8")]),
        400,
        b"Sec-WebSocket-Version must be 13.\n",
    ),
    "a body": (connect_lines([(b"content-length", b"5")]), 400, b"A WebSocket handshake has no body.\n"),
    "a page that may not connect": (
        connect_lines([(b"origin", b"https://evil.example.com")]),
        403,
        b"Web pages of this origin may not connect to this domain.\n",
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
    """Each request gets its status and a short text, and the connection stays open."""
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
    """Loops are detected as over HTTP/1.1: each request to an origin carries the relay's mark."""
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
    """The reasons are those of HTTP/1.1."""
    async with http2(1) as relay, http2_client(relay) as client:
        await client.answer(connect_lines(protocol=b"connect-udp"))
        await client.answer(get_lines(), end=True)
        assert relay.counters.refusals() == {"protocol": 1, "upgrade": 1}
        assert relay.counters.http2_handshakes == 2


@on_pump_loop
async def test_limits_hold_for_streams() -> None:
    """Limits count tunnels, not TCP connections."""
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
    """The longest head that the relay accepts from an origin passes, with the headers that the relay adds."""
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
    """A head that is over the limit in HTTP/1.1 form gets 431; a change applies to the next stream."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += await reader.read(65_536)
        writer.write(b"HTTP/1.1 403 seen\r\nContent-Length: 0\r\n\r\n")

    own = len(http2_translation.translate(connect_lines(), domain=DOMAIN, key=KEY).head)

    def as_long_as(size: int) -> list[Line]:
        """Return a request whose head has this length in HTTP/1.1 form."""
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
        relay.apply(material=material(), limits={"headerBytes": 65_536})
        assert (await client.answer(as_long_as(65_536))).status == 403
        assert (await client.answer(as_long_as(65_537))).status == 431
        assert relay.counters.http2_handshakes == 4  # nobody's is what is longer than any domain takes


@on_pump_loop
async def test_an_origins_refusal_passes_with_its_body() -> None:
    """Status, headers and body arrive, without hop-by-hop headers."""

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
async def test_a_domain_of_another_certificate_is_misdirected() -> None:
    """Even a served domain gets 421; the client must open another connection."""
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
    """A client without h2 in ALPN gets HTTP/1.1, and so does every client of a domain without HTTP/2."""
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
