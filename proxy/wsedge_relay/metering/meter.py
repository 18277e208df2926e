"""The bytes of one connection's requests as usage, each counted once. Pure."""

from __future__ import annotations

from typing import Protocol

from wsedge_relay.metering.usage import Usage, UsageKey


class Counted(Protocol):
    """A connection and its bytes since it began."""

    sent: int
    received: int


class Meter:
    """Tells `usage` what passed on a connection since it was told the last time.

    Several requests may come over one connection, for several keys: `begin` marks where one begins.
    """

    __slots__ = ("_began", "_told", "_usage", "_wire")

    def __init__(self, wire: Counted, usage: Usage) -> None:
        self._wire = wire
        self._usage = usage
        self._began = self._told = (0, 0)

    def begin(self) -> None:
        """Let the request that comes next begin with what was not told yet."""
        self._began = self._told

    def tell(self, key: UsageKey, *, unread: int = 0) -> None:
        """Count what passed; the last `unread` bytes that were received are of what comes next."""
        sent, received = self._wire.sent, self._wire.received - unread
        self._usage.add(key, sent_bytes=sent - self._told[0], received_bytes=received - self._told[1])
        self._told = (sent, received)

    def passed(self, *, unread: int = 0) -> tuple[int, int]:
        """Return the bytes sent and received since `begin`."""
        return self._wire.sent - self._began[0], self._wire.received - unread - self._began[1]
