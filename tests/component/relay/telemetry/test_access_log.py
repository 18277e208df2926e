"""The access log: lines of connections at their end and while they are open, where it is configured."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog
from aiohttp import web
from websockets.exceptions import InvalidStatus

from support.relay.http2 import connect_lines, http2_client
from support.relay.http2_relay import http2
from support.relay.plain import raw, site
from support.relay.running import ACCOUNT, DOMAIN, on_pump_loop, origin, running

SECRETS = {"Cookie": "session=sesame", "Authorization": "Bearer sesame"}


def lines(logged: list[Any]) -> list[Any]:
    return [line for line in logged if line["event"] == "connection"]


@on_pump_loop
async def test_a_tunnel_has_one_line_at_its_end() -> None:
    """Client, origin, duration, counts and the side that ended it; bytes as in the usage; no secrets."""
    with structlog.testing.capture_logs() as logged:
        async with (
            origin(subprotocols=["chat"]) as port,
            running(port, accessLog={"samplePercent": 100}) as relay,
        ):
            async with relay.connect(
                "/room?token=sesame", subprotocols=["chat"], additional_headers=SECRETS
            ) as client:
                await client.send("hello")
                await client.recv()
                assert lines(logged) == []
            await relay.until_idle_after_opening()
            totals = relay.totals
    (line,) = lines(logged)
    assert 0 <= line.pop("duration_seconds") < 60
    assert line == {
        "event": "connection",
        "log_level": "info",
        "domain": DOMAIN,
        "namespace": ACCOUNT,
        "connection": 1,
        "client": "127.0.0.1",
        "tls": False,
        "protocol": "http/1.1",
        "code": 101,
        "origin": f"127.0.0.1:{port}",
        "subprotocol": "chat",
        "sent_bytes": totals.sent_bytes,
        "received_bytes": totals.received_bytes,
        "sent_messages": 1,
        "received_messages": 1,
        "ended_by": "client",
        "reason": "close",
        "close_code": 1000,
    }
    assert "sesame" not in str(logged)


@on_pump_loop
async def test_a_refusal_has_one_line() -> None:
    """It has the status and the reason, but not the query."""
    with structlog.testing.capture_logs() as logged:
        async with origin() as port, running(port, accessLog={"samplePercent": 100}) as relay:
            relay.apply(enabled=False)
            with pytest.raises(InvalidStatus):
                await relay.connect("/?token=sesame")
            await relay.until_idle()
    (line,) = lines(logged)
    assert (line["code"], line["reason"], line["origin"]) == (503, "disabled", None)
    assert "sesame" not in str(logged)


@on_pump_loop
async def test_nothing_is_logged_unless_asked_for() -> None:
    """The default is no lines; a change applies to the next connection."""
    with structlog.testing.capture_logs() as logged:
        async with origin() as port, running(port) as relay:
            async with relay.connect():
                relay.apply(accessLog={"samplePercent": 100})
            await relay.until_idle_after_opening()
            assert lines(logged) == []
            async with relay.connect():
                pass
            await relay.until(lambda: lines(logged))


@on_pump_loop
async def test_path_and_query_are_logged_where_they_are_asked_for() -> None:
    """Of tunnels and of refusals; hostile bytes stay within their field."""
    with structlog.testing.capture_logs() as logged:
        log = {"samplePercent": 100, "path": True, "query": True}
        async with origin() as port, running(port, accessLog=log) as relay:
            async with relay.connect("/room%0a?token=sesame&x=%1b"):
                pass
            await relay.until(lambda: lines(logged))
            relay.apply(accessLog=log | {"query": None}, enabled=False)
            with pytest.raises(InvalidStatus):
                await relay.connect("/other?token=sesame")
            await relay.until_idle()
            answer = await relay.exchange(b"GET / HTTP/1.1\r\nHost: chat.example.com\r\nX : y\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 400 ")
    tunnel, refused = lines(logged)
    assert (tunnel["path"], tunnel["query"]) == ("/room%0a", "token=sesame&x=%1b")
    assert (refused["code"], refused["path"], "query" in refused) == (503, "/other", False)


@on_pump_loop
async def test_odd_targets_are_shown_in_their_usual_form() -> None:
    """Without the authority of an absolute form, with raw UTF-8 percent-encoded, and cut after 1024 bytes."""
    log = {"samplePercent": 100, "path": True, "query": True}
    targets = {
        f"http://{DOMAIN}/caf\xc3\xa9?\xe2\x80\xa8": ("/caf%C3%A9", "%E2%80%A8"),
        f"/{'x' * 1024}?{'y' * 1024}": (f"/{'x' * 1023}... (1025 characters)", "y" * 1024),
    }
    for target, shown in targets.items():
        with structlog.testing.capture_logs() as logged:
            async with running(1, accessLog=log) as relay:
                await relay.exchange(raw(f"GET {target} HTTP/1.1"))
        (line,) = lines(logged)
        assert (line["path"], line["query"]) == shown


@on_pump_loop
async def test_a_stream_of_http2_has_the_same_lines() -> None:
    """Each stream is a connection of its own in the log."""
    log = {"samplePercent": 100, "everySeconds": 3600, "path": True, "query": True}
    with structlog.testing.capture_logs() as logged:
        async with (
            origin() as port,
            http2(port, accessLog=log) as relay,
            http2_client(relay) as client,
        ):
            stream = client.request(connect_lines(path=b"/room?token=sesame"))
            await client.until(lambda: client.streams[stream].headers)
            client.protocol.reset_stream(stream)
            client.flush()
            await relay.until(lambda: lines(logged))
    opened, ended = (line for line in logged if line["event"].startswith("connection"))
    assert (opened["event"], opened["protocol"], opened["tls"]) == ("connection opened", "h2", True)
    for line in (opened, ended):
        assert (line["path"], line["query"], line["connection"]) == ("/room", "token=sesame", 1)


@on_pump_loop
async def test_a_long_connection_has_lines_while_it_is_open() -> None:
    """One at the opening, and another at each interval, with the counts so far."""
    with structlog.testing.capture_logs() as logged:
        log = {"samplePercent": 100, "everySeconds": 1}
        async with origin() as port, running(port, accessLog=log) as relay:
            async with relay.connect() as client:
                await client.send("hello")
                await client.recv()
                await relay.until(lambda: [line for line in logged if line["event"] == "connection open"])
            await relay.until(lambda: lines(logged))
    opened, still_open, *_, ended = (line for line in logged if line["event"].startswith("connection"))
    assert (opened["event"], opened["code"], opened["received_messages"]) == ("connection opened", 101, 0)
    assert opened["client"] == "127.0.0.1"
    assert (still_open["received_messages"], still_open["duration_seconds"] >= 1) == (1, True)
    assert {line["connection"] for line in (opened, still_open, ended)} == {1}
    assert "ended_by" not in still_open


@on_pump_loop
async def test_a_long_plain_request_has_lines_while_it_is_under_way() -> None:
    """Server-sent events last as long as a tunnel; a short request has one line only."""
    go_on = asyncio.Event()

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x" * 1000)
        if request.path == "/events":
            await go_on.wait()
        return response

    log = {"samplePercent": 100, "everySeconds": 1, "path": True}
    with structlog.testing.capture_logs() as logged:
        async with site(events) as port, running(port, accessLog=log, passThrough={}) as relay:
            for path in ("/short", "/events"):
                request = raw(f"GET {path} HTTP/1.1", "Connection: close")
                reading = asyncio.create_task(relay.exchange(request))
                if path == "/events":
                    await relay.until(lambda: [line for line in logged if line["event"] == "request open"])
                    go_on.set()
                assert (await reading).startswith(b"HTTP/1.1 200 ")
            await relay.until_idle()
    short, still_open, *_, ended = (line for line in logged if line["event"].startswith("request"))
    assert (short["event"], short["path"]) == ("request", "/short")
    assert (still_open["event"], still_open["path"], still_open["code"]) == ("request open", "/events", 200)
    assert still_open["sent_bytes"] > 1000
    assert (ended["event"], ended["reason"]) == ("request", "")
    assert "reason" not in still_open
