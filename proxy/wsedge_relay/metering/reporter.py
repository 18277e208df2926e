"""The shell of the metering: sweeps, rolls buckets, writes the spool and sends reports.

Two tasks run on the relay's loop: the first counts (every second and at each bucket's end), the second
reports (every flush interval and at each bucket's end). Disk calls run one at a time in a separate thread, so
a slow disk delays no connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog

from wsedge_relay.errors import PostFailedError
from wsedge_relay.metering.post import post
from wsedge_relay.metering.report import (
    ROWS_PER_REPORT,
    Fate,
    ReportTimes,
    Sender,
    Verdict,
    batches,
    encode,
    judge,
)
from wsedge_relay.metering.spool import SWEEP_SECONDS, Spool
from wsedge_relay.metering.usage import Usage, UsageCount, UsageKey, redated
from wsedge_statistics.contract import USAGE_PATH

MAX_CLOSED_ROWS: Final = 20_000  # about 10 MB; above it, rows of ended buckets are moved to the spool
# How long reports to older statistics leave out new fields: they may have been replaced meanwhile.
PLAIN_SECONDS: Final = 3600.0
_log = structlog.get_logger(__name__)
_T = TypeVar("_T")
_Identity = tuple[str, int, UsageKey]


@dataclass(frozen=True, slots=True)
class ReportingPod:
    """The pod that reports, and its token (a file, read again for each report)."""

    name: str
    uid: str
    token_file: Path | None = None


@dataclass(slots=True)
class ReportTally:
    """The counts of the reporter, for the metrics."""

    reports_taken: int = 0
    reports_failed: int = 0
    rows_refused: int = 0
    rows_dropped: int = 0
    spool_failures: int = 0
    last_taken: float = 0.0
    ahead: float = 0.0  # the relay's clock minus the service's, by the last answer


class Reporter:
    """Moves the rows of a Usage to the spool and to the statistics service.

    `sweep` adds the counts of open tunnels to `usage`; `target` returns the base URL of the statistics
    service in the configuration in force, or None when usage is not reported: rows are then dropped.
    `cluster` returns the label of the installation in that configuration.
    `now` is the wall clock in seconds since 1970 UTC.
    """

    def __init__(
        self,
        usage: Usage,
        *,
        sweep: Callable[[], None],
        target: Callable[[], str | None],
        pod: ReportingPod,
        spool: Spool | None = None,
        times: ReportTimes | None = None,
        cluster: Callable[[], str | None] = lambda: None,
        now: Callable[[], float] = time.time,
        max_closed_rows: int = MAX_CLOSED_ROWS,
    ) -> None:
        self.tally = ReportTally()
        self._usage = usage
        self._sweep = sweep
        self._target = target
        self._pod = pod
        self._spool = spool
        self._times = times or ReportTimes()
        self._cluster = cluster
        self._now = now
        self._max_closed_rows = max_closed_rows
        self._rows_per_report = ROWS_PER_REPORT
        self._held: dict[_Identity, float] = {}
        self._doubted: dict[_Identity, float] = {}
        self._failures = 0
        self._not_before = 0.0
        self._plain_until = 0.0
        self._present_at: float | None = None
        self._spool_works = True
        self._sweep_took = 0.0
        self._due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")

    def start(self) -> None:
        """Count and report until `finish`; the backlog of an earlier run is sent at once."""
        self._due.set()
        self._tasks = [
            asyncio.create_task(self._count_forever(), name="count usage"),
            asyncio.create_task(self._report_forever(), name="report usage"),
        ]

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """The running tasks. The caller must handle the failure of a task."""
        return self._tasks

    async def finish(self, seconds: float) -> bool:
        """Report the last rows within `seconds`, spool the rest; return whether the ledger has all rows."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self.count()
        self._not_before = 0.0
        self._held.clear()  # the last attempt for deferred rows: a pod's spool may be deleted with the pod
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # Deferred rows set no time for a retry: they stay in the spool.
                while not (complete := await self.flush()) and self._not_before > _monotonic():
                    await self._back_off()
                if complete and self._present_at is not None:
                    await self._show_presence(next_within=0)
        return await self._leave()

    async def count(self) -> None:
        """Sweep, enter a new bucket if the last one has ended, and write the journal."""
        began = _monotonic()
        self._sweep()
        self._sweep_took = _monotonic() - began
        if self._usage.roll(self._now()):
            self._due.set()
        if self._target() is None:
            self._usage.acknowledge(self._usage.unacknowledged())
        await self._journal()
        if self._usage.closed_rows() > self._max_closed_rows:
            await self._bound_memory()

    async def flush(self) -> bool:
        """Send every row that the ledger has not acknowledged; return whether it has acknowledged all.

        Send a report without rows when the last report was long ago.
        """
        if self._spool is not None:
            await self._written(self._spool.sync)
        if self._target() is None:
            return True
        rows = self._usage.unacknowledged()
        settle, redate = self._usage.acknowledge, self._usage.redate
        left = await self._send(self._pod.name, self._pod.uid, rows, settle, redate)
        if left is None:
            return False
        done = await self._flush_backlog()
        if self._present_at is None or _monotonic() - self._present_at >= self._times.presence:
            await self._show_presence(next_within=self._times.promise)
        return done and not left

    async def _show_presence(self, *, next_within: int) -> None:
        """Send a report without rows; older statistics do not need it, and no retry does."""
        if self._is_plain:
            return
        epoch = self._usage.epoch
        verdict = await self._report(self._pod.name, self._pod.uid, epoch, (), next_within=next_within)
        match verdict.fate:
            case Fate.TAKEN:
                self._note_success(())
            case Fate.TOO_NEW:
                self._send_plain(verdict)
            case _:
                self._note_failure(verdict)

    @property
    def _is_plain(self) -> bool:
        return self._plain_until > _monotonic()

    async def _count_forever(self) -> None:
        while True:
            # A sweep visits every tunnel: it must not use more than 2 % of the time.
            pause = max(SWEEP_SECONDS, 50 * self._sweep_took)
            await asyncio.sleep(min(pause, max(0.001, self._usage.bucket_end - self._now())))
            await self.count()

    async def _report_forever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.flush):
                    await self._due.wait()
                    # A bucket ends for all relays of a cluster at once; they must not all report at once.
                    await asyncio.sleep(random.random() * self._times.spread)  # noqa: S311  no secret
            self._due.clear()
            await self._back_off()
            await self.flush()

    async def _back_off(self) -> None:
        await asyncio.sleep(max(0.0, self._not_before - _monotonic()))

    async def _send(
        self,
        pod: str,
        uid: str,
        rows: Sequence[UsageCount],
        settle: Callable[[Sequence[UsageCount]], None],
        redate: Callable[[UsageCount], UsageCount | None],
    ) -> list[UsageCount] | None:
        """Send rows; return those that are to be sent later, or None when the report failed.

        `redate` returns a row under the bucket of the present clock, if another clock counted it.
        """
        held: list[UsageCount] = []
        ready: list[UsageCount] = []
        for row in rows:
            (held if self._held.get(row.identity, 0.0) > _monotonic() else ready).append(row)
        waiting = list(batches(ready, self._rows_per_report))
        while waiting:
            batch = waiting.pop(0)
            epoch = batch[0].epoch
            # Sources of earlier runs, and of a clock that was set back, send nothing more.
            next_within = self._times.promise if epoch == self._usage.epoch else 0
            verdict = await self._report(pod, uid, epoch, batch, next_within=next_within)
            match verdict.fate:
                case Fate.TAKEN:
                    settle(batch)
                    self._note_success(batch)
                case Fate.TOO_LARGE:
                    self._rows_per_report = max(1, len(batch) // 2)
                    waiting[:0] = batches(batch, self._rows_per_report)
                case Fate.TOO_NEW:
                    self._send_plain(verdict)
                    waiting.insert(0, batch)
                case Fate.INVALID_ROWS | Fate.HELD_ROWS:
                    named = {place: batch[place] for place in verdict.rows}
                    rest = [row for place, row in enumerate(batch) if place not in named]
                    waiting[:0] = batches(rest, len(batch))
                    held += self._note_named(verdict, named, settle, redate)
                case Fate.LATER | Fate.SLOWLY:
                    self._note_failure(verdict)
                    return None
        return held

    async def _report(
        self, pod: str, uid: str, epoch: str, rows: Sequence[UsageCount], *, next_within: int
    ) -> Verdict:
        target = self._target()
        if target is None:
            return Verdict(Fate.LATER, "the configuration has no statistics service any more")
        try:
            headers = self._headers()
        except (OSError, ValueError) as error:
            return Verdict(Fate.LATER, f"token file {self._pod.token_file}: {error}")
        try:
            plain = self._is_plain
            answer = await post(
                target.rstrip("/") + USAGE_PATH,
                encode(Sender(pod, uid, self._cluster(), next_within), epoch, rows, plain=plain),
                headers=headers,
                seconds=self._times.call,
            )
        except PostFailedError as error:
            return Verdict(Fate.LATER, str(error))
        now = self._now()
        verdict = judge(answer.status, answer.headers, answer.body, sent=len(rows), now=now, plain=plain)
        if verdict.ahead is not None:
            self.tally.ahead = verdict.ahead
        return verdict

    def _headers(self) -> Mapping[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "User-Agent": "wsedge-relay",
        }
        if self._pod.token_file is not None:
            token = self._pod.token_file.read_text("ascii").strip()
            if not token.isprintable() or " " in token or not token:
                raise ValueError("holds no token")
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _note_success(self, batch: Sequence[UsageCount]) -> None:
        if self._failures:
            _log.info("usage reports resumed", failures=self._failures)
        self._failures = 0
        self._not_before = 0.0
        self._present_at = _monotonic()
        self.tally.reports_taken += 1
        self.tally.last_taken = self._now()
        for row in batch:
            self._held.pop(row.identity, None)
            self._doubted.pop(row.identity, None)

    def _note_failure(self, verdict: Verdict) -> None:
        self._failures += 1
        self.tally.reports_failed += 1
        delay = self._times.retry_delay(self._failures, random.random())  # noqa: S311  spreads retries
        if verdict.fate is Fate.SLOWLY:
            delay = self._times.slow
        if verdict.retry_after is not None:
            delay = max(delay, verdict.retry_after)
        self._not_before = _monotonic() + delay
        _log.warning("usage report failed", reason=verdict.reason, retry_seconds=round(delay, 1))

    def _send_plain(self, verdict: Verdict) -> None:
        self._plain_until = _monotonic() + PLAIN_SECONDS
        _log.warning(
            "statistics are older than this relay",
            reason=verdict.reason,
            effect="reports leave out new fields",
            seconds=PLAIN_SECONDS,
        )

    def _note_named(
        self,
        verdict: Verdict,
        named: Mapping[int, UsageCount],
        settle: Callable[[Sequence[UsageCount]], None],
        redate: Callable[[UsageCount], UsageCount | None],
    ) -> list[UsageCount]:
        """Settle rows that the service rejected for ever; return the deferred ones, and redated ones."""
        self.tally.reports_failed += 1
        refused: list[UsageCount] = []
        held: list[UsageCount] = []
        again: list[UsageCount] = []
        for place, row in named.items():
            if self._is_doubtful(verdict, place, row):
                held.append(row)
            elif verdict.is_untimely(place) and (moved := redate(row)) is not None:
                again.append(moved)
            else:
                (refused if verdict.is_final(place, row) else held).append(row)
        if refused:
            settle(refused)
            self.tally.rows_refused += len(refused)
            _log.error("usage rows rejected", reason=verdict.reason, rows=len(refused))
        if held:
            ahead = {"clock_ahead_seconds": round(verdict.ahead or 0.0)} if verdict.clocks_differ else {}
            _log.warning("usage rows deferred", reason=verdict.reason, rows=len(held), **ahead)
        if again:
            _log.warning("usage rows redated", reason="counted by a clock that was wrong", rows=len(again))
        now = _monotonic()
        self._held = {identity: until for identity, until in self._held.items() if until > now}
        for row in held:
            doubt = self._times.doubt if row.identity in self._doubted else 0.0
            self._held[row.identity] = now + max(self._times.slow, doubt)
        return held + again

    def _is_doubtful(self, verdict: Verdict, place: int, row: UsageCount) -> bool:
        """Return whether a row was rejected for its time by clocks that may have been set meanwhile.

        One clock may be set between the check of a row's time and the answer's Date, which a server renews
        once per second. So one answer does not decide.
        """
        now = _monotonic()
        if verdict.is_untimely(place):
            since = self._doubted.setdefault(row.identity, now)
            if now - since < self._times.doubt:
                return True
        self._doubted.pop(row.identity, None)
        return False

    async def _flush_backlog(self) -> bool:
        if self._spool is None:
            return True
        try:
            files = await self._spooling(self._spool.backlog_files)
        except OSError:
            return False
        complete = True
        for file in files:
            complete = await self._flush_file(self._spool, file) and complete
            if self._not_before > _monotonic():
                return False
        return complete

    async def _flush_file(self, spool: Spool, file: Path) -> bool:
        try:
            backlog = await self._spooling(lambda: spool.read(file))
        except OSError:
            return False
        if backlog is None:
            return True
        redate = functools.partial(self._redate_spooled, backlog.clocks)
        left = await self._send(backlog.pod, backlog.uid, backlog.rows, lambda _rows: None, redate)
        if left is None:
            return False
        if set(left) != set(backlog.rows):
            await self._written(lambda: spool.settle(backlog, left))
        if len(left) < len(backlog.rows):
            _log.info("spooled usage reported", file=file.name, rows=len(backlog.rows) - len(left))
        return not left

    def _redate_spooled(self, clocks: Mapping[str, float], row: UsageCount) -> UsageCount | None:
        counted = clocks.get(row.epoch)
        if counted is None:
            return None
        return redated(row, shift=self._usage.clocks[self._usage.epoch] - counted)

    async def _journal(self) -> None:
        spool = self._spool
        if spool is None:
            return
        rows = self._usage.unjournalled()
        if rows and await self._written(lambda: spool.append(rows)):
            self._usage.journalled(rows)
        if spool.wants_compaction:
            everything = self._usage.to_journal()
            if await self._written(lambda: spool.compact(everything)):
                self._usage.journalled(everything)

    async def _bound_memory(self) -> None:
        """Move the rows of ended buckets to the spool; without a spool drop the oldest, with a log event."""
        rows = [row for row in self._usage.unacknowledged() if row.bucket != self._usage.bucket]
        spool = self._spool
        if spool is not None and await self._written(lambda: spool.park(rows)):
            self._usage.forget(rows)
            _log.warning("usage moved to the spool", rows=len(rows))
        elif spool is None or len(rows) > 2 * self._max_closed_rows:
            oldest = rows[: max(1, len(rows) - self._max_closed_rows)]
            self._usage.forget(oldest)
            self.tally.rows_dropped += len(oldest)
            _log.error("usage lost", reason="too many unreported rows in memory", rows=len(oldest))

    async def _leave(self) -> bool:
        rows = self._usage.unacknowledged()
        spool = self._spool
        if spool is not None:
            epoch, bucket, peaks = self._usage.epoch, self._usage.bucket, self._usage.peaks()
            if peaks:  # this pod may run another process within the bucket
                await self._written(lambda: spool.remember(epoch, bucket, peaks))
            kept = await self._written(lambda: spool.close(rows))
            if rows:
                _log.warning("usage left in the spool", rows=len(rows), kept=kept)
        elif rows:
            self.tally.rows_dropped += len(rows)
            _log.error("usage lost", reason="not reported in time, and no spool folder", rows=len(rows))
        self._disk.shutdown()
        return not rows

    async def _written(self, call: Callable[[], None]) -> bool:
        try:
            await self._spooling(call)
        except OSError:
            return False
        return True

    async def _spooling(self, call: Callable[[], _T]) -> _T:
        """Run a disk call in the spool's thread; count a failure, log the first in a row, and raise it."""
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._disk, call)
        except OSError as error:
            self.tally.spool_failures += 1
            if self._spool_works:
                self._spool_works = False
                _log.error("spool failed", reason=str(error), effect="usage stays in memory")
            raise
        if not self._spool_works:
            self._spool_works = True
            _log.info("spool recovered")
        return result


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
