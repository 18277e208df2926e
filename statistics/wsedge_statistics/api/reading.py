"""The routes of the native REST API: parameters in, documents out. `asking` answers the questions."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request

from wsedge_statistics import asking
from wsedge_statistics.api import documents, models, parameters
from wsedge_statistics.errors import QueryError
from wsedge_statistics.numbers import granularity
from wsedge_statistics.numbers.groups import DEFAULT_LISTED, Grouping
from wsedge_statistics.numbers.series import Dimension
from wsedge_statistics.web.identity import CallerOf
from wsedge_statistics.web.responses import problems
from wsedge_statistics.web.services import services_of

_STATUSES: Final = (400, 401, 403, 404, 503)
_REPEATABLE: Final = {"domain", "groupBy"}


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
    request: Request, caller: CallerOf, query: Annotated[parameters.TrafficQuery, Query()]
) -> models.TrafficAnswer:
    """Return counts per slot and in total, summed over everything that the filters select, or by group."""
    services, grouping = services_of(request), _grouping(query)
    if grouping is None:
        result = await asking.ask(services, caller, _question(query), kind="traffic")
        return documents.traffic(query, result)
    size = documents.TRAFFIC_SIZES[query.topBy]
    groups = await asking.ask_groups(services, caller, _question(query), grouping, size=size, kind="traffic")
    return documents.traffic_groups(query, groups, services.tenures.display_name)


@router.get(
    "/bandwidth",
    responses=problems(*_STATUSES),
    response_model_exclude_unset=True,
    summary="Bits per second over time",
)
async def bandwidth(
    request: Request, caller: CallerOf, query: Annotated[parameters.BandwidthQuery, Query()]
) -> models.BandwidthAnswer:
    """Return average, peak and the peak's time per slot, of five-minute values summed over the selection."""
    services, grouping = services_of(request), _grouping(query)
    if grouping is None:
        result = await asking.ask(services, caller, _question(query), kind="bandwidth")
        return documents.bandwidth(query, result)
    size = documents.BANDWIDTH_SIZES[query.topBy]
    groups = await asking.ask_groups(
        services, caller, _question(query), grouping, size=size, kind="bandwidth"
    )
    return documents.bandwidth_groups(query, groups, services.tenures.display_name)


@router.get(
    "/codes",
    responses=problems(*_STATUSES),
    response_model_exclude_unset=True,
    summary="HTTP codes of handshakes over time",
)
async def codes(
    request: Request, caller: CallerOf, query: Annotated[parameters.CodesQuery, Query()]
) -> models.CodesAnswer:
    """Return handshakes by the HTTP code of their answer, per slot and in total; 101 opens a connection."""
    services, grouping = services_of(request), _grouping(query)
    if grouping is None:
        result = await asking.ask_codes(services, caller, _question(query), kind="codes")
        return documents.codes(query, result)
    groups = await asking.ask_code_groups(services, caller, _question(query), grouping, kind="codes")
    return documents.codes_groups(query, groups, services.tenures.display_name)


@router.get(
    "/domains",
    responses=problems(*_STATUSES),
    response_model_exclude_unset=True,
    summary="Domains, configured or counted",
)
async def domains(
    request: Request, caller: CallerOf, query: Annotated[parameters.DomainsQuery, Query()]
) -> models.DomainsAnswer:
    """Return configured domains with their settings, and former domains that still have counts."""
    account, listed = await asking.list_domains(services_of(request), caller, query.account)
    return documents.domains(account, listed, query.cursor, query.limit or DEFAULT_LISTED)


@router.get("/options", responses=problems(*_STATUSES), summary="Regions, ISPs and granularities")
async def options(
    request: Request, caller: CallerOf, query: Annotated[parameters.AccountQuery, Query()]
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


def _question(query: parameters.RangeQuery) -> asking.Question:
    return asking.Question(
        account=query.account,
        start=query.start,
        end=query.end,
        granularity=query.granularity,
        zone=query.timeZone,
        domains=frozenset(query.domain),
        region=query.region,
        isp=query.isp,
        totals_only=query.totals == "only",
    )


def _grouping(query: parameters.GroupQuery | parameters.CodesQuery) -> Grouping | None:
    """Return how the groups of a question are formed; None for a question without. Raises QueryError."""
    _check_together(query)
    if not query.groupBy:
        return None
    names = [name.value for name in query.groupBy]
    return Grouping(
        by=tuple(Dimension(name) for name in names if name != "code"),
        by_code="code" in names,
        limit=query.limit,
        cursor=query.cursor,
        top=query.top,
    )


def _check_together(query: parameters.GroupQuery | parameters.CodesQuery) -> None:
    """Refuse parameters that would be ignored. Raises QueryError."""
    if len(set(query.groupBy)) < len(query.groupBy):
        raise QueryError("groupBy", "has the same dimension twice", "each dimension once")
    given = query.model_fields_set
    for name, needed in (
        ("limit", "groupBy"),
        ("cursor", "groupBy"),
        ("top", "groupBy"),
        ("topBy", "top"),
    ):
        if name in given and needed not in given:
            raise QueryError(name, f"given without {needed}", f"{name} together with {needed}")
    for name in ("limit", "cursor"):
        if name in given and "top" in given:
            raise QueryError(name, "given together with top", f"either top or {name}")
