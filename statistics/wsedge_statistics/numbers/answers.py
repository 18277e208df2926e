"""Answers from the ledger's sums: counts, bandwidth and HTTP codes per slot, idle slots included. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import BUCKET, CodeSum, Counts, SlotSums


@dataclass(frozen=True, slots=True)
class SlotCounts:
    """The counts of one slot."""

    slot: Slot
    counts: Counts


@dataclass(frozen=True, slots=True)
class Rate:
    """Bits per second of a slot: the average, the highest five-minute value and the start of its bucket."""

    average: float
    peak: float
    peak_time: int | None


@dataclass(frozen=True, slots=True)
class RatePair:
    """The bandwidth of one slot in both directions."""

    slot: Slot
    sent: Rate
    received: Rate


@dataclass(frozen=True, slots=True)
class CodeCount:
    """The number of handshakes answered with `code`; `proportion` in percent of the slot's handshakes."""

    code: int
    count: int
    proportion: float


def traffic(sums: Iterable[SlotSums], slots: Sequence[Slot]) -> list[SlotCounts]:
    """Return the counts of each slot, zero-filled, from the sums of one group."""
    found = {part.slot: part.counts for part in sums}
    return [SlotCounts(slot, found.get(number, Counts())) for number, slot in enumerate(slots)]


def bits_per_second(byte_count: int, seconds: int) -> float:
    """Return bits per second (1000-based units), to the thousandth."""
    return round(byte_count * 8 / seconds, 3)


def rates(sums: Iterable[SlotSums], slots: Sequence[Slot]) -> list[RatePair]:
    """Return the bandwidth of each slot, zero-filled, from the sums of one group."""
    found = {part.slot: part for part in sums}
    idle = Rate(0.0, 0.0, None)
    return [
        _pair(slot, found[number]) if number in found else RatePair(slot, idle, idle)
        for number, slot in enumerate(slots)
    ]


def _pair(slot: Slot, sums: SlotSums) -> RatePair:
    seconds = slot.end - slot.start
    return RatePair(
        slot,
        _rate(sums.counts.sent, seconds, sums.sent_peak, sums.sent_peak_bucket),
        _rate(sums.counts.received, seconds, sums.received_peak, sums.received_peak_bucket),
    )


def _rate(byte_count: int, seconds: int, peak: int, bucket: int) -> Rate:
    average = bits_per_second(byte_count, seconds)
    return Rate(average, bits_per_second(peak, BUCKET), bucket if peak else None)


def codes(sums: Iterable[CodeSum], slots: Sequence[Slot]) -> list[list[CodeCount]]:
    """Return the HTTP codes of each slot, ascending, from one group; an empty list for an idle slot."""
    counts: list[dict[int, int]] = [{} for _ in slots]
    for part in sums:
        counts[part.slot][part.code] = part.count
    return [_proportions(found) for found in counts]


def total_codes(sums: Iterable[CodeSum]) -> list[CodeCount]:
    """Return the HTTP codes of all slots together."""
    counts: dict[int, int] = {}
    for part in sums:
        counts[part.code] = counts.get(part.code, 0) + part.count
    return _proportions(counts)


def _proportions(found: dict[int, int]) -> list[CodeCount]:
    total = sum(found.values())
    return [CodeCount(code, n, round(100 * n / total, 4)) for code, n in sorted(found.items())]
