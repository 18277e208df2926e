"""The reporter with a statistics service that accepts, rejects, stalls and loses reports."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import replace
from email.utils import formatdate
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from support.relay_process.process import eventually
from support.relay_process.statistics import Statistics
from wsedge_relay.metering import spool as spool_module
from wsedge_relay.metering.report import ROWS_PER_REPORT, ReportTimes
from wsedge_relay.metering.reporter import Reporter, ReportingPod
from wsedge_relay.metering.spool import Spool
from wsedge_relay.metering.usage import Usage, UsageCount, UsageKey
from wsedge_statistics.contract import UsageReport

KEY = UsageKey("chat.example.com", "team-a")
NOON = 1_700_000_100.0
PATIENCE = 30.0
FAST = ReportTimes(flush=0.05, call=2.0, first_retry=0.02, slow=0.1, doubt=0.2)


class Relay:
    """A reporter with a wall clock that a test sets, and no tunnels to sweep."""

    def __init__(
        self, statistics: Statistics | None, *, spool: Path | None = None, uid: str = "uid-1", **more: Any
    ) -> None:
        self.now = more.pop("now", NOON)
        self.usage = Usage(now=self.now, monotonic=time.monotonic)
        self.spool = None
        if spool:
            source = {"pod": "team-a/chat", "uid": uid, "epoch": self.usage.epoch}
            self.spool = Spool(spool, clocks=self.usage.clocks, **source)
        pod = ReportingPod("team-a/chat", uid, more.pop("token_file", None))
        url = statistics.url if statistics else None
        self.reporter = Reporter(
            self.usage,
            sweep=lambda: None,
            target=lambda: url,
            pod=pod,
            spool=self.spool,
            times=more.pop("times", FAST),
            now=lambda: self.now,
            **more,
        )


def refusing(status: int, *rows: int, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Return an answer that names rows."""
    return status, headers, json.dumps({"detail": "no", "errors": [{"row": row} for row in rows]}).encode()


def files_in(folder: Path) -> list[Path]:
    """Return a folder's files."""
    return list(folder.iterdir())


def left_in(folder: Path) -> list[str]:
    """Return the names of a folder's files."""
    return [file.name for file in files_in(folder)]


async def test_only_what_changed_is_sent() -> None:
    """An idle relay sends nothing; a change sends only the cumulative value of its row."""
    async with Statistics() as statistics:
        relay = Relay(statistics)
        relay.usage.add(KEY, sent_bytes=5)
        relay.usage.add(UsageKey("b.example.com", "team-a"), sent_bytes=1)
        assert await relay.reporter.flush()
        assert await relay.reporter.flush()
        relay.usage.add(KEY, sent_bytes=2)
        assert await relay.reporter.flush()
        assert [len(report.rows) for report in statistics.reports] == [2, 1]
        assert statistics.reports[1].rows[0].sentBytes == 7
        assert await relay.reporter.finish(PATIENCE)


async def test_a_bucket_is_reported_when_it_ends() -> None:
    """Long before the flush interval is over."""
    async with Statistics() as statistics:
        relay = Relay(statistics, times=ReportTimes(flush=300))
        relay.reporter.start()
        relay.usage.add(KEY, sent_bytes=5)
        await relay.reporter.count()
        relay.now += 300
        await statistics.until(lambda: statistics.total("sentBytes") == 5)
        assert await relay.reporter.finish(PATIENCE)


async def test_the_token_is_read_for_each_report(tmp_path: Path) -> None:
    """A projected token rotates; without a readable token nothing is sent and nothing is lost."""
    token = tmp_path / "token"
    async with Statistics() as statistics:
        relay = Relay(statistics, token_file=token)
        relay.usage.add(KEY, sent_bytes=5)
        assert not await relay.reporter.flush()
        token.write_text("two words")
        assert not await relay.reporter.flush()
        for name in ("first", "second"):
            token.write_text(f"{name}\n")
            relay.usage.add(KEY, sent_bytes=1)
            assert await relay.reporter.flush()
        assert "Authorization: Bearer first\r\n" in statistics.heads[0]
        assert "Authorization: Bearer second\r\n" in statistics.heads[1]
        assert statistics.total("sentBytes") == 7
        await relay.reporter.finish(PATIENCE)


