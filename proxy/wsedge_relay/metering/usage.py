"""Usage: plain integers per five-minute bucket of UTC and key, cumulative within the bucket. Pure.

A relay's data path calls `opened`, `code`, `add` and `closed`; the shell calls `roll` and moves rows to the
journal (`unjournalled`, `journalled`) and to the ledger (`unacknowledged`, `acknowledge`).

The ledger merges rows of one (epoch, bucket, key) by max(). So a value must never fall, and a bucket must
never be counted again from zero under the same epoch. Therefore an ended bucket is never entered again under
its epoch: when the wall clock steps back by up to one bucket, the present bucket goes on; when it steps back
further, a new epoch begins, which the ledger treats as another source. So it does at a step forward by more
than ten minutes: within an epoch the clock has one origin (`clocks`), the instant at which the machine's
uptime began by this clock. By the difference of two origins `redated` finds the right bucket of a row that
was counted by a wrong clock; it is for rows whose own bucket the ledger does not accept.

The time that connections are open is counted by a monotonic clock, when their number changes, when a row is
read and when a bucket ends; so idle connections cost nothing. A bucket gets the time up to its end, although
`roll` comes a little later, and no bucket gets the time of a clock that jumped. Time alone makes no row due
before the bucket's end: a process that is killed loses the time of connections whose key was idle since then.

The ledger adds up the peaks of all sources. A process that succeeds another within a bucket, in the same
place, never had connections beside it: so it reports by how much its peak exceeds its predecessors'
(`succeed`), and the sum is the larger of the two. So does an epoch in a bucket that an earlier epoch of the
process counted in, before the clock was set.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from wsedge_statistics.contract import BUCKET_SECONDS

MAX_CODES: Final = 64  # the limit of UsageRow.codes
_CODE_CLASSES: Final = 5
# The most buckets that a process enters after it was stopped for longer: each costs a row per key.
_MOST_MISSED: Final = 12
# How many buckets back the peaks are known, should the clock be set to one of them: a number per key each.
_REMEMBERED: Final = 4
# Clocks that differ by more are not both right. The statistics accept buckets that far ahead of their clock.
CLOCKS_DIFFER_SECONDS: Final = 600.0


class UsageKey(NamedTuple):
    """The key of a count. `account` is the namespace that pays for `domain`."""

    domain: str
    account: str
    region: str = "unknown"
    isp: str = "unknown"
    area: str = "unknown"


@dataclass(frozen=True, slots=True)
class UsageCount:
    """The counts of one key in one bucket at one moment.

    `bucket` is the bucket's start in seconds since 1970 UTC; "sent" is towards the client; `codes` are
    (HTTP status, times) in rising order. `version` rises with every change, so that an acknowledgement of an
    older state does not count for the present state. `connection_seconds` is the time that connections were
    open within the bucket, summed over them.
    """

    epoch: str
    bucket: int
    key: UsageKey
    sent_bytes: int = 0
    received_bytes: int = 0
    sent_messages: int = 0
    received_messages: int = 0
    opened_connections: int = 0
    peak_connections: int = 0
    codes: tuple[tuple[int, int], ...] = ()
    version: int = 0
    connection_seconds: int = 0

    @property
    def identity(self) -> tuple[str, int, UsageKey]:
        """The key of the ledger's row for this count."""
        return (self.epoch, self.bucket, self.key)


def redated(row: UsageCount, *, shift: float) -> UsageCount | None:
    """Return a row under the bucket of a clock that is `shift` seconds ahead of the one that counted it.

    None when both clocks can be right. The row has another epoch, since its new bucket may have counts of its
    own; the same one each time, so that to do it again, after a crash, adds nothing.
    """
    if abs(shift) <= CLOCKS_DIFFER_SECONDS:
        return None
    buckets = round(shift / BUCKET_SECONDS)
    epoch = hashlib.sha256(f"{row.epoch} {buckets}".encode()).hexdigest()[:16]
    return replace(row, epoch=epoch, bucket=row.bucket + buckets * BUCKET_SECONDS)


def merged(first: UsageCount, second: UsageCount) -> UsageCount:
    """Return two states of one identity, merged as the ledger merges them: every value by max()."""
    codes = dict(first.codes)
    for status, times in second.codes:
        codes[status] = max(times, codes.get(status, 0))
    return UsageCount(
        first.epoch,
        first.bucket,
        first.key,
        max(first.sent_bytes, second.sent_bytes),
        max(first.received_bytes, second.received_bytes),
        max(first.sent_messages, second.sent_messages),
        max(first.received_messages, second.received_messages),
        max(first.opened_connections, second.opened_connections),
        max(first.peak_connections, second.peak_connections),
        tuple(sorted(codes.items())),
        max(first.version, second.version),
        max(first.connection_seconds, second.connection_seconds),
    )


