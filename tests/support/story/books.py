"""What the ledger must have in the end, from what clients, journals and the network have seen.

A run is one process of a relay. It owes what its clients counted. If it was killed at work, it owes what its
journal had at its death (if its disk was kept) and what it had reported: by the rule of the spool, counts
since the last sweep are lost, and nothing else. So does a run that ended while it could neither report nor
write its journal, and one whose rows waited on a disk that was lost. An epoch belongs to the run that counted
under it, whoever delivers it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MEASURES: Final = (
    "sentBytes",
    "receivedBytes",
    "sentMessages",
    "receivedMessages",
    "openedConnections",
    "101",
)
_REMEMBERED: Final = 5  # the bucket of now, and four before it


class Place(NamedTuple):
    """A key of counts."""

    domain: str
    region: str
    isp: str


class Slot(NamedTuple):
    """A key in a bucket (seconds since 1970 UTC)."""

    bucket: int
    place: Place


class RowKey(NamedTuple):
    """What the ledger has one row for."""

    epoch: str
    slot: Slot


Row = Mapping[str, int]


@dataclass
class Run:
    """One process of a relay. `may_lose` is whether its clients may have counted more than it kept."""

    number: int
    uid: str
    may_lose: bool = False
    counted: dict[Slot, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    open_now: Counter[Place] = field(default_factory=Counter)
    peaks: Counter[Slot] = field(default_factory=Counter)
    entered: Counter[Slot] = field(default_factory=Counter)  # open when the bucket was entered, each time
    way: list[int] = field(
        default_factory=list
    )  # the buckets that it entered, each where it was entered last


@dataclass
class Books:
    """All runs, the rows that anybody has seen, and which run counted an epoch."""

    runs: list[Run] = field(default_factory=list)
    owners: dict[str, Run] = field(default_factory=dict)
    delivered: dict[RowKey, Counter[str]] = field(default_factory=dict)
    disks: dict[str, dict[RowKey, Counter[str]]] = field(default_factory=lambda: defaultdict(dict))
    true_peaks: Counter[Slot] = field(default_factory=Counter)
    unknown: set[tuple[str, int]] = field(default_factory=set)  # pods and buckets with peaks that add up

    def begin(self, uid: str, bucket: int) -> Run:
        self.runs.append(Run(len(self.runs), uid, way=[bucket]))
        return self.runs[-1]

    def deliver(self, rows: Iterable[tuple[RowKey, Row]]) -> None:
        """Note rows of a report that reaches the ledger."""
        _merge(self.delivered, rows)

    def spool(self, rows: Iterable[tuple[RowKey, Row]], run: Run) -> None:
        """Note rows on the disk of a run that ended; those of an unknown epoch are its own."""
        rows = list(rows)
        for key, _ in rows:
            self.owners.setdefault(key.epoch, run)
        _merge(self.disks[run.uid], rows)

    def lose_disk(self, uid: str) -> None:
        """Note that nothing on a pod's disk will be delivered, of whichever run it is."""
        self.disks.pop(uid, None)
        for run in self.runs:
            run.may_lose |= run.uid == uid

    def expected(self) -> dict[Slot, Counter[str]]:
        """Return the sums that the ledger must have, to the byte."""
        sums: dict[Slot, Counter[str]] = defaultdict(Counter)
        for run in self.runs:
            if not run.may_lose:
                for slot, counts in run.counted.items():
                    sums[slot].update(counts)
        kept: dict[RowKey, Counter[str]] = {}
        for rows in (self.delivered, *self.disks.values()):
            _merge(kept, rows.items())
        for key, row in kept.items():
            if self.owners[key.epoch].may_lose:
                sums[key.slot].update({name: row[name] for name in MEASURES})
        return {slot: counts for slot, counts in sums.items() if any(counts.values())}

    def bounds_of_peak(self, slot: Slot) -> tuple[int, int]:
        """Return the least and the greatest peak that the ledger may state.

        Exactly the sum over pods of the largest peak of their runs, unless a run was killed at work (it loses
        its last counts), or a wrong clock came back to a bucket whose peaks the pod does not know any more.
        """
        by_pod: dict[str, int] = {}
        for run in self.runs:
            by_pod[run.uid] = max(by_pod.get(run.uid, 0), run.peaks[slot])
        stated = sum(by_pod.values())
        killed = any(run.may_lose and run.peaks[slot] for run in self.runs)
        if not killed and not any((uid, slot.bucket) in self.unknown for uid in by_pod):
            return stated, stated
        certain = [run for run in self.runs if not run.may_lose]
        most = sum(run.entered[slot] + run.counted[slot]["openedConnections"] for run in self.runs)
        return max((run.peaks[slot] for run in certain), default=0), most

    # -- what clients see

    def count(self, run: Run, slot: Slot, **measures: int) -> None:
        run.counted[slot].update(measures)

    def enter(self, run: Run, bucket: int) -> None:
        """A run enters a bucket with its open connections, because its clock was set or the time has come."""
        been = any(bucket in each.way for each in self.runs if each.uid == run.uid)
        if been and bucket not in run.way[-_REMEMBERED:]:
            self.unknown.add((run.uid, bucket))
        run.way = [each for each in run.way if each != bucket] + [bucket]
        for place, number in run.open_now.items():
            run.entered[Slot(bucket, place)] += number
        self._note_peaks(run, bucket)

    def opened(self, run: Run, slot: Slot) -> None:
        run.open_now[slot.place] += 1
        self._note_peaks(run, slot.bucket)

    def closed(self, run: Run, place: Place) -> None:
        run.open_now[place] -= 1

    def _note_peaks(self, run: Run, bucket: int) -> None:
        for place, number in run.open_now.items():
            slot = Slot(bucket, place)
            run.peaks[slot] = max(run.peaks[slot], number)


def _merge(into: dict[RowKey, Counter[str]], rows: Iterable[tuple[RowKey, Row]]) -> None:
    for key, row in rows:
        have = into.setdefault(key, Counter())
        for name, value in row.items():
            have[name] = max(have[name], value)
