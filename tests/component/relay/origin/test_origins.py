"""The choice of an origin for each connection, and the ejection of failing origins."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidStatus

from support.relay.heads import ACCEPT, upgrade
from support.relay.running import DOMAIN, USUAL, on_pump_loop, origin, raw_origin, refusing, reserved, running
from wsedge_relay.timeouts import Timeouts

PROOF = b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n"
UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"


def at(port: int, **fields: Any) -> dict[str, Any]:
    """Return an origin on a loopback port."""
    return {"host": "127.0.0.1", "httpPort": port, **fields}


def naming(name: str) -> Any:
    """Return a handler that sends its name."""

    async def say(connection: ServerConnection) -> None:
        await connection.send(name)
        await connection.wait_closed()

    return say


async def ask(relay: Any) -> str:
    """Return the name of the origin that one more connection gets."""
    async with relay.connect() as client:
        return str(await client.recv())


@on_pump_loop
async def test_weights_share_connections_out() -> None:
    """With weights 2 and 1 the first origin gets two of three connections, never three in a row."""
    async with origin(naming("a")) as first, origin(naming("b")) as second:
        origins = [at(first, weight=200), at(second, weight=100)]
        async with running(origins=origins) as relay:
            names = [await ask(relay) for _ in range(6)]
    assert (names.count("a"), "aaa" in "".join(names)) == (4, False)


@on_pump_loop
async def test_the_fewest_open_connections_get_the_next() -> None:
    """With LeastConnections an origin whose connections ended gets the next, by weight."""
    policy = {"loadBalancing": "LeastConnections"}
    async with origin(naming("a")) as first, origin(naming("b")) as second, AsyncExitStack() as held:
        origins = [at(first, weight=200), at(second, weight=100)]
        async with running(origins=origins, originRequest=policy) as relay:
            clients = [await held.enter_async_context(relay.connect()) for _ in range(6)]
            names = [str(await client.recv()) for client in clients]
            assert (names.count("a"), names.count("b")) == (4, 2)
            for client, name in zip(clients, names, strict=True):
                if name == "b":
                    await client.close()
            await relay.until(lambda: relay.relay.open_connections == 4)
            more = [await held.enter_async_context(relay.connect()) for _ in range(2)]
            assert [await client.recv() for client in more] == ["b", "b"]
            await held.aclose()
            await relay.until_idle()
            assert [target.open for target in relay.site.origins.targets] == [0, 0]


@on_pump_loop
async def test_a_client_address_stays_with_its_origin() -> None:
    """With ClientHash an address gets one origin, the next best while it fails; a change applies at once."""
    async with (
        origin(naming("a")) as first,
        origin(naming("b")) as second,
        running(origins=[at(first), at(second)]) as relay,
    ):
        assert {await ask(relay) for _ in range(4)} == {"a", "b"}
        relay.apply(originRequest={"loadBalancing": "ClientHash"})
        (name,) = {await ask(relay) for _ in range(4)}
        kept = at(second if name == "a" else first)
        relay.apply(origins=[kept])
        assert {await ask(relay) for _ in range(2)} == {"b" if name == "a" else "a"}


@on_pump_loop
async def test_a_refused_origin_is_passed_over_for_the_next() -> None:
    """The next origin is dialled in the same handshake, and first for a while."""
    with refusing() as nobody:
        async with origin(naming("b")) as second, running(origins=[at(nobody), at(second)]) as relay:
            assert [await ask(relay) for _ in range(3)] == ["b"] * 3
            assert relay.counters.origin_failures == {"refused": 1}


@on_pump_loop
async def test_an_ejected_origin_comes_back_when_it_works_again() -> None:
    """It is dialled last, metrics show its ejections, and one good connection ends the ejection."""
    timeouts = replace(USUAL, failed_origin_seconds=2)
    with reserved() as sock:
        absent = at(sock.getsockname()[1])
        async with (
            origin(naming("b")) as second,
            running(origins=[absent, at(second)], timeouts=timeouts) as relay,
        ):
            assert await ask(relay) == "b"
            first = relay.site.origins.targets[0]
            told = {family.name: dict(family.rows) for family in relay.relay.metric_families()}
            assert told["origin_ejected"][DOMAIN, first.name] == 1
            assert told["origin_ejections"][DOMAIN, first.name] == 1
            async with origin(naming("a"), sock=sock):
                while await ask(relay) != "a":
                    pass
                assert (first.failures, first.ejections) == (0, 1)
                assert {await ask(relay) for _ in range(2)} == {"a", "b"}
            assert relay.counters.origin_failures == {"refused": 1}


@on_pump_loop
async def test_backups_come_when_all_others_failed() -> None:
    """A backup gets no connection while another origin works, and all when none does."""
    async with origin(naming("a")) as first, origin(naming("backup")) as second:
        async with running(origins=[at(second, backup=True), at(first)]) as relay:
            assert [await ask(relay) for _ in range(3)] == ["a"] * 3
        with refusing() as nobody:
            async with running(origins=[at(second, backup=True), at(nobody)]) as relay:
                assert [await ask(relay) for _ in range(3)] == ["backup"] * 3


@on_pump_loop
async def test_an_origin_that_hangs_up_is_passed_over() -> None:
    """An origin that closes without a byte is replaced by the next."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with (
        raw_origin(hang_up) as bad,
        origin(naming("b")) as good,
        running(origins=[at(bad), at(good)]) as relay,
    ):
        assert await ask(relay) == "b"
        assert relay.counters.origin_failures == {"closed": 1}


