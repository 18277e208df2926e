"""Admission, hostile heads, drains, and changes of the configuration."""

from __future__ import annotations

import asyncio
import resource
import socket
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.relay.frames import frame
from support.relay.heads import KEY, switching
from support.relay.running import DEADLINE, DOMAIN, QUICK, config, on_pump_loop, origin, raw_origin, running
from wsedge_relay.config.material import Material

LINES = {
    "Host": DOMAIN,
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY.decode(),
}


def request(first: str = "GET / HTTP/1.1", *more: str, end: str = "\r\n", **changed: str | None) -> bytes:
    """Return a handshake with lines changed (None: left out; `_` stands for `-`) and lines added."""
    lines = {name.lower(): f"{name}: {value}" for name, value in LINES.items()}
    for name, value in changed.items():
        key = name.replace("_", "-").lower()
        lines[key] = f"{key}: {value}" if value is not None else ""
    return end.join([first, *filter(None, lines.values()), *more, "", ""]).encode("latin-1")


HOSTILE = {
    "no WebSocket at all": (request(connection=None, upgrade=None), 426),
    "another protocol": (request(upgrade="h2c"), 426),
    "Connection without upgrade": (request(connection="keep-alive"), 426),
    "an older version": (request(sec_websocket_version="8"), 426),
    "no version": (request(sec_websocket_version=None), 426),
    "no key": (request(sec_websocket_key=None), 400),
    "a short key": (request(sec_websocket_key="c2hvcnQ="), 400),
    "a key that is no base64": (request(sec_websocket_key="!" * 24), 400),
    "a POST": (request("POST / HTTP/1.1"), 405),
    "a body by length": (request("GET / HTTP/1.1", "Content-Length: 5"), 400),
    "a body by chunks": (request("GET / HTTP/1.1", "Transfer-Encoding: chunked"), 400),
    "two lengths": (request("GET / HTTP/1.1", "Content-Length: 0", "Content-Length: 0"), 400),
    "two hosts": (request("GET / HTTP/1.1", f"Host: {DOMAIN}"), 400),
    "two keys": (request("GET / HTTP/1.1", f"Sec-WebSocket-Key: {KEY.decode()}"), 400),
    "no host": (request(host=None), 400),
    "a host with a path": (request(host=f"{DOMAIN}/x"), 400),
    "a host with a port of six digits": (request(host=f"{DOMAIN}:123456"), 400),
    "an unknown domain": (request(host="other.example.com"), 421),
    "HTTP/1.0": (request("GET / HTTP/1.0"), 505),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "no version word": (request("GET /"), 400),
    "two spaces": (request("GET  / HTTP/1.1"), 400),
    "a fragment": (request("GET /#top HTTP/1.1"), 400),
    "lines that end in LF": (request(end="\n"), 400),
    "one line that ends in LF": (b"GET / HTTP/1.1\nHost: x\r\n\r\n", 400),
    "a folded line": (request("GET / HTTP/1.1", "X-Long: a", " b"), 400),
    "white space before a colon": (request("GET / HTTP/1.1", "X-Odd : a"), 400),
    "a line without a colon": (request("GET / HTTP/1.1", "nonsense"), 400),
    "an empty name": (request("GET / HTTP/1.1", ": a"), 400),
    "a NUL": (request("GET / HTTP/1.1", "X-Odd: a\x00b"), 400),
    "a CR inside a line": (request("GET / HTTP/1.1", "X-Odd: a\rb"), 400),
    "too many headers": (request("GET / HTTP/1.1", *["X-A: b"] * 100), 431),
    "a long line": (request("GET / HTTP/1.1", "X-A: " + "b" * 9000), 431),
    "a long head": (request("GET / HTTP/1.1", *["X-A: " + "b" * 1000] * 20), 431),
}


# Odd, but read in one way by every parser: they reach the origin.
CARRIED = {
    "two protocols": request(upgrade="websocket, h2c"),
    "two Upgrades": request("GET / HTTP/1.1", "Upgrade: websocket"),
    "two Connections": request("GET / HTTP/1.1", "Connection: close"),
    "absolute-form": request(f"GET http://{DOMAIN}/ HTTP/1.1"),
    "a raw byte in the target": request("GET /\xe9 HTTP/1.1"),
    "a subprotocol that is no token": request("GET / HTTP/1.1", "Sec-WebSocket-Protocol: a b"),
    "a subprotocol twice": request("GET / HTTP/1.1", "Sec-WebSocket-Protocol: a, a"),
    "a broken extension": request("GET / HTTP/1.1", "Sec-WebSocket-Extensions: a;b=c=d"),
}


