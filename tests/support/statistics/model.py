"""A naive ledger: a dictionary of the largest value of every single count, summed at each read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from wsedge_statistics.contract import UsageReport
from wsedge_statistics.ledger.protocol import LATE_AFTER, LateCounts
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import (
    BUCKET,
    CodeSum,
    Counts,
    Dimension,
    Key,
    Selection,
    SlotSums,
    Value,
)

FIELDS = {
    "sent": "sentBytes",
    "received": "receivedBytes",
    "sent_messages": "sentMessages",
    "received_messages": "receivedMessages",
    "opened": "openedConnections",
    "connection_seconds": "connectionSeconds",
    "peak": "peakConnections",
}
Group = tuple[str, ...]


class NaiveLedger:
    def __init__(self) -> None:
        self.largest: dict[tuple[str, str, Key, int, str], int] = {}
        self.grown: dict[tuple[int, str, str, int, str], int] = {}

    def add(
        self, report: UsageReport, keys: Mapping[str, str] | None = None, now: datetime | None = None
    ) -> None:
        """Merge a report; `keys` has by account the key under which its rows are stored."""
        for row in report.rows:
            account = (keys or {}).get(row.account, row.account)
            key = Key(row.domain, account, row.region, row.isp, row.area)
            counts = {measure: getattr(row, field) for measure, field in FIELDS.items()}
            counts |= {f"code:{code}": count for code, count in row.codes.items()}
            bucket = int(row.bucket.timestamp())
            for measure, value in counts.items():
                place = (report.source.uid, report.source.epoch, key, bucket, measure)
                before = self.largest.get(place, 0)
                self.largest[place] = max(value, before)
                if now and measure in ("sent", "received") and value > before:
                    self._late(key, bucket, measure, value - before, now)

    def _late(self, key: Key, bucket: int, measure: str, growth: int, now: datetime) -> None:
        if bucket + BUCKET + LATE_AFTER.total_seconds() <= now.timestamp():
            at = int(now.timestamp()) // BUCKET * BUCKET
            place = (bucket, key.area, key.account, at, measure)
            self.grown[place] = self.grown.get(place, 0) + growth

    def _five(
        self, selection: Selection, group_by: Sequence[Dimension]
    ) -> dict[Group, dict[int, dict[str, int]]]:
        found: dict[Group, dict[int, dict[str, int]]] = {}
        for (_, _, key, bucket, measure), value in self.largest.items():
            if selection.start <= bucket < selection.end and selection.includes(key):
                group = tuple(key.part(dimension) for dimension in group_by)
                counts = found.setdefault(group, {}).setdefault(bucket, {})
                counts[measure] = counts.get(measure, 0) + value
        return found

    def sums(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[SlotSums]:
        answer = []
        for group, buckets in sorted(self._five(selection, group_by).items()):
            for number, slot in enumerate(slots):
                within = {at: counts for at, counts in sorted(buckets.items()) if slot.start <= at < slot.end}
                if not within:
                    continue
                added = {name: sum(c[name] for c in within.values()) for name in FIELDS if name != "peak"}
                peaks = {name: max(c[name] for c in within.values()) for name in ("sent", "received", "peak")}
                first = {
                    name: next(at for at, c in within.items() if c[name] == peaks[name])
                    for name in ("sent", "received")
                }
                counts = Counts(**added, peak=peaks["peak"])
                answer.append(
                    SlotSums(
                        group,
                        number,
                        counts,
                        peaks["sent"],
                        first["sent"],
                        peaks["received"],
                        first["received"],
                    )
                )
        return answer

    def codes(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[CodeSum]:
        sums: dict[tuple[Group, int, int], int] = defaultdict(int)
        for group, buckets in self._five(selection, group_by).items():
            for bucket, counts in buckets.items():
                for number, slot in enumerate(slots):
                    if slot.start <= bucket < slot.end:
                        for name, count in counts.items():
                            if name.startswith("code:"):
                                sums[group, number, int(name.removeprefix("code:"))] += count
        return [CodeSum(*place, count) for place, count in sorted(sums.items()) if count]

    def values(self, selection: Selection, group_by: tuple[Dimension, ...] = ()) -> Iterator[Value]:
        for group, buckets in sorted(self._five(selection, group_by).items()):
            for bucket, counts in sorted(buckets.items()):
                yield Value(group, bucket, counts["sent"], counts["received"])

    def late(self, account: str, start: int, end: int) -> list[LateCounts]:
        places = {place[:4] for place in self.grown if place[2] == account and start <= place[0] < end}
        return [
            LateCounts(
                at,
                owner,
                area,
                bucket,
                self.grown.get((bucket, area, owner, at, "sent"), 0),
                self.grown.get((bucket, area, owner, at, "received"), 0),
            )
            for bucket, area, owner, at in sorted(places)
        ]
