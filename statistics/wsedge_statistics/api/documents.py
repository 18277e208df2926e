"""Results of `asking` as documents of the native API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from wsedge_statistics import asking
from wsedge_statistics.api import models
from wsedge_statistics.api.parameters import (
    BandwidthMeasure,
    CodesQuery,
    GroupQuery,
    RangeQuery,
    TrafficMeasure,
)
from wsedge_statistics.numbers import answers
from wsedge_statistics.numbers.groups import Group, page_by
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import CodeSum, Counts, Dimension, SlotSums, totals

_Part = TypeVar("_Part", SlotSums, CodeSum)
NameOf = Callable[[str], str]  # the display name of an account's key

TRAFFIC_SIZES: Final[dict[TrafficMeasure, Callable[[SlotSums], int]]] = {
    TrafficMeasure.SENT_BYTES: lambda part: part.counts.sent,
    TrafficMeasure.RECEIVED_BYTES: lambda part: part.counts.received,
    TrafficMeasure.SENT_MESSAGES: lambda part: part.counts.sent_messages,
    TrafficMeasure.RECEIVED_MESSAGES: lambda part: part.counts.received_messages,
    TrafficMeasure.OPENED_CONNECTIONS: lambda part: part.counts.opened,
    TrafficMeasure.PEAK_CONNECTIONS: lambda part: part.counts.peak,
    TrafficMeasure.CONNECTION_SECONDS: lambda part: part.counts.connection_seconds,
}
BANDWIDTH_SIZES: Final[dict[BandwidthMeasure, Callable[[SlotSums], int]]] = {
    BandwidthMeasure.SENT_PEAK: lambda part: part.sent_peak,
    BandwidthMeasure.RECEIVED_PEAK: lambda part: part.received_peak,
    BandwidthMeasure.SENT_AVERAGE: lambda part: part.counts.sent,
    BandwidthMeasure.RECEIVED_AVERAGE: lambda part: part.counts.received,
}


def traffic(query: RangeQuery, result: asking.Result[SlotSums]) -> models.TrafficAnswer:
    """Return the document of an answer about counts."""
    return models.TrafficAnswer(
        **_frame(query, result),
        total=_total_counts(result.parts, result.range.whole),
        **_points(query, _traffic_points(result.parts, result.range.slots)),
    )


def traffic_groups(
    query: GroupQuery, result: asking.GroupedResult[SlotSums], name_of: NameOf
) -> models.TrafficAnswer:
    """Return the document of an answer about the counts of groups."""
    others = _others(result)
    sums = models.OtherCounts(groups=len(others), **_added(others)) if result.sizes is not None else None
    return models.TrafficAnswer(
        **_frame(query, result),
        total=_total_counts(result.parts, result.range.whole),
        groups=[
            models.TrafficGroup(
                by=_by(query, group, name_of),
                total=_total_counts(parts, result.range.whole),
                **_points(query, _traffic_points(parts, result.slots)),
            )
            for group, parts in _sums(result)
        ],
        **_given(others=sums, next=result.following),
    )


def bandwidth(query: RangeQuery, result: asking.Result[SlotSums]) -> models.BandwidthAnswer:
    """Return the document of an answer about bandwidth."""
    return models.BandwidthAnswer(
        **_frame(query, result),
        unit="bit/s",
        total=_total_rates(result.parts, result.range.whole),
        **_points(query, _bandwidth_points(result.parts, result.range.slots)),
    )


def bandwidth_groups(
    query: GroupQuery, result: asking.GroupedResult[SlotSums], name_of: NameOf
) -> models.BandwidthAnswer:
    """Return the document of an answer about the bandwidth of groups."""
    others, whole = _others(result), result.range.whole
    added = _added(others)
    averages = {
        f"{name}Average": answers.bits_per_second(added[f"{name}Bytes"], whole.end - whole.start)
        for name in ("sent", "received")
    }
    rest = models.OtherBandwidth(groups=len(others), **averages) if result.sizes is not None else None
    return models.BandwidthAnswer(
        **_frame(query, result),
        unit="bit/s",
        total=_total_rates(result.parts, whole),
        groups=[
            models.BandwidthGroup(
                by=_by(query, group, name_of),
                total=_total_rates(parts, whole),
                **_points(query, _bandwidth_points(parts, result.slots)),
            )
            for group, parts in _sums(result)
        ],
        **_given(others=rest, next=result.following),
    )


def codes(query: RangeQuery, result: asking.Result[CodeSum]) -> models.CodesAnswer:
    """Return the document of an answer about HTTP codes."""
    return models.CodesAnswer(
        **_frame(query, result),
        total=_shares(answers.total_codes(result.parts)),
        **_points(
            query,
            _codes_points(result.range.slots, map(_shares, answers.codes(result.parts, result.range.slots))),
        ),
    )


def codes_groups(
    query: CodesQuery, result: asking.GroupedResult[CodeSum], name_of: NameOf
) -> models.CodesAnswer:
    """Return the document of an answer about the HTTP codes of groups."""
    others = _others(result)
    count = sum(part.count for parts in others for part in parts)
    rest = models.OtherCodes(groups=len(others), count=count) if result.sizes is not None else None
    return models.CodesAnswer(
        **_frame(query, result),
        total=_shares(answers.total_codes(result.parts)),
        groups=[
            models.CodesGroup(
                by=_by(query, group, name_of),
                total=total,
                **_points(query, _codes_points(result.slots, slots)),
            )
            for group, total, slots in _code_groups(query, result)
        ],
        **_given(others=rest, next=result.following),
    )


def _code_groups(
    query: CodesQuery, result: asking.GroupedResult[CodeSum]
) -> Iterator[tuple[Group, list[models.CodeShare], list[list[models.CodeShare]]]]:
    """Yield each group with its shares in total and per slot."""
    by_code = "code" in query.groupBy
    siblings: dict[Group, list[CodeSum]] = {}
    for group, parts in result.found.items():
        siblings.setdefault(group[:-1] if by_code else group, []).extend(parts)
    for group in result.groups:
        # the proportions of a single code are those of all codes
        parts = siblings.get(group[:-1] if by_code else group, [])
        code = int(group[-1]) if by_code else None
        shares = (answers.total_codes(parts), *answers.codes(parts, result.slots))
        total, *slots = ([share for share in each if code in (None, share.code)] for each in shares)
        yield group, _shares(total), [_shares(each) for each in slots]


def domains(
    account: str | None, listed: Sequence[asking.ListedDomain], cursor: str | None, limit: int
) -> models.DomainsAnswer:
    """Return a page of the domains, which are ordered by account and domain. Raises QueryError."""
    page = page_by([(each.account, each.domain) for each in listed], cursor, limit)
    chosen = set(page.groups)
    return models.DomainsAnswer(
        account=account,
        domains=[_domain(each) for each in listed if (each.account, each.domain) in chosen],
        **_given(next=page.following),
    )


def _domain(listed: asking.ListedDomain) -> models.Domain:
    last = at(listed.last_counted)
    settings = (
        listed.configured.model_dump()
        if listed.configured
        else {
            "domain": listed.domain,
            "account": listed.account,
            "name": None,
            "enabled": None,
            "heartbeatSeconds": None,
            "originProtocol": None,
        }
    )
    return models.Domain(**settings, configured=listed.configured is not None, lastCounted=last)


def _frame(query: RangeQuery, result: asking.Result[Any]) -> dict[str, Any]:
    return {
        "account": result.account,
        "domains": sorted(set(query.domain)) or None,
        "region": query.region,
        "isp": query.isp,
        "start": at(result.range.start),
        "end": at(result.range.end),
        "granularity": result.range.granularity,
        "timeZone": result.zones[-1].name,
        **_changes(result),
        "completeUntil": result.complete_until,
        "silentRelays": result.silent_relays,
        **_given(warnings=[_warned(each) for each in result.warnings] or None),
    }


def _warned(warned: asking.Warned) -> models.Warned:
    return models.Warned(parameter=warned.parameter, reason=warned.reason)


def _changes(result: asking.Result[Any]) -> dict[str, Any]:
    """Return the zones of a range in which the zone changed; nothing otherwise."""
    if len(result.zones) == 1:
        return {}
    start = result.range.start
    zones = [(max(start, zone.since or start), zone.name) for zone in result.zones]
    return {"timeZones": [models.ZoneFrom(start=at(since), timeZone=name) for since, name in zones]}


def _points(query: RangeQuery, points: Iterable[models.Edges]) -> dict[str, Any]:
    """Return the answer's points; none for `totals=only`."""
    return {} if query.totals == "only" else {"points": list(points)}


