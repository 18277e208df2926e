"""The relays that report, and those that fell silent without a word. Pure.

Each report of a relay promises another one (`UsageReport.nextWithinSeconds`), also when nothing changes; the
last one ends the promise. Counts may be missing while a relay does not keep its promise: it is cut off, or it
was destroyed before its last report.

    reports ──promise passed──▶ silent ──SILENT_FOR──▶ forgotten
       ▲ │                        │ │
       │ └──────last report───────┼─┴──▶ ended
       └─────────report───────────┘

A relay is a pod; each of its processes is a source of its own. A process that crashed is replaced within the
pod, and its successor reports its rows: a pod is silent when none of its processes keeps its promise. The
times are of a monotonic clock. All is in memory: a program that was just started knows no silent relay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from wsedge_statistics.contract import BUCKET_SECONDS, Source

SILENT_FOR: Final = 86_400.0
# Pods and processes of one pod, of which those that reported last are remembered.
MOST_PODS: Final = 20_000
MOST_PROCESSES: Final = 128


@dataclass(slots=True)
class _Process:
    """The times of its first and its last report, and until when it promised another."""

    first: float
    last: float
    until: float


@dataclass(slots=True)
class _Pod:
    """Its accounts (one, but on a laptop), and its processes by epoch, in the order of their last reports."""

    accounts: set[str] = field(default_factory=set)
    processes: dict[str, _Process] = field(default_factory=dict)

    @property
    def until(self) -> float:
        return max((process.until for process in self.processes.values()), default=0.0)

    @property
    def last(self) -> float:
        return max((process.last for process in self.processes.values()), default=0.0)


@dataclass(frozen=True, slots=True)
class Relays:
    """How many relays report, and how many are silent."""

    reporting: int
    silent: int


class Presence:
    """The relays that promised another report, in the order of their last reports."""

    def __init__(self) -> None:
        self._pods: dict[str, _Pod] = {}

    def note(self, source: Source, accounts: Iterable[str], *, next_within: int | None, now: float) -> None:
        """Note a report that was stored. Older relays promise nothing (None) and are not followed."""
        if next_within is None:
            return
        pod = self._pods.pop(source.uid, _Pod())
        pod.accounts.update(accounts)
        before = pod.processes.pop(source.epoch, None)
        if next_within:
            pod.processes[source.epoch] = _Process(before.first if before else now, now, now + next_within)
        elif before is not None:
            # Processes that reported before this one alone, and are silent, were its predecessors.
            pod.processes = {
                epoch: each
                for epoch, each in pod.processes.items()
                if each.last >= before.first or each.until >= now
            }
        if pod.processes:
            self._pods[source.uid] = pod
        for crowd, most in ((pod.processes, MOST_PROCESSES), (self._pods, MOST_PODS)):
            if len(crowd) > most:
                del crowd[next(iter(crowd))]

    def relays(self, account: str | None, *, now: float) -> Relays:
        """Count the relays of an account, by its key in the ledger, or of all accounts."""
        self._forget(now)
        pods = [pod for pod in self._pods.values() if account is None or account in pod.accounts]
        silent = sum(pod.until < now for pod in pods)
        return Relays(len(pods) - silent, silent)

    def incomplete_buckets(self, *, monotonic: float, now: datetime, grace: timedelta) -> int:
        """Return how many buckets before completeUntil may lack the counts of a silent relay.

        They begin with the bucket of its last report: as long before `now` of the wall clock as the monotonic
        clock has counted since. When the relay reports again, it sends what it counted meanwhile.
        """
        self._forget(monotonic)
        silent = [pod.last for pod in self._pods.values() if pod.until < monotonic]
        if not silent:
            return 0
        first = (now - timedelta(seconds=monotonic - min(silent))).timestamp() // BUCKET_SECONDS
        return max(0, int((now - grace).timestamp() // BUCKET_SECONDS - first))

    def _forget(self, now: float) -> None:
        for uid in [uid for uid, pod in self._pods.items() if pod.until < now - SILENT_FOR]:
            del self._pods[uid]
