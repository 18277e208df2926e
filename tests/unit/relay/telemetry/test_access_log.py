"""The content of access log lines."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.telemetry.access_log import (
    AccessFacts,
    ended_line,
    is_sampled,
    open_line,
    open_request_line,
    passed_line,
    refused_line,
    shown,
    shown_subprotocol,
    shown_target,
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
    assert shown_subprotocol(b"a\x1b[2J") == "a%1B[2J"


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


def test_an_open_tunnel_has_its_bytes_so_far_and_no_end() -> None:
    """The line is that of the end without the end."""
    counts = (1000, 50, 3, 2)
    end = ended_line(ACCESS, counts=counts, ending=Ending("origin", "close", 1000), now=101.0)
    absent = {"ended_by": "origin", "reason": "close", "close_code": 1000}
    assert open_line(ACCESS, counts=counts, now=101.0) | absent == end


@pytest.mark.parametrize("code", [None, 200])
def test_a_plain_request_under_way_has_no_reason(code: int | None) -> None:
    """Its code is None before the answer begins."""
    line = open_request_line(ACCESS, method="GET", code=code, now=101.0)
    assert (line["code"], line["method"], "reason" in line) == (code, "GET", False)


def test_a_path_and_a_query_are_shown_only_where_they_are_logged() -> None:
    """A line of other connections has no such fields; an absent query is empty."""
    both = replace(ACCESS, path="/room", query="")
    line = refused_line(both, code=403, reason="allowedOrigins", now=100.5)
    assert (line["path"], line["query"]) == ("/room", "")
    assert not {"path", "query"} & refused_line(ACCESS, code=403, reason="", now=100.5).keys()
    assert open_line(replace(ACCESS, path="/room"), counts=(0, 0, 0, 0), now=100.0).keys() >= {"path"}


# A target, and what is shown of its path and its query.
TARGETS: Final[dict[bytes, tuple[str, str]]] = {
    b"/room?token=sesame": ("/room", "token=sesame"),
    b"/room": ("/room", ""),
    b"/?": ("/", ""),
    b"/a?b?c": ("/a", "b?c"),
    b"http://chat.example.com/room?a": ("http://chat.example.com/room", "a"),
    b"*": ("*", ""),
}


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_a_target_has_a_path_and_a_query(target: bytes) -> None:
    """Each is shown only if it is logged."""
    path, query = TARGETS[target]
    assert shown_target(target, path=True, query=True) == (path, query)
    assert shown_target(target, path=True, query=False) == (path, None)
    assert shown_target(target, path=False, query=True) == (None, query)
    assert shown_target(target, path=False, query=False) == (None, None)


# Text of a peer, and what is shown of it.
HOSTILE: Final[dict[str, tuple[bytes, str]]] = {
    "usual text": (b"/a-b_c~%20\"'=", "/a-b_c~%20\"'="),
    "another line": (b"/\r\n{}", "/%0D%0A{}"),
    "a terminal's control sequence": (b"/\x1b[2J\x9b\x7f", "/%1B[2J%9B%7F"),
    "another field": (b"/ code=200", "/%20code=200"),
    "raw UTF-8": ("/\u00e9".encode(), "/%C3%A9"),
    "a direction mark": ("/\u202e".encode(), "/%E2%80%AE"),
    "the longest text": (b"/" + b"x" * 1023, "/" + "x" * 1023),
    "longer text": (b"/" + b"x" * 1024, "/" + "x" * 1023 + "... (1025 characters)"),
}


@pytest.mark.parametrize(("text", "visible"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_bounded_and_encoded(text: bytes, visible: str) -> None:
    """It stays within its field, on a terminal too."""
    assert shown(text) == visible


@given(st.binary(max_size=5000))
def test_any_text_is_visible_and_bounded(text: bytes) -> None:
    """At most three characters a byte, and the note of the length."""
    result = shown(text)
    assert result.isascii()
    assert result.isprintable()
    assert len(result) < 3 * 1024 + 30
    assert " " not in result.removesuffix(f"... ({len(text)} characters)")
