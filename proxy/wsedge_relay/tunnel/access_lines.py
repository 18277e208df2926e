"""The access log's lines of tunnels: at the opening, at intervals while a tunnel is open, and at its end."""

from __future__ import annotations

import asyncio

import structlog

from wsedge_relay.telemetry.access_log import AccessFacts, ended_line, open_line
from wsedge_relay.telemetry.counters import Ending
from wsedge_relay.tunnel.tunnel import Tunnel

log = structlog.get_logger("wsedge_relay")


class AccessLines:
    """Writes the lines of tunnels that have `access`; others have none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._next: dict[Tunnel, asyncio.TimerHandle] = {}

    def opened(self, tunnel: Tunnel) -> None:
        """Write the first line of a tunnel now, and others later, if `accessLog.everySeconds` is set."""
        if tunnel.access is not None:
            self._write_open(tunnel, tunnel.access, "connection opened")

    def ended(self, tunnel: Tunnel, counts: tuple[int, int, int, int], ending: Ending) -> None:
        """Write the last line of a tunnel; `counts` is the result of Tunnel.counts()."""
        if tunnel.access is not None:
            next_line = self._next.pop(tunnel, None)
            if next_line is not None:
                next_line.cancel()
            facts = ended_line(tunnel.access, counts=counts, ending=ending, now=self._loop.time())
            _write(tunnel, "connection", facts)

    def _write_open(self, tunnel: Tunnel, access: AccessFacts, event: str) -> None:
        seconds = tunnel.site.domain.accessLog.everySeconds
        if seconds is None:  # also when a change of the configuration ended these lines
            self._next.pop(tunnel, None)
            return
        facts = open_line(access, counts=tunnel.counts()[:4], now=self._loop.time())
        _write(tunnel, event, facts)
        self._next[tunnel] = self._loop.call_later(
            seconds, self._write_open, tunnel, access, "connection open"
        )


def _write(tunnel: Tunnel, event: str, facts: dict[str, object]) -> None:
    log.info(
        event,
        domain=tunnel.key.domain,
        namespace=tunnel.key.account,
        connection=tunnel.number,
        **facts,
    )
