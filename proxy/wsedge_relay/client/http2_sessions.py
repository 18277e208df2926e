"""All open HTTP/2 connections of a relay, by domain."""

from __future__ import annotations

import asyncio

from wsedge_relay.client.http2_session import Session


class Sessions:
    """The open HTTP/2 sessions of a relay."""

    def __init__(self) -> None:
        self._all: set[Session] = set()
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, session: Session) -> None:
        """Add a session."""
        self._all.add(session)
        self._none_left.clear()

    def remove(self, session: Session) -> None:
        """Remove a session whose socket is closed."""
        self._all.discard(session)
        if not self._all:
            self._none_left.set()

    def go_away(self, domain: str | None = None) -> None:
        """Send GOAWAY on the sessions of `domain` (None: on all); each closes after its last stream."""
        for session in list(self._all):
            if domain is None or session.domain == domain:
                session.go_away()

    def abort_all(self) -> None:
        """Close every session at once."""
        for session in list(self._all):
            session.abort()

    async def wait_until_none(self) -> None:
        """Return once no session is left."""
        await self._none_left.wait()