async def test_outages_neither_lose_nor_double() -> None:
    """Rejected, unanswered, committed but unanswered, overloaded, then accepted: the sum is exact."""
    async with Statistics() as statistics:
        statistics.answers.extend([401, "close", "lost", (503, {"Retry-After": "0"}, b""), "slow", 500, 204])
        statistics.answers.popleft()
        relay = Relay(statistics)
        relay.reporter.start()
        for _ in range(40):
            relay.usage.add(KEY, sent_bytes=3)
            relay.usage.code(KEY, 101)
            await asyncio.sleep(0.01)
        relay.now += 300
        await relay.reporter.count()
        relay.usage.add(KEY, sent_bytes=4)
        await statistics.until(lambda: statistics.total("sentBytes") == 124)
        assert statistics.codes() == {"101": 40}
        assert await relay.reporter.finish(PATIENCE)
        assert relay.reporter.tally.reports_failed == 6


async def test_what_needs_a_person_is_tried_slowly() -> None:
    """After a 404 the next report is sent at the slow pace."""
    async with Statistics() as statistics:
        statistics.answers.extendleft([404])
        relay = Relay(statistics, times=ReportTimes(flush=0.02, first_retry=0.01, slow=0.5))
        relay.usage.add(KEY, sent_bytes=3)
        relay.reporter.start()
        await statistics.until(lambda: len(statistics.reports) == 2)
        assert statistics.times[1] - statistics.times[0] >= 0.45
        assert await relay.reporter.finish(PATIENCE)


async def test_retry_after_is_heeded() -> None:
    """An overloaded service gets no report before its Retry-After."""
    async with Statistics() as statistics:
        statistics.answers.extendleft([(503, {"Retry-After": "1"}, b"")])
        relay = Relay(statistics)
        relay.usage.add(KEY, sent_bytes=3)
        relay.reporter.start()
        await statistics.until(lambda: len(statistics.reports) == 2)
        assert statistics.times[1] - statistics.times[0] >= 0.95
        assert await relay.reporter.finish(PATIENCE)


async def test_rows_refused_for_good_are_dropped_loudly_and_alone() -> None:
    """The named row is counted as refused; the other rows are acknowledged at once."""
    async with Statistics() as statistics:
        statistics.answers.extendleft([refusing(422, 1)])
        relay = Relay(statistics)
        for number in range(3):
            relay.usage.add(UsageKey(f"d{number}.example.com", "team-a"), sent_bytes=10**number)
        assert await relay.reporter.flush()
        assert statistics.total("sentBytes") == 101
        assert (relay.reporter.tally.rows_refused, len(statistics.reports)) == (1, 2)
        assert await relay.reporter.finish(PATIENCE)


async def test_a_report_refused_without_a_row_is_kept() -> None:
    """A 400 that names no row drops no row."""
    async with Statistics() as statistics:
        statistics.answers.extendleft([400])
        relay = Relay(statistics)
        relay.usage.add(KEY, sent_bytes=3)
        assert not await relay.reporter.flush()
        assert await relay.reporter.flush()
        assert statistics.total("sentBytes") == 3
        await relay.reporter.finish(PATIENCE)


async def test_rows_of_another_account_wait_and_hold_nothing_up() -> None:
    """403 on a row: the other rows are acknowledged, this row is sent again later."""
    async with Statistics() as statistics:
        statistics.answers.extendleft([204, refusing(403, 0)])
        relay = Relay(statistics, times=ReportTimes(slow=1.5))
        relay.usage.add(KEY, sent_bytes=100)
        relay.usage.add(UsageKey("b.example.com", "team-a"), sent_bytes=1)
        assert not await relay.reporter.flush()
        assert statistics.total("sentBytes") == 1
        assert not await relay.reporter.flush()
        assert len(statistics.reports) == 2
        await asyncio.sleep(1.6)
        assert await relay.reporter.flush()
        assert statistics.total("sentBytes") == 101
        await relay.reporter.finish(PATIENCE)


async def test_the_last_report_has_the_rows_that_were_held_off() -> None:
    """The service may accept now the rows that it rejected before, and no later report exists."""
    async with Statistics() as statistics:
        relay = Relay(statistics, times=ReportTimes())
        relay.usage.add(KEY, sent_bytes=5)
        statistics.answers.extendleft([refusing(403, 0)])
        assert not await relay.reporter.flush()
        assert not await relay.reporter.flush()
        assert statistics.total("sentBytes") == 0
        assert await relay.reporter.finish(PATIENCE)
        assert statistics.total("sentBytes") == 5


