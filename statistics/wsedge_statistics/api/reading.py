"""The native REST API: questions about traffic, bandwidth, codes and domains."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Query, Request

from wsedge_statistics.api import models
from wsedge_statistics.contract import zone_named
from wsedge_statistics.errors import QueryError, UnknownDomainError
from wsedge_statistics.identity.callers import Caller
from wsedge_statistics.ledger import SeenKey
from wsedge_statistics.numbers import ranges
from wsedge_statistics.numbers.series import RECEIVED, SENT, Selection, Series
from wsedge_statistics.services import Services, services_of
from wsedge_statistics.web.identity import CallerOf
from wsedge_statistics.web.responses import problems

_STATUSES: Final = (400, 401, 403, 404, 503)
_REPEATABLE: Final = {"domain"}
T = TypeVar("T")


def no_repeats(request: Request) -> None:
    """Refuse a parameter given twice, of which one would be ignored. Raises QueryError."""
    names = [name for name, _ in request.query_params.multi_items() if name not in _REPEATABLE]
    for name, times in Counter(names).items():  # a head of 64 KiB holds ten thousand names
        if times > 1:
            raise QueryError(name, "given more than once", "one value")


router = APIRouter(prefix="/v1", tags=["numbers"], dependencies=[Depends(no_repeats)])


@dataclass(frozen=True, slots=True)
class Asked:
    """A question settled: whose, which slots, cut where, and the five-minute sums that answer it."""

    account: str | None  # as people name it
    range: ranges.Range
    zone: str
    series: Series
    now: datetime


@router.get(
    "/traffic",
    responses=problems(*_STATUSES),
    response_model_exclude_unset=True,
    summary="Bytes, messages and connections over time",
)
async def traffic(
    request: Request, caller: CallerOf, asked: Annotated[models.Question, Query()]
) -> models.TrafficAnswer:
    """Counts per slot and in total, summed over everything that the filters select."""
    found = await _ask(request, caller, asked, "traffic")
    points, total = ranges.traffic(found.series, found.range)
    return models.TrafficAnswer(
        **_frame(request, asked, found),
        total=models.Counts(**_counts(total)),
        **_unless_totals(
            asked, (models.TrafficPoint(**_edges(point.slot), **_counts(point)) for point in points)
        ),
    )


@router.get(
    "/bandwidth",
    responses=problems(*_STATUSES),
    response_model_exclude_unset=True,
    summary="Bits per second over time",
)
async def bandwidth(
    request: Request, caller: CallerOf, asked: Annotated[models.Question, Query()]
) -> models.BandwidthAnswer:
    """Average, peak and the peak's time per slot, of five-minute values summed over everything selected."""
    found = await _ask(request, caller, asked, "bandwidth")
    pairs = _pairs(found.series, found.range.slots)
    (total,) = _pairs(found.series, [ranges.Slot(found.range.start, found.range.end)])
    return models.BandwidthAnswer(
        **_frame(request, asked, found),
        unit="bit/s",
        total=models.BandwidthPair(**total),
        **_unless_totals(
            asked,
            (
                models.BandwidthPoint(**_edges(slot), **pair)
                for slot, pair in zip(found.range.slots, pairs, strict=True)
            ),
        ),
    )


@router.get(
    "/codes",
    responses=problems(*_STATUSES),
    response_model_exclude_unset=True,
    summary="HTTP codes of handshakes over time",
)
async def codes(
    request: Request, caller: CallerOf, asked: Annotated[models.Question, Query()]
) -> models.CodesAnswer:
    """How handshakes were answered, per slot and in total: 101 is an opened connection."""
    found = await _ask(request, caller, asked, "codes")
    per_slot = ranges.codes(found.series, found.range.slots)
    (total,) = ranges.codes(found.series, [ranges.Slot(found.range.start, found.range.end)])
    return models.CodesAnswer(
        **_frame(request, asked, found),
        total=_shares(total),
        **_unless_totals(
            asked,
            (
                models.CodesPoint(**_edges(slot), codes=_shares(shares))
                for slot, shares in zip(found.range.slots, per_slot, strict=True)
            ),
        ),
    )


@router.get("/domains", responses=problems(400, 401, 403, 503), summary="Domains that can be asked about")
async def domains(
    request: Request, caller: CallerOf, asked: Annotated[models.AccountQuestion, Query()]
) -> models.DomainsAnswer:
    """Configured domains with their settings, and those that were counted and are configured no longer."""
    services = services_of(request)
    account, key = _account(services, caller, asked.account)
    last: dict[tuple[str, str], int] = {}
    for entry in await _read(services, lambda: services.ledger.seen(key)):
        place = (services.tenures.shown(entry.key.account), entry.key.domain)
        last[place] = max(entry.last, last.get(place, entry.last))
    listed = [
        models.Domain(
            **known.model_dump(),
            configured=True,
            lastCounted=_at(last.pop((known.account, known.domain), None)),
        )
        for known in services.directory.domains.values()
        if key in (None, services.tenures.current(known.account).key)
    ]
    listed += [
        models.Domain(domain=domain, account=owner, configured=False, lastCounted=_at(at))
        for (owner, domain), at in last.items()
    ]
    listed.sort(key=lambda domain: (domain.account, domain.domain))
    return models.DomainsAnswer(account=account, domains=listed)


