"""Asks relays what they run: `GET /config` on their admin port."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import aiohttp
from pydantic import ValidationError

from wsedge_operator.desired.names import ADMIN_PORT
from wsedge_operator.reconcile.pods import restarts
from wsedge_operator.reconcile.snapshot import RelayReport
from wsedge_relay.contract import RelayState

DEADLINE_SECONDS: Final = 2.0


async def ask(session: aiohttp.ClientSession, pods: Iterable[dict[str, Any]]) -> dict[str, RelayReport]:
    """Return what the relays of running pods say, by pod uid. Each has two seconds to answer."""
    asked = list(pods)
    reports = await asyncio.gather(*(_ask(session, pod) for pod in asked))
    return {pod["metadata"]["uid"]: report for pod, report in zip(asked, reports, strict=True)}


async def _ask(session: aiohttp.ClientSession, pod: dict[str, Any]) -> RelayReport:
    host = pod["status"]["podIP"]
    url = f"http://{f'[{host}]' if ':' in host else host}:{ADMIN_PORT}/config"
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=DEADLINE_SECONDS)) as answer:
            answer.raise_for_status()
            state = RelayState.model_validate_json(await answer.read())
    except (aiohttp.ClientError, TimeoutError, OSError, ValidationError) as error:
        return RelayReport(restarts(pod), None, f"{type(error).__name__}: {error}")
    return RelayReport(restarts(pod), state)
