"""Series of five-minute values: keys, selections and sums. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from wsedge_statistics.contract import BUCKET_SECONDS

BUCKET: Final = BUCKET_SECONDS
HOUR: Final = 3600
DAY: Final = 86400

SENT: Final = "sent"
RECEIVED: Final = "received"
SENT_MESSAGES: Final = "sentMessages"
RECEIVED_MESSAGES: Final = "receivedMessages"
OPENED: Final = "opened"
PEAK: Final = "peak"
MEASURES: Final = (SENT, RECEIVED, SENT_MESSAGES, RECEIVED_MESSAGES, OPENED, PEAK)
CODE_PREFIX: Final = "code:"

# measure -> bucket start (UTC seconds) -> value; zeros are absent. Python integers: sums cannot overflow.
Series = dict[str, dict[int, int]]


class Key(NamedTuple):
    """The subject of a series. A domain's total over all regions and ISPs has empty region, isp and area."""

    domain: str
    account: str
    region: str
    isp: str
    area: str

    def total(self) -> Key:
        """Return the key of the domain's total, to which this key adds."""
        return Key(self.domain, self.account, "", "", "")


@dataclass(frozen=True, slots=True)
class Selection:
    """The series that a read sums; None means all. Half-open in time, UTC seconds on bucket starts."""

    start: int
    end: int
    account: str | None = None
    domains: frozenset[str] | None = None
    region: str | None = None
    isp: str | None = None

    @property
    def wants_totals(self) -> bool:
        """Whether the domain totals answer it, so that the full keys need not be read."""
        return self.region is None and self.isp is None

    def includes(self, key: Key) -> bool:
        """Return whether the series of `key` is part of this selection."""
        if self.account is not None and key.account != self.account:
            return False
        if self.domains is not None and key.domain not in self.domains:
            return False
        if self.wants_totals:
            return not key.region
        wanted = self.region in (None, key.region) and self.isp in (None, key.isp)
        return bool(key.region) and wanted


def add(series: Series, measure: str, bucket: int, value: int) -> None:
    """Add one value in place."""
    if value:
        values = series.setdefault(measure, {})
        values[bucket] = values.get(bucket, 0) + value


def add_series(total: Series, part: Series, *, start: int, end: int) -> None:
    """Add the values of `part` that lie in [start, end) to `total`, in place."""
    for measure, values in part.items():
        sums = total.setdefault(measure, {})
        for bucket, value in values.items():
            if start <= bucket < end:
                sums[bucket] = sums.get(bucket, 0) + value
