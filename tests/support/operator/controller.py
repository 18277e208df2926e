"""A controller without a cluster, on a clock that stands still."""

from __future__ import annotations

import asyncio
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from support.operator.snapshots import NOW
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.controller import Controller
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.settings import Settings


class Clock:
    """Time stands still."""

    def now(self) -> datetime:
        return NOW

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        await event.wait()


def made(cache: Cache, client: Any = None, gatherer: Any = None) -> Controller:
    async def keep(*_: Any) -> None:
        return None

    return Controller(
        client=client,
        cache=cache,
        gatherer=gatherer,
        accounts=Accounts(client, cache, "UTC"),
        keeper=cast(Any, SimpleNamespace(keep=keep)),
        settings=Settings(workers=1),
        clock=Clock(),
        metrics=Metrics(),
        identity="operator-1",
    )


async def turns(number: int = 2000) -> None:
    for _ in range(number):
        await asyncio.sleep(0)
