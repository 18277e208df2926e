"""Statements over HTTP: JSON, CSV of all values, and a page to print. `statements.reading` answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field

from wsedge_statistics.api.models import Instant
from wsedge_statistics.api.parameters import AccountName, AccountQuery
from wsedge_statistics.api.reading import no_repeats
from wsedge_statistics.api.statement_page import page_of
from wsedge_statistics.billing.document import StatementDocument
from wsedge_statistics.statements import reading
from wsedge_statistics.web.identity import CallerOf
from wsedge_statistics.web.representations import CSV, JSON, lines_of, with_text
from wsedge_statistics.web.responses import problems
from wsedge_statistics.web.services import services_of

_STATUSES: Final = (400, 401, 403, 404, 503)
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
# No script, no image, no font, no frame: the page has text and one style sheet inside itself.
_PAGE_HEADERS: Final = _HEADERS | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

router = APIRouter(prefix="/v1", tags=["statements"], dependencies=[Depends(no_repeats)])
PeriodName = Annotated[
    str,
    Path(
        max_length=16,
        description="2026-11 for a month, 2026-11-05 for a day, current for the period that runs now",
    ),
]


class ListQuery(AccountQuery):
    """Parameters of the list."""

    limit: int = Field(50, ge=1, le=500, description="most statements of a page")
    cursor: str | None = Field(None, max_length=16, description="`next` of the page before")


class StatementQuery(AccountQuery):
    """Parameters of one statement."""

    format: Literal["json", "csv", "html"] = Field(
        "json",
        description="csv: all five-minute values, to recompute the figures; html: a page to print",
    )
    numbers: Literal["text"] | None = Field(
        None, description="text: integers as text, which neither JavaScript nor a spreadsheet rounds"
    )


class StatementSummary(BaseModel):
    """A statement in the list. An open one has no amount here."""

    period: str
    state: Literal["Open", "Closed"]
    start: Instant
    end: Instant
    closesAfter: Instant
    closedAt: Instant | None
    lines: int | None = None
    adjustments: int | None = None
    currency: str | None = None
    amount: str | None = None


class StatementsAnswer(BaseModel):
    """A page of an account's statements, the latest first."""

    account: AccountName
    statements: list[StatementSummary]
    next: str | None = Field(description="cursor of the next page; null on the last one")


@router.get("/statements", responses=problems(*_STATUSES), summary="Statements of an account")
async def list_statements(
    request: Request, caller: CallerOf, query: Annotated[ListQuery, Query()]
) -> StatementsAnswer:
    """Return the statements of an account, the latest first: closed ones, and those of running periods."""
    services = services_of(request)
    account = reading.account_of(services, caller, query.account)
    with services.metrics.questions.seconds.labels("statements").time():
        listed, following = await reading.list_statements(
            services, account, after=query.cursor, limit=query.limit
        )
    services.metrics.questions.answered.labels("statements").inc()
    return StatementsAnswer(
        account=account.name, statements=[_summary(each) for each in listed], next=following
    )


@router.get(
    "/statements/{period}",
    response_model=StatementDocument,
    responses=problems(*_STATUSES) | {200: {"content": {CSV: {}, "text/html": {}}}},
    summary="One statement",
)
async def statement(
    request: Request, caller: CallerOf, period: PeriodName, query: Annotated[StatementQuery, Query()]
) -> Any:
    """Return a statement. A closed one is returned as it was stored; an open one is computed as of now."""
    services = services_of(request)
    account = reading.account_of(services, caller, query.account)
    services.metrics.questions.answered.labels("statement").inc()
    if query.format == "csv":
        with services.metrics.questions.seconds.labels("statement").time():
            name, rows = await reading.values_of(services, account, period)
        lines = lines_of(rows, as_text=query.numbers == "text")
        disposition = {"Content-Disposition": f'attachment; filename="statement-{name}.csv"'}
        return StreamingResponse(lines, media_type=CSV, headers=_HEADERS | disposition)
    with services.metrics.questions.seconds.labels("statement").time():
        found = await reading.find_statement(services, account, period)
    if query.format == "html":
        return Response(page_of(found.document), media_type="text/html", headers=_PAGE_HEADERS)
    text = found.text or found.document.model_dump_json()
    if query.numbers == "text":
        text = json.dumps(with_text(json.loads(text)))
    return Response(text, media_type=JSON, headers=_HEADERS)


def _summary(listed: reading.Listed) -> StatementSummary:
    document = listed.document
    edges: dict[str, Any] = {
        "period": listed.period,
        "start": _at(listed.start),
        "end": _at(listed.end),
        "closesAfter": _at(listed.closes_after),
    }
    if document is None:
        return StatementSummary(**edges, state="Open", closedAt=None)
    return StatementSummary(
        **edges,
        state="Closed",
        closedAt=document.closedAt,
        lines=len(document.lines),
        adjustments=len(document.adjustments),
        currency=document.currency,
        amount=None if document.amount is None else format(document.amount, "f"),
    )


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
