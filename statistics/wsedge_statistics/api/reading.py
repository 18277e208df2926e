"""The native REST API: parameters in, documents out. `asking` answers the questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from wsedge_statistics import asking
from wsedge_statistics.api import models
from wsedge_statistics.errors import QueryError
from wsedge_statistics.numbers import answers, granularity
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import Counts, totals
from wsedge_statistics.web.identity import CallerOf
from wsedge_statistics.web.responses import problems
from wsedge_statistics.web.services import services_of

_STATUSES: Final = (400, 401, 403, 404, 503)
_REPEATABLE: Final = {"domain"}


def no_repeats(request: Request) -> None:
    """Refuse a parameter that is given twice: one value would be ignored. Raises QueryError."""
    names = [name for name, _ in request.query_params.multi_items() if name not in _REPEATABLE]
    for name, times in Counter(names).items():  # linear: a head of 64 KiB can have ten thousand names
        if times > 1:
            raise QueryError(name, "given more than once", "one value")


router = APIRouter(prefix="/v1", tags=["numbers"], dependencies=[Depends(no_repeats)])


@router.get(
    "/traffic",
    responses=problems(*_STATUSES),
    response_model_exclude_unset=True,
    summary="Bytes, messages and connections over time",
)
async def traffic(
    request: Request, caller: CallerOf, query: Annotated[models.RangeQuery, Query()]
) -> models.TrafficAnswer:
    """Return counts per slot and in total, summed over everything that the filters select."""
    result = await asking.ask(services_of(request), caller, _question(query), kind="traffic")
    (total,) = answers.traffic(totals(result.parts), [result.range.whole])
    points = answers.traffic(result.parts, result.range.slots)
    return models.TrafficAnswer(
        **_frame(query, result),
        total=models.Counts(**_counts(total.counts)),
        **_unless_totals(
            query, (models.TrafficPoint(**_edges(point.slot), **_counts(point.counts)) for point in points)
        ),
    )


@router.get(
    "/bandwidth",
    responses=problems(*_STATUSES),
    response_model_exclude_unset=True,
    summary="Bits per second over time",
)
async def bandwidth(
    request: Request, caller: CallerOf, query: Annotated[models.RangeQuery, Query()]
) -> models.BandwidthAnswer:
    """Return average, peak and the peak's time per slot, of five-minute values summed over the selection."""
    result = await asking.ask(services_of(request), caller, _question(query), kind="bandwidth")
    (total,) = answers.rates(totals(result.parts), [result.range.whole])
    pairs = answers.rates(result.parts, result.range.slots)
    return models.BandwidthAnswer(
        **_frame(query, result),
        unit="bit/s",
        total=models.BandwidthPair(**_pair(total)),
        **_unless_totals(
            query, (models.BandwidthPoint(**_edges(pair.slot), **_pair(pair)) for pair in pairs)
        ),
    )


@router.get(
    "/codes",
    responses=problems(*_STATUSES),
    response_model_exclude_unset=True,
    summary="HTTP codes of handshakes over time",
)
async def codes(
    request: Request, caller: CallerOf, query: Annotated[models.RangeQuery, Query()]
) -> models.CodesAnswer:
    """Return handshakes by the HTTP code of their answer, per slot and in total; 101 opens a connection."""
    result = await asking.ask_codes(services_of(request), caller, _question(query), kind="codes")
    per_slot = answers.codes(result.parts, result.range.slots)
    return models.CodesAnswer(
        **_frame(query, result),
        total=_shares(answers.total_codes(result.parts)),
        **_unless_totals(
            query,
            (
                models.CodesPoint(**_edges(slot), codes=_shares(shares))
                for slot, shares in zip(result.range.slots, per_slot, strict=True)
            ),
        ),
    )


@router.get("/domains", responses=problems(400, 401, 403, 503), summary="Domains, configured or counted")
async def domains(
    request: Request, caller: CallerOf, query: Annotated[models.AccountQuery, Query()]
) -> models.DomainsAnswer:
    """Return configured domains with their settings, and former domains that still have counts."""
    account, listed = await asking.list_domains(services_of(request), caller, query.account)
    return models.DomainsAnswer(account=account, domains=[_domain(each) for each in listed])


