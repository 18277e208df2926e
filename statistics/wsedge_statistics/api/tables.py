"""Documents of the native API as tables: a row per group and slot, or per group with totals=only.

`complete` says whether all relays had time to report the slot. What a table has no place for (others,
warnings, zones) is in the JSON document only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from wsedge_statistics.api import models
from wsedge_statistics.web.representations import Cell, Table

COUNTS: Final = tuple(models.Counts.model_fields)
RATES: Final = (
    "sentAverage",
    "sentPeak",
    "sentPeakTime",
    "receivedAverage",
    "receivedPeak",
    "receivedPeakTime",
)
CODES: Final = ("code", "count", "proportion")
_Cells = Callable[[Any], Iterator[Sequence[Cell]]]


def traffic(answer: models.TrafficAnswer, dimensions: Sequence[str]) -> Table:
    """Return the table of an answer about counts."""
    return _table(answer, dimensions, COUNTS, _counts, _counts)


def bandwidth(answer: models.BandwidthAnswer, dimensions: Sequence[str]) -> Table:
    """Return the table of an answer about bandwidth."""
    return _table(answer, dimensions, RATES, _rates, _rates)


def codes(answer: models.CodesAnswer, dimensions: Sequence[str]) -> Table:
    """Return the table of an answer about HTTP codes: a row per code, one without a code for an idle slot."""
    return _table(answer, dimensions, CODES, _shares, lambda point: _shares(point.codes))


def domains(answer: models.DomainsAnswer) -> Table:
    """Return the table of the domains."""
    names = tuple(models.Domain.model_fields)
    yield names
    for domain in answer.domains:
        yield [getattr(domain, name) for name in names]


def _table(
    answer: models.TrafficAnswer | models.BandwidthAnswer | models.CodesAnswer,
    dimensions: Sequence[str],
    names: Sequence[str],
    of_total: _Cells,
    of_point: _Cells,
) -> Table:
    yield (*dimensions, "start", "end", "complete", *names)
    groups: Sequence[Any] = [answer] if answer.groups is None else answer.groups
    for group in groups:
        by = [] if answer.groups is None else [group.by[name] for name in dimensions]
        if group.points is None:
            for cells in of_total(group.total):
                yield (*by, *_edges(answer, answer.start, answer.end), *cells)
            continue
        for point in group.points:
            for cells in of_point(point):
                yield (*by, *_edges(answer, point.start, point.end), *cells)


def _edges(answer: models.Answer, start: datetime, end: datetime) -> tuple[Cell, ...]:
    return start, end, end <= answer.completeUntil


def _counts(counts: models.Counts) -> Iterator[Sequence[Cell]]:
    yield [getattr(counts, name) for name in COUNTS]


def _rates(pair: models.BandwidthPair) -> Iterator[Sequence[Cell]]:
    yield [value for rate in (pair.sent, pair.received) for value in (rate.average, rate.peak, rate.peakTime)]


def _shares(shares: list[models.CodeShare]) -> Iterator[Sequence[Cell]]:
    if not shares:
        yield None, 0, 0.0
    for share in shares:
        yield share.code, share.count, share.proportion
