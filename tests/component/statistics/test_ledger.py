"""The SQLite ledger on a real file: merges, rollups, retention, refusals."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.statistics.build import directory_message, instant, row, seconds, usage
from support.statistics.model import NaiveLedger, without_zeros
from support.statistics.process import until_true
from wsedge_statistics.contract import UsageReport
from wsedge_statistics.errors import (
    LedgerBusyError,
    LedgerDamagedError,
    LedgerPlaceError,
    LedgerUnwritableError,
    LedgerVersionError,
)
from wsedge_statistics.ledger import SeenKey
from wsedge_statistics.ledger.sqlite import place, reads, writes
from wsedge_statistics.ledger.sqlite.place import Place, filesystem_type, network_filesystem
from wsedge_statistics.ledger.sqlite.schema import VERSION, open_reader, open_writer
from wsedge_statistics.ledger.sqlite.store import SqliteLedger, SqliteStore
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.numbers.series import DAY, Key, Selection

START = instant("2026-06-09T22:00:00Z")
NOW = instant("2026-06-12T00:00:00Z")
WHOLE = Selection(seconds("2026-06-09T00:00:00Z"), seconds("2026-06-12T00:00:00Z"))

# few values for each part, so that keys, sources and buckets collide often
rows = st.builds(
    lambda bucket, domain, region, isp, **counts: row(
        START + timedelta(minutes=5 * bucket),
        domain=domain,
        account="team-a" if domain != "c.example" else "team-b",
        region=region,
        isp=isp,
        **counts,
    ),
    bucket=st.sampled_from([0, 1, 11, 12, 23, 24, 25, 300, 312]),
    domain=st.sampled_from(["a.example", "b.example", "c.example"]),
    region=st.sampled_from(["shanghai", "beijing"]),
    isp=st.sampled_from(["telecom", "unicom"]),
    sentBytes=st.integers(0, 2**53 - 1),
    peakConnections=st.integers(0, 9),
    openedConnections=st.integers(0, 9),
    codes=st.dictionaries(st.sampled_from(["101", "403", "502"]), st.integers(0, 99)),
)
reports = st.builds(
    lambda rows, source: usage(*rows, uid=f"uid-{source}"), st.lists(rows, max_size=4), st.integers(0, 2)
)
selections = st.builds(
    Selection,
    start=st.sampled_from([WHOLE.start, seconds("2026-06-09T22:05:00Z"), seconds("2026-06-10T00:00:00Z")]),
    end=st.sampled_from([seconds("2026-06-09T23:05:00Z"), WHOLE.end]),
    account=st.sampled_from([None, "team-a", "team-b"]),
    domains=st.sampled_from([None, frozenset({"a.example"}), frozenset({"a.example", "c.example"})]),
    region=st.sampled_from([None, "shanghai"]),
    isp=st.sampled_from([None, "unicom"]),
)
STEPS = st.sampled_from(["nothing", "roll hours", "roll hours and days"])


def roll(connection: sqlite3.Connection, step: str) -> None:
    if step != "nothing":
        writes.roll_hours(connection, limit=100)
    if step == "roll hours and days":
        writes.roll_days(connection, before=int(NOW.timestamp()), limit=100)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(reports, STEPS), max_size=8), st.data(), st.lists(selections, min_size=1, max_size=4)
)
def test_any_order_repetition_and_rollup_gives_the_largest_counts(
    story: list[tuple[UsageReport, str]], data: st.DataObject, asked: list[Selection]
) -> None:
    """However reports are repeated, reordered and rolled up between, sums are those of a naive model."""
    told = data.draw(st.permutations(story + story[: len(story) // 2]))
    model = NaiveLedger()
    with tempfile.TemporaryDirectory() as folder, closing(open_writer(Path(folder) / "l")) as connection:
        for report, step in told:
            model.add(report)
            writes.merge_report(connection, report)
            roll(connection, step)
        for selection in [WHOLE, *asked]:
            assert without_zeros(reads.read(connection, selection)) == without_zeros(model.read(selection))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_writer(tmp_path / "ledger")
    yield opened
    opened.close()


def tables(connection: sqlite3.Connection) -> dict[str, int]:
    names = ("usage", "codes", "sources", "hours", "days", "dirty_hours", "dirty_days", "seen")
    return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


def prune(connection: sqlite3.Connection, now: datetime) -> int:
    """Prune step by step until nothing is left to delete; return the number of steps."""
    steps = 0
    while writes.prune(connection, now):
        steps += 1
    return steps


def test_pruning_goes_in_steps_of_a_bucket(connection: sqlite3.Connection) -> None:
    """However many rows are past their retention, one step deletes five minutes of them."""
    writes.merge_report(connection, usage(*(row(START + timedelta(minutes=5 * n)) for n in range(24))))
    roll(connection, "roll hours and days")
    assert prune(connection, START + timedelta(days=100)) == 24


def test_every_tier_gives_the_same_answer_until_it_ends(connection: sqlite3.Connection) -> None:
    """As the five-minute and then the hour tier are pruned, five-minute sums and peaks stay the same."""
    writes.merge_report(connection, usage(row(START, sentBytes=7, codes={"101": 2}), uid="one"))
    writes.merge_report(
        connection, usage(row(START, sentBytes=5), row(START + timedelta(hours=3), sentBytes=1))
    )
    told = reads.read(connection, WHOLE)
    assert told["sent"] == {seconds("2026-06-09T22:00:00Z"): 12, seconds("2026-06-10T01:00:00Z"): 1}
    roll(connection, "roll hours and days")
    for age, empty in ((100, "usage"), (200, "hours")):
        prune(connection, START + timedelta(days=age))
        assert tables(connection)[empty] == 0
        assert reads.read(connection, WHOLE) == told
    prune(connection, START + timedelta(days=370))
    assert reads.read(connection, WHOLE) == {}
    assert set(tables(connection).values()) == {0}


def test_nothing_is_pruned_before_its_rollup(connection: sqlite3.Connection) -> None:
    """After a long outage the rollups come first."""
    writes.merge_report(connection, usage(row(START, sentBytes=7)))
    prune(connection, START + timedelta(days=150))
    assert tables(connection)["usage"] == 1
    writes.roll_hours(connection, limit=9)
    prune(connection, START + timedelta(days=250))
    assert (tables(connection)["usage"], tables(connection)["hours"]) == (0, 2)
    assert sum(reads.read(connection, WHOLE)["sent"].values()) == 7


def test_pruning_keeps_the_whole_oldest_day(connection: sqlite3.Connection) -> None:
    """A late report for the oldest accepted day is rolled up from all rows of that day."""
    writes.merge_report(connection, usage(row(START, sentBytes=7)))
    roll(connection, "roll hours and days")
    prune(connection, START + timedelta(days=93, hours=1))
    writes.merge_report(connection, usage(row(START + timedelta(minutes=55), sentBytes=5)))
    roll(connection, "roll hours and days")
    assert sum(reads.read(connection, WHOLE)["sent"].values()) == 12


def test_a_day_with_a_dirty_hour_waits(connection: sqlite3.Connection) -> None:
    """Days are rolled only from hours that are current, and only after their end."""
    writes.merge_report(connection, usage(row(START)))
    assert writes.roll_days(connection, before=WHOLE.end, limit=9) == 0
    writes.roll_hours(connection, limit=9)
    assert writes.roll_days(connection, before=WHOLE.start, limit=9) == 0
    assert writes.roll_days(connection, before=WHOLE.start + DAY, limit=9) == 1


def test_an_earlier_directory_changes_nothing(connection: sqlite3.Connection) -> None:
    """The Directory with the latest writtenAt stays stored, in any order of arrival and any zone."""
    late = directory_message(written_at="2026-06-01T12:00:00+08:00")
    early = directory_message(written_at="2026-06-01T03:00:00Z", domains={})
    assert writes.put_directory(connection, late, NOW)
    assert not writes.put_directory(connection, early, NOW)
    assert reads.directory(connection) == late
    again = directory_message(written_at="2026-06-01T05:00:00Z")
    assert writes.put_directory(connection, again, NOW)


def test_a_directory_of_the_future_does_not_block_others(connection: sqlite3.Connection) -> None:
    """Once the operator's clock is corrected, its next Directory is stored."""
    ahead = directory_message(written_at="2027-06-01T00:00:00Z", domains={})
    right = directory_message(written_at="2026-06-11T23:59:00Z")
    assert writes.put_directory(connection, ahead, NOW)
    assert writes.put_directory(connection, right, NOW)
    assert reads.directory(connection) == right


