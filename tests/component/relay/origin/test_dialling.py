"""Connections to origins: races of addresses, the PROXY header, silence, and disconnects of clients."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from support.relay.certificates import authority
from support.relay.frames import frame
from support.relay.heads import switching, upgrade
from support.relay.running import (
    DEADLINE,
    DOMAIN,
    USUAL,
    Running,
    on_pump_loop,
    origin,
    raw_origin,
    refusing,
    running,
)
from wsedge_relay.config.material import Material
from wsedge_relay.origin.dial import in_turn
from wsedge_relay.timeouts import Timeouts

GET = upgrade()
PATIENT = Timeouts(answer_seconds=600, linger_seconds=0.2)
TLS = {"certificateFile": "tls.crt", "keyFile": "tls.key"}
KEY = b"mask"
NAMED = [{"host": "origin.example.com", "httpPort": 80}]


def at(port: int) -> dict[str, Any]:
    """Return an origin on a loopback port."""
    return {"host": "127.0.0.1", "httpPort": port, "httpsPort": port}


def resolve_to(*ports: int) -> None:
    """Let every name resolve to these loopback ports from now on."""

    async def found(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    loop: Any = asyncio.get_running_loop()
    loop.getaddrinfo = found


@contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port that neither accepts nor refuses connections: packets to it are lost."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as last:
        last.connect(full.getsockname())
        yield full.getsockname()[1]


async def says(relay: Running) -> str:
    """Return the echo of a new connection."""
    async with relay.connect() as client:
        await client.send("x")
        return str(await client.recv())


@on_pump_loop
async def test_an_address_that_swallows_packets_costs_a_moment() -> None:
    """The next address is dialled after 250 ms, and wins."""
    loop = asyncio.get_running_loop()
    with black_hole() as lost:
        async with origin() as port, running(origins=NAMED) as relay:
            resolve_to(lost, port)
            began = loop.time()
            assert await says(relay) == "x"
            assert 0.25 <= loop.time() - began < 8  # to connect it would have 10 s
            assert relay.counters.origin_failures == {}


@on_pump_loop
async def test_an_address_that_refuses_costs_nothing() -> None:
    """The next address is dialled at once."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        refused = [stack.enter_context(refusing()) for _ in range(60)]
        async with origin() as port, running(origins=NAMED) as relay:
            resolve_to(*refused, port)
            began = loop.time()
            assert await says(relay) == "x"
            assert loop.time() - began < 8  # 60 moments would be 15 s


@on_pump_loop
async def test_names_whose_addresses_all_fail_are_failures() -> None:
    """All refuse: refused; one drops packets: timeout, at the connect timeout; none: unresolvable."""
    with black_hole() as lost, refusing() as one, refusing() as other:
        timeouts = replace(USUAL, name_seconds=0)
        quick = {"connectTimeoutSeconds": 1}
        async with running(origins=NAMED, originRequest=quick, timeouts=timeouts) as relay:
            resolve_to(one, other)
            assert (await relay.exchange(GET)).startswith(b"HTTP/1.1 502 ")
            resolve_to(lost, one)
            assert (await relay.exchange(GET)).startswith(b"HTTP/1.1 504 ")
            resolve_to()
            assert (await relay.exchange(GET)).startswith(b"HTTP/1.1 502 ")
            assert relay.counters.origin_failures == {"refused": 1, "timeout": 1, "unresolvable": 1}


@on_pump_loop
async def test_new_connections_see_new_addresses() -> None:
    """The name is resolved again; open connections stay."""
    timeouts = replace(USUAL, name_seconds=0)
    async with origin() as old, origin() as new, running(origins=NAMED, timeouts=timeouts) as relay:
        resolve_to(old)
        async with relay.connect() as client:
            resolve_to(new)
            assert await says(relay) == "x"
            with refusing() as nobody:
                resolve_to(nobody)
                assert (await relay.exchange(GET)).startswith(b"HTTP/1.1 502 ")
            await client.send("still")
            assert await client.recv() == "still"