@on_pump_loop
async def test_every_address_of_a_name_is_tried() -> None:
    """A name of whose addresses one works is a working origin."""
    async with (
        origin(naming("local")) as port,
        running(origins=[{"host": "localhost", "httpPort": port}]) as relay,
    ):
        assert await ask(relay) == "local"


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
@on_pump_loop
async def test_ipv6_origins_are_dialled() -> None:
    """An IPv6 address is an origin like any other, in brackets in its name."""
    async with (
        origin(naming("six"), host="::1") as port,
        running(origins=[{"host": "::1", "httpPort": port}]) as relay,
    ):
        assert await ask(relay) == "six"


@on_pump_loop
async def test_origins_that_all_fail_give_a_502_with_the_reason() -> None:
    """The answer has the reasons, but no address."""
    with refusing() as nobody:
        async with running(origins=[at(nobody), {"host": "no-such-host.invalid"}]) as relay:
            answer = await relay.exchange(upgrade())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 ")
    assert b"Content-Type: text/plain" in head
    assert b"Connection: close" in head
    assert b"refused the connection" in body
    assert b"does not resolve" in body
    assert b"127.0.0.1" not in body


@on_pump_loop
async def test_an_origin_that_never_answers_gives_a_504() -> None:
    """No answer in time is a gateway timeout."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    timeouts = Timeouts(answer_seconds=0.1, linger_seconds=0.2)
    async with raw_origin(silent) as port, running(port, timeouts=timeouts) as relay:
        assert (await relay.exchange(upgrade())).startswith(b"HTTP/1.1 504 ")


@on_pump_loop
async def test_an_origins_own_answer_passes() -> None:
    """A 403 reaches the client with headers and body, without hop-by-hop headers."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 403 No Entry\r\nSet-Cookie: a=b\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n"
            b"Connection: keep-alive, x-hop\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n"
        )
        await reader.read()

    async with raw_origin(refuse) as port, running(port) as relay:
        answer = await relay.exchange(upgrade())
        await relay.until_idle()
        assert relay.row.codes == ((403, 1),)
    assert answer == (
        b"HTTP/1.1 403 No Entry\r\nSet-Cookie: a=b\r\nContent-Length: 11\r\nConnection: close\r\n\r\n"
        b"hello world"
    )