@router.get("/options", responses=problems(400, 401, 403, 503), summary="Regions, ISPs and granularities")
async def options(
    request: Request, caller: CallerOf, query: Annotated[models.AccountQuery, Query()]
) -> models.OptionsAnswer:
    """Return the counted regions and ISPs, the granularity matrix, and how far back answers reach."""
    offered = await asking.list_options(services_of(request), caller, query.account)
    return models.OptionsAnswer(
        account=offered.account,
        regions=list(offered.regions),
        isps=list(offered.isps),
        timeZone=offered.zone,
        granularities=[
            models.Offer(spanUpToDays=span.days, granularities=list(choices))
            for span, choices in granularity.MATRIX
        ],
        reach=[models.Reach(granularity=name, days=reach.days) for name, reach in granularity.REACH.items()],
        completeUntil=offered.complete_until,
    )


def _question(query: models.RangeQuery) -> asking.Question:
    return asking.Question(
        account=query.account,
        start=query.start,
        end=query.end,
        granularity=query.granularity,
        zone=query.timeZone,
        domains=frozenset(query.domain),
        region=query.region,
        isp=query.isp,
    )


def _frame(query: models.RangeQuery, result: asking.Result[Any]) -> dict[str, Any]:
    return {
        "account": result.account,
        "domains": sorted(set(query.domain)) or None,
        "region": query.region,
        "isp": query.isp,
        "start": _at(result.range.start),
        "end": _at(result.range.end),
        "granularity": result.range.granularity,
        "timeZone": result.zones[-1].name,
        **_changes(result),
        "completeUntil": result.complete_until,
        "silentRelays": result.silent_relays,
    }


def _changes(result: asking.Result[Any]) -> dict[str, Any]:
    """Return the zones of a range in which the zone changed; nothing otherwise."""
    if len(result.zones) == 1:
        return {}
    start = result.range.start
    zones = [(max(start, zone.since or start), zone.name) for zone in result.zones]
    return {"timeZones": [models.ZoneFrom(start=_at(since), timeZone=name) for since, name in zones]}


def _unless_totals(query: models.RangeQuery, points: Iterable[models.Edges]) -> dict[str, Any]:
    """Return the answer's points; none for `totals=only`."""
    return {} if query.totals == "only" else {"points": list(points)}


def _domain(listed: asking.ListedDomain) -> models.Domain:
    last = _at(listed.last_counted)
    if listed.configured is None:
        return models.Domain(domain=listed.domain, account=listed.account, configured=False, lastCounted=last)
    return models.Domain(**listed.configured.model_dump(), configured=True, lastCounted=last)


def _edges(slot: Slot) -> dict[str, Any]:
    return {"start": _at(slot.start), "end": _at(slot.end)}


def _counts(counts: Counts) -> dict[str, int]:
    return {
        "sentBytes": counts.sent,
        "receivedBytes": counts.received,
        "sentMessages": counts.sent_messages,
        "receivedMessages": counts.received_messages,
        "openedConnections": counts.opened,
        "peakConnections": counts.peak,
        "connectionSeconds": counts.connection_seconds,
    }


def _pair(pair: answers.RatePair) -> dict[str, models.Bandwidth]:
    return {"sent": _rate(pair.sent), "received": _rate(pair.received)}


def _rate(rate: answers.Rate) -> models.Bandwidth:
    return models.Bandwidth(average=rate.average, peak=rate.peak, peakTime=_at(rate.peak_time))


def _shares(counts: list[answers.CodeCount]) -> list[models.CodeShare]:
    return [models.CodeShare(code=c.code, count=c.count, proportion=c.proportion) for c in counts]


def _at(seconds: int | None) -> datetime | None:
    # not fromtimestamp: the end of a range may lie beyond what the C library's clock functions accept
    return None if seconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