def test_a_directory_of_another_version_is_no_directory(tmp_path: Path) -> None:
    """A program that cannot parse the stored Directory starts without it, and stores the next."""
    with closing(open_writer(tmp_path / "ledger.sqlite3")) as opened:
        body = '{"version": 2, "clusters": []}'
        opened.execute("INSERT INTO directory VALUES (1, '2026-06-01T00:00:00+00:00', ?)", (body,))
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics())
    assert ledger.directory() is None
    message = directory_message(written_at="2026-06-02T00:00:00Z")
    assert ledger.put_directory(message).result(30)
    assert ledger.directory() == message
    ledger.close()


def test_a_clock_that_was_ahead_lowers_no_count(connection: sqlite3.Connection) -> None:
    """Rows pruned months too early still count when a report for their hour arrives."""
    late = START + timedelta(minutes=55)
    writes.merge_report(connection, usage(row(START, sentBytes=7, codes={"101": 1}), row(late, sentBytes=2)))
    roll(connection, "roll hours")
    prune(connection, START + timedelta(days=100))
    assert tables(connection)["usage"] == 0
    for sent in (3, 4):
        writes.merge_report(
            connection, usage(row(late, sentBytes=sent), row(late, region="beijing", sentBytes=9))
        )
        for _ in range(2):
            told = reads.read(connection, WHOLE)
            assert told["sent"] == {int(START.timestamp()): 7, int(late.timestamp()): sent + 9}
            assert told["code:101"] == {int(START.timestamp()): 1}
            roll(connection, "roll hours and days")


