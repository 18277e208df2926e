"""Limits of the number and rate of a domain's clients, in one process. Pure: `now` is any clock's seconds."""

from __future__ import annotations

import ipaddress
from typing import Final

from wsedge_relay.contract import Limits
from wsedge_relay.errors import HandshakeRefusedError

# A client with one IPv6 address usually has the whole /64 (RFC 6177), so the /64 is counted.
_CLIENT_PREFIX: Final = 64


class Limiter:
    """Counts the places of handshakes under way and of open tunnels, in all and by client.

    The rate is limited by a token bucket with the handshakes of one second, so it allows a burst of that
    size. Each call has the limits as a parameter, so that a change applies from the next handshake on; a
    lower limit closes no connection.
    """

    __slots__ = ("_by_client", "_filled", "_taken", "_tokens")

    def __init__(self) -> None:
        self._taken = 0
        self._by_client: dict[str, int] = {}
        self._tokens = -1.0  # negative: full, at any rate
        self._filled = 0.0

    @property
    def taken(self) -> int:
        """The number of places that are taken now."""
        return self._taken

    def apply(self, limits: Limits) -> None:
        """Apply these limits from now on. Nothing to do here: `enter` has them as a parameter."""

    def enter(self, limits: Limits, client: str, now: float, *, retry_after: int) -> None:
        """Take a place for `client` (its IP address), which `leave` frees.

        Raises HandshakeRefusedError: 503 for a limit of all clients together, 429 for a limit of this client;
        its reason is the limit's field, its Retry-After `retry_after` seconds, or one second for the rate.
        """
        key = client_key(client)
        if limits.connections is not None and self._in_all() >= limits.connections:
            raise _refused(503, "connections", "This domain has no room for another connection.", retry_after)
        if limits.connectionsPerClient is not None and self._of(key) >= limits.connectionsPerClient:
            raise _refused(429, "connectionsPerClient", "This address has too many connections.", retry_after)
        if limits.handshakesPerSecond is not None and not self._spend(limits.handshakesPerSecond, now):
            raise _refused(503, "handshakesPerSecond", "Too many clients connect at once.", 1)
        self._add(key)

    def leave(self, client: str) -> str:
        """Free a place that `enter` took for the same address; return the client's key."""
        key = client_key(client)
        self._taken -= 1
        left = self._by_client[key] - 1
        if left:
            self._by_client[key] = left
        else:
            del self._by_client[key]
        return key

    def _in_all(self) -> int:
        return self._taken

    def _of(self, key: str) -> int:
        return self._by_client.get(key, 0)

    def _spend(self, rate: int, now: float) -> bool:
        tokens = refilled(self._tokens, rate, now - self._filled)
        self._filled = now
        self._tokens = tokens - 1 if tokens >= 1 else tokens
        return tokens >= 1

    def _add(self, key: str) -> None:
        self._taken += 1
        self._by_client[key] = self._by_client.get(key, 0) + 1


def refilled(tokens: float, rate: int, seconds: float) -> float:
    """Return the tokens of a bucket after so many seconds; negative `tokens` mean a full bucket."""
    return rate if tokens < 0 else min(rate, tokens + seconds * rate)


def client_key(client: str) -> str:
    """Return the key by which a client is counted: its IPv4 address, or its IPv6 network."""
    if ":" not in client:
        return client
    return str(ipaddress.ip_network((client, _CLIENT_PREFIX), strict=False))


def _refused(status: int, reason: str, text: str, retry_after: int) -> HandshakeRefusedError:
    return HandshakeRefusedError(status, reason, text, retry_after=retry_after)