def _given(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value: the others are absent from the document."""
    return {name: value for name, value in fields.items() if value is not None}


def _by(query: GroupQuery | CodesQuery, group: Group, name_of: NameOf) -> dict[str, str]:
    """Return a group's values by dimension, in the order of `groupBy`; `code` is the last part of a group."""
    names = [name.value for name in query.groupBy if name != "code"]
    names += ["code"] if len(group) > len(names) else []
    return {
        name: name_of(value) if name == Dimension.ACCOUNT else value
        for name, value in zip(names, group, strict=True)
    }


def _sums(result: asking.GroupedResult[SlotSums]) -> list[tuple[Group, list[SlotSums]]]:
    """Return each group with its sums: none where retention deleted them meanwhile."""
    return [(group, result.found.get(group, [])) for group in result.groups]


def _others(result: asking.GroupedResult[_Part]) -> list[list[_Part]]:
    """Return the sums of the groups that are not among the largest."""
    chosen = set(result.groups)
    return [parts for group, parts in (result.sizes or {}).items() if group not in chosen]


def _added(others: Iterable[Sequence[SlotSums]]) -> dict[str, int]:
    sums = Counts()
    for parts in others:
        for part in parts:
            sums = sums.and_later(part.counts)
    return {name: count for name, count in counts_of(sums).items() if name != "peakConnections"}


def _total_counts(parts: Sequence[SlotSums], whole: Slot) -> models.Counts:
    (total,) = answers.traffic(totals(parts), [whole])
    return models.Counts(**counts_of(total.counts))


def _traffic_points(parts: Sequence[SlotSums], slots: Sequence[Slot]) -> Iterator[models.Edges]:
    for point in answers.traffic(parts, slots):
        yield models.TrafficPoint(**_edges(point.slot), **counts_of(point.counts))


def _total_rates(parts: Sequence[SlotSums], whole: Slot) -> models.BandwidthPair:
    (total,) = answers.rates(totals(parts), [whole])
    return models.BandwidthPair(**_pair(total))


def _bandwidth_points(parts: Sequence[SlotSums], slots: Sequence[Slot]) -> Iterator[models.Edges]:
    for pair in answers.rates(parts, slots):
        yield models.BandwidthPoint(**_edges(pair.slot), **_pair(pair))


def _codes_points(slots: Sequence[Slot], shares: Iterable[list[models.CodeShare]]) -> Iterator[models.Edges]:
    return (models.CodesPoint(**_edges(slot), codes=found) for slot, found in zip(slots, shares, strict=True))


def _edges(slot: Slot) -> dict[str, Any]:
    return {"start": at(slot.start), "end": at(slot.end)}


def counts_of(counts: Counts) -> dict[str, int]:
    """Return counts by the names that documents have."""
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
    return models.Bandwidth(average=rate.average, peak=rate.peak, peakTime=at(rate.peak_time))


def _shares(counts: list[answers.CodeCount]) -> list[models.CodeShare]:
    return [models.CodeShare(code=c.code, count=c.count, proportion=c.proportion) for c in counts]


def at(seconds: int | None) -> datetime | None:
    """Return UTC seconds as an instant."""
    # not fromtimestamp: the end of a range may lie beyond what the C library's clock functions accept
    return None if seconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