async def test_a_fast_clock_loses_nothing() -> None:
    """Rows that are rejected because they lie in the future wait until the service's clock reaches them."""
    async with Statistics() as statistics:
        relay = Relay(statistics, times=ReportTimes(slow=0.01))
        relay.now = 4_000_000_000.0
        relay.usage.roll(relay.now)
        relay.usage.add(KEY, sent_bytes=3)
        statistics.answers.extendleft([refusing(422, 0)])
        assert not await relay.reporter.flush()
        assert relay.reporter.tally.rows_refused == 0
        await asyncio.sleep(0.02)
        assert await relay.reporter.flush()
        assert statistics.total("sentBytes") == 3
        await relay.reporter.finish(PATIENCE)


async def test_many_rows_are_cut_into_reports() -> None:
    """Also when the service accepts fewer rows than the relay sends."""
    async with Statistics() as statistics:
        statistics.answers.extendleft([204, 413])
        relay = Relay(statistics)
        for number in range(ROWS_PER_REPORT + 1):
            relay.usage.add(UsageKey(f"d{number}.example.com", "team-a"), sent_bytes=1)
        assert await relay.reporter.flush()
        assert statistics.total("sentBytes") == ROWS_PER_REPORT + 1
        assert max(len(report.rows) for report in statistics.reports[1:]) == ROWS_PER_REPORT // 2
        assert await relay.reporter.finish(PATIENCE)


async def test_no_statistics_service_is_no_report() -> None:
    """Without an address the usage is in the metrics only, and memory does not grow."""
    relay = Relay(None)
    relay.usage.add(KEY, sent_bytes=3)
    await relay.reporter.count()
    relay.now += 300
    await relay.reporter.count()
    assert relay.usage.closed_rows() == 0
    assert await relay.reporter.finish(PATIENCE)


async def test_the_last_report_has_a_deadline(tmp_path: Path) -> None:
    """Unreported usage is spooled, and the next run sends it under the old source."""
    async with Statistics() as statistics:
        statistics.answers[0] = "slow"
        relay = Relay(statistics, spool=tmp_path)
        relay.usage.add(KEY, sent_bytes=3)
        began = asyncio.get_running_loop().time()
        assert not await relay.reporter.finish(0.3)
        assert asyncio.get_running_loop().time() - began < 10
        statistics.answers[0] = 204
        again = Relay(statistics, spool=tmp_path, uid="uid-2")
        again.reporter.start()
        await statistics.until(lambda: statistics.total("sentBytes") == 3)
        source = statistics.reports[-1].source
        assert (source.uid, source.epoch) == ("uid-1", relay.usage.epoch)
        assert await again.reporter.finish(PATIENCE)
        assert left_in(tmp_path) == ["lock"]


async def test_a_long_outage_is_bounded_in_memory(tmp_path: Path) -> None:
    """Ended buckets move to the spool, and all are reported in the end."""
    async with Statistics() as statistics:
        statistics.answers[0] = 503
        relay = Relay(statistics, spool=tmp_path, max_closed_rows=3)
        for _ in range(20):
            relay.usage.add(KEY, sent_bytes=1)
            relay.now += 300
            await relay.reporter.count()
            assert relay.usage.closed_rows() <= 3
        statistics.answers[0] = 204
        assert await relay.reporter.flush()
        assert statistics.total("sentBytes") == 20
        assert await relay.reporter.finish(PATIENCE)


async def test_without_a_spool_the_oldest_rows_are_given_up_loudly() -> None:
    """Memory is bounded, and lost rows are counted."""
    async with Statistics() as statistics:
        relay = Relay(statistics, max_closed_rows=3)
        for _ in range(5):
            relay.usage.add(KEY, sent_bytes=1)
            relay.now += 300
            await relay.reporter.count()
        assert relay.reporter.tally.rows_dropped == 2
        assert await relay.reporter.finish(PATIENCE)
        assert statistics.total("sentBytes") == 3


async def test_a_broken_disk_keeps_usage_in_memory(tmp_path: Path) -> None:
    """The spool folder vanishes: this is logged and counted, and the report has everything."""
    async with Statistics() as statistics:
        relay = Relay(statistics, spool=tmp_path / "spool")
        (tmp_path / "spool").rename(tmp_path / "gone")
        relay.usage.add(KEY, sent_bytes=3)
        await relay.reporter.count()
        assert relay.reporter.tally.spool_failures == 1
        (tmp_path / "gone").rename(tmp_path / "spool")
        assert await relay.reporter.flush()
        assert statistics.total("sentBytes") == 3
        assert await relay.reporter.finish(PATIENCE)


