"""Statements of an account, read without HTTP: the closed ones as they are stored, the open ones computed.

An open statement is the period so far, with a forecast, and with the adjustments that would go into it now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wsedge_statistics.asking import read_in_turn
from wsedge_statistics.billing.document import (
    StatementDocument,
    document_of,
    read_document,
    rules_of,
    spans_in,
)
from wsedge_statistics.billing.periods import BillingPeriod, Span, names_between, period_named, spans_of
from wsedge_statistics.billing.prices import Book
from wsedge_statistics.billing.statement import compose
from wsedge_statistics.errors import PriceBookError, QueryError, UnknownStatementError
from wsedge_statistics.identity.callers import Caller
from wsedge_statistics.numbers.granularity import REACH, Granularity
from wsedge_statistics.numbers.ranges import complete_until
from wsedge_statistics.services import Services
from wsedge_statistics.statements.closing import closed_documents
from wsedge_statistics.statements.usage import at_closing, pending_adjustments, read_usage
from wsedge_statistics.statements.values import HEADER, Row, value_rows

CURRENT: Final = "current"  # the name of the period that contains now


@dataclass(frozen=True, slots=True)
class Account:
    """The account of a question: its name for people, its key in the ledger, and its terms."""

    name: str
    key: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A statement in a list; an open one has no document yet."""

    period: str
    start: int
    end: int
    closes_after: int
    document: StatementDocument | None


@dataclass(frozen=True, slots=True)
class Found:
    """A statement: its document, and the stored text of a closed one."""

    document: StatementDocument
    text: str | None


def account_of(services: Services, caller: Caller, asked: str | None) -> Account:
    """Return the account whose statements the caller reads. Raises ForbiddenError or QueryError."""
    key = services.policy.key_to_read(caller, asked, services.tenures)
    if key is None:
        raise QueryError("account", "missing: statements are of one account", "the name of an account")
    name = services.tenures.display_name(key)
    entry = services.directory.accounts.get(name)
    if entry is not None and services.tenures.current(name).key == key:
        return Account(name, key, spans_of(entry.periods))
    former = services.tenures.former(key)
    return Account(name, key, spans_of(former.terms) if former is not None else ())


async def list_statements(
    services: Services, account: Account, *, after: str | None, limit: int
) -> tuple[list[Listed], str | None]:
    """Return a page of an account's statements, the latest first, and the cursor of the next page.

    `after` is the name of the last period of the page before. Raises QueryError.
    """
    listed = await read_in_turn(services, account.key, lambda: _list(services, account))
    first = 0
    if after is not None:
        names = [each.period for each in listed]
        if after not in names:
            raise QueryError("cursor", "not the cursor of a page", "the `next` of an answer")
        first = names.index(after) + 1
    page = listed[first : first + limit]
    return page, page[-1].period if first + limit < len(listed) else None


async def find_statement(services: Services, account: Account, name: str) -> Found:
    """Return a statement by the name of its period. Raises UnknownStatementError."""
    return await read_in_turn(services, account.key, lambda: _find(services, account, name))


async def values_of(services: Services, account: Account, name: str) -> tuple[str, Iterator[Row]]:
    """Return the name of a period, and its five-minute values as rows of a table.

    Those of a closed statement are the values that it was computed from. Raises UnknownStatementError, and
    QueryError when they are no longer kept: rows of zeros would contradict the statement.
    """
    return await read_in_turn(services, account.key, lambda: _values(services, account, name))


def _list(services: Services, account: Account) -> list[Listed]:
    grace = int(services.billing.grace.total_seconds())
    closed = [
        Listed(each.period, _seconds(each.start), _seconds(each.end), _seconds(each.closesAfter), each)
        for each in closed_documents(services, account.key)
    ]
    names = {each.period for each in closed}
    running = [
        Listed(period.name, period.start, period.end, period.end + grace, None)
        for period in _begun(services, account)
        if period.name not in names
    ]
    return sorted(closed + running, key=lambda each: (each.end, each.period), reverse=True)


def _begun(services: Services, account: Account) -> list[BillingPeriod]:
    """Return the periods since the account's first count, until the current one."""
    now = services.clock()
    seen = services.ledger.seen(account.key)
    kept = int((now - REACH[Granularity.DAY]).timestamp())
    first = min((key.first for key in seen), default=int(now.timestamp()))
    names = names_between(account.spans, max(kept, first), int(now.timestamp()) + 1)
    periods = (period_named(account.spans, name) for name in names)
    return [period for period in periods if period is not None]


def _find(services: Services, account: Account, asked: str) -> Found:
    name = asked
    if asked == CURRENT:
        now = int(services.clock().timestamp())
        name = next(reversed(names_between(account.spans, now, now + 1)), asked)
    for stored in services.ledger.statements(account.key):
        if stored.period == name:
            return Found(read_document(stored.body), stored.body)
    return Found(_running(services, account, name), None)


def _running(services: Services, account: Account, name: str) -> StatementDocument:
    """Return the statement of a period that is not closed. Raises UnknownStatementError."""
    period = next((each for each in _begun(services, account) if each.name == name), None)
    if period is None:
        raise UnknownStatementError(name)
    ledger, billing, now = services.ledger, services.billing, services.clock()
    until = int(complete_until(now, services.grace).timestamp())
    usage = read_usage(ledger, account.key, period, billing.rules, until)
    documents = closed_documents(services, account.key)
    return document_of(
        compose(account.name, period, usage, billing.rules, _book(services)),
        pending_adjustments(ledger, account.key, documents, stated_in=name, now=now),
        closes_after=period.end + int(billing.grace.total_seconds()),
    )


def _values(services: Services, account: Account, asked: str) -> tuple[str, Iterator[Row]]:
    found = _find(services, account, asked)
    document = found.document
    period = period_named(spans_in(document), document.period)
    if period is None:  # a supplement: adjustments alone
        return document.period, iter([HEADER])
    if period.values_from < (services.clock() - REACH[Granularity.DAY]).timestamp():
        days = REACH[Granularity.DAY].days
        raise QueryError("format", f"five-minute values are kept for {days} days", "json or html")
    usage = read_usage(
        services.ledger, account.key, period, rules_of(document), _seconds(document.completeUntil)
    )
    if found.text is not None:
        usage = at_closing(usage, document)
    return document.period, value_rows(period, usage, _areas(document))


def _areas(document: StatementDocument) -> dict[tuple[str, str, str], Sequence[str]]:
    """Return the areas of a document's lines, by their terms."""
    areas: dict[tuple[str, str, str], list[str]] = {}
    for line in document.lines:
        areas.setdefault((line.cycle, line.method, line.timeZone), []).append(line.area)
    return dict(areas)


def _book(services: Services) -> Book | None:
    """Return the price book; None while there is no usable one: an open statement is shown without prices."""
    try:
        return None if services.billing.prices is None else services.billing.prices.book()
    except PriceBookError:
        return None


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())
