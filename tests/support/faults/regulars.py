"""Clients that reconnect when a relay closes with 1001, and exchange texts all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from support.faults.client import Crowd, Refused
from support.faults.edge import Site

GOING_AWAY = 1001
T = TypeVar("T")


class Regulars:
    """The clients of a site during a rollout of its relays."""

    def __init__(self, site: Site, number: int) -> None:
        self._door, self._number = site.door(), number
        self.crowd: Crowd = site.crowd

    async def enter(self) -> None:
        """Connect all of them."""
        await self.crowd.enter(self._door, number=self._number)

    async def while_it_lasts(self, work: Awaitable[T]) -> T:
        """Exchange texts until `work` is done; replace each client that got 1001."""
        task = asyncio.ensure_future(work)
        async with asyncio.timeout(300):
            while not task.done():
                await self.crowd.talk()
                for _ in range(self._number - len(self.crowd.open)):
                    await self._come_back()
                await asyncio.sleep(0.05)
        return await task

    async def _come_back(self) -> None:
        """Try to connect once; a draining relay refuses, and the next try may reach another."""
        try:
            await self.crowd.enter(self._door)
        except Refused as refused:
            assert refused.status == 503  # noqa: PT017  the answer is what is tested
        except ConnectionError:
            return  # the last old relay has ended, and its successor is not ready yet

    def check(self) -> int:
        """Assert that each client without a connection got 1001; return their number."""
        gone = [client for client in self.crowd.clients if client.opened and not client.is_open]
        assert [client.close_code for client in gone] == [GOING_AWAY] * len(gone)
        return len(gone)
