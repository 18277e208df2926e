"""The bytes of one connection's requests, each counted once."""

from __future__ import annotations

import time
from dataclasses import dataclass

from wsedge_relay.metering.meter import Meter
from wsedge_relay.metering.usage import Usage, UsageKey

ONE, OTHER = UsageKey("one", "a"), UsageKey("other", "a")


@dataclass
class Wire:
    """The two counts of a connection."""

    sent: int = 0
    received: int = 0


def counted(usage: Usage) -> dict[str, tuple[int, int]]:
    return {row.key.domain: (row.sent_bytes, row.received_bytes) for row in usage.unacknowledged()}


def test_counted_bytes_are_not_counted_again() -> None:
    """A second call without new bytes counts nothing."""
    wire, usage = Wire(), Usage(now=0.0, monotonic=time.monotonic)
    meter = Meter(wire, usage)
    for sent, received in ((10, 5), (10, 5), (30, 5)):
        wire.sent, wire.received = sent, received
        meter.count(ONE)
    assert counted(usage) == {"one": (30, 5)}


def test_bytes_read_ahead_belong_to_the_next_request() -> None:
    """Two requests that arrived together are each counted for their own key."""
    wire, usage = Wire(received=100), Usage(now=0.0, monotonic=time.monotonic)
    meter = Meter(wire, usage)
    wire.sent = 7
    meter.count(ONE, unread=40)
    assert meter.passed(unread=40) == (7, 60)
    meter.begin()
    wire.sent, wire.received = 9, 110
    meter.count(OTHER)
    assert meter.passed() == (2, 50)
    assert counted(usage) == {"one": (7, 60), "other": (2, 50)}
