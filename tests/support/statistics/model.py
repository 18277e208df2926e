"""A naive ledger: a dictionary of the largest value of every single count, summed at each read."""

from __future__ import annotations

from collections.abc import Mapping

from wsedge_statistics.contract import UsageReport
from wsedge_statistics.numbers.series import CODE_PREFIX, Key, Selection, Series, add

FIELDS = {
    "sent": "sentBytes",
    "received": "receivedBytes",
    "sentMessages": "sentMessages",
    "receivedMessages": "receivedMessages",
    "opened": "openedConnections",
    "peak": "peakConnections",
}


class NaiveLedger:
    def __init__(self) -> None:
        self.largest: dict[tuple[str, str, Key, int, str], int] = {}

    def add(self, report: UsageReport, keys: Mapping[str, str] | None = None) -> None:
        """Merge a report; `keys` has by account the key under which its rows are stored."""
        for row in report.rows:
            account = (keys or {}).get(row.account, row.account)
            key = Key(row.domain, account, row.region, row.isp, row.area)
            counts = {measure: getattr(row, field) for measure, field in FIELDS.items()}
            counts |= {f"{CODE_PREFIX}{code}": count for code, count in row.codes.items()}
            for measure, value in counts.items():
                place = (report.source.uid, report.source.epoch, key, int(row.bucket.timestamp()), measure)
                self.largest[place] = max(value, self.largest.get(place, 0))

    def read(self, selection: Selection) -> Series:
        sums: Series = {}
        for (_, _, key, bucket, measure), value in self.largest.items():
            wanted = (
                selection.start <= bucket < selection.end
                and selection.account in (None, key.account)
                and (selection.domains is None or key.domain in selection.domains)
                and selection.region in (None, key.region)
                and selection.isp in (None, key.isp)
            )
            if wanted:
                add(sums, measure, bucket, value)
        return sums


def without_zeros(series: Series) -> Series:
    kept = {name: {at: value for at, value in values.items() if value} for name, values in series.items()}
    return {name: values for name, values in kept.items() if values}
