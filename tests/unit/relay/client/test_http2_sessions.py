"""The registry of HTTP/2 sessions: GOAWAY by domain, and the wait for the last one."""

from __future__ import annotations

import asyncio
from typing import cast

from wsedge_relay.client.http2_session import Session
from wsedge_relay.client.http2_sessions import Sessions


class Recorded:
    """A session that ends at once when it is aborted, and records its GOAWAYs."""

    def __init__(self, domain: str, sessions: Sessions) -> None:
        self.domain = domain
        self.sessions = sessions
        self.warned = 0
        self.name = ((domain, len(sessions)), ("192.0.2.1", 443))
        sessions.add(self.session, self.name)

    @property
    def session(self) -> Session:
        """The object as the registry sees it."""
        return cast(Session, self)

    def go_away(self) -> None:
        self.warned += 1

    def abort(self) -> None:
        self.sessions.remove(self.session)


async def test_goaway_reaches_one_domain_or_all() -> None:
    """A domain that is disabled must not disturb the connections of others."""
    sessions = Sessions()
    a, b = Recorded("a.example", sessions), Recorded("b.example", sessions)
    sessions.go_away("a.example")
    assert (a.warned, b.warned) == (1, 0)
    sessions.go_away()
    assert (a.warned, b.warned, len(sessions)) == (2, 1, 2)


async def test_goaway_reaches_one_session_by_its_name() -> None:
    """Also while another domain has the same number of sessions; a session that is gone is no fault."""
    sessions = Sessions()
    a, b = Recorded("a.example", sessions), Recorded("a.example", sessions)
    sessions.go_away_from(a.name)
    assert (a.warned, b.warned) == (1, 0)
    sessions.remove(b.session)
    sessions.go_away_from(b.name)
    assert (a.warned, b.warned) == (1, 0)


async def test_the_wait_ends_with_the_last_session() -> None:
    """Sessions remove themselves while all are aborted; without a session nothing is awaited."""
    sessions = Sessions()
    await sessions.wait_until_none()
    one, _ = Recorded("a.example", sessions), Recorded("a.example", sessions)
    waiting = asyncio.create_task(sessions.wait_until_none())
    sessions.remove(one.session)
    await asyncio.sleep(0)
    assert not waiting.done()
    sessions.abort_all()
    await waiting
    assert len(sessions) == 0
