"""Questions about an account's numbers, answered without HTTP.

A face of the program parses its own parameters, asks here and renders the result: the account that the caller
may read, the slots of the range, and the ledger's sums.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from wsedge_statistics.contract import DirectoryDomain, zone_named
from wsedge_statistics.errors import LedgerDeadlineError, QueryError, UnknownAccountError, UnknownDomainError
from wsedge_statistics.identity.callers import Caller
from wsedge_statistics.ledger import SeenKey
from wsedge_statistics.ledger.budget import current
from wsedge_statistics.numbers.calendars import Calendar, ZoneSpan
from wsedge_statistics.numbers.granularity import REACH, Granularity
from wsedge_statistics.numbers.groups import (
    Group,
    Grouping,
    check_points,
    check_ranked,
    check_read,
    largest,
    page_of,
    split,
)
from wsedge_statistics.numbers.ranges import Range, Slot, complete_until, instant_text, settle_range
from wsedge_statistics.numbers.series import CodeSum, Dimension, Grain, Selection, SlotSums, grain_of
from wsedge_statistics.services import Services

_T = TypeVar("_T")
_Part = TypeVar("_Part", SlotSums, CodeSum)
# Settles the slots of a range, from the time zones that cut days and the time of the question.
Settle = Callable[[Calendar, datetime], Range]
_Read = Callable[[Selection, Sequence[Slot], tuple[Dimension, ...]], list[_Part]]


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
    totals_only: bool = False  # the sums are of one slot, the whole range


@dataclass(frozen=True, slots=True)
class Warned:
    """A filter that nothing was ever counted under: its zeros are true, and it may be misspelt."""

    parameter: str
    reason: str


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
    silent_relays: int | None  # None: not known
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, slots=True)
class GroupedResult(Result[_Part]):
    """The sums of groups. `parts` are those of everything that the filters select, as of one slot.

    `groups` are those of the page, or the largest, in order. `found` has the sums of these and of others that
    were read with them, `sizes` those of all groups over the whole range where the largest were asked for.
    `slots` are the slots of the groups' sums.
    """

    slots: tuple[Slot, ...]
    groups: tuple[Group, ...]
    found: dict[Group, list[_Part]]
    sizes: dict[Group, list[_Part]] | None
    following: str | None


@dataclass(frozen=True, slots=True)
class _Reading(Generic[_Part]):
    """A read of the ledger, the group that a sum belongs to, and the size by which groups are compared."""

    read: _Read[_Part]
    group_of: Callable[[_Part], Group]
    size: Callable[[_Part], int]


@dataclass(frozen=True, slots=True)
class _Settled:
    """A question whose account, range and selection are known."""

    account: str | None
    key: str | None
    span: Range
    zones: tuple[ZoneSpan, ...]
    selection: Selection
    complete_until: datetime
    silent_relays: int | None  # None: not known
    warnings: tuple[Warned, ...]


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
    services: Services, caller: Caller, question: Question, kind: str, read: _Read[_Part]
) -> Result[_Part]:
    settled = await _settle(services, caller, question, ())
    slots = (settled.span.whole,) if question.totals_only else settled.span.slots
    with services.metrics.questions.seconds.labels(kind).time():
        parts = await read_in_turn(services, settled.key, lambda: read(settled.selection, slots, ()))
    services.metrics.questions.answered.labels(kind).inc()
    return Result(
        settled.account,
        settled.span,
        settled.zones,
        parts,
        settled.complete_until,
        settled.silent_relays,
        settled.warnings,
    )


async def ask_groups(
    services: Services,
    caller: Caller,
    question: Question,
    grouping: Grouping,
    *,
    size: Callable[[SlotSums], int],
    kind: str,
) -> GroupedResult[SlotSums]:
    """Answer a question about the counts of groups; `size` is the measure of the largest.

    Raises as `ask` does; QueryError also for an answer that would be too long.
    """
    reading = _Reading(services.ledger.sums, lambda part: part.group, size)
    return await _ask_groups(services, caller, question, grouping, kind, reading)


async def ask_code_groups(
    services: Services, caller: Caller, question: Question, grouping: Grouping, *, kind: str
) -> GroupedResult[CodeSum]:
    """Answer a question about the HTTP codes of groups; the largest have the most handshakes."""

    def group_of(part: CodeSum) -> Group:
        return (*part.group, str(part.code)) if grouping.by_code else part.group

    reading = _Reading(services.ledger.codes, group_of, lambda part: part.count)
    return await _ask_groups(services, caller, question, grouping, kind, reading)


async def _ask_groups(
    services: Services,
    caller: Caller,
    question: Question,
    grouping: Grouping,
    kind: str,
    reading: _Reading[_Part],
) -> GroupedResult[_Part]:
    settled = await _settle(services, caller, question, grouping.by)
    whole = (settled.span.whole,)
    slots = whole if question.totals_only else settled.span.slots
    seen = await read_in_turn(services, settled.key, lambda: services.ledger.seen(settled.key))
    counted = _groups(seen, settled.selection, grouping.by)

    async def read(groups: Iterable[Group] | None, slots: tuple[Slot, ...]) -> dict[Group, list[_Part]]:
        selection, by = settled.selection, grouping.by
        if groups is not None and Dimension.DOMAIN in by:
            # so that a page costs no more than its part
            place = by.index(Dimension.DOMAIN)
            selection = replace(selection, domains=frozenset(group[place] for group in groups))
        check_read(len(_groups(seen, selection, by)), len(slots))
        parts = await read_in_turn(services, settled.key, lambda: reading.read(selection, slots, by))
        return split(parts, reading.group_of)

    following, sizes = None, None
    with services.metrics.questions.seconds.labels(kind).time():
        if grouping.top is None:
            page = page_of(counted, grouping, len(slots))
            following, found = page.following, await read(page.groups, slots)
            bases = set(page.groups)
            chosen = sorted(group for group in found if group[: len(grouping.by)] in bases)
        else:
            check_ranked(len(counted))
            sizes = await read(None, whole)
            chosen = largest(
                ((group, sum(map(reading.size, parts))) for group, parts in sizes.items()), grouping.top
            )
            found = sizes if question.totals_only else await read(chosen, slots)
        check_points(len(chosen), len(slots), "groupBy", "fewer groups")
        total = await read_in_turn(services, settled.key, lambda: reading.read(settled.selection, whole, ()))
    services.metrics.questions.answered.labels(kind).inc()
    return GroupedResult(
        settled.account,
        settled.span,
        settled.zones,
        total,
        settled.complete_until,
        settled.silent_relays,
        settled.warnings,
        slots,
        tuple(chosen),
        found,
        sizes,
        following,
    )


def _groups(seen: Iterable[SeenKey], selection: Selection, by: tuple[Dimension, ...]) -> set[Group]:
    """Return the groups that may have counts in the range of a selection."""
    return {
        tuple(entry.key.part(dimension) for dimension in by)
        for entry in seen
        if entry.first < selection.end and entry.last >= selection.start and selection.includes(entry.key)
    }


async def _settle(
    services: Services, caller: Caller, question: Question, by: tuple[Dimension, ...]
) -> _Settled:
    account, key = await _account(services, caller, question.account)
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
    _check_reach(selection, by, now)
    warnings: tuple[Warned, ...] = ()
    if selection.domains or question.region is not None or question.isp is not None:
        seen = await read_in_turn(services, key, lambda: services.ledger.seen(key))
        _check_domains(services, selection.domains or frozenset(), key, seen)
        warnings = _warnings(question, seen)
    return _Settled(
        account,
        key,
        span,
        calendar.within(span.start, span.end),
        selection,
        complete_until(now, services.grace),
        _silent_relays(services, key),
        warnings,
    )


def _silent_relays(services: Services, key: str | None) -> int | None:
    if services.presence is None:
        return None
    return services.presence.relays(key, now=services.monotonic()).silent


def _check_reach(selection: Selection, by: tuple[Dimension, ...], now: datetime) -> None:
    """Refuse a question that only rows answer, for a time whose rows are deleted. Raises QueryError."""
    reach = REACH[Granularity.FIVE_MINUTES]
    if grain_of(selection, by) is Grain.ROWS and selection.start < (now - reach).timestamp():
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
    shown, key = await _account(services, caller, account)
    last: dict[tuple[str, str], int] = {}
    with services.metrics.questions.seconds.labels("domains").time():
        seen = await read_in_turn(services, key, lambda: services.ledger.seen(key))
    services.metrics.questions.answered.labels("domains").inc()
    for entry in seen:
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
    shown, key = await _account(services, caller, account)
    with services.metrics.questions.seconds.labels("options").time():
        seen = await read_in_turn(services, key, lambda: services.ledger.seen(key))
    services.metrics.questions.answered.labels("options").inc()
    now = services.clock()
    return Options(
        account=shown,
        regions=tuple(sorted({entry.key.region for entry in seen})),
        isps=tuple(sorted({entry.key.isp for entry in seen})),
        zone=_calendar(services, shown, None).at(now).name,
        complete_until=complete_until(now, services.grace),
    )


async def _account(services: Services, caller: Caller, asked: str | None) -> tuple[str | None, str | None]:
    """Return the account's display name and its key in the ledger; None for all accounts.

    Raises ForbiddenError, and UnknownAccountError for a name that an administrator misspelt. A tenant reads
    its own account also before there is a plan, and no other one, whether that exists or not.
    """
    key = services.policy.key_to_read(caller, asked, services.tenures)
    if key is None:
        return None, None
    shown = services.tenures.display_name(key)
    lives = services.tenures.epochs.get(shown.partition("@")[0], ())
    is_known = shown in services.directory.accounts or any(epoch.key == key for epoch in lives)
    if (
        services.policy.reads_every_account(caller)
        and not is_known
        and not await read_in_turn(services, key, lambda: services.ledger.seen(key))
    ):
        raise UnknownAccountError(shown)
    return shown, key


def _warnings(question: Question, seen: Iterable[SeenKey]) -> tuple[Warned, ...]:
    """Return warnings for names of regions and ISPs under which the account has no counts."""
    keys = [entry.key for entry in seen]
    named = (
        ("region", question.region, {key.region for key in keys}),
        ("isp", question.isp, {key.isp for key in keys}),
    )
    return tuple(
        Warned(parameter, f"{parameter} {name!r} was never counted")
        for parameter, name, counted in named
        if name is not None and name not in counted
    )


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