@dataclass(slots=True)
class DomainTotals:
    """Counts of one domain since the process began, for the metrics. Only `open_connections` can fall."""

    sent_bytes: int = 0
    received_bytes: int = 0
    sent_messages: int = 0
    received_messages: int = 0
    opened_connections: int = 0
    open_connections: int = 0
    codes: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Counts:
    """A mutable row, with the versions that the journal and the ledger have.

    `earlier` is the peak that other sources of this place have in the bucket.
    """

    sent_bytes: int = 0
    received_bytes: int = 0
    sent_messages: int = 0
    received_messages: int = 0
    opened: int = 0
    peak: int = 0
    earlier: int = 0
    codes: dict[int, int] = field(default_factory=dict)
    open_seconds: float = 0.0
    version: int = 0
    journalled: int = 0
    acknowledged: int = 0


@dataclass(slots=True)
class _Crowd:
    """The open connections of a key, and the instant (monotonic) up to which their time is counted."""

    connections: int
    counted: float


def new_epoch() -> str:
    """Return a random name of an epoch, in the format of `Source.epoch`."""
    return secrets.token_hex(8)


class Usage:
    """The counts of one relay process.

    `now` is wall-clock time in seconds since 1970 UTC, `monotonic` a clock that nobody sets, `uptime` one
    that goes on while the machine sleeps, too. `new_epoch` returns the name of each epoch. `clocks` has the
    origin of the wall clock in each epoch that has rows, in seconds since 1970 UTC.
    """

    def __init__(
        self,
        *,
        now: float,
        monotonic: Callable[[], float],
        uptime: Callable[[], float] | None = None,
        new_epoch: Callable[[], str] = new_epoch,
    ) -> None:
        self._new_epoch = new_epoch
        self._monotonic = monotonic
        self._uptime = uptime or monotonic
        self.epoch = new_epoch()
        self.clocks: dict[str, float] = {self.epoch: now - self._uptime()}
        self.bucket = _bucket_of(now)
        self.totals: dict[str, DomainTotals] = {}
        self._rolled = monotonic()
        self._open: dict[UsageKey, _Crowd] = {}
        # Peaks that other sources of this place have in the present bucket, and in the buckets before it.
        self._earlier: Mapping[UsageKey, int] = {}
        self._past: dict[int, Mapping[UsageKey, int]] = {}
        self._current: dict[UsageKey, _Counts] = {}
        self._closed: dict[tuple[str, int, UsageKey], _Counts] = {}

    @property
    def bucket_end(self) -> int:
        """The instant, in seconds since 1970 UTC, at which the present bucket ends."""
        return self.bucket + BUCKET_SECONDS

    def succeed(self, peaks: Mapping[UsageKey, int]) -> None:
        """Begin after processes of this place that had these peaks in the present bucket."""
        self._earlier = peaks

    def peaks(self) -> dict[UsageKey, int]:
        """Return the peak of each key in the present bucket, over this process and those before it."""
        peaks = dict(self._earlier)
        for key, counts in self._current.items():
            peaks[key] = max(counts.peak, peaks.get(key, 0))
        return {key: peak for key, peak in peaks.items() if peak}

    def add_domain(self, domain: str) -> None:
        """Add a domain to the totals before its first count, so that metrics show zeros."""
        self._totals(domain)

    def opened(self, key: UsageKey) -> None:
        """Count an opened connection (a tunnel after its 101)."""
        at = self._monotonic()
        counts = self._counts(key)
        crowd = self._open.get(key)
        if crowd is None:
            crowd = self._open[key] = _Crowd(0, at)
        _elapse(crowd, counts, until=at)
        crowd.connections += 1
        counts.opened += 1
        counts.peak = max(counts.peak, crowd.connections)
        totals = self._totals(key.domain)
        totals.opened_connections += 1
        totals.open_connections += 1

    def closed(self, key: UsageKey) -> None:
        """Count the end of a connection that `opened` counted; its last bytes may be added afterwards."""
        crowd = self._open[key]
        _elapse(crowd, self._counts(key), until=self._monotonic())
        crowd.connections -= 1
        if not crowd.connections:
            del self._open[key]
        self._totals(key.domain).open_connections -= 1

    def code(self, key: UsageKey, status: int) -> None:
        """Count the HTTP status of the answer to a handshake.

        A row has at most 64 different codes. After 59, the first code of the class is counted (400 for 4xx),
        so that sums stay correct. A number that is no HTTP status is counted as 500.
        """
        counts = self._counts(key)
        status = _foldable(counts.codes, status)
        counts.codes[status] = counts.codes.get(status, 0) + 1
        codes = self._totals(key.domain).codes
        status = _foldable(codes, status)
        codes[status] = codes.get(status, 0) + 1

    def add(
        self,
        key: UsageKey,
        *,
        sent_bytes: int = 0,
        received_bytes: int = 0,
        sent_messages: int = 0,
        received_messages: int = 0,
    ) -> None:
        """Add to the present bucket. Bytes are those of the client's side after TLS, "sent" is to the client.

        Raises ValueError for a negative number.
        """
        if min(sent_bytes, received_bytes, sent_messages, received_messages) < 0:
            raise ValueError("counts only rise")
        if not (sent_bytes or received_bytes or sent_messages or received_messages):
            return  # an idle tunnel at a sweep: its row does not change, so it need not be reported
        counts = self._counts(key)
        counts.sent_bytes += sent_bytes
        counts.received_bytes += received_bytes
        counts.sent_messages += sent_messages
        counts.received_messages += received_messages
        totals = self._totals(key.domain)
        totals.sent_bytes += sent_bytes
        totals.received_bytes += received_bytes
        totals.sent_messages += sent_messages
        totals.received_messages += received_messages

    def roll(self, now: float) -> bool:
        """Enter the bucket of `now`; return whether the bucket changed.

        The caller sweeps the tunnels before, so that bytes are counted in the bucket in which they passed.
        Every key with open connections gets a row in the new bucket, with their number as its first peak, and
        in the buckets that passed while the process was stopped.
        """
        at, origin = self._monotonic(), now - self._uptime()
        before, self._rolled = self._rolled, at
        bucket = _bucket_of(now)
        if bucket == self.bucket or self.bucket - BUCKET_SECONDS <= bucket < self.bucket:
            return False
        back = bucket < self.bucket
        ahead = origin - self.clocks[self.epoch]
        passed = _bucket_of(now - (at - before))
        first = max(self.bucket_end, passed, bucket - _MOST_MISSED * BUCKET_SECONDS)
        for entered in (bucket,) if back else range(first, bucket + 1, BUCKET_SECONDS):
            # the instants of the wall clock's `bucket_end` and `entered`, unless it jumped over them
            ended, began = (max(before, at - (now - edge)) for edge in (self.bucket_end, entered))
            self._end_bucket(ended=before if back else ended, began=before if back else began)
            if back or ahead > CLOCKS_DIFFER_SECONDS:
                self._begin_epoch(origin)
                ahead = 0.0
            self._begin_bucket(entered)
        return True

    def _end_bucket(self, *, ended: float, began: float) -> None:
        """End the present bucket. It ended, and the next one began, at these instants (monotonic)."""
        for key, crowd in self._open.items():
            _elapse(crowd, self._counts(key), until=ended)
            crowd.counted = max(crowd.counted, began)
        for key, counts in self._current.items():
            if counts.acknowledged != counts.version:
                self._closed[self.epoch, self.bucket, key] = counts
        self._past.pop(self.bucket, None)
        self._past[self.bucket] = self.peaks()
        if len(self._past) > _REMEMBERED:
            del self._past[next(iter(self._past))]

    def _begin_epoch(self, origin: float) -> None:
        with_rows = {epoch for epoch, _, _ in self._closed}
        for epoch in self.clocks.keys() - with_rows:
            del self.clocks[epoch]
        self.epoch = self._new_epoch()
        self.clocks[self.epoch] = origin

    def _begin_bucket(self, bucket: int) -> None:
        self.bucket = bucket
        self._earlier = self._past.get(bucket, {})
        self._current = {}
        for key in self._open:
            self._counts(key)

    def unjournalled(self) -> list[UsageCount]:
        """Return the rows whose present state neither the journal nor the ledger has."""
        return [
            self._snapshot(identity, counts)
            for identity, counts in self._entries()
            if counts.version not in (counts.journalled, counts.acknowledged)
        ]

    def journalled(self, rows: Iterable[UsageCount]) -> None:
        """Mark these versions of rows as written to the journal."""
        for row in rows:
            counts = self._find(row)
            if counts is not None:
                counts.journalled = max(counts.journalled, row.version)

    def unacknowledged(self) -> list[UsageCount]:
        """Return every row whose present state the ledger does not have, oldest bucket first."""
        rows = [
            self._snapshot(identity, counts)
            for identity, counts in self._entries()
            if counts.acknowledged != counts.version
        ]
        rows.sort(key=lambda row: row.bucket)
        return rows

    def to_journal(self) -> list[UsageCount]:
        """Return the rows of a compacted journal: `unacknowledged`, and all of the present bucket.

        A successor within the bucket needs the peaks of rows that the ledger has.
        """
        present = [
            self._snapshot(identity, counts)
            for identity, counts in self._entries()
            if identity[1] == self.bucket or counts.acknowledged != counts.version
        ]
        present.sort(key=lambda row: row.bucket)
        return present

    def waiting(self) -> int:
        """Return the number of rows whose present state the ledger does not have."""
        return sum(counts.acknowledged != counts.version for _, counts in self._entries())

    def acknowledge(self, rows: Iterable[UsageCount]) -> None:
        """Mark these versions of rows as committed, or permanently rejected, by the ledger."""
        for row in rows:
            counts = self._find(row)
            if counts is not None:
                counts.acknowledged = max(counts.acknowledged, row.version)
        self._forget_settled()

    def forget(self, rows: Iterable[UsageCount]) -> None:
        """Drop rows of ended buckets that are stored elsewhere or lost; rows of the present bucket stay."""
        for row in rows:
            self._closed.pop(row.identity, None)

    def redate(self, row: UsageCount) -> UsageCount | None:
        """Give a row of an ended bucket that of the present clock; None when it was counted by that clock.

        A row of which the ledger has a part already keeps its bucket: None, too.
        """
        counts = self._closed.get(row.identity)
        if counts is None or counts.acknowledged:
            return None
        again = redated(row, shift=self.clocks[self.epoch] - self.clocks[row.epoch])
        if again is not None:
            self._closed[again.identity] = self._closed.pop(row.identity)
            counts.journalled = 0
        return again

    def closed_rows(self) -> int:
        """Return the number of rows of ended buckets in memory."""
        return len(self._closed)

    def open_connections(self) -> int:
        """Return the number of open connections, over all keys."""
        return sum(crowd.connections for crowd in self._open.values())

    def _counts(self, key: UsageKey) -> _Counts:
        counts = self._current.get(key)
        if counts is None:
            crowd = self._open.get(key)
            peak = crowd.connections if crowd is not None else 0
            counts = self._current[key] = _Counts(peak=peak, earlier=self._earlier.get(key, 0))
        counts.version += 1
        return counts

    def _totals(self, domain: str) -> DomainTotals:
        totals = self.totals.get(domain)
        if totals is None:
            totals = self.totals[domain] = DomainTotals()
        return totals

    def _entries(self) -> Iterable[tuple[tuple[str, int, UsageKey], _Counts]]:
        yield from self._closed.items()
        for key, counts in self._current.items():
            yield (self.epoch, self.bucket, key), counts

    def _find(self, row: UsageCount) -> _Counts | None:
        if row.epoch == self.epoch and row.bucket == self.bucket:
            return self._current.get(row.key)
        return self._closed.get(row.identity)

    def _snapshot(self, identity: tuple[str, int, UsageKey], counts: _Counts) -> UsageCount:
        epoch, bucket, key = identity
        crowd = self._open.get(key)
        if crowd is not None and counts is self._current.get(key):
            _elapse(crowd, counts, until=self._monotonic())
        return UsageCount(
            epoch,
            bucket,
            key,
            counts.sent_bytes,
            counts.received_bytes,
            counts.sent_messages,
            counts.received_messages,
            counts.opened,
            max(0, counts.peak - counts.earlier),
            tuple(sorted(counts.codes.items())),
            counts.version,
            round(counts.open_seconds),
        )

    def _forget_settled(self) -> None:
        settled = [
            identity for identity, counts in self._closed.items() if counts.acknowledged == counts.version
        ]
        for identity in settled:
            del self._closed[identity]


def _bucket_of(now: float) -> int:
    seconds = int(now // 1)
    return seconds - seconds % BUCKET_SECONDS


def _foldable(codes: dict[int, int], status: int) -> int:
    if not 100 <= status <= 599:
        status = 500
    if status in codes or len(codes) < MAX_CODES - _CODE_CLASSES:
        return status
    return status - status % 100


def _elapse(crowd: _Crowd, counts: _Counts, *, until: float) -> None:
    """Count the time of the connections that are open, up to an instant."""
    if until > crowd.counted:
        counts.open_seconds += crowd.connections * (until - crowd.counted)
        crowd.counted = until
