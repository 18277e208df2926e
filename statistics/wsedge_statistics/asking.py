"""Questions about an account's numbers, answered without HTTP.

A face of the program parses its own parameters, asks here and renders the result: the account that the caller
may read, the slots of the range, and the ledger's sums.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from wsedge_statistics.contract import DirectoryDomain, zone_named
from wsedge_statistics.errors import LedgerDeadlineError, QueryError, UnknownDomainError
from wsedge_statistics.identity.callers import Caller
from wsedge_statistics.ledger import SeenKey
from wsedge_statistics.ledger.budget import current
from wsedge_statistics.numbers.calendars import Calendar, ZoneSpan
from wsedge_statistics.numbers.granularity import REACH, Granularity
from wsedge_statistics.numbers.ranges import Range, Slot, complete_until, instant_text, settle_range
from wsedge_statistics.numbers.series import CodeSum, Grain, Selection, SlotSums, grain_of
from wsedge_statistics.services import Services

_T = TypeVar("_T")
_Part = TypeVar("_Part", SlotSums, CodeSum)
# Settles the slots of a range, from the time zones that cut days and the time of the question.
Settle = Callable[[Calendar, datetime], Range]


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a range. None, or no domains: everything that the caller may read.

    A face with other rules for ranges than the native API gives `settle` in place of start, end, granularity.
    """

    account: str | None = None
    start: str | None = None
    end: str | None = None
    granularity: Granularity | None = None
    zone: str | None = None
    domains: frozenset[str] = frozenset()
    region: str | None = None
    isp: str | None = None
    settle: Settle | None = None


@dataclass(frozen=True, slots=True)
class Result(Generic[_Part]):
    """The sums that answer a question, with the account, range and time zones in use.

    `zones` are those in force within the range, oldest first: at least one.
    """

    account: str | None  # the display name; None: all accounts
    range: Range
    zones: tuple[ZoneSpan, ...]
    parts: list[_Part]
    complete_until: datetime
    silent_relays: int


@dataclass(frozen=True, slots=True)
class ListedDomain:
    """A domain that a caller may read. `configured` is None once the Directory does not list it."""

    domain: str
    account: str
    configured: DirectoryDomain | None
    last_counted: int | None  # the start of the last bucket that has counts, UTC seconds


@dataclass(frozen=True, slots=True)
class Options:
    """The values that the filters of a question may have, and the default time zone."""

    account: str | None
    regions: tuple[str, ...]
    isps: tuple[str, ...]
    zone: str
    complete_until: datetime


async def ask(services: Services, caller: Caller, question: Question, *, kind: str) -> Result[SlotSums]:
    """Answer a question about counts; `kind` is its label in the metrics.

    Raises QueryError, UnknownDomainError, ForbiddenError or a LedgerError.
    """
    return await _ask(services, caller, question, kind, services.ledger.sums)


async def ask_codes(services: Services, caller: Caller, question: Question, *, kind: str) -> Result[CodeSum]:
    """Answer a question about HTTP codes; the same as `ask` otherwise."""
    return await _ask(services, caller, question, kind, services.ledger.codes)


async def _ask(
    services: Services,
    caller: Caller,
    question: Question,
    kind: str,
    read: Callable[[Selection, Sequence[Slot]], list[_Part]],
) -> Result[_Part]:
    account, key = _account(services, caller, question.account)
    now = services.clock()
    calendar = _calendar(services, account, question.zone)
    span = question.settle(calendar, now) if question.settle else _native_range(question, calendar, now)
    selection = Selection(
        start=span.start,
        end=span.end,
        account=key,
        domains=question.domains or None,
        region=question.region,
        isp=question.isp,
    )
    _check_reach(selection, now)
    if selection.domains:
        seen = await read_in_turn(services, key, lambda: services.ledger.seen(key))
        _check_domains(services, selection.domains, key, seen)
    with services.metrics.query_seconds.labels(kind).time():
        parts = await read_in_turn(services, key, lambda: read(selection, span.slots))
    services.metrics.queries.labels(kind).inc()
    zones = calendar.within(span.start, span.end)
    silent = services.presence.relays(key, now=services.monotonic()).silent
    return Result(account, span, zones, parts, complete_until(now, services.grace), silent)