@router.get("/options", responses=problems(400, 401, 403, 503), summary="What can be asked for")
async def options(
    request: Request, caller: CallerOf, asked: Annotated[models.AccountQuestion, Query()]
) -> models.OptionsAnswer:
    """Regions and ISPs that were counted, the granularity matrix, and how far back answers reach."""
    services = services_of(request)
    account, key = _account(services, caller, asked.account)
    seen = await _read(services, lambda: services.ledger.seen(key))
    now = services.clock()
    return models.OptionsAnswer(
        account=account,
        regions=sorted({entry.key.region for entry in seen}),
        isps=sorted({entry.key.isp for entry in seen}),
        timeZone=_zone(services, account, None, now)[0],
        granularities=[
            models.Offer(spanUpToDays=span.days, granularities=list(choices))
            for span, choices in ranges.MATRIX
        ],
        reach=[models.Reach(granularity=name, days=reach.days) for name, reach in ranges.REACH.items()],
        completeUntil=ranges.complete_until(now, services.grace),
    )


async def _ask(request: Request, caller: Caller, asked: models.Question, endpoint: str) -> Asked:
    services = services_of(request)
    account, key = _account(services, caller, asked.account)
    now = services.clock()
    zone_name, zone = _zone(services, account, asked.timeZone, now)
    span = ranges.settle_range(
        start=asked.start, end=asked.end, granularity=asked.granularity, zone=zone, now=now
    )
    selection = Selection(
        start=span.start,
        end=span.end,
        account=key,
        domains=frozenset(asked.domain) if asked.domain else None,
        region=asked.region,
        isp=asked.isp,
    )
    if selection.domains:
        seen = await _read(services, lambda: services.ledger.seen(key))
        _check_domains(services, selection.domains, key, seen)
    with services.metrics.query_seconds.time():
        series = await _read(services, lambda: services.ledger.read(selection))
    services.metrics.queries.labels(endpoint).inc()
    return Asked(account, span, zone_name, series, now)


def _account(services: Services, caller: Caller, asked: str | None) -> tuple[str | None, str | None]:
    """Whose numbers are answered: the name that people see, and the key in the ledger. None: all."""
    key = services.policy.key_to_read(caller, asked, services.tenures)
    if key is None:
        return None, None
    return services.tenures.shown(key), key


def _check_domains(services: Services, wanted: frozenset[str], key: str | None, seen: list[SeenKey]) -> None:
    """A misspelt domain is an error, not a row of zeros. Raises UnknownDomainError."""
    counted = {entry.key.domain for entry in seen}
    for domain in sorted(wanted - counted):
        owner = services.directory.owner(domain)
        if owner is None or key not in (None, services.tenures.current(owner).key):
            raise UnknownDomainError(domain)


async def _read(services: Services, work: Callable[[], T]) -> T:
    async with services.reading:
        return await asyncio.to_thread(work)


def _zone(services: Services, account: str | None, asked: str | None, now: datetime) -> tuple[str, tzinfo]:
    if asked is not None:
        zone = zone_named(asked)
        if zone is None:
            raise QueryError(
                "timeZone", "not a time zone that is known here", "an IANA name such as Asia/Shanghai"
            )
        return asked, zone
    for name in (services.directory.zone_name(account, now), services.default_zone):
        zone = zone_named(name) if name else None
        if name and zone is not None:
            return name, zone
    raise LookupError(f"default zone {services.default_zone} is gone")  # settings checked it at start


def _frame(request: Request, asked: models.Question, found: Asked) -> dict[str, Any]:
    return {
        "account": found.account,
        "domains": sorted(set(asked.domain)) or None,
        "region": asked.region,
        "isp": asked.isp,
        "start": _at(found.range.start),
        "end": _at(found.range.end),
        "granularity": found.range.granularity,
        "timeZone": found.zone,
        "completeUntil": ranges.complete_until(found.now, services_of(request).grace),
    }


def _unless_totals(asked: models.Question, points: Iterable[models.Edges]) -> dict[str, Any]:
    """Return the answer's points, which a question for totals only does not want."""
    return {} if asked.totals == "only" else {"points": list(points)}


def _edges(slot: ranges.Slot) -> dict[str, Any]:
    return {"start": _at(slot.start), "end": _at(slot.end)}


def _counts(point: ranges.TrafficPoint) -> dict[str, int]:
    return {
        "sentBytes": point.sent,
        "receivedBytes": point.received,
        "sentMessages": point.sent_messages,
        "receivedMessages": point.received_messages,
        "openedConnections": point.opened,
        "peakConnections": point.peak,
    }


def _pairs(series: Series, slots: Sequence[ranges.Slot]) -> list[dict[str, models.Bandwidth]]:
    sent = ranges.rates(series.get(SENT, {}), slots)
    received = ranges.rates(series.get(RECEIVED, {}), slots)
    return [{"sent": _rate(s), "received": _rate(r)} for s, r in zip(sent, received, strict=True)]


def _rate(rate: ranges.Rate) -> models.Bandwidth:
    return models.Bandwidth(average=rate.average, peak=rate.peak, peakTime=_at(rate.peak_time))


def _shares(found: list[ranges.CodeCount]) -> list[models.CodeShare]:
    return [models.CodeShare(code=c.code, count=c.count, proportion=c.proportion) for c in found]


def _at(seconds: int | None) -> datetime | None:
    # not fromtimestamp: a far end of a range may lie beyond what the C library's clock functions take
    return None if seconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
