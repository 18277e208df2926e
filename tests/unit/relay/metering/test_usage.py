"""Usage: five-minute buckets whose counts only rise, even if the wall clock steps."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsedge_relay.metering.usage import MAX_CODES, Usage, UsageCount, UsageKey, merged, redated

KEY = UsageKey("chat.example.com", "team-a")
OTHER = UsageKey("chat.example.com", "team-a", region="shanghai")
NOON = 1_700_000_100.0 - 1_700_000_100.0 % 300  # the start of a bucket


def counting(now: float = NOON) -> Usage:
    """Return a Usage whose epochs are named e0, e1, …"""
    names = (f"e{number}" for number in itertools.count())
    return Usage(now=now, monotonic=time.monotonic, new_epoch=lambda: next(names))


def only(rows: list[UsageCount]) -> UsageCount:
    """Return the only row."""
    (row,) = rows
    return row


def test_counts_add_up_within_a_bucket() -> None:
    """Counts of one key are cumulative, separately for each kind and direction."""
    usage = counting()
    usage.opened(KEY)
    usage.code(KEY, 101)
    usage.add(KEY, sent_bytes=100, received_bytes=10, sent_messages=3, received_messages=1)
    usage.add(KEY, sent_bytes=1)
    row = only(usage.unacknowledged())
    assert (row.sent_bytes, row.received_bytes, row.sent_messages, row.received_messages) == (101, 10, 3, 1)
    assert (row.opened_connections, row.peak_connections, row.codes) == (1, 1, ((101, 1),))


def test_each_key_has_its_row() -> None:
    """Regions of one domain are counted separately."""
    usage = counting()
    usage.add(KEY, sent_bytes=1)
    usage.add(OTHER, sent_bytes=2)
    assert {row.key: row.sent_bytes for row in usage.unacknowledged()} == {KEY: 1, OTHER: 2}


def test_a_falling_count_is_a_defect() -> None:
    """A negative number is an error, because the ledger's max() would hide it."""
    with pytest.raises(ValueError, match="only rise"):
        counting().add(KEY, sent_bytes=-1)


def test_an_idle_sweep_changes_nothing() -> None:
    """Adding zeros makes no row to report."""
    usage = counting()
    usage.add(KEY)
    assert usage.unacknowledged() == []


def test_a_new_bucket_starts_from_zero() -> None:
    """Counts after a roll are in the new bucket only."""
    usage = counting()
    usage.add(KEY, sent_bytes=5)
    assert usage.roll(NOON + 300)
    usage.add(KEY, sent_bytes=7)
    assert [(row.bucket - NOON, row.sent_bytes) for row in usage.unacknowledged()] == [(0, 5), (300, 7)]


def test_no_roll_within_a_bucket() -> None:
    """A bucket lasts until its end."""
    usage = counting()
    assert not usage.roll(NOON + 299.999)
    assert usage.bucket_end == NOON + 300


def test_a_peak_starts_with_the_connections_that_are_open() -> None:
    """A connection that is idle for hours counts in every bucket's peak."""
    usage = counting()
    usage.opened(KEY)
    usage.opened(KEY)
    usage.closed(KEY)
    usage.roll(NOON + 300)
    usage.roll(NOON + 600)
    usage.opened(KEY)
    peaks = [(row.peak_connections, row.opened_connections) for row in usage.unacknowledged()]
    assert peaks == [(2, 2), (1, 0), (2, 1)]


def test_a_peak_holds_after_closes() -> None:
    """The peak of a bucket is the largest number of open connections in it."""
    usage = counting()
    for _ in range(3):
        usage.opened(KEY)
    for _ in range(3):
        usage.closed(KEY)
    usage.opened(KEY)
    assert only(usage.unacknowledged()).peak_connections == 3
    assert usage.open_connections() == 1


def test_totals_serve_the_metrics() -> None:
    """Totals by domain continue over buckets and include all regions."""
    usage = counting()
    usage.opened(KEY)
    usage.code(KEY, 101)
    usage.add(KEY, sent_bytes=5)
    usage.roll(NOON + 300)
    usage.add(OTHER, sent_bytes=7)
    usage.closed(KEY)
    totals = usage.totals["chat.example.com"]
    assert (totals.sent_bytes, totals.opened_connections, totals.open_connections) == (12, 1, 0)
    assert totals.codes == {101: 1}