@pytest.mark.parametrize("data", CARRIED.values(), ids=CARRIED)
@on_pump_loop
async def test_odd_heads_reach_the_origin(data: bytes) -> None:
    """The counterpart of the hostile heads: the answer is the origin's."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 418 seen\r\nContent-Length: 0\r\n\r\n")

    async with raw_origin(refuse) as port, running(port) as relay:
        assert (await relay.exchange(data)).startswith(b"HTTP/1.1 418 ")


@on_pump_loop
async def test_hostile_heads_are_refused_before_any_origin_is_asked() -> None:
    """Each bad head gets its status and a reason in plain text, and the connection ends."""
    asked: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1))

    async with raw_origin(note) as port, running(port) as relay:
        for case, (data, status) in HOSTILE.items():
            answer = await relay.exchange(data)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status), (case, answer)
            assert b"\r\nConnection: close" in head, case
            assert body.endswith(b".\n"), case
    assert asked == []


@on_pump_loop
async def test_a_version_that_is_not_spoken_names_the_one_that_is() -> None:
    """426 carries Sec-WebSocket-Version and Upgrade (RFC 6455 section 4.4)."""
    async with running(1) as relay:
        answer = await relay.exchange(request(sec_websocket_version="8"))
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer
    assert b"\r\nUpgrade: websocket\r\n" in answer


@on_pump_loop
async def test_a_head_may_come_byte_by_byte() -> None:
    """Any split of a good head opens a tunnel."""
    async with origin(compression=None) as port, running(port) as relay:
        reader, writer = await relay.raw()
        for byte in request(host=f"{DOMAIN.upper()}.:8080"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.close()
        await relay.until_idle_after_opening()


@on_pump_loop
async def test_a_slow_head_gets_a_408_and_silence_gets_nothing() -> None:
    """The head has a time limit; a connection without any byte is closed without an answer."""
    async with running(1, timeouts=QUICK) as relay:
        assert (await relay.exchange(b"GET / HT")).startswith(b"HTTP/1.1 408 ")
        assert await relay.exchange(b"") == b""


@on_pump_loop
async def test_a_disabled_domain_is_refused_and_its_connections_closed() -> None:
    """Disabled: open connections get 1001, new clients 503 with Retry-After; enabled again: both work."""
    async with origin() as port, running(port, lifecycle={"drainSeconds": 0}) as relay:
        async with relay.connect() as client:
            relay.apply(enabled=False)
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "going away")
        with pytest.raises(InvalidStatus) as refused:
            async with relay.connect():
                pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "5"
        relay.apply(enabled=True)
        async with relay.connect() as client:
            await client.send("again")
            assert await client.recv() == "again"


@on_pump_loop
async def test_a_handshake_that_a_switch_off_overtakes_is_closed() -> None:
    """A tunnel that opens after its domain was disabled gets 1001 at once."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go_on.wait()
        writer.write(switching())
        await reader.read()

    async with raw_origin(slow) as port, running(port, lifecycle={"drainSeconds": 0}) as relay:
        exchange = asyncio.create_task(relay.exchange(request()))
        await asked.wait()
        relay.apply(enabled=False)
        go_on.set()
        assert (await exchange).endswith(frame(b"\x03\xe9going away", opcode=8))
        await relay.until_idle()


@on_pump_loop
async def test_newcomers_do_not_hold_up_a_drain() -> None:
    """A drain ends although clients reconnect all the time."""
    async with origin() as port, running(port, lifecycle={"drainSeconds": 0}) as relay:
        async with relay.connect():
            drain = asyncio.create_task(relay.relay.drain())
            _, late = await relay.raw()
            await asyncio.wait_for(drain, DEADLINE)
        assert (await relay.exchange(request())).startswith(b"HTTP/1.1 503 ")
        late.close()


@on_pump_loop
async def test_a_domain_that_is_gone_drains_and_is_unknown() -> None:
    """Open connections of a removed domain get 1001, new clients 421."""
    async with origin() as port, running(port, lifecycle={"drainSeconds": 0}) as relay:
        async with relay.connect() as client:
            relay.relay.apply(config([]), Material())
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert (await relay.exchange(request())).startswith(b"HTTP/1.1 421 ")
        await relay.until_idle()