async def test_a_broken_disk_in_a_long_outage_gives_up_the_oldest_rows(tmp_path: Path) -> None:
    """Above twice its bound memory drops rows: acknowledged and dropped rows are all rows."""
    async with Statistics() as statistics:
        relay = Relay(statistics, spool=tmp_path / "spool", max_closed_rows=2)
        (tmp_path / "spool").rename(tmp_path / "gone")
        for _ in range(9):
            relay.usage.add(KEY, sent_bytes=1)
            relay.now += 300
            await relay.reporter.count()
            assert relay.usage.closed_rows() <= 4
        (tmp_path / "gone").rename(tmp_path / "spool")
        assert await relay.reporter.finish(PATIENCE)
        assert relay.reporter.tally.rows_dropped > 0
        assert statistics.total("sentBytes") + relay.reporter.tally.rows_dropped == 9


async def test_a_spooled_row_that_is_held_off_stays_in_the_spool(tmp_path: Path) -> None:
    """Other rows of the old file are acknowledged once; this row is sent again at the slow pace."""
    async with Statistics() as statistics:
        statistics.answers[0] = 503
        first = Relay(statistics, spool=tmp_path)
        first.usage.add(KEY, sent_bytes=100)
        first.usage.add(UsageKey("b.example.com", "team-a"), sent_bytes=1)
        assert not await first.reporter.finish(0.1)
        statistics.answers.extend([refusing(403, 0), 204])
        statistics.answers.popleft()
        second = Relay(statistics, spool=tmp_path, uid="uid-2", times=ReportTimes(slow=1.5))
        assert not await second.reporter.flush()
        assert statistics.total("sentBytes") in (1, 100)
        await asyncio.sleep(1.6)
        assert await second.reporter.flush()
        assert statistics.total("sentBytes") == 101
        assert len(statistics.reports[-1].rows) == 1
        assert await second.reporter.finish(PATIENCE)


async def test_a_spool_file_that_cannot_be_read_holds_nothing_else_up(tmp_path: Path) -> None:
    """It is counted as a failure; present usage is reported."""
    async with Statistics() as statistics:
        relay = Relay(statistics, spool=tmp_path)
        (tmp_path / "0-aaaaaaaa.journal").mkdir()
        relay.usage.add(KEY, sent_bytes=1)
        assert not await relay.reporter.flush()
        assert statistics.total("sentBytes") == 1
        assert relay.reporter.tally.spool_failures == 1
        assert await relay.reporter.finish(PATIENCE)


