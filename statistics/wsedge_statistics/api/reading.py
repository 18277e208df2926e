"""The routes of the native REST API: parameters in, documents out. `asking` answers the questions."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from wsedge_statistics import asking
from wsedge_statistics.api import documents, models, parameters
from wsedge_statistics.api import tables as tables_of
from wsedge_statistics.errors import QueryError
from wsedge_statistics.numbers import granularity
from wsedge_statistics.numbers.groups import DEFAULT_LISTED, Grouping
from wsedge_statistics.numbers.series import Dimension
from wsedge_statistics.web.identity import CallerOf
from wsedge_statistics.web.representations import Table, respond, wants_csv
from wsedge_statistics.web.responses import problems, tables
from wsedge_statistics.web.services import services_of

_STATUSES: Final = (400, 401, 403, 404, 503)
_REPEATABLE: Final = {"domain", "groupBy"}
_Document = TypeVar("_Document", bound=BaseModel)


def no_repeats(request: Request) -> None:
    """Refuse a parameter that is given twice: one value would be ignored. Raises QueryError."""
    names = [name for name, _ in request.query_params.multi_items() if name not in _REPEATABLE]
    for name, times in Counter(names).items():  # linear: a head of 64 KiB can have ten thousand names
        if times > 1:
            raise QueryError(name, "given more than once", "one value")


def preferred(
    _prefer: Annotated[
        str | None,
        Header(
            alias="Prefer",
            description="wait=5: seconds that the client waits (RFC 7240), less than the limit",
        ),
    ] = None,
) -> None:
    """Describe the header, which `web.patience` applies."""


router = APIRouter(prefix="/v1", tags=["numbers"], dependencies=[Depends(no_repeats), Depends(preferred)])


@router.get(
    "/traffic",
    response_model=models.TrafficAnswer,
    responses=tables() | problems(*_STATUSES),
    summary="Bytes, messages and connections over time",
)
async def traffic(
    request: Request, caller: CallerOf, query: Annotated[parameters.TrafficQuery, Query()]
) -> Response:
    """Return counts per slot and in total, summed over everything that the filters select, or by group."""
    services, grouping = services_of(request), _grouping(query)
    if grouping is None:
        result = await asking.ask(services, caller, _question(query), kind="traffic")
        document = partial(documents.traffic, query, result)
        return await _respond(request, query, document, tables_of.traffic, "traffic")
    size = documents.TRAFFIC_SIZES[query.topBy]
    groups = await asking.ask_groups(services, caller, _question(query), grouping, size=size, kind="traffic")
    document = partial(documents.traffic_groups, query, groups, services.tenures.display_name)
    return await _respond(request, query, document, tables_of.traffic, "traffic")


@router.get(
    "/bandwidth",
    response_model=models.BandwidthAnswer,
    responses=tables() | problems(*_STATUSES),
    summary="Bits per second over time",
)
async def bandwidth(
    request: Request, caller: CallerOf, query: Annotated[parameters.BandwidthQuery, Query()]
) -> Response:
    """Return average, peak and the peak's time per slot, of five-minute values summed over the selection."""
    services, grouping = services_of(request), _grouping(query)
    if grouping is None:
        result = await asking.ask(services, caller, _question(query), kind="bandwidth")
        document = partial(documents.bandwidth, query, result)
        return await _respond(request, query, document, tables_of.bandwidth, "bandwidth")
    size = documents.BANDWIDTH_SIZES[query.topBy]
    groups = await asking.ask_groups(
        services, caller, _question(query), grouping, size=size, kind="bandwidth"
    )
    document = partial(documents.bandwidth_groups, query, groups, services.tenures.display_name)
    return await _respond(request, query, document, tables_of.bandwidth, "bandwidth")


@router.get(
    "/codes",
    response_model=models.CodesAnswer,
    responses=tables() | problems(*_STATUSES),
    summary="HTTP codes of handshakes over time",
)
async def codes(
    request: Request, caller: CallerOf, query: Annotated[parameters.CodesQuery, Query()]
) -> Response:
    """Return handshakes by the HTTP code of their answer, per slot and in total; 101 opens a connection."""
    services, grouping = services_of(request), _grouping(query)
    if grouping is None:
        result = await asking.ask_codes(services, caller, _question(query), kind="codes")
        document = partial(documents.codes, query, result)
        return await _respond(request, query, document, tables_of.codes, "codes")
    groups = await asking.ask_code_groups(services, caller, _question(query), grouping, kind="codes")
    document = partial(documents.codes_groups, query, groups, services.tenures.display_name)
    return await _respond(request, query, document, tables_of.codes, "codes")


@router.get(
    "/domains",
    response_model=models.DomainsAnswer,
    responses=tables() | problems(*_STATUSES),
    summary="Domains, configured or counted",
)
async def domains(
    request: Request, caller: CallerOf, query: Annotated[parameters.DomainsQuery, Query()]
) -> Response:
    """Return configured domains with their settings, and former domains that still have counts."""
    account, listed = await asking.list_domains(services_of(request), caller, query.account)
    document = documents.domains(account, listed, query.cursor, query.limit or DEFAULT_LISTED)
    table = tables_of.domains(document) if wants_csv(request, query.format) else None
    return respond(request, document, numbers=query.numbers, table=table, name="domains")


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


async def _respond(
    request: Request,
    query: parameters.GroupQuery | parameters.CodesQuery,
    document_of: Callable[[], _Document],
    table_of: Callable[[_Document, list[str]], Table],
    name: str,
) -> Response:
    """Return the document in the form that the client wants.

    In a thread: 20,000 points take half a second of a core, and reports go ahead meanwhile.
    """

    def render() -> Response:
        document, dimensions = document_of(), [dimension.value for dimension in query.groupBy]
        table = table_of(document, dimensions) if wants_csv(request, query.format) else None
        return respond(request, document, numbers=query.numbers, table=table, name=name)

    return await asyncio.to_thread(render)


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