def test_families_take_turns() -> None:
    """The first address's family is first; surplus addresses of a family are last."""
    six = [(socket.AF_INET6, (f"::{number}", 80)) for number in range(3)]
    four = [(socket.AF_INET, ("127.0.0.1", 80))]
    assert in_turn([*six, *four]) == [six[0], four[0], six[1], six[2]]
    assert in_turn([*four, *six]) == [four[0], *six]
    assert in_turn([]) == []


@on_pump_loop
async def test_a_proxy_header_tells_the_client() -> None:
    """Version 1 before the request has both addresses and ports; a change applies to new connections."""
    seen: list[bytes] = []

    async def note(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))

    async with raw_origin(note) as port, running(port) as relay:
        await relay.exchange(GET)
        relay.apply(originRequest={"proxyProtocol": "V1"})
        reader, writer = await relay.raw()
        writer.write(GET)
        await reader.read()
        mine = writer.get_extra_info("sockname")[1]
        there = relay.relay.addresses["http"][1]
        writer.close()
    assert seen[0].startswith(b"GET / HTTP/1.1\r\n")
    words = seen[1].split(b"\r\n")[0].split()
    assert words[:4] == [b"PROXY", b"TCP4", b"127.0.0.1", b"127.0.0.1"]
    assert [int(word) for word in words[4:]] == [mine, there]
    assert seen[1].split(b"\r\n")[1] == b"GET / HTTP/1.1"