def test_a_known_domain_is_shown_as_zero() -> None:
    """A scrape shows a domain before its first connection."""
    usage = counting()
    usage.add_domain("chat.example.com")
    assert usage.totals["chat.example.com"].opened_connections == 0
    assert usage.waiting() == 0


class TestCodes:
    """The number of different HTTP codes is limited, and their sum is correct."""

    def test_a_row_never_holds_more_codes_than_the_contract_allows(self) -> None:
        """An origin that answers with every code fills at most 64 entries."""
        usage = counting()
        for status in range(100, 600):
            usage.code(KEY, status)
        codes = dict(only(usage.unacknowledged()).codes)
        assert len(codes) <= MAX_CODES
        assert sum(codes.values()) == 500

    @pytest.mark.parametrize("status", [0, 99, 600, 999])
    def test_a_number_that_is_no_status_counts_as_500(self, status: int) -> None:
        """A number outside of HTTP's range is an error of the server."""
        usage = counting()
        usage.code(KEY, status)
        assert only(usage.unacknowledged()).codes == ((500, 1),)


def peak_at_noon(usage: Usage) -> int:
    """Return the peak of the bucket as the ledger has it: the sum over sources."""
    return sum(row.peak_connections for row in usage.unacknowledged() if row.bucket == NOON)


class TestClock:
    """A step of the wall clock never reduces or loses counts."""

    def test_a_small_step_back_stays_in_the_bucket(self) -> None:
        """After a step of at most one bucket the present bucket continues."""
        usage = counting(NOON + 301)
        usage.add(KEY, sent_bytes=5)
        assert not usage.roll(NOON + 10)
        usage.add(KEY, sent_bytes=5)
        row = only(usage.unacknowledged())
        assert (row.bucket, row.sent_bytes, row.epoch) == (NOON + 300, 10, "e0")

    def test_a_large_step_back_begins_another_epoch(self) -> None:
        """An ended bucket is counted again only under a new epoch, so the ledger adds both."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        usage.roll(NOON + 900)
        assert usage.roll(NOON)
        usage.add(KEY, sent_bytes=3)
        rows = [(row.epoch, row.bucket, row.sent_bytes) for row in usage.unacknowledged()]
        assert rows == [("e0", NOON, 5), ("e2", NOON, 3)]

    @pytest.mark.parametrize("way", [(3600, 0), (-3600, 0), (3600, 7200, 600, 0), (0, 3600, 0, -3600, 0)])
    def test_a_clock_that_comes_back_to_a_bucket_adds_no_peak_twice(self, way: tuple[int, ...]) -> None:
        """Its epochs are sources of one process: the sum of their peaks is the larger one."""
        usage = counting()
        for _ in range(2):
            usage.opened(KEY)
        for step in way:
            usage.roll(NOON + step + 20)
        assert peak_at_noon(usage) == 2
        for _ in range(3):
            usage.opened(KEY)
        assert peak_at_noon(usage) == 5
        assert usage.peaks() == {KEY: 5}

    def test_a_step_forward_skips_buckets(self) -> None:
        """A machine has no rows for the time of its suspension."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        usage.roll(NOON + 86_400)
        usage.add(KEY, sent_bytes=6)
        assert [row.bucket - NOON for row in usage.unacknowledged()] == [0, 86_400]


DAY = 86_400


