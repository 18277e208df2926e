"""Fetch the state of relays (`GET /config` on their admin port), and send them orders (`POST /shed`).

A pod belongs to a tenant, so its answer may be anything. Redirects are not followed, bodies are not
decompressed, and a report has only known fields, bounded. A failure is reported without its cause, which is
in the operator's log: in a status it would let a tenant scan the operator's network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, overload

import aiohttp
import structlog
from pydantic import ValidationError

from wsedge_operator.desired.names import ADMIN_PORT
from wsedge_operator.reconcile.domain.memory import Shed, ShedFailure
from wsedge_operator.reconcile.domain.pods import restarts
from wsedge_operator.reconcile.domain.snapshot import RelayReport
from wsedge_relay.contract import (
    LEAST_SHED_PER_SECOND,
    MOST_SHED_CONNECTIONS,
    MOST_SHED_PER_SECOND,
    RelayState,
)

log = structlog.get_logger()

DEADLINE_SECONDS: Final = 2.0
MAX_BYTES: Final = 64 * 1024
NO_ANSWER: Final = "no answer on its admin port"
NOT_A_RELAY: Final = "its answer is not that of a relay"
_MAX_NAME: Final = 400  # of a generation, as RelayConfig bounds it
_MAX_REASON: Final = 500
_MAX_CONNECTIONS: Final = 2**31 - 1  # a pod's deletion cost is an int32


class _NotARelayError(Exception):
    """The answer is not that of a relay."""


def relay_session() -> aiohttp.ClientSession:
    """Return the session for calls to relays: no proxy, no cookies, no decompression, no idle connections.

    A relay is called seldom, and after a start all of them are called once.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        auto_decompress=False,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
    )


async def fetch_reports(
    session: aiohttp.ClientSession, pods: Iterable[dict[str, Any]]
) -> dict[str, RelayReport]:
    """Return the reports of the relays of running pods, by pod uid. Each has two seconds to answer."""
    called = list(pods)
    reports = await asyncio.gather(*(_fetch_report(session, pod) for pod in called))
    return {pod["metadata"]["uid"]: report for pod, report in zip(called, reports, strict=True)}


async def send_orders(
    session: aiohttp.ClientSession, sheds: Iterable[Shed], token: str
) -> dict[str, ShedFailure]:
    """Send each relay its order to close connections; return the failures, by pod uid.

    An order has a name, so a relay that gets it twice closes nothing more. The pods must be those that
    `fetch_reports` was called with: the token is that of their domain.
    """
    called = list(sheds)
    failures = await asyncio.gather(*(_send_order(session, shed, token) for shed in called))
    return {
        shed.pod["metadata"]["uid"]: failure
        for shed, failure in zip(called, failures, strict=True)
        if failure is not None
    }


async def _send_order(session: aiohttp.ClientSession, shed: Shed, token: str) -> ShedFailure | None:
    query = {
        "order": shed.order,
        "connections": str(min(shed.connections, MOST_SHED_CONNECTIONS)),
        "perSecond": f"{min(max(shed.per_second, LEAST_SHED_PER_SECOND), MOST_SHED_PER_SECOND):.6f}",
    }
    url = _url(shed.pod, "shed")
    try:
        async with (
            asyncio.timeout(DEADLINE_SECONDS),
            session.post(
                url, params=query, headers={"Authorization": f"Bearer {token}"}, allow_redirects=False
            ) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        log.info("order not sent", url=url, reason=f"{type(error).__name__}: {error}"[:_MAX_REASON])
        return ShedFailure.FAILED
    if status == 202:
        log.info("order sent", url=url, order=shed.order, connections=shed.connections)
        return None
    log.info("order rejected", url=url, status=status)
    return ShedFailure.UNKNOWN if status in (404, 405) else ShedFailure.FAILED


def _url(pod: Mapping[str, Any], path: str) -> str:
    host = pod["status"]["podIP"]
    return f"http://{f'[{host}]' if ':' in host else host}:{ADMIN_PORT}/{path}"


async def _fetch_report(session: aiohttp.ClientSession, pod: dict[str, Any]) -> RelayReport:
    url = _url(pod, "config")
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            state = RelayState.model_validate_json(await _fetch(session, url))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        log.debug("relay did not answer", url=url, reason=f"{type(error).__name__}: {error}"[:_MAX_REASON])
        return RelayReport(restarts(pod), None, NO_ANSWER)
    except (_NotARelayError, ValidationError) as error:
        log.warning(
            "answer of a relay refused", url=url, error=f"{type(error).__name__}: {error}"[:_MAX_REASON]
        )
        return RelayReport(restarts(pod), None, NOT_A_RELAY)
    return RelayReport(restarts(pod), _bounded(state))


async def _fetch(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise _NotARelayError(f"status {answer.status}")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise _NotARelayError("an encoding that was not requested")
        body = bytearray()
        async for piece in answer.content.iter_chunked(MAX_BYTES):
            body += piece
            if len(body) > MAX_BYTES:
                raise _NotARelayError(f"more than {MAX_BYTES} bytes")
        return bytes(body)


def _bounded(state: RelayState) -> RelayState:
    """Return the state with bounded numbers and with bounded, printable texts: a status shows them."""
    return RelayState(
        generation=_printable(state.generation, _MAX_NAME),
        draining=state.draining,
        openConnections=min(max(state.openConnections, 0), _MAX_CONNECTIONS),
        refusedGeneration=_printable(state.refusedGeneration, _MAX_NAME),
        refusedReason=_printable(state.refusedReason, _MAX_REASON),
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
