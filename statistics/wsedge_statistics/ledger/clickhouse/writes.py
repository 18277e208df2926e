"""Merges of reports into the ClickHouse ledger: one batch for each group of the writer.

    marks of the batch's buckets ─▶ keys ─▶ rows        each is stored before the next begins

A batch that fails half-way leaves rows of reports that are not acknowledged. They count: they are what the
relay counted, and it sends them again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from wsedge_statistics.contract import UsageReport, UsageRow
from wsedge_statistics.ledger.clickhouse.room import Fill, ReportRow
from wsedge_statistics.ledger.clickhouse.schema import KEYS, LATE, MARKS, USAGE
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.ledger.protocol import LATE_AFTER, Room
from wsedge_statistics.numbers.series import BUCKET, Key

# How long a stored mark serves further batches. Marks stay for longer than this and a write take together
# (totals).
MARK_SECONDS: Final = 5.0
_MOST_SPANS: Final = 1_000_000  # keys remembered, about 300 bytes each


@dataclass(slots=True)
class Known:
    """What this process stored, so that it need not be stored again."""

    server: Server
    monotonic: Callable[[], float] = time.monotonic
    marked: dict[int, float] = field(default_factory=dict)
    spans: dict[Key, tuple[int, int]] = field(default_factory=dict)
    fill: Fill = field(init=False)

    def __post_init__(self) -> None:
        self.fill = Fill(self.server, self.monotonic)

    def unmarked(self, buckets: Iterable[int]) -> set[int]:
        """Return the buckets that need a new mark."""
        since = self.monotonic() - MARK_SECONDS
        self.marked = {bucket: at for bucket, at in self.marked.items() if at > since}
        return set(buckets) - self.marked.keys()

    def forget_marks(self, buckets: Iterable[int]) -> None:
        """Mark these buckets again with the next batch, since their marks were removed."""
        for bucket in buckets:
            self.marked.pop(bucket, None)

    def widened(self, spans: Mapping[Key, tuple[int, int]]) -> dict[Key, tuple[int, int]]:
        """Return the spans that are not within what is stored."""
        return {
            key: (first, last)
            for key, (first, last) in spans.items()
            if key not in self.spans or first < self.spans[key][0] or last > self.spans[key][1]
        }

    def stored(self, spans: Mapping[Key, tuple[int, int]]) -> None:
        """Remember stored spans."""
        if len(self.spans) > _MOST_SPANS:
            self.spans.clear()
        for key, (first, last) in spans.items():
            before = self.spans.get(key, (first, last))
            self.spans[key] = (min(first, before[0]), max(last, before[1]))


class Batch:
    """The rows of a group of reports, stored by `flush`."""

    def __init__(self, server: Server, known: Known) -> None:
        self.server = server
        self._known = known
        self._usage: list[tuple[Any, ...]] = []
        self._late: list[tuple[Any, ...]] = []
        self._spans: dict[Key, tuple[int, int]] = {}

    def merge(
        self,
        report: UsageReport,
        now: datetime,
        names: Mapping[str, str] | None = None,
        room: Room | None = None,
    ) -> tuple[int, ...]:
        """Add a report; see Ledger.commit. Raises LedgerUnwritableError."""
        rows = [_row(row, names or {}) for row in report.rows]
        source = f"{report.source.uid}/{report.source.epoch}"
        if room is not None and (refused := self._known.fill.refused(rows, source, room, self)):
            return refused
        latest = int((now - LATE_AFTER).timestamp()) // BUCKET - 1  # the last bucket whose end is so long ago
        received_at = int(now.timestamp()) // BUCKET
        for row, sent in zip(rows, report.rows, strict=True):
            first, last = self._spans.get(row.key, (row.bucket, row.bucket))
            self._spans[row.key] = (min(first, row.bucket), max(last, row.bucket))
            codes = {int(code): count for code, count in sent.codes.items()}
            key = row.key
            names_ = (key.account, key.domain, key.region, key.isp, key.area)
            stored = (row.bucket, *names_, source, *_counts(sent), codes)
            if row.bucket <= latest:
                self._late.append((*stored, received_at))
            else:
                self._usage.append(stored)
        return ()

    def is_new(self, key: Key) -> bool:
        """Return whether neither this batch nor this process has stored the key."""
        return key not in self._spans and key not in self._known.spans

    def flush(self) -> None:
        """Store what was added. Raises LedgerUnwritableError."""
        if not self._spans:
            return
        buckets = self._known.unmarked(row[0] for rows in (self._usage, self._late) for row in rows)
        if buckets:
            began = self._known.monotonic()
            # a number of its own for each batch: whoever removes it has seen the rows before it
            self.server.insert("marks", MARKS, [(at, secrets.randbits(64), 1) for at in sorted(buckets)])
            self._known.marked |= dict.fromkeys(buckets, began)
        if spans := self._known.widened(self._spans):
            self.server.insert(
                "keys",
                KEYS,
                [(k.account, k.domain, k.region, k.isp, k.area, *span) for k, span in spans.items()],
            )
            self._known.stored(spans)
        if self._usage:
            self.server.insert("usage", USAGE, self._usage)
        if self._late:
            self.server.insert("late", LATE, self._late)
        self._usage, self._late, self._spans = [], [], {}


def _row(row: UsageRow, names: Mapping[str, str]) -> ReportRow:
    key = Key(row.domain, names.get(row.account, row.account), row.region, row.isp, row.area)
    return ReportRow(int(row.bucket.timestamp()) // BUCKET, key, frozenset(int(code) for code in row.codes))


def _counts(row: UsageRow) -> tuple[int, ...]:
    """Return the counts in the order of schema.MEASURES."""
    return (
        row.sentBytes,
        row.receivedBytes,
        row.sentMessages,
        row.receivedMessages,
        row.openedConnections,
        row.connectionSeconds,
        row.peakConnections,
    )
