"""The two endpoints of ingest. An answer 204 means that the message is committed to disk."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final, TypeVar

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ValidationError

from wsedge_statistics.contract import (
    BUCKET_SECONDS,
    DIRECTORY_PATH,
    USAGE_PATH,
    Directory,
    UsageReport,
    read,
)
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.errors import LedgerBusyError, NoRoomError, RowFault, RowsRefusedError
from wsedge_statistics.ingest.checks import check_rows, check_source
from wsedge_statistics.numbers.granularity import REACH, Granularity
from wsedge_statistics.services import Services
from wsedge_statistics.web.body import read_json
from wsedge_statistics.web.identity import CallerOf
from wsedge_statistics.web.responses import problems
from wsedge_statistics.web.services import services_of

RETENTION: Final = REACH[Granularity.FIVE_MINUTES]  # counts merge into five-minute rows, while these exist
COMMIT_SECONDS: Final = 30.0
# pydantic applies the contract's bounds only after it has validated every part, and each fault needs half a
# kilobyte: 16 MB of "{},{}," needed 8 GB and a minute. A report of 5000 rows with 64 codes each has 10,002
# objects and 385,000 commas.
MOST_OBJECTS: Final = 12_000
MOST_COMMAS: Final = 400_000
MOST_FAULTS: Final = 10_000  # to be listed one by one; relays send 500 rows at a time

log = structlog.get_logger()
router = APIRouter(tags=["ingest"])
Message = TypeVar("Message", bound=BaseModel)
_STATUSES: Final = (400, 401, 403, 408, 413, 415, 422, 429, 503)


def _describes(name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post(
    USAGE_PATH,
    status_code=204,
    response_class=Response,
    responses=problems(*_STATUSES),
    openapi_extra=_describes("UsageReport"),
    summary="Store a usage report",
)
async def usage(request: Request, caller: CallerOf) -> Response:
    """Store a relay's report, whole or not at all; the answer leaves after the commit.

    Counts are cumulative per source and bucket and merge by max(), so a report may be repeated.
    The body may be compressed (Content-Encoding: gzip). 503 carries Retry-After. 403 and 429 name the rows
    that are refused now and may be accepted later; the other rows may be sent again at once without them.
    """
    services = services_of(request)
    report = _parsed(_bounded(await _body(request, services)), UsageReport, services)
    check_source(caller, report)
    now = services.clock()
    keys = check_rows(caller, report, tenures=services.tenures, now=now, retention=RETENTION)
    room = None if caller.trusted else services.room
    if report.rows and (refused := await _committed(services.ledger.commit(report, keys, room))):
        reason = "the account has reached its limit of rows or keys: count fewer domains, regions or relays"
        raise NoRoomError([RowFault(index, "row", reason) for index in refused])
    services.metrics.ingest.reports.inc()
    services.metrics.ingest.rows.inc(len(report.rows))
    if report.rows:
        ended = min({row.bucket for row in report.rows}) + timedelta(seconds=BUCKET_SECONDS)
        services.metrics.ingest.lag_seconds.observe(max(0.0, (now - ended).total_seconds()))
    if services.presence is not None:
        services.presence.note(
            report.source, keys.values(), next_within=report.nextWithinSeconds, now=services.monotonic()
        )
    return Response(status_code=204)


@router.put(
    DIRECTORY_PATH,
    status_code=204,
    response_class=Response,
    responses=problems(*_STATUSES),
    openapi_extra=_describes("Directory"),
    summary="Replace the Directory",
)
async def put_directory(request: Request, caller: CallerOf) -> Response:
    """Replace the Directory by a full snapshot. A snapshot older than the stored snapshot changes nothing."""
    services = services_of(request)
    services.policy.check_directory(caller)
    directory = _parsed(await _body(request, services), Directory, services)
    tenures = await _committed(services.ledger.put_directory(directory))
    if tenures is not None:
        view = DirectoryView.of(directory)
        # Futures complete in the order of their commits, so the last assignment is the stored Directory.
        services.directory, services.tenures = view, tenures
        for name in sorted(view.unknown_zones()):
            log.warning("unknown time zone replaced by the default", zone=name)
        log.info("directory stored", accounts=len(view.accounts), domains=len(view.domains))
    return Response(status_code=204)


async def _body(request: Request, services: Services) -> bytes:
    return await read_json(request, max_sent=services.max_body, max_inflated=services.max_inflated)


def _bounded(text: bytes) -> bytes:
    """Refuse a body with more parts than the largest report, before it is parsed. Raises RowsRefusedError."""
    if text.count(b"{") > MOST_OBJECTS or text.count(b",") > MOST_COMMAS:
        raise RowsRefusedError([RowFault(None, "body", "has more parts than a report of 5000 rows can have")])
    return text


def _parsed(text: bytes, model: type[Message], services: Services) -> Message:
    try:
        message, unknown = read(model, text)
    except ValidationError as error:
        raise RowsRefusedError(_faults(error)) from None
    if unknown:
        services.metrics.ingest.unknown_fields.labels(model.__name__).inc()
        if fields := services.unknown_fields.first_seen(model.__name__, unknown):
            log.warning("unknown fields ignored", message=model.__name__, fields=fields)
    return message


def _faults(error: ValidationError) -> list[RowFault]:
    if error.error_count() > MOST_FAULTS:
        return [
            RowFault(None, "body", f"has {error.error_count()} faults: it is not a message of this endpoint")
        ]
    return [_fault(fault) for fault in error.errors(include_url=False, include_input=False)]


def _fault(fault: Any) -> RowFault:
    """Return a validation error as a fault: the place ("rows", 3, "bucket") is row 3, field bucket."""
    place = tuple(fault["loc"])
    reason = str(fault["msg"]).removeprefix("Value error, ")
    if len(place) >= 2 and place[0] == "rows" and isinstance(place[1], int):
        return RowFault(place[1], _path(place[2:]) or "row", reason)
    return RowFault(None, _path(place) or "body", reason)


def _path(place: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in place if part != "[key]")


async def _committed(done: Any) -> Any:
    try:
        async with asyncio.timeout(COMMIT_SECONDS):
            return await asyncio.wrap_future(done)
    except TimeoutError:
        raise LedgerBusyError(
            f"The ledger has not committed within {COMMIT_SECONDS:g} s. Send the same message again."
        ) from None