class TestRedating:
    """A row that was counted by a wrong clock gets the bucket of the right one."""

    @pytest.mark.parametrize("error", [-95 * DAY, 95 * DAY, -3_600, 1_000.0, -601])
    def test_its_bucket_is_that_of_the_present_clock(self, error: float) -> None:
        """To the nearest bucket; counts of both clocks stay apart, so that neither hides the other."""
        usage = counting(NOON + error)
        usage.add(KEY, sent_bytes=5)
        usage.roll(NOON + 20)
        usage.add(KEY, sent_bytes=3)
        wrong = next(row for row in usage.unacknowledged() if row.epoch == "e0")
        again = usage.redate(wrong)
        assert again is not None
        assert abs(again.bucket - NOON) <= 300
        rows = usage.unacknowledged()
        assert again in rows
        assert wrong.identity not in [row.identity for row in rows]
        assert again in usage.unjournalled()
        assert sum(row.sent_bytes for row in rows) == 8
        assert len({row.identity for row in rows}) == 2
        usage.acknowledge([again])
        assert [row.sent_bytes for row in usage.unacknowledged()] == [3]

    def test_one_clock_redates_nothing(self) -> None:
        """However old a row is: nor one that the ledger has in part, or does not know of."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        usage.roll(NOON + 320)
        (row,) = usage.unacknowledged()
        assert usage.redate(row) is None
        usage = counting(NOON - DAY)
        usage.add(KEY, sent_bytes=5)
        (row,) = usage.unacknowledged()
        usage.acknowledge([row])
        usage.add(KEY, sent_bytes=5)
        usage.roll(NOON)
        (row,) = usage.unacknowledged()
        assert usage.redate(row) is None
        assert usage.redate(replace(row, bucket=0)) is None

    def test_a_machine_that_slept_has_one_clock(self) -> None:
        """Its uptime went on: the rows before are as old as they seem."""
        up = 0.0
        usage = Usage(now=NOON, monotonic=time.monotonic, uptime=lambda: up)
        usage.add(KEY, sent_bytes=5)
        up = 95.0 * DAY
        usage.roll(NOON + 95 * DAY)
        usage.add(KEY, sent_bytes=6)
        row, _ = usage.unacknowledged()
        assert usage.redate(row) is None
        assert len(usage.clocks) == 1

    def test_clocks_without_rows_are_forgotten(self) -> None:
        """A clock that is set again and again costs no memory."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        for number in range(1, 9):
            usage.roll(NOON + number * DAY)
        assert usage.clocks.keys() == {"e0", "e8"}
        assert usage.clocks["e8"] - usage.clocks["e0"] == pytest.approx(8 * DAY, abs=60)

    def test_to_redate_again_gives_the_same_row(self) -> None:
        """After a crash, by a clock that differs a little: the ledger merges them."""
        (row,) = [UsageCount("0123abcd", int(NOON), KEY, 5)]
        again = redated(row, shift=95.0 * DAY)
        assert again == redated(row, shift=95.0 * DAY + 60)
        assert again is not None
        other = redated(replace(row, epoch="4567abcd"), shift=95.0 * DAY)
        assert other is not None
        assert again.epoch != other.epoch
        assert (again.bucket, again.sent_bytes) == (NOON + 95 * DAY, 5)


