"""Adds the bytes of one connection to the usage, each byte once. Pure."""

from __future__ import annotations

from typing import Protocol

from wsedge_relay.metering.usage import Usage, UsageKey


class Counted(Protocol):
    """A connection with the numbers of its bytes since it began."""

    sent: int
    received: int


class Meter:
    """Adds the bytes of a connection to `usage`.

    One connection may carry several requests, for several keys: `begin` marks the start of a request.
    """

    __slots__ = ("_began", "_counted", "_usage", "_wire")

    def __init__(self, wire: Counted, usage: Usage) -> None:
        self._wire = wire
        self._usage = usage
        self._began = self._counted = (0, 0)

    def begin(self) -> None:
        """Begin the next request, at the bytes that are not counted yet."""
        self._began = self._counted

    def count(self, key: UsageKey, *, unread: int = 0) -> None:
        """Count the bytes since the last call; the last `unread` received bytes are of the next request."""
        sent, received = self._wire.sent, self._wire.received - unread
        before_sent, before_received = self._counted
        self._usage.add(key, sent_bytes=sent - before_sent, received_bytes=received - before_received)
        self._counted = (sent, received)

    def passed(self, *, unread: int = 0) -> tuple[int, int]:
        """Return the bytes sent and received since `begin`."""
        return self._wire.sent - self._began[0], self._wire.received - unread - self._began[1]
