"""The native REST API: parameters in, documents out. `asking` answers the questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from wsedge_statistics import asking
from wsedge_statistics.api import models
from wsedge_statistics.errors import QueryError
from wsedge_statistics.identity.callers import Caller
from wsedge_statistics.numbers import answers, granularity
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import RECEIVED, SENT, Series
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
    result = await _ask(request, caller, query, "traffic")
    points, total = answers.traffic(result.series, result.range)
    return models.TrafficAnswer(
        **_frame(query, result),
        total=models.Counts(**_counts(total)),
        **_unless_totals(
            query, (models.TrafficPoint(**_edges(point.slot), **_counts(point)) for point in points)
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
    result = await _ask(request, caller, query, "bandwidth")
    pairs = _pairs(result.series, result.range.slots)
    (total,) = _pairs(result.series, [Slot(result.range.start, result.range.end)])
    return models.BandwidthAnswer(
        **_frame(query, result),
        unit="bit/s",
        total=models.BandwidthPair(**total),
        **_unless_totals(
            query,
            (
                models.BandwidthPoint(**_edges(slot), **pair)
                for slot, pair in zip(result.range.slots, pairs, strict=True)
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
    request: Request, caller: CallerOf, query: Annotated[models.RangeQuery, Query()]
) -> models.CodesAnswer:
    """Return handshakes by the HTTP code of their answer, per slot and in total; 101 opens a connection."""
    result = await _ask(request, caller, query, "codes")
    per_slot = answers.codes(result.series, result.range.slots)
    (total,) = answers.codes(result.series, [Slot(result.range.start, result.range.end)])
    return models.CodesAnswer(
        **_frame(query, result),
        total=_shares(total),
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


async def _ask(request: Request, caller: Caller, query: models.RangeQuery, kind: str) -> asking.Result:
    question = asking.Question(
        account=query.account,
        start=query.start,
        end=query.end,
        granularity=query.granularity,
        zone=query.timeZone,
        domains=frozenset(query.domain),
        region=query.region,
        isp=query.isp,
    )
    return await asking.ask(services_of(request), caller, question, kind=kind)


def _frame(query: models.RangeQuery, result: asking.Result) -> dict[str, Any]:
    return {
        "account": result.account,
        "domains": sorted(set(query.domain)) or None,
        "region": query.region,
        "isp": query.isp,
        "start": _at(result.range.start),
        "end": _at(result.range.end),
        "granularity": result.range.granularity,
        "timeZone": result.zone,
        "completeUntil": result.complete_until,
    }


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


def _counts(point: answers.SlotCounts) -> dict[str, int]:
    return {
        "sentBytes": point.sent,
        "receivedBytes": point.received,
        "sentMessages": point.sent_messages,
        "receivedMessages": point.received_messages,
        "openedConnections": point.opened,
        "peakConnections": point.peak,
    }


def _pairs(series: Series, slots: Sequence[Slot]) -> list[dict[str, models.Bandwidth]]:
    sent = answers.rates(series.get(SENT, {}), slots)
    received = answers.rates(series.get(RECEIVED, {}), slots)
    return [{"sent": _rate(s), "received": _rate(r)} for s, r in zip(sent, received, strict=True)]


def _rate(rate: answers.Rate) -> models.Bandwidth:
    return models.Bandwidth(average=rate.average, peak=rate.peak, peakTime=_at(rate.peak_time))


def _shares(counts: list[answers.CodeCount]) -> list[models.CodeShare]:
    return [models.CodeShare(code=c.code, count=c.count, proportion=c.proportion) for c in counts]


def _at(seconds: int | None) -> datetime | None:
    # not fromtimestamp: the end of a range may lie beyond what the C library's clock functions accept
    return None if seconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
