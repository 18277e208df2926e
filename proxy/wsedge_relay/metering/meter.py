"""The bytes of one connection's requests as usage, each counted once. Pure."""

from __future__ import annotations

from typing import Protocol

from wsedge_relay.metering.usage import Usage, UsageKey


class Counted(Protocol):
    """A connection and its bytes since it began."""

    sent: int
    received: int


class Meter:
    """Adds the bytes of a connection since the last call to `usage`.

    One connection may carry several requests, for several keys: `begin` marks the start of one.
    """

    __slots__ = ("_began", "_told", "_usage", "_wire")

    def __init__(self, wire: Counted, usage: Usage) -> None:
        self._wire = wire
        self._usage = usage
        self._began = self._told = (0, 0)

    def begin(self) -> None:
        """Begin the next request with the bytes that are not counted yet."""
        self._began = self._told

    def tell(self, key: UsageKey, *, unread: int = 0) -> None:
        """Count the bytes since the last call; the last `unread` received ones are the next request's."""
        sent, received = self._wire.sent, self._wire.received - unread
        self._usage.add(key, sent_bytes=sent - self._told[0], received_bytes=received - self._told[1])
        self._told = (sent, received)

    def passed(self, *, unread: int = 0) -> tuple[int, int]:
        """Return the bytes sent and received since `begin`."""
        return self._wire.sent - self._began[0], self._wire.received - unread - self._began[1]
