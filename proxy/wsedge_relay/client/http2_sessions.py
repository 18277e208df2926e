"""All open HTTP/2 connections of a relay, by domain."""

from __future__ import annotations

import asyncio

from wsedge_relay.client.http2_session import Session
from wsedge_relay.tunnel.tunnel import SessionName


class Sessions:
    """The open HTTP/2 sessions of a relay."""

    def __init__(self) -> None:
        self._names: dict[Session, SessionName] = {}
        self._by_name: dict[SessionName, Session] = {}
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __len__(self) -> int:
        return len(self._names)

    def add(self, session: Session, name: SessionName) -> None:
        """Add a session under the name of its connection."""
        self._names[session] = name
        self._by_name[name] = session
        self._none_left.clear()

    def remove(self, session: Session) -> None:
        """Remove a session whose socket is closed."""
        name = self._names.pop(session, None)
        if name is not None and self._by_name.get(name) is session:
            del self._by_name[name]
        if not self._names:
            self._none_left.set()

    def go_away(self, domain: str | None = None) -> None:
        """Send GOAWAY on the sessions of `domain` (None: on all); each closes after its last stream."""
        for session in list(self._names):
            if domain is None or session.domain == domain:
                session.go_away()

    def go_away_from(self, name: SessionName) -> None:
        """Send GOAWAY on the session of this name, if it is open; it closes after its last stream."""
        session = self._by_name.get(name)
        if session is not None:
            session.go_away()

    def abort_all(self) -> None:
        """Close every session at once."""
        for session in list(self._names):
            session.abort()

    async def wait_until_none(self) -> None:
        """Return once no session is left."""
        await self._none_left.wait()