def test_a_damaged_rollup_is_replaced_while_its_rows_exist(connection: sqlite3.Connection) -> None:
    """The next report for its hour leads to a new rollup."""
    writes.merge_report(connection, usage(row(START, sentBytes=7)))
    writes.roll_hours(connection, limit=9)
    connection.execute("UPDATE hours SET packed = x'00'")
    with pytest.raises(LedgerDamagedError):
        reads.read(connection, WHOLE)
    writes.merge_report(connection, usage(row(START, sentBytes=8)))
    roll(connection, "roll hours and days")
    assert reads.read(connection, WHOLE)["sent"] == {int(START.timestamp()): 8}


def test_a_damaged_rollup_stops_neither_reports_nor_other_hours(tmp_path: Path) -> None:
    """It is logged, and the writer continues."""
    with closing(open_writer(tmp_path / "ledger.sqlite3")) as opened:
        writes.merge_report(opened, usage(row(START)))
        writes.roll_hours(opened, limit=9)
        opened.execute("UPDATE hours SET packed = x'00'")
        writes.merge_report(opened, usage(row(START + timedelta(hours=1))))
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics())
    with closing(open_reader(tmp_path / "ledger.sqlite3")) as reader:
        until_true(lambda: tables(reader)["dirty_hours"] == 0)
    ledger.commit(usage(row(START, sentBytes=5))).result(30)
    assert ledger.alive()
    assert ledger.writable()
    ledger.close()


