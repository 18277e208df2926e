"""PUT the Directory to the statistics when it is due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import aiohttp
import structlog

from wsedge_operator.errors import RefusedError
from wsedge_operator.kube.client import Object
from wsedge_operator.kube.kinds import DOMAIN
from wsedge_operator.peers.statistics import put_directory
from wsedge_operator.reconcile.directory import directory, without_lives
from wsedge_operator.reconcile.domain.claims import DomainClaim, claimed_name, owner_of, served_since
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.cache import Cache
from wsedge_statistics.contract import Directory

log = structlog.get_logger()

# Returns all claims on a domain at an instant.
Claims = Callable[[str | None, datetime], Awaitable[tuple[DomainClaim, ...]]]


@dataclass
class DirectoryKeeper:
    """Sends the Directory when it has changed, and again after `every`: a restored ledger has an old one."""

    cache: Cache
    claims: Claims
    accounts: Accounts
    session: aiohttp.ClientSession
    token_file: str
    every: timedelta
    _put: tuple[str, Directory] | None = field(default=None, init=False)

    async def put_if_due(self, url: str | None, now: datetime) -> datetime | None:
        """Send the Directory to the statistics at `url` if it is due; return the instant of the next time.

        Raises UnreachableError when the statistics did not accept it.
        """
        if not url:
            return None
        current = await self._current(now)
        if self._put is not None:
            put_to, put = self._put
            due = put.writtenAt + self.every
            same = put.model_copy(update={"writtenAt": now}) == current
            if same and put_to == url and put.writtenAt <= now < due:
                return due
        await self._send(url, current)
        self._put = (url, current)
        log.info("directory put", accounts=len(current.accounts), domains=len(current.domains))
        return now + self.every

    async def _current(self, now: datetime) -> Directory:
        owned = [
            live
            for live in self.cache.all(DOMAIN)
            if self._is_reportable(live) and await self._is_owner(live, now)
        ]
        return directory(self.accounts.recorded(now), owned, now)

    def _is_reportable(self, live: Object) -> bool:
        """Return whether relays may report a domain: it was served, or its namespace is selected."""
        return self.accounts.selects(live["metadata"]["namespace"]) or served_since(live) is not None

    async def _is_owner(self, live: Object, now: datetime) -> bool:
        """Return whether a WebSocketDomain owns its domain: the Directory has one owner per domain."""
        owner = owner_of(await self.claims(claimed_name(live), now))
        return owner is not None and owner.uid == live["metadata"]["uid"]

    async def _send(self, url: str, current: Directory) -> None:
        try:
            await put_directory(self.session, url, current, token_file=self.token_file)
        except RefusedError as error:
            log.warning("directory put without lives of accounts", error=str(error))
            await put_directory(self.session, url, without_lives(current), token_file=self.token_file)