async def test_the_journal_is_kept_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of changes in one bucket need no more space than its last state."""
    monkeypatch.setattr(spool_module, "COMPACT_BYTES", 2000)
    async with Statistics() as statistics:
        statistics.answers[0] = 503
        relay = Relay(statistics, spool=tmp_path)
        for _ in range(200):
            relay.usage.add(KEY, sent_bytes=1)
            await relay.reporter.count()
        assert sum(file.stat().st_size for file in files_in(tmp_path)) < 2500
        statistics.answers[0] = 204
        assert await relay.reporter.finish(PATIENCE)
        assert statistics.total("sentBytes") == 200


async def test_a_configuration_without_statistics_ends_the_reports() -> None:
    """Rows that wait are dropped without an error when the address is removed."""
    async with Statistics() as statistics:
        url: list[str | None] = [statistics.url]
        usage = Usage(now=NOON, monotonic=time.monotonic)
        reporter = Reporter(
            usage,
            sweep=lambda: url.__setitem__(0, None),
            target=lambda: url[0],
            pod=ReportingPod("team-a/chat", "uid-1"),
            times=FAST,
            now=lambda: NOON,
        )
        usage.add(KEY, sent_bytes=1)
        assert usage.waiting() == 1
        assert await reporter.finish(PATIENCE)
        assert (usage.waiting(), statistics.reports) == (0, [])


def too_new(field: str) -> tuple[int, dict[str, str], bytes]:
    """Return the answer of statistics that do not have a field."""
    errors = [{"field": field, "reason": "Extra inputs are not permitted"}]
    return 422, {}, json.dumps({"detail": "no", "errors": errors}).encode()


async def test_older_statistics_get_every_row_without_new_fields() -> None:
    """The report is repeated at once without them, and later reports leave them out; no row is lost."""
    async with Statistics() as statistics:
        statistics.answers.extendleft([204, too_new("nextWithinSeconds")])
        relay = Relay(statistics, cluster=lambda: "north")
        relay.usage.opened(KEY)
        relay.usage.add(KEY, sent_bytes=5)
        assert await relay.reporter.flush()
        relay.usage.add(KEY, sent_bytes=1)
        assert await relay.reporter.flush()
        sent = [(report.source.cluster, report.nextWithinSeconds) for report in statistics.reports]
        assert sent == [("north", FAST.promise), (None, None), (None, None)]
        assert statistics.total("sentBytes") == 6
        assert (relay.reporter.tally.rows_refused, relay.reporter.tally.reports_taken) == (0, 2)
        assert await relay.reporter.finish(PATIENCE)
        assert len(statistics.reports) == 3  # older statistics get no report without rows


async def test_an_idle_relay_shows_its_presence_and_says_its_end() -> None:
    """Reports without rows, within the time that each promises; the last one promises nothing."""
    async with Statistics() as statistics:
        times = replace(FAST, presence=0.2)
        relay = Relay(statistics, times=times)
        relay.reporter.start()
        await statistics.until(lambda: len(statistics.reports) == 3)
        assert [len(report.rows) for report in statistics.reports] == [0, 0, 0]
        assert statistics.times[2] - statistics.times[1] >= 0.2
        assert await relay.reporter.finish(PATIENCE)
        assert statistics.reports[-1].nextWithinSeconds == 0
        assert {report.nextWithinSeconds for report in statistics.reports[:-1]} == {times.promise}


async def test_a_relay_that_leaves_rows_behind_does_not_say_its_end(tmp_path: Path) -> None:
    """The statistics must see that something is missing."""
    async with Statistics() as statistics:
        statistics.answers.append(503)
        relay = Relay(statistics, spool=tmp_path)
        assert await relay.reporter.flush()
        relay.usage.add(KEY, sent_bytes=5)
        assert not await relay.reporter.finish(0.2)
        assert 0 not in {report.nextWithinSeconds for report in statistics.reports}


async def test_the_rows_of_an_earlier_run_promise_nothing_more(tmp_path: Path) -> None:
    """A source that has ended is not missed once its rows are there."""
    earlier = Spool(tmp_path, pod="team-a/chat", uid="uid-1", epoch="0123abcd")
    earlier.close([UsageCount("0123abcd", int(NOON), KEY, sent_bytes=5)])
    async with Statistics() as statistics:
        relay = Relay(statistics, spool=tmp_path)
        assert await relay.reporter.flush()
        promised = {report.source.epoch: report.nextWithinSeconds for report in statistics.reports}
        assert promised == {"0123abcd": 0}
        await relay.reporter.finish(PATIENCE)


def untimely(clock: float) -> tuple[int, dict[str, str], bytes]:
    """Return the answer of statistics whose clock refuses the time of the first row."""
    body = json.dumps({"detail": "no", "errors": [{"row": 0, "field": "bucket", "reason": "no"}]})
    return 422, {"Date": formatdate(clock, usegmt=True)}, body.encode()


@pytest.mark.parametrize("error", [95 * 86_400, -95 * 86_400, 3_600, -3_600])
async def test_rows_wait_while_the_clocks_differ(error: float) -> None:
    """Whichever clock is wrong, and in whichever direction: they are delivered when the clocks agree."""
    async with Statistics() as statistics:
        wrong = {"Date": formatdate(NOON + error, usegmt=True)}
        statistics.answers.extendleft([(204, wrong, b""), untimely(NOON + error)])
        relay = Relay(statistics)
        relay.usage.add(KEY, sent_bytes=5)
        assert not await relay.reporter.flush()
        assert relay.reporter.tally.ahead == pytest.approx(-error)
        relay.reporter.start()
        await statistics.until(lambda: statistics.total("sentBytes") == 5)
        assert await relay.reporter.finish(PATIENCE)
        assert relay.reporter.tally.rows_refused == 0


async def test_rows_that_are_too_old_by_both_clocks_are_lost_alone() -> None:
    """Nobody will ever take them, as a second answer says too; the log and a metric tell."""
    async with Statistics() as statistics:
        refused = untimely(NOON + 20)
        statistics.answers.extendleft([204, refused])
        relay = Relay(statistics)
        relay.usage.add(KEY, sent_bytes=5)
        relay.usage.add(UsageKey("b.example.com", "team-a"), sent_bytes=1)
        assert not await relay.reporter.flush()
        assert (statistics.total("sentBytes"), relay.reporter.tally.rows_refused) == (1, 0)
        statistics.answers.extendleft([refused])
        relay.reporter.start()
        await eventually(lambda: relay.reporter.tally.rows_refused)
        assert await relay.reporter.finish(PATIENCE)
        assert (statistics.total("sentBytes"), relay.reporter.tally.rows_refused) == (1, 1)


def strict(statistics: Statistics, clock: float) -> None:
    """Have statistics whose clock refuses the first row of each report that is not of this hour."""
    take = statistics.take

    def answer(report: UsageReport) -> Any:
        fine = [abs(row.bucket.timestamp() - clock) < 3600 for row in report.rows]
        if all(fine):
            take(report)
            return 204, {"Date": formatdate(clock, usegmt=True)}, b""
        errors = [{"row": fine.index(False), "field": "bucket", "reason": "no"}]
        body = json.dumps({"detail": "no", "errors": errors}).encode()
        return 422, {"Date": formatdate(clock, usegmt=True)}, body

    statistics.judge = answer


@pytest.mark.parametrize("again", [False, True], ids=["the same process", "another process"])
@pytest.mark.parametrize("error", [95 * 86_400, -95 * 86_400])
async def test_rows_that_a_wrong_clock_counted_get_the_right_time(
    tmp_path: Path, error: float, again: bool
) -> None:
    """Once the relay's clock is right, nobody would ever accept their own; a crash between adds nothing."""
    async with Statistics() as statistics:
        strict(statistics, NOON)
        relay = Relay(statistics, spool=tmp_path, now=NOON + error)
        relay.usage.add(KEY, sent_bytes=5)
        relay.usage.add(UsageKey("b.example.com", "team-a"), sent_bytes=1)
        await relay.reporter.count()
        assert not await relay.reporter.flush()
        assert relay.reporter.tally.ahead == pytest.approx(error)
        if again:
            assert relay.spool is not None
            forsake(relay.spool)
            relay = Relay(statistics, spool=tmp_path)
        relay.now = NOON
        relay.usage.add(KEY, sent_bytes=30)
        relay.reporter.start()
        await statistics.until(lambda: statistics.total("sentBytes") >= 36)
        assert await relay.reporter.finish(PATIENCE)
        assert (statistics.total("sentBytes"), relay.reporter.tally.rows_refused) == (36, 0)
        assert left_in(tmp_path) == ["lock"]