@on_pump_loop
async def test_a_drain_spreads_the_closes_and_ends_when_all_are_gone() -> None:
    """Connections close one after another, new clients are refused meanwhile, and all bytes are counted."""
    async with origin() as port, running(port, lifecycle={"drainSeconds": 2}) as relay:
        clients = [await relay.connect() for _ in range(4)]
        loop = asyncio.get_running_loop()
        start = loop.time()
        drain = asyncio.create_task(relay.relay.drain())
        times = []
        for closing in asyncio.as_completed([client.wait_closed() for client in clients]):
            await closing
            times.append(loop.time() - start)
            if len(times) == 1:
                assert (await relay.exchange(request())).startswith(b"HTTP/1.1 503 ")
        await asyncio.wait_for(drain, DEADLINE)
        assert {client.close_code for client in clients} == {1001}
        assert times[0] < 1.2 < times[-1]
        assert relay.relay.draining
        assert relay.totals.open_connections == 0


@on_pump_loop
async def test_a_hurried_drain_closes_all_at_once() -> None:
    """A second drain with fewer seconds replaces the first."""
    async with origin() as port, running(port, lifecycle={"drainSeconds": 3600}) as relay:
        clients = [await relay.connect() for _ in range(3)]
        slow = asyncio.create_task(relay.relay.drain())
        await relay.until(lambda: relay.relay.open_connections == 2)
        await asyncio.wait_for(relay.relay.drain(0), DEADLINE)
        await asyncio.wait_for(slow, DEADLINE)
        assert relay.relay.open_connections == 0
        for client in clients:
            await client.wait_closed()


@on_pump_loop
async def test_a_drain_waits_for_frames_to_end() -> None:
    """The 1001 follows the frame that is under way."""
    rest = asyncio.Event()
    long = frame(b"x" * 1000)

    async def halting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(switching() + long[:500])
        await rest.wait()
        writer.write(long[500:] + long)
        await reader.read()

    async with raw_origin(halting) as port, running(port) as relay:
        reader, writer = await relay.raw()
        writer.write(request())
        got = await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(500)
        drain = asyncio.create_task(relay.relay.drain(0))
        await asyncio.sleep(0)
        rest.set()
        got += await asyncio.wait_for(reader.read(), DEADLINE)
        assert got.endswith(long + frame(b"\x03\xe9going away", opcode=8))
        writer.close()
        await asyncio.wait_for(drain, DEADLINE)


@on_pump_loop
async def test_want_of_descriptors_does_not_spin() -> None:
    """Without a descriptor the listener pauses, and accepts again once a descriptor is free."""
    async with origin() as port, running(port) as relay:
        host, at = relay.relay.addresses["http"]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        waiting = socket.socket()
        waiting.setblocking(False)
        held: list[Any] = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(64, waiting.fileno() + 20), hard))
            with suppress(OSError):
                while True:
                    held.append(socket.socket())
            with pytest.raises(BlockingIOError):
                waiting.connect((host, at))
            await relay.until(lambda: relay.relay.accept_pauses >= 2)
            assert relay.relay.accept_pauses < 10
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for sock in held:
                sock.close()
        await relay.until(lambda: relay.relay.handshakes_under_way == 1)
        waiting.close()
        async with relay.connect() as client:
            await client.send("served")
            assert await client.recv() == "served"


@on_pump_loop
async def test_two_domains_are_kept_apart() -> None:
    """Each domain has its own origins and its own counts."""

    async def say_a(connection: Any) -> None:
        await connection.send("a")

    async def say_b(connection: Any) -> None:
        await connection.send("b")

    async with origin(say_a) as first, origin(say_b) as second, running(first) as relay:
        other = {
            **relay.domain,
            "domain": "other.example.com",
            "account": "team-b",
            "origins": [{"host": "127.0.0.1", "httpPort": second}],
        }
        relay.relay.apply(config([relay.domain, other]), Material())
        for domain, expected in ((DOMAIN, "a"), ("other.example.com", "b")):
            async with relay.connect(domain=domain) as client:
                assert await client.recv() == expected
        await relay.until_idle()
        assert {name: total.sent_messages for name, total in relay.usage.totals.items()} == {
            DOMAIN: 1,
            "other.example.com": 1,
        }
