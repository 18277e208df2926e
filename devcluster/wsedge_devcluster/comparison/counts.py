"""The clients' counts of a domain, the statistics' answer about it, and whether the two are equal. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Relays report every 10 s: three reports, and the time to close and to commit.
REPORT_SECONDS: Final = 40


@dataclass(frozen=True, slots=True)
class Counts:
    """Bytes on clients' sockets, and connections, since the beginning."""

    sent: int = 0
    received: int = 0
    opened: int = 0
    open: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The last 24 hours of one domain: bytes to and from clients, connections, handshakes answered 101."""

    sent: int = 0
    received: int = 0
    opened: int = 0
    switched: int = 0


def agree(clients: Counts, answer: Answer) -> bool:
    """Return whether the statistics have exactly the clients' counts."""
    return (clients.received, clients.sent, clients.opened, clients.opened) == (
        answer.sent,
        answer.received,
        answer.opened,
        answer.switched,
    )
