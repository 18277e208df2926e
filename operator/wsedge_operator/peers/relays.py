"""Asks relays what they run: `GET /config` on their admin port.

A pod is a tenant's: its answer may be anything. So no redirect is followed, nothing is unpacked, and of an
answer only known fields come back, bounded; of a failure only that there is no answer. What exactly failed is
in the operator's log: in a status it would make the operator a scanner of its network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final, overload

import aiohttp
import structlog
from pydantic import ValidationError

from wsedge_operator.desired.names import ADMIN_PORT
from wsedge_operator.reconcile.domain.pods import restarts
from wsedge_operator.reconcile.domain.snapshot import RelayReport
from wsedge_relay.contract import RelayState

log = structlog.get_logger()

DEADLINE_SECONDS: Final = 2.0
MAX_BYTES: Final = 64 * 1024
SILENT: Final = "no answer on its admin port"
STRANGE: Final = "its answer is none of a relay"
_MOST_NAME: Final = 400  # of a generation, as RelayConfig bounds it
_MOST_REASON: Final = 500
_MOST_CONNECTIONS: Final = 2**31 - 1  # a pod's deletion cost is an int32


class _StrangeAnswerError(Exception):
    """What answered is no relay."""


def relay_session() -> aiohttp.ClientSession:
    """Return the session that relays are asked by: no proxy, no cookies, no decompression."""
    return aiohttp.ClientSession(
        auto_decompress=False,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
    )


async def ask(session: aiohttp.ClientSession, pods: Iterable[dict[str, Any]]) -> dict[str, RelayReport]:
    """Return what the relays of running pods say, by pod uid. Each has two seconds to answer."""
    asked = list(pods)
    reports = await asyncio.gather(*(_ask(session, pod) for pod in asked))
    return {pod["metadata"]["uid"]: report for pod, report in zip(asked, reports, strict=True)}


async def _ask(session: aiohttp.ClientSession, pod: dict[str, Any]) -> RelayReport:
    host = pod["status"]["podIP"]
    url = f"http://{f'[{host}]' if ':' in host else host}:{ADMIN_PORT}/config"
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            state = RelayState.model_validate_json(await _fetch(session, url))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        log.info("relay not reached", url=url, reason=f"{type(error).__name__}: {error}"[:_MOST_REASON])
        return RelayReport(restarts(pod), None, SILENT)
    except (_StrangeAnswerError, ValidationError) as error:
        log.warning("relay not understood", url=url, error=f"{type(error).__name__}: {error}"[:_MOST_REASON])
        return RelayReport(restarts(pod), None, STRANGE)
    return RelayReport(restarts(pod), _bounded(state))


async def _fetch(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise _StrangeAnswerError(f"status {answer.status}")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise _StrangeAnswerError("an encoding that was not asked for")
        body = bytearray()
        async for piece in answer.content.iter_chunked(MAX_BYTES):
            body += piece
            if len(body) > MAX_BYTES:
                raise _StrangeAnswerError(f"more than {MAX_BYTES} bytes")
        return bytes(body)


def _bounded(state: RelayState) -> RelayState:
    """Return what a status may show of a relay's answer."""
    return RelayState(
        generation=_printable(state.generation, _MOST_NAME),
        draining=state.draining,
        openConnections=min(max(state.openConnections, 0), _MOST_CONNECTIONS),
        refusedGeneration=_printable(state.refusedGeneration, _MOST_NAME),
        refusedReason=_printable(state.refusedReason, _MOST_REASON),
    )


@overload
def _printable(text: str, most: int) -> str: ...
@overload
def _printable(text: None, most: int) -> None: ...
@overload
def _printable(text: str | None, most: int) -> str | None: ...
def _printable(text: str | None, most: int) -> str | None:
    if text is None:
        return None
    return "".join(character if character.isprintable() else "?" for character in text[:most])
