"""The operator's dealings with the statistics: where they are, and the Directory that they are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp
import structlog

from wsedge_operator.errors import NotFoundError, RefusedError, UnreachableError
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import DOMAIN, SERVICE
from wsedge_operator.reconcile.directory import directory, without_lives
from wsedge_operator.reconcile.domain.claims import DomainClaim, claimed_name, first_served, owner_of
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.cache import Cache
from wsedge_statistics.contract import DIRECTORY_PATH, Directory

log = structlog.get_logger()

PUT_SECONDS: Final = 10.0

# Gives all claims on a domain at an instant.
Claims = Callable[[str | None, datetime], Awaitable[tuple[DomainClaim, ...]]]


async def find_url(client: Client, service: str) -> str:
    """Return the base URL of the Service `namespace/name` by its cluster IP; empty when it is not there."""
    namespace, _, name = service.partition("/")
    try:
        live = await client.get(SERVICE, namespace, name)
    except NotFoundError:
        return ""
    return _url(live)


def _url(live: Object) -> str:
    spec = live["spec"]
    address, ports = spec.get("clusterIP"), spec.get("ports") or ()
    if address in {None, "", "None"} or not ports:
        return ""
    port = next((port["port"] for port in ports if port.get("name") == "http"), ports[0]["port"])
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"


@dataclass
class DirectoryKeeper:
    """Puts the Directory when it has changed, and every so often anyway: a store may be restored."""

    cache: Cache
    claims: Claims
    accounts: Accounts
    session: aiohttp.ClientSession
    token_file: str
    every: timedelta
    _put: tuple[str, Directory] | None = field(default=None, init=False)

    async def keep(self, url: str | None, now: datetime) -> datetime | None:
        """Put the Directory to the statistics at `url` if need be; return when to look again.

        Raises UnreachableError when they did not take it.
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
            if self._has_a_part(live) and await self._is_owner(live, now)
        ]
        return directory(self.accounts.recorded(now), owned, now)

    def _has_a_part(self, live: Object) -> bool:
        """Tell whether relays may report a domain: one that was never served needs a selected namespace."""
        return self.accounts.selects(live["metadata"]["namespace"]) or first_served(live) is not None

    async def _is_owner(self, live: Object, now: datetime) -> bool:
        """Tell whether a WebSocketDomain owns its domain; one per domain goes in."""
        owner = owner_of(await self.claims(claimed_name(live), now))
        return owner is not None and owner.uid == live["metadata"]["uid"]

    async def _send(self, url: str, current: Directory) -> None:
        try:
            await self._call(url, current)
        except RefusedError as error:
            log.warning("directory put without lives of accounts", error=str(error))
            await self._call(url, without_lives(current))

    async def _call(self, url: str, current: Directory) -> None:
        call = f"PUT {url}{DIRECTORY_PATH}"
        headers = {"Content-Type": "application/json"}
        try:
            if self.token_file:
                headers["Authorization"] = f"Bearer {self._token()}"
            async with self.session.put(
                url + DIRECTORY_PATH,
                # Absent, not null, what is not there: the last release knows no such field.
                data=current.model_dump_json(exclude_none=True).encode(),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=PUT_SECONDS),
                allow_redirects=False,  # the token and the whole Directory are for this one address
            ) as answer:
                if answer.status >= 300:
                    text = (await answer.content.read(500)).decode(errors="replace")
                    refused = RefusedError if answer.status == 422 else UnreachableError
                    raise refused(call, f"{answer.status}: {text}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(call, f"{type(error).__name__}: {error}") from error

    def _token(self) -> str:
        # Read each time: the kubelet replaces it long before it runs out.
        return Path(self.token_file).read_text().strip()
