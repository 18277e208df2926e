"""The access log: one line per connection, at its end, where it is configured."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from websockets.exceptions import InvalidStatus

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
