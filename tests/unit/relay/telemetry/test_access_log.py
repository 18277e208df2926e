"""The content of access log lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.telemetry.access_log import (
    AccessFacts,
    ended_line,
    is_sampled,
    passed_line,
    refused_line,
    shown_subprotocol,
)
from wsedge_relay.telemetry.counters import Ending

ACCESS = AccessFacts(
    client="192.0.2.7",
    tls=True,
    protocol="h2",
    began=100.0,
    origin="room:80",
    subprotocol="chat",
    sent_bytes=200,
    received_bytes=300,
)


@given(st.floats(0, 1, exclude_max=True))
def test_none_is_none_and_all_is_all(chance: float) -> None:
    """0 percent logs no connection, 100 percent logs all."""
    assert not is_sampled(0, chance)
    assert is_sampled(100, chance)


def test_a_share_is_a_share() -> None:
    """Of a hundred equal chances, `percent` are logged."""
    assert sum(is_sampled(5, number / 100) for number in range(100)) == 5


def test_a_tunnel_has_all_its_bytes_and_its_end() -> None:
    """The bytes of the handshake and of the tunnel are added, separately by direction."""
    line = ended_line(ACCESS, counts=(1000, 50, 3, 2), ending=Ending("origin", "close", 1000), now=101.23456)
    assert line == {
        "client": "192.0.2.7",
        "tls": True,
        "protocol": "h2",
        "code": 101,
        "origin": "room:80",
        "subprotocol": "chat",
        "duration_seconds": 1.235,
        "sent_bytes": 1200,
        "received_bytes": 350,
        "sent_messages": 3,
        "received_messages": 2,
        "ended_by": "origin",
        "reason": "close",
        "close_code": 1000,
    }


def test_a_refusal_has_its_reason_and_no_end() -> None:
    """A refused connection has no tunnel, so it has no `ended_by`."""
    line = refused_line(ACCESS, code=403, reason="allowedOrigins", now=100.5)
    assert (line["code"], line["reason"], line["duration_seconds"]) == (403, "allowedOrigins", 0.5)
    assert "ended_by" not in line


def test_a_token_that_poses_as_a_subprotocol_is_not_shown() -> None:
    """No registered name has more than 40 characters."""
    assert shown_subprotocol(None) is None
    assert shown_subprotocol(b"graphql-transport-ws") == "graphql-transport-ws"
    assert shown_subprotocol(b"base64url.bearer.authorization.k8s.io." + b"x" * 40) == "(78 characters)"


def test_a_passed_request_has_its_method_and_no_messages() -> None:
    """A plain request has no messages and no subprotocol."""
    line = passed_line(ACCESS, method="POST", code=200, reason="", now=101.0)
    assert line == {
        "client": "192.0.2.7",
        "tls": True,
        "protocol": "h2",
        "code": 200,
        "origin": "room:80",
        "duration_seconds": 1.0,
        "sent_bytes": 200,
        "received_bytes": 300,
        "method": "POST",
        "reason": "",
    }