def test_readers_cannot_write(connection: sqlite3.Connection, tmp_path: Path) -> None:
    """A reader's connection refuses every write."""
    with closing(open_reader(tmp_path / "ledger")) as reader, pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM usage")


def test_the_writer_is_as_safe_as_sqlite_can_be(connection: sqlite3.Connection) -> None:
    """WAL with an fsync at each commit."""
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    """An older program changes nothing of the file."""
    opened = open_writer(tmp_path / "ledger")
    opened.execute(f"PRAGMA user_version = {VERSION + 1}")
    opened.close()
    with pytest.raises(LedgerVersionError, match="newer program"):
        open_writer(tmp_path / "ledger")


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    """The error names the file, and the lock is released."""
    (tmp_path / "ledger.sqlite3").write_bytes(b"something else entirely" * 99)
    for _ in range(2):
        with pytest.raises(LedgerPlaceError, match=r"ledger\.sqlite3"):
            SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics())


def test_a_folder_belongs_to_one_ledger_at_a_time(tmp_path: Path) -> None:
    """The second is refused until the first releases the lock."""
    first = Place(tmp_path)
    with pytest.raises(LedgerPlaceError, match="in use"):
        Place(tmp_path)
    first.release()
    Place(tmp_path).release()


def test_network_file_systems_are_identified_by_their_type(tmp_path: Path) -> None:
    """NFS, SMB and the like are named; the disk under this test is a local one."""
    assert network_filesystem(0x6969) == "NFS"
    assert network_filesystem(0xFF534D42 - 2**32) == "CIFS"  # as a signed word
    assert network_filesystem(filesystem_type(tmp_path)) is None


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """The error names the file that is in the place of the folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerPlaceError, match="file"):
        Place(tmp_path / "file")


def fill(ledger: SqliteLedger) -> list[Future[tuple[int, ...]]]:
    """Send reports until the queue is full."""
    waiting: list[Future[tuple[int, ...]]] = []
    for number in range(1000):
        try:
            waiting.append(ledger.commit(usage(row(START, sentBytes=1), uid=f"uid-{number}")))
        except LedgerBusyError:
            break
    return waiting


def test_a_full_queue_refuses_and_close_commits_the_queue(tmp_path: Path) -> None:
    """A report beyond the queue is refused at once; close() commits the others."""
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics(), queue_limit=3)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the writer waits for this lock
        waiting = fill(ledger)
        assert len(waiting) < 1000
        other.execute("COMMIT")
    ledger.close()
    assert all(done.result(0) == () for done in waiting)
    with closing(open_writer(tmp_path / "ledger.sqlite3")) as connection:
        assert sum(reads.read(connection, WHOLE)["sent"].values()) == len(waiting) >= 3


def test_a_ledgers_files_are_its_size(tmp_path: Path) -> None:
    """size() is the sum of the file sizes."""
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics())
    ledger.commit(usage(row(START))).result(30)
    assert ledger.size() == sum(file.stat().st_size for file in tmp_path.glob("ledger.*"))
    assert ledger.writable()
    ledger.close()


def test_a_running_ledger_rolls_up_and_prunes_by_itself(tmp_path: Path) -> None:
    """Opened a hundred days later, it rolls up, deletes the five-minute rows, and answers the same."""
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics())
    ledger.commit(usage(row(START, sentBytes=7), row(START + timedelta(hours=5), sentBytes=5))).result(30)
    told = ledger.read(WHOLE)
    ledger.close()
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW + timedelta(days=100), observer=Metrics())
    with closing(open_reader(tmp_path / "ledger.sqlite3")) as reader:
        until_true(lambda: tables(reader)["usage"] == 0)
        assert tables(reader)["days"] > 0
    assert ledger.read(WHOLE) == told
    ledger.close()


def test_the_file_system_of_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """The error is the kernel's."""
    with pytest.raises(FileNotFoundError):
        filesystem_type(tmp_path / "missing")