class TestAcknowledgement:
    """Only rows whose present state the ledger has are not sent again."""

    def test_an_acknowledged_row_is_not_sent_again(self) -> None:
        """An unchanged row is not sent."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        usage.acknowledge(usage.unacknowledged())
        assert usage.unacknowledged() == []

    def test_a_change_while_a_report_is_on_its_way_is_sent_next(self) -> None:
        """An acknowledgement applies to the sent state, not to the present one."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        sent = usage.unacknowledged()
        usage.add(KEY, sent_bytes=1)
        usage.acknowledge(sent)
        assert only(usage.unacknowledged()).sent_bytes == 6

    def test_an_ended_bucket_is_kept_until_acknowledged(self) -> None:
        """Memory is freed only by the ledger's acknowledgement."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        usage.roll(NOON + 300)
        assert usage.closed_rows() == 1
        usage.acknowledge(usage.unacknowledged())
        assert usage.closed_rows() == 0

    def test_a_late_acknowledgement_of_a_forgotten_row_is_harmless(self) -> None:
        """A late acknowledgement of a forgotten row has no effect."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        usage.roll(NOON + 300)
        rows = usage.unacknowledged()
        usage.forget(rows)
        usage.acknowledge(rows)
        assert usage.unacknowledged() == []

    def test_the_bucket_in_force_is_never_forgotten(self) -> None:
        """Counts of the present bucket still rise, so they stay in memory."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        usage.forget(usage.unacknowledged())
        assert only(usage.unacknowledged()).sent_bytes == 5


class TestJournal:
    """The journal gets each state once, unless the ledger has it already."""

    def test_a_written_state_is_not_written_again(self) -> None:
        """A row is written again only after a change."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        rows = usage.unjournalled()
        usage.journalled(rows)
        assert usage.unjournalled() == []
        usage.add(KEY, sent_bytes=1)
        assert only(usage.unjournalled()).sent_bytes == 6

    def test_a_failed_write_is_tried_again(self) -> None:
        """Rows are returned until they are marked as written."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        assert usage.unjournalled() == usage.unjournalled() != []

    def test_an_acknowledged_state_needs_no_journal(self) -> None:
        """The ledger has an acknowledged state."""
        usage = counting()
        usage.add(KEY, sent_bytes=5)
        usage.acknowledge(usage.unacknowledged())
        assert usage.unjournalled() == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([KEY, OTHER]), st.integers(1, 1000)),
        st.tuples(st.just("open"), st.sampled_from([KEY, OTHER]), st.just(0)),
        st.tuples(st.just("code"), st.sampled_from([KEY, OTHER]), st.integers(100, 599)),
        st.tuples(st.just("clock"), st.just(KEY), st.integers(-2000, 2000)),
        st.tuples(st.just("send"), st.just(KEY), st.sampled_from(["taken", "lost", "answer lost", "late"])),
        st.tuples(st.just("crash"), st.just(KEY), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_any_history_merges_to_exactly_what_was_counted(steps: list[tuple[str, UsageKey, object]]) -> None:
    """Adds, clock steps, lost, repeated and late reports, crashes: max() by identity gives the sums."""
    ledger: dict[object, UsageCount] = {}
    journal: dict[object, UsageCount] = {}
    late: list[UsageCount] = []
    names = (f"e{number}" for number in itertools.count())
    now = NOON
    usage = Usage(now=now, monotonic=time.monotonic, new_epoch=lambda: next(names))
    added, opened, codes = 0, 0, 0

    def keep(store: dict[object, UsageCount], rows: list[UsageCount]) -> None:
        for row in rows:
            store[row.identity] = merged(store[row.identity], row) if row.identity in store else row

    for step, key, argument in steps:
        match step, argument:
            case "add", int(amount):
                usage.add(key, sent_bytes=amount)
                added += amount
            case "open", _:
                usage.opened(key)
                usage.closed(key)
                opened += 1
            case "code", int(status):
                usage.code(key, status)
                codes += 1
            case "clock", int(seconds):
                now += seconds
                usage.roll(now)
            case "send", fate:
                rows = usage.unacknowledged()
                if fate in ("taken", "answer lost"):
                    keep(ledger, rows)
                if fate == "late":
                    late += rows
                if fate == "taken":
                    usage.acknowledge(rows)
            case _:
                usage = Usage(now=now, monotonic=time.monotonic, new_epoch=lambda: next(names))
        written = usage.unjournalled()  # each step ends in a sweep, so a crash loses nothing here
        keep(journal, written)
        usage.journalled(written)
    keep(ledger, late)
    keep(ledger, usage.unacknowledged())
    keep(ledger, list(journal.values()))  # the backlog of every run, sent in the end
    assert sum(row.sent_bytes for row in ledger.values()) == added
    assert sum(row.opened_connections for row in ledger.values()) == opened
    assert sum(times for row in ledger.values() for _, times in row.codes) == codes


def test_an_acknowledged_row_is_forgotten_at_the_end_of_its_bucket() -> None:
    """The ledger has the row's last state, so a roll drops the row."""
    usage = counting()
    usage.add(KEY, sent_bytes=1)
    usage.acknowledge(usage.unacknowledged())
    assert usage.roll(usage.bucket_end)
    assert (usage.closed_rows(), usage.unacknowledged()) == (0, [])


def test_a_journalled_row_that_was_forgotten_is_ignored() -> None:
    """The write of a row may end after the row was moved to the spool."""
    usage = counting()
    usage.add(KEY, sent_bytes=1)
    rows = usage.unjournalled()
    assert usage.roll(usage.bucket_end)
    usage.forget(rows)
    usage.journalled(rows)
    assert (usage.closed_rows(), usage.unjournalled()) == (0, [])


class Clocks:
    """A wall clock that a test may set, and a monotonic clock; both run together."""

    def __init__(self) -> None:
        self.monotonic, self.set_by = 50.0, NOON - 50.0

    def usage(self) -> Usage:
        """Return a Usage by these clocks."""
        names = (f"e{number}" for number in itertools.count())
        return Usage(now=self.wall, monotonic=lambda: self.monotonic, new_epoch=lambda: next(names))

    @property
    def wall(self) -> float:
        """The time of the wall clock."""
        return self.monotonic + self.set_by