def _check_reach(selection: Selection, now: datetime) -> None:
    """Refuse a question that only rows answer, for a time whose rows are deleted. Raises QueryError."""
    reach = REACH[Granularity.FIVE_MINUTES]
    if grain_of(selection) is Grain.ROWS and selection.start < (now - reach).timestamp():
        raise QueryError(
            "start",
            f"domains together with a region or ISP are answered {reach.days} days back, start is older",
            f"instants from {instant_text(now - reach)} on, or no domain, or neither region nor ISP",
        )


def _native_range(question: Question, calendar: Calendar, now: datetime) -> Range:
    return settle_range(
        start=question.start, end=question.end, granularity=question.granularity, calendar=calendar, now=now
    )


async def list_domains(
    services: Services, caller: Caller, account: str | None
) -> tuple[str | None, list[ListedDomain]]:
    """Return the account and its domains, configured or counted, by account and domain."""
    shown, key = _account(services, caller, account)
    last: dict[tuple[str, str], int] = {}
    for entry in await read_in_turn(services, key, lambda: services.ledger.seen(key)):
        place = (services.tenures.display_name(entry.key.account), entry.key.domain)
        last[place] = max(entry.last, last.get(place, entry.last))
    listed = [
        ListedDomain(known.domain, known.account, known, last.pop((known.account, known.domain), None))
        for known in services.directory.domains.values()
        if key in (None, services.tenures.current(known.account).key)
    ]
    listed += [ListedDomain(domain, owner, None, at) for (owner, domain), at in last.items()]
    return shown, sorted(listed, key=lambda each: (each.account, each.domain))


async def list_options(services: Services, caller: Caller, account: str | None) -> Options:
    """Return the regions and ISPs that were counted, and the default time zone of an account."""
    shown, key = _account(services, caller, account)
    seen = await read_in_turn(services, key, lambda: services.ledger.seen(key))
    now = services.clock()
    return Options(
        account=shown,
        regions=tuple(sorted({entry.key.region for entry in seen})),
        isps=tuple(sorted({entry.key.isp for entry in seen})),
        zone=_calendar(services, shown, None).at(now).name,
        complete_until=complete_until(now, services.grace),
    )


def _account(services: Services, caller: Caller, asked: str | None) -> tuple[str | None, str | None]:
    """Return the account's display name and its key in the ledger; None for all accounts."""
    key = services.policy.key_to_read(caller, asked, services.tenures)
    if key is None:
        return None, None
    return services.tenures.display_name(key), key


def _check_domains(services: Services, wanted: frozenset[str], key: str | None, seen: list[SeenKey]) -> None:
    """Refuse an unknown domain: the answer would be zeros, and a misspelling stay unnoticed.

    Raises UnknownDomainError.
    """
    counted = {entry.key.domain for entry in seen}
    for domain in sorted(wanted - counted):
        owner = services.directory.owner(domain)
        if owner is None or key not in (None, services.tenures.current(owner).key):
            raise UnknownDomainError(domain)


async def read_in_turn(services: Services, account: str | None, work: Callable[[], _T]) -> _T:
    """Run a blocking read of the ledger in a thread, in a turn of the account.

    Raises LedgerDeadlineError; the time of waiting for the turn counts.
    """
    stop = current()
    try:
        async with asyncio.timeout(stop.left()), services.turns.of(account):
            return await asyncio.to_thread(work)
    except TimeoutError:
        raise LedgerDeadlineError(stop.seconds) from None


def _calendar(services: Services, account: str | None, asked: str | None) -> Calendar:
    """Return the zones that cut days: the question's, else those of the account's terms, else the default.

    A zone of terms that this program's database does not have is replaced by the default.
    """
    if asked is not None:
        zone = zone_named(asked)
        if zone is None:
            raise QueryError(
                "timeZone", "not a time zone of the IANA database", "an IANA name such as Asia/Shanghai"
            )
        return Calendar.of(asked, zone)
    default = zone_named(services.default_zone)
    if default is None:
        raise LookupError(f"default zone {services.default_zone} is unknown")  # settings checked it at start
    zones = [
        (start, name, zone) if (zone := zone_named(name)) else (start, services.default_zone, default)
        for start, name in services.directory.zones(account)
    ]
    return Calendar.of_changes(zones) if zones else Calendar.of(services.default_zone, default)