def test_a_folder_on_a_network_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's WAL needs locks and shared memory of a local disk; no lock file is left."""
    monkeypatch.setattr(place, "filesystem_type", lambda _: 0x6969)
    with pytest.raises(LedgerPlaceError, match="is on NFS; a ledger needs a local disk"):
        Place(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_full_database_stores_nothing_until_there_is_space(tmp_path: Path) -> None:
    """A commit and a probe fail with SQLite's own code; the same report is stored afterwards."""
    store = SqliteStore(tmp_path / "ledger.sqlite3", clock=lambda: NOW)
    report = usage(*(row(START, domain=f"d{number}.example", sentBytes=1) for number in range(500)))
    with store.transaction() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    limit(store, pages)
    works: tuple[Callable[[], None], ...] = (lambda: merge(store, report), store.probe)
    for work in works:
        with pytest.raises(LedgerUnwritableError, match="the ledger cannot be written") as failed:
            work()
        assert failed.value.code == "SQLITE_FULL"
    limit(store, 2**30)
    store.probe()
    merge(store, report)
    with store.transaction() as connection:
        assert tables(connection)["usage"] == 500
        assert connection.execute("SELECT count(*) FROM probe").fetchone() == (0,)
    store.close()


def limit(store: SqliteStore, pages: int) -> None:
    """Bound the size of the database, as a full disk does."""
    with store.transaction() as connection:
        connection.execute(f"PRAGMA max_page_count = {pages}")


def merge(store: SqliteStore, report: UsageReport) -> None:
    with store.transaction() as connection:
        writes.merge_report(connection, report)


def test_an_error_within_a_transaction_rolls_it_back(tmp_path: Path) -> None:
    """An error that is not SQLite's is raised as it is."""
    store = SqliteStore(tmp_path / "ledger.sqlite3", clock=lambda: NOW)

    def fail() -> None:
        with store.transaction() as connection:
            writes.merge_report(connection, usage(row(START)))
            raise KeyError("a defect")

    with pytest.raises(KeyError, match="a defect"):
        fail()
    with store.transaction() as connection:
        assert tables(connection)["usage"] == 0
    store.close()


def test_a_ledger_that_cannot_be_read_at_the_start_is_refused(tmp_path: Path) -> None:
    """The error names the cause, and the folder is free again."""
    with closing(open_writer(tmp_path / "ledger.sqlite3")) as opened:
        opened.execute("DROP TABLE directory")
    for _ in range(2):
        with pytest.raises(LedgerUnwritableError, match="cannot be read: no such table: directory"):
            SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics())


def test_a_read_that_fails_is_an_error_of_the_ledger(tmp_path: Path) -> None:
    """A damaged or missing file is reported to the caller of the read, with the cause."""
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics())
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as other:
        other.execute("DROP TABLE seen")
        other.commit()
    with pytest.raises(LedgerUnwritableError, match="cannot be read: no such table: seen"):
        ledger.seen(None)
    (tmp_path / "ledger.sqlite3").rename(tmp_path / "moved")
    with pytest.raises(LedgerUnwritableError, match="cannot be opened: unable to open"):
        ledger.seen(None)
    ledger.close()


def test_keys_are_listed_by_account(tmp_path: Path) -> None:
    """Each key has its first and last bucket."""
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics())
    late = START + timedelta(minutes=5)
    ledger.commit(usage(row(late), row(START), row(START, account="team-b", domain="b.example"))).result(30)
    first, last = int(START.timestamp()), int(late.timestamp())
    a = Key("chat.example.com", "team-a", "shanghai", "telecom", "CN")
    b = Key("b.example", "team-b", "shanghai", "telecom", "CN")
    assert ledger.seen(None) == [SeenKey(a, first, last), SeenKey(b, first, first)]
    assert ledger.seen("team-b") == [SeenKey(b, first, first)]
    assert (ledger.backlog(), ledger.alive(), ledger.directory()) == (0, True, None)
    ledger.close()
    assert not ledger.alive()