def seconds_by_bucket(rows: list[UsageCount]) -> dict[float, int]:
    """Return the connection time by bucket, counted from NOON."""
    found: dict[float, int] = {}
    for row in rows:
        found[row.bucket - NOON] = found.get(row.bucket - NOON, 0) + row.connection_seconds
    return found


def test_the_time_of_open_connections_is_counted_within_each_bucket() -> None:
    """Two connections from 100 s on, one until 200 s, the other until 310 s; a roll that is 2 s late."""
    clocks = Clocks()
    usage = clocks.usage()
    clocks.monotonic += 100
    usage.opened(KEY)
    usage.opened(KEY)
    clocks.monotonic += 100
    usage.closed(KEY)
    clocks.monotonic += 102
    usage.roll(clocks.wall)
    clocks.monotonic += 8
    usage.closed(KEY)
    assert seconds_by_bucket(usage.unacknowledged()) == {0: 200 + 100, 300: 10}


def test_an_idle_connection_costs_no_row_before_the_end_of_its_bucket() -> None:
    """Time alone makes no row due, and the row at the bucket's end has all of it."""
    clocks = Clocks()
    usage = clocks.usage()
    usage.opened(KEY)
    usage.acknowledge(usage.unacknowledged())
    clocks.monotonic += 299
    usage.roll(clocks.wall)
    assert (usage.unjournalled(), usage.unacknowledged(), usage.waiting()) == ([], [], 0)
    clocks.monotonic += 1
    usage.roll(clocks.wall)
    assert seconds_by_bucket(usage.unacknowledged()) == {0: 300, 300: 0}


JUMPS = {
    "an hour ahead": (3600, {0: 60, 3600: 15}),
    "a minute back": (-60, {0: 75}),
    "two hours back": (-7200, {0: 60, -7200: 15}),
    "over the end of the bucket": (300, {0: 60, 300: 15}),
}


@pytest.mark.parametrize(("jump", "expected"), JUMPS.values(), ids=JUMPS.keys())
def test_a_wall_clock_that_is_set_adds_no_time(jump: float, expected: dict[float, int]) -> None:
    """A connection of 75 s: up to the last count before the jump in the old bucket, then in the new one."""
    clocks = Clocks()
    usage = clocks.usage()
    usage.opened(KEY)
    for seconds in (60, 1, 14):
        clocks.monotonic += seconds
        usage.roll(clocks.wall)
        if seconds == 60:
            clocks.set_by += jump
    usage.closed(KEY)
    assert seconds_by_bucket(usage.unacknowledged()) == expected


def test_a_process_that_was_stopped_counts_the_buckets_it_missed() -> None:
    """The connection was open in each of them; beyond an hour, only in the last twelve."""
    clocks = Clocks()
    usage = clocks.usage()
    usage.opened(KEY)
    clocks.monotonic += 750
    usage.roll(clocks.wall)
    rows = usage.unacknowledged()
    assert seconds_by_bucket(rows) == {0: 300, 300: 300, 600: 150}
    assert [row.peak_connections for row in rows] == [1, 1, 1]
    clocks.monotonic += 86_400
    usage.roll(clocks.wall)
    assert sum(row.connection_seconds for row in usage.unacknowledged()) == 900 + 12 * 300 + 150
    assert max(seconds_by_bucket(usage.unacknowledged()).values()) == 300


MOMENTS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from([KEY, OTHER]), st.just(0)),
        st.tuples(st.just("close"), st.sampled_from([KEY, OTHER]), st.just(0)),
        st.tuples(st.just("read"), st.just(KEY), st.just(0)),
        st.tuples(st.just("pass"), st.just(KEY), st.integers(1, 800)),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(MOMENTS)
