"""Connections as a table, and their order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pytest

from wsedge_operator.cli.connections import ORDERS, Row, _ordered, as_table
from wsedge_relay.contract import OpenConnection

NOW: Final = datetime(2026, 11, 22, 10, tzinfo=UTC)


def row(name: str, **changes: Any) -> Row:
    usual = {
        "id": name,
        "domain": "chat.example.com",
        "client": "192.0.2.7",
        "origin": "room:80",
        "since": "2026-11-22T09:00:00Z",
        "sentBytes": 1000,
        "receivedBytes": 10,
        "sentMessages": 2,
        "receivedMessages": 1,
        "clientRttSeconds": 0.01,
    }
    return "pod-a", OpenConnection.model_validate(usual | changes)


ROWS: Final = [
    row("old", since="2026-11-22T08:00:00Z", sentBytes=1, clientRttSeconds=0.02),
    row("large", since="2026-11-22T09:30:00Z", receivedBytes=10**9),
    row("far", since="2026-11-22T09:40:00Z", sentBytes=2, clientRttSeconds=3.0),
    row("stream", since="2026-11-22T09:50:00Z", sentBytes=0, clientRttSeconds=None, http2=True),
]
FIRST: Final = {"since": "old", "bytes": "large", "rtt": "far"}


@pytest.mark.parametrize("order", ORDERS)
def test_order(order: str) -> None:
    """The first of all, and the first of the first two, are the same."""
    assert len(_ordered(iter(ROWS), order, None)) == 4
    assert _ordered(iter(ROWS), order, None)[0][1].id == FIRST[order]
    assert [one.id for _, one in _ordered(iter(ROWS), order, 2)] == [
        one.id for _, one in _ordered(iter(ROWS), order, None)[:2]
    ]


def test_a_table_of_connections() -> None:
    """Whatever a relay answers is printable; a time that is none is shown as it is."""
    hostile = row("\x1b[2J", client="\x1b]0;x\x07", since="\x1b[1m", closing=True)
    text = as_table([row("1-1"), hostile, ROWS[3]], 3, NOW)
    header, first, second, third, last = text.splitlines()
    assert header.split() == [
        *("ID", "CLIENT", "SINCE", "AGE", "SENT", "RECEIVED"),
        *("MESSAGES", "SENT/RECEIVED", "RTT", "ORIGIN", "STATE"),
    ]
    assert first.split() == [
        *("pod-a/1-1", "192.0.2.7", "2026-11-22T09:00:00Z", "1h", "1.0", "kB", "10", "B", "2/1"),
        *("10.0", "ms", "room:80", "-"),
    ]
    assert all(line.isprintable() for line in (first, second, third))
    assert "closing" in second
    assert "HTTP/2" in third
    assert last == "3 connections"


NUMBERS: Final = {
    "none: no header of an empty table": (0, 0, "0 connections"),
    "one": (1, 1, "1 connection"),
    "all": (4, 4, "4 connections"),
    "as many as the limit, of more": (2, 4, "2 of 4 connections"),
}


@pytest.mark.parametrize(("shown", "total", "last"), NUMBERS.values(), ids=NUMBERS)
def test_the_last_line_says_how_many_there_are(shown: int, total: int, last: str) -> None:
    """Also of those that a limit left out."""
    lines = as_table(ROWS[:shown], total, NOW).splitlines()
    assert lines[-1] == last
    assert len(lines) == (shown + 2 if shown else 1)


def test_a_time_of_another_zone_is_shown_in_utc() -> None:
    """Each time has its zone."""
    assert "2026-11-22T09:00:00Z" in as_table([row("1", since="2026-11-22T17:00:00+08:00")], 1, NOW)