@on_pump_loop
async def test_a_proxy_header_precedes_tls() -> None:
    """Version 2, then the TLS handshake."""
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def note(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        seen.put_nowait(await reader.readexactly(16 + 12 + 1))

    async with (
        raw_origin(note) as port,
        running(port, originProtocol="HTTPS", originRequest={"proxyProtocol": "V2"}) as relay,
    ):
        await relay.exchange(GET)
        data = await seen.get()
    assert data.startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x7f\0\0\1\x7f\0\0\1")
    assert data[-1] == 0x16  # a TLS handshake record


@on_pump_loop
async def test_a_health_check_is_the_relays_own() -> None:
    """Its PROXY header names no client."""
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def note(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        seen.put_nowait(await reader.readuntil(b"\r\n\r\n"))

    checks: dict[str, Any] = {
        "originHealthCheck": {"intervalSeconds": 1},
        "originRequest": {"proxyProtocol": "V1"},
    }
    async with raw_origin(note) as port, running(port, **checks):
        assert (await seen.get()).startswith(b"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n")


@on_pump_loop
async def test_a_silent_origin_is_passed_over() -> None:
    """An origin that does not answer in its time is replaced by the next."""

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    timeouts = Timeouts(answer_seconds=1, linger_seconds=0.2)
    async with (
        raw_origin(silent) as mute,
        origin() as good,
        running(origins=[at(mute), at(good)], timeouts=timeouts) as relay,
    ):
        assert await says(relay) == "x"
        assert relay.counters.origin_failures == {"timeout": 1}


BEGUN = {"and stops": True, "and hangs up": False}


@pytest.mark.parametrize("case", BEGUN)
@on_pump_loop
async def test_an_origin_that_began_to_answer_is_the_last(case: str) -> None:
    """After one byte of an answer no other origin is tried."""

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 1")
        if BEGUN[case]:
            await reader.read()

    timeouts = Timeouts(answer_seconds=0.2, linger_seconds=0.2)
    async with (
        raw_origin(begin) as bad,
        origin() as good,
        running(origins=[at(bad), at(good)], timeouts=timeouts) as relay,
    ):
        assert (await relay.exchange(GET)).startswith(b"HTTP/1.1 50")
        assert sum(relay.counters.origin_failures.values()) == 1


@on_pump_loop
async def test_silent_origins_share_a_clients_patience() -> None:
    """Many silent origins do not delay a client, or a drain, for longer than one."""

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    loop = asyncio.get_running_loop()
    timeouts = Timeouts(answer_seconds=0.5, linger_seconds=0.2)
    async with raw_origin(silent) as port:
        origins = [{**at(port), "httpsPort": number} for number in range(1, 65)]
        async with running(origins=origins, timeouts=timeouts) as relay:
            began = loop.time()
            assert (await relay.exchange(GET)).startswith(b"HTTP/1.1 504 ")
            assert loop.time() - began < 10  # the 64 one after the other would take 32 s
            assert relay.counters.origin_failures["timeout"] > 2


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@on_pump_loop
async def test_a_client_that_hangs_up_is_noticed_at_once(secure: bool) -> None:
    """The connection to the origin closes with the client's, long before the origin's timeout."""
    asked, left = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        left.set()

    fields: dict[str, Any] = {"tls": TLS} if secure else {}
    material = Material({("tls.crt", "tls.key"): authority().issue(DOMAIN)})
    async with (
        raw_origin(silent) as port,
        running(port, timeouts=PATIENT, material=material, **fields) as relay,
    ):
        context = authority().client_context() if secure else None
        host, where = relay.relay.addresses["https" if secure else "http"]
        name = DOMAIN if secure else None
        _, writer = await asyncio.open_connection(host, where, ssl=context, server_hostname=name)
        writer.write(GET)
        await asked.wait()
        writer.transport.abort()
        async with asyncio.timeout(DEADLINE):
            await left.wait()
        await relay.until_idle()
        assert relay.counters.refusals() == {"gone": 1}
        assert relay.counters.origin_failures == {}
        assert relay.site.origins.targets[0].open == 0
        assert (relay.totals.received_bytes, relay.totals.sent_bytes) == (len(GET), 0)


@on_pump_loop
async def test_a_client_that_does_not_get_its_answer_is_counted() -> None:
    """Its bytes, more than the relay reads ahead, are usage; the origin's connection closes."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go.wait()
        writer.write(switching())
        await reader.read()

    async with raw_origin(later) as port, running(port, timeouts=PATIENT) as relay:
        _, writer = await relay.raw()
        writer.write(GET + b"x" * 100_000)
        await asked.wait()
        await writer.drain()
        linger = struct.pack("ii", 1, 0)  # so that closing is a reset
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        go.set()
        await relay.until_idle()
        assert relay.counters.refusals() == {"gone": 1}
        assert len(GET) < relay.totals.received_bytes <= len(GET) + 100_000
        assert relay.site.origins.targets[0].open == 0


@on_pump_loop
async def test_a_client_that_says_something_and_shuts_its_side_may_still_listen() -> None:
    """The client gets its answer."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go.wait()
        writer.write(b"HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n")

    async with raw_origin(later) as port, running(port, timeouts=PATIENT) as relay:
        reader, writer = await relay.raw()
        writer.write(GET + frame(b"one", key=KEY))
        writer.write_eof()
        await asked.wait()
        await relay.until(lambda: relay.relay.handshakes_under_way == 1)
        go.set()
        assert (await reader.read()).startswith(b"HTTP/1.1 403 ")
        writer.close()


@on_pump_loop
async def test_what_a_client_says_early_is_kept() -> None:
    """Frames before the answer, in one piece or many, reach the origin."""
    go = asyncio.Event()

    async def later(path: str, _: Any) -> None:
        await go.wait()

    async with origin(process_request=later) as port, running(port, timeouts=PATIENT) as relay:
        reader, writer = await relay.raw()
        writer.write(GET + frame(b"one", key=KEY))
        await relay.until(lambda: relay.relay.handshakes_under_way)
        await writer.drain()
        writer.write(frame(b"two", key=KEY))
        big = b"b" * 40_000
        writer.write(frame(big, key=KEY))
        go.set()
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        for said in (b"one", b"two", big):
            head = 2 if len(said) < 126 else 4
            assert (await reader.readexactly(head + len(said)))[head:] == said
        writer.close()
        await relay.until_idle()