def test_connection_time_is_what_a_clock_of_seconds_counts(moments: list[tuple[str, UsageKey, int]]) -> None:
    """Each second of each open connection is counted once, in the bucket that the second lies in."""
    clocks, expected, open_now = Clocks(), dict[tuple[float, UsageKey], int](), {KEY: 0, OTHER: 0}
    usage = clocks.usage()
    ledger: dict[object, UsageCount] = {}

    def read() -> None:
        for row in usage.unacknowledged():
            ledger[row.identity] = merged(ledger.get(row.identity, row), row)
        usage.acknowledge(usage.unacknowledged())

    for kind, key, seconds in moments:
        if kind == "open":
            usage.opened(key)
            open_now[key] += 1
        elif kind == "close" and open_now[key]:
            usage.closed(key)
            open_now[key] -= 1
        elif kind == "read":
            read()
        for second in range(seconds):
            place = clocks.wall + second
            for each, number in open_now.items():
                bucket = place - place % 300
                expected[bucket, each] = expected.get((bucket, each), 0) + number
        clocks.monotonic += seconds
        usage.roll(clocks.wall)
    for key, number in open_now.items():
        for _ in range(number):
            usage.closed(key)
    read()
    counted = {(row.bucket, row.key): row.connection_seconds for row in ledger.values()}
    assert {place: time for place, time in counted.items() if time} == {
        place: time for place, time in expected.items() if time
    }


def test_a_successor_reports_by_how_much_its_peak_exceeds() -> None:
    """In the bucket in which it began; of its key alone."""
    usage = counting()
    usage.succeed({KEY: 2})
    reported = []
    for _ in range(3):
        usage.opened(KEY)
        reported.append(only(usage.unacknowledged()).peak_connections)
    assert reported == [0, 0, 1]
    assert usage.peaks() == {KEY: 3}
    usage.opened(OTHER)
    assert usage.peaks() == {KEY: 3, OTHER: 1}
    usage.roll(NOON + 300)
    assert {(row.bucket - NOON, row.key): row.peak_connections for row in usage.unacknowledged()} == {
        (0, KEY): 1,
        (0, OTHER): 1,
        (300, KEY): 3,
        (300, OTHER): 1,
    }
    assert usage.peaks() == {KEY: 3, OTHER: 1}


@given(
    st.lists(st.tuples(st.sampled_from(["open", "close"]), st.integers(0, 3)), max_size=60),
    st.integers(0, 60),
)
@example([("open", 0), ("open", 0), ("open", 1), ("close", 0), ("open", 1), ("close", 0)], 0)
def test_a_stated_peak_has_bounds(events: list[tuple[str, int]], began: int) -> None:
    """Pods add up, replaced ones too: at least what was open at once, at most what was open or was opened."""
    pods = [counting() for _ in range(4)]
    open_now = [0] * len(pods)
    most = open_at_start = opened = 0
    for place, (event, number) in enumerate(events):
        if place == began:
            for pod in pods:
                pod.roll(NOON + 320)
            most, open_at_start, opened = sum(open_now), sum(open_now), 0
        if event == "open":
            pods[number].opened(KEY)
            open_now[number] += 1
            opened += 1
        elif open_now[number]:
            pods[number].closed(KEY)
            open_now[number] -= 1
        most = max(most, sum(open_now))
    rows = [row for pod in pods for row in pod.unacknowledged() if row.bucket == pod.bucket]
    stated = sum(row.peak_connections for row in rows)
    assert most <= stated <= open_at_start + opened


def test_a_replaced_pods_clients_count_in_both_pods() -> None:
    """The documented case: three clients move to another pod within a bucket, one by one."""
    before, after = counting(), counting()
    for _ in range(3):
        before.opened(KEY)
    for _ in range(3):
        after.opened(KEY)
        before.closed(KEY)
    peaks = [only(pod.unacknowledged()).peak_connections for pod in (before, after)]
    assert peaks == [3, 3]
    for pod in (before, after):
        pod.roll(NOON + 320)
    assert [pod.peaks() for pod in (before, after)] == [{}, {KEY: 3}]


def test_a_compacted_journal_has_the_rows_of_the_present_bucket() -> None:
    """Those too that the ledger has: a successor needs their peaks."""
    usage = counting()
    usage.opened(KEY)
    usage.roll(NOON + 300)
    usage.acknowledge(usage.unacknowledged())
    assert [row.bucket - NOON for row in usage.to_journal()] == [300]
    usage.add(OTHER, sent_bytes=1)
    assert [(row.bucket - NOON, row.key) for row in usage.to_journal()] == [(300, KEY), (300, OTHER)]