async def test_a_clock_that_is_set_while_a_row_is_judged_loses_nothing() -> None:
    """The row was judged by a wrong clock, and the answer has the time of the right one."""
    async with Statistics() as statistics:
        statistics.answers.extendleft([204, untimely(NOON)])
        relay = Relay(statistics)
        relay.usage.add(KEY, sent_bytes=5)
        relay.usage.add(UsageKey("b.example.com", "team-a"), sent_bytes=1)
        assert not await relay.reporter.flush()
        relay.reporter.start()
        await statistics.until(lambda: statistics.total("sentBytes") == 6)
        assert await relay.reporter.finish(PATIENCE)
        assert relay.reporter.tally.rows_refused == 0


def forsake(spool: Spool) -> None:
    """Leave the files as a killed process does."""
    for descriptor in (spool._lock, spool._stream):
        if descriptor is not None:
            os.close(descriptor)


@pytest.mark.parametrize("ends", list(product((True, False), repeat=2)))
async def test_processes_that_follow_each_other_do_not_add_up_their_peaks(
    tmp_path: Path, ends: tuple[bool, bool]
) -> None:
    """Their clients come back: the peak of the three is the largest, whether each was killed or ended."""
    async with Statistics() as statistics:
        for connections, in_order in zip((3, 5, 4), (*ends, True), strict=True):
            relay = Relay(statistics, spool=tmp_path)
            assert relay.spool is not None
            relay.usage.succeed(relay.spool.earlier_peaks(relay.usage.bucket))
            for _ in range(connections):
                relay.usage.opened(KEY)
            await relay.reporter.count()
            assert await relay.reporter.flush()
            if in_order:
                assert await relay.reporter.finish(PATIENCE)
            else:
                forsake(relay.spool)
        assert statistics.total("peakConnections") == 5
        assert statistics.total("openedConnections") == 12