BAD_ANSWERS = {
    "no HTTP": b"SSH-2.0-x\r\n\r\n",
    "lines that end in LF": b"HTTP/1.1 101 x\n" + UPGRADE + PROOF + b"\r\n",
    "a 101 of HTTP/1.0": b"HTTP/1.0 101 x\r\n" + UPGRADE + PROOF + b"\r\n",
    "a 101 without Upgrade": b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\n" + PROOF + b"\r\n",
    "a 101 without Connection": b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n" + PROOF + b"\r\n",
    "a 101 without Sec-WebSocket-Accept": b"HTTP/1.1 101 x\r\n" + UPGRADE + b"\r\n",
    "a 101 with a body": b"HTTP/1.1 101 x\r\n" + UPGRADE + PROOF + b"Content-Length: 5\r\n\r\nhello",
    "a subprotocol of its own": b"HTTP/1.1 101 x\r\n"
    + UPGRADE
    + PROOF
    + b"Sec-WebSocket-Protocol: a\r\n\r\n",
    "an extension of its own": b"HTTP/1.1 101 x\r\n"
    + UPGRADE
    + PROOF
    + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    "two lengths": b"HTTP/1.1 403 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length that is no number": b"HTTP/1.1 403 x\r\nContent-Length: +1\r\n\r\na",
    "a length and chunks": b"HTTP/1.1 403 x\r\n"
    b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a broken chunk": b"HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
@on_pump_loop
async def test_bad_answers_of_an_origin_become_a_502(case: str) -> None:
    """No byte of an invalid answer reaches the client."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(BAD_ANSWERS[case])

    async with raw_origin(answer) as port, running(port) as relay:
        assert (await relay.exchange(upgrade())).startswith(b"HTTP/1.1 502 ")


@on_pump_loop
async def test_the_origin_sees_the_request_and_who_asked() -> None:
    """Path, query, cookies and subprotocols pass; Host is the origin's; forged addresses do not pass."""
    seen: list[Any] = []

    async def note(connection: ServerConnection) -> None:
        seen.append(connection.request)

    async with origin(note, subprotocols=["chat"]) as port, running(port) as relay:
        headers = {
            "Cookie": "session=1",
            "X-Forwarded-For": "6.6.6.6",
            "X-Forwarded-Port": "666",
            "Forwarded": "for=6.6.6.6",
            "X-Custom": "kept",
        }
        async with relay.connect(
            "/room?id=1&x=%20", additional_headers=headers, subprotocols=["chat"]
        ) as client:
            assert client.subprotocol == "chat"
        await relay.until_idle()
        relay.apply(originRequest={"host": "inner.example.com"})
        async with relay.connect(subprotocols=["chat"]):
            pass
        await relay.until_idle()
    first, second = seen
    assert first.path == "/room?id=1&x=%20"
    assert (first.headers["Host"], second.headers["Host"]) == (f"127.0.0.1:{port}", "inner.example.com")
    assert (first.headers["Cookie"], first.headers["X-Custom"]) == ("session=1", "kept")
    assert first.headers.get_all("X-Forwarded-For") == ["127.0.0.1"]
    assert first.headers.get_all("X-Forwarded-Proto") == ["http"]
    assert first.headers["X-Forwarded-Host"].startswith(DOMAIN)
    assert first.headers["Forwarded"].startswith(f'for=127.0.0.1;host="{DOMAIN}')
    assert "X-Forwarded-Port" not in first.headers


@on_pump_loop
async def test_a_domain_without_a_working_weight_says_so() -> None:
    """An origin with weight 0 is not used; without any other the answer is 502."""
    async with origin() as port, running(origins=[at(port, weight=0)]) as relay:
        with pytest.raises(InvalidStatus) as refused:
            await ask(relay)
    assert refused.value.response.status_code == 502
