"""Answers from five-minute sums: counts, bandwidth and HTTP codes per slot. Pure.

A peak is the largest five-minute value of a slot, after the sum over the selection.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wsedge_statistics.numbers.ranges import Range, Slot
from wsedge_statistics.numbers.series import BUCKET, CODE_PREFIX, MEASURES, PEAK, Series


@dataclass(frozen=True, slots=True)
class SlotCounts:
    """Counts of one slot: bytes, messages, opened connections, and the most open in any five minutes."""

    slot: Slot
    sent: int
    received: int
    sent_messages: int
    received_messages: int
    opened: int
    peak: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Bits per second of a slot: the average, the highest five-minute value and the start of its bucket."""

    average: float
    peak: float
    peak_time: int | None


@dataclass(frozen=True, slots=True)
class CodeCount:
    """The number of handshakes answered with `code`; `proportion` in percent of the slot's handshakes."""

    code: int
    count: int
    proportion: float


def _by_slot(values: dict[int, int], slots: Sequence[Slot]) -> list[list[tuple[int, int]]]:
    starts = [slot.start for slot in slots]
    found: list[list[tuple[int, int]]] = [[] for _ in slots]
    for bucket in sorted(values):
        index = bisect_right(starts, bucket) - 1
        if index >= 0 and bucket < slots[index].end:
            found[index].append((bucket, values[bucket]))
    return found


def _fold(series: Series, slots: Sequence[Slot]) -> list[SlotCounts]:
    columns: list[list[int]] = []
    for measure in MEASURES:
        combine: Callable[[list[int]], int] = sum if measure != PEAK else (lambda v: max(v, default=0))
        by_slot = _by_slot(series.get(measure, {}), slots)
        columns.append([combine([value for _, value in pairs]) for pairs in by_slot])
    return [SlotCounts(slot, *counts) for slot, counts in zip(slots, zip(*columns, strict=True), strict=True)]


def traffic(series: Series, span: Range) -> tuple[list[SlotCounts], SlotCounts]:
    """Return the counts per slot, zero-filled, and of the whole range."""
    whole = Slot(span.start, span.end)
    return _fold(series, span.slots), _fold(series, [whole])[0]


def bits_per_second(byte_count: int, seconds: int) -> float:
    """Return bits per second (1000-based units), to the thousandth."""
    return round(byte_count * 8 / seconds, 3)


def rates(values: dict[int, int], slots: Sequence[Slot]) -> list[Rate]:
    """Return the bandwidth per slot from five-minute byte sums; of equal peaks the earliest counts."""
    answer = []
    for slot, pairs in zip(slots, _by_slot(values, slots), strict=True):
        top = max(pairs, key=lambda pair: (pair[1], -pair[0]), default=None)
        average = bits_per_second(sum(value for _, value in pairs), slot.end - slot.start)
        if top is None or not top[1]:
            answer.append(Rate(average, 0.0, None))
        else:
            answer.append(Rate(average, bits_per_second(top[1], BUCKET), top[0]))
    return answer


def codes(series: Series, slots: Sequence[Slot]) -> list[list[CodeCount]]:
    """Return the HTTP codes of handshakes per slot, ascending; an empty list for an idle slot."""
    counts: list[dict[int, int]] = [{} for _ in slots]
    for measure, values in series.items():
        if not measure.startswith(CODE_PREFIX):
            continue
        code = int(measure.removeprefix(CODE_PREFIX))
        for index, pairs in enumerate(_by_slot(values, slots)):
            if pairs:
                counts[index][code] = sum(value for _, value in pairs)
    return [_proportions(found) for found in counts]


def _proportions(found: dict[int, int]) -> list[CodeCount]:
    total = sum(found.values())
    return [CodeCount(code, n, round(100 * n / total, 4)) for code, n in sorted(found.items())]
