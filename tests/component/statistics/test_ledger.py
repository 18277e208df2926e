"""The SQLite ledger on a real file: its place, its thread, its refusals, its steps."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from support.statistics.build import directory_message, instant, row, seconds, usage
from support.statistics.process import until_true
from wsedge_statistics.contract import UsageReport
from wsedge_statistics.errors import (
    LedgerBusyError,
    LedgerDeadlineError,
    LedgerPlaceError,
    LedgerUnreadableError,
    LedgerUnwritableError,
    LedgerVersionError,
)
from wsedge_statistics.ledger import SeenKey
from wsedge_statistics.ledger.budget import Stop, begin
from wsedge_statistics.ledger.sqlite import keys as keys_module
from wsedge_statistics.ledger.sqlite import place, reads, retention, tenancy, totals, writes
from wsedge_statistics.ledger.sqlite.connections import open_reader, open_writer, transaction
from wsedge_statistics.ledger.sqlite.keys import KeyCache, KnownKey
from wsedge_statistics.ledger.sqlite.place import Place, filesystem_type, network_filesystem
from wsedge_statistics.ledger.sqlite.schema import VERSION
from wsedge_statistics.ledger.sqlite.store import SqliteLedger, SqliteStore
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import Dimension, Key, Selection
from wsedge_statistics.tenure import Holding

START = instant("2026-06-09T22:00:00Z")
NOW = instant("2026-06-12T00:00:00Z")
WHOLE = Selection(seconds("2026-06-09T00:00:00Z"), seconds("2026-06-12T00:00:00Z"))
SLOT = [Slot(WHOLE.start, WHOLE.end)]
TURN = writes.Moment(NOW).turn


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_writer(tmp_path / "ledger")
    yield opened
    opened.close()


def tables(connection: sqlite3.Connection) -> dict[str, int]:
    names = ("usage", "codes", "sources", "keys", "scopes", "totals", "code_totals", "dirty", "fill")
    return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


def test_deletion_goes_in_steps_of_a_bucket(connection: sqlite3.Connection) -> None:
    """However many rows are past their retention, one step deletes five minutes of them."""
    story = usage(*(row(START + timedelta(minutes=5 * n)) for n in range(24)))
    with transaction(connection):
        writes.merge_report(connection, story, writes.Moment(NOW))
        refresh(connection)
        steps = 0
        while retention.prune(connection, START + timedelta(days=100)):
            steps += 1
    assert steps == 24


def test_everything_goes_with_its_last_total(connection: sqlite3.Connection) -> None:
    """A year later nothing is left but the one scope of everything."""
    writes.merge_report(connection, usage(row(START, codes={"101": 2})), writes.Moment(NOW))
    refresh(connection)
    while retention.prune(connection, START + timedelta(days=370)):
        pass
    assert tables(connection) == dict.fromkeys(tables(connection), 0) | {"scopes": 1}


def refresh(connection: sqlite3.Connection) -> None:
    while totals.refresh(connection, turn=TURN + 1, spent=lambda: True):
        pass


def test_a_step_of_totals_ends_when_its_time_is_spent(connection: sqlite3.Connection) -> None:
    """At least one total is recomputed; those that became dirty in this turn wait for the next."""
    writes.merge_report(connection, usage(row(START)), writes.Moment(NOW))
    assert totals.refresh(connection, turn=TURN, spent=lambda: False) == 0
    assert totals.refresh(connection, turn=TURN + 1, spent=lambda: True) == 1
    assert totals.refresh(connection, turn=TURN + 1, spent=lambda: False) == 3
    assert tables(connection)["dirty"] == 0


def test_an_earlier_directory_changes_nothing(connection: sqlite3.Connection) -> None:
    """The Directory with the latest writtenAt stays stored, in any order of arrival and any zone."""
    late = directory_message(written_at="2026-06-01T12:00:00+08:00")
    early = directory_message(written_at="2026-06-01T03:00:00Z", domains={})
    assert tenancy.put_directory(connection, late, NOW)
    assert not tenancy.put_directory(connection, early, NOW)
    assert tenancy.directory(connection) == late
    again = directory_message(written_at="2026-06-01T05:00:00Z")
    assert tenancy.put_directory(connection, again, NOW)


def test_holdings_of_older_programs_become_periods(connection: sqlite3.Connection) -> None:
    """Without a beginning, which they did not store; once."""
    ended = instant("2026-06-10T00:00:00Z")
    connection.execute("INSERT INTO holdings VALUES ('a.example', 'team-a', NULL)")
    connection.execute("INSERT INTO holdings VALUES ('b.example', 'team-a', ?)", (ended.isoformat(),))
    for _ in range(2):
        tenancy.begin_tenures(connection, None, NOW)
        assert tenancy.tenures(connection).held == {
            ("a.example", "team-a"): (Holding(),),
            ("b.example", "team-a"): (Holding(until=ended),),
        }


def test_periods_of_a_domain_outlive_the_program(connection: sqlite3.Connection) -> None:
    """Each of several, and the time of the last Directory."""
    for day, domains in (("01", {}), ("02", None), ("03", {}), ("05", {}), ("06", None)):
        written_at = f"2026-06-{day}T00:00:00Z"
        after = tenancy.put_directory(
            connection, directory_message(written_at=written_at, domains=domains), NOW
        )
        assert tenancy.tenures(connection) == after
    assert len(tenancy.tenures(connection).held["chat.example.com", "team-a"]) == 2


def test_terms_of_former_lives_outlive_the_program(connection: sqlite3.Connection) -> None:
    """As the Directory last named them, until the life's end."""
    for day, uid in (("01", "11111111-life"), ("02", "22222222-life"), ("03", "33333333-life")):
        written_at = f"2026-06-{day}T00:00:00Z"
        lives = {"team-a": {"uid": uid, "since": written_at}}
        after = tenancy.put_directory(connection, directory_message(written_at=written_at, lives=lives), NOW)
        assert tenancy.tenures(connection) == after
    ends = [life.terms[0].end for life in tenancy.tenures(connection).epochs["team-a"]]
    assert ends == [instant("2026-06-02T00:00:00Z"), instant("2026-06-03T00:00:00Z"), None]


WITHOUT_TERMS = {
    "of this schema, without the column": "ALTER TABLE epochs DROP COLUMN terms",
    "migrated from schema 1": "UPDATE epochs SET terms = NULL",
}


@pytest.mark.parametrize("forgotten", WITHOUT_TERMS.values(), ids=WITHOUT_TERMS.keys())
def test_a_ledger_without_terms_gets_those_of_its_directory(
    connection: sqlite3.Connection, forgotten: str
) -> None:
    """An older program wrote it, and a namespace may be made again before the next Directory."""
    first = directory_message(lives={"team-a": {"uid": "11111111-life"}})
    before = tenancy.put_directory(connection, first, NOW)
    connection.execute(forgotten)
    for _ in range(2):
        tenancy.begin_tenures(connection, first, NOW)
        assert tenancy.tenures(connection) == before
    lives = {"team-a": {"uid": "22222222-life", "since": "2026-06-01T00:00:00Z"}}
    again = directory_message(written_at="2026-06-01T00:00:00Z", lives=lives)
    assert tenancy.put_directory(connection, again, NOW)
    (former, _) = tenancy.tenures(connection).epochs["team-a"]
    assert [period.end for period in former.terms] == [instant("2026-06-01T00:00:00Z")]


def test_the_label_of_the_installation_is_kept_with_its_relays(connection: sqlite3.Connection) -> None:
    """Also when an older report of the same relay did not have it, or a later one does not."""
    for label in (None, "north-1", None):
        writes.merge_report(connection, usage(row(START), cluster=label), writes.Moment(NOW))
    assert connection.execute("SELECT cluster FROM sources").fetchall() == [("north-1",)]


def test_a_directory_of_the_future_does_not_block_others(connection: sqlite3.Connection) -> None:
    """Once the operator's clock is corrected, its next Directory is stored."""
    ahead = directory_message(written_at="2027-06-01T00:00:00Z", domains={})
    right = directory_message(written_at="2026-06-11T23:59:00Z")
    assert tenancy.put_directory(connection, ahead, NOW)
    assert tenancy.put_directory(connection, right, NOW)
    assert tenancy.directory(connection) == right


def test_a_directory_of_another_version_is_no_directory(tmp_path: Path) -> None:
    """A program that cannot parse the stored Directory starts without it, and stores the next."""
    with closing(open_writer(tmp_path / "ledger.sqlite3")) as opened:
        body = '{"version": 2, "clusters": []}'
        opened.execute("INSERT INTO directory VALUES (1, '2026-06-01T00:00:00+00:00', ?)", (body,))
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger)
    assert ledger.directory() is None
    message = directory_message(written_at="2026-06-02T00:00:00Z")
    assert ledger.put_directory(message).result(30)
    assert ledger.directory() == message
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
            SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger)


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
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger, queue_limit=3)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the writer waits for this lock
        waiting = fill(ledger)
        assert len(waiting) < 1000
        other.execute("COMMIT")
    ledger.close()
    assert all(done.result(0) == () for done in waiting)
    with closing(open_writer(tmp_path / "ledger.sqlite3")) as connection:
        assert reads.sums(connection, WHOLE, SLOT)[0].counts.sent == len(waiting) >= 3


def test_a_ledgers_files_are_its_size(tmp_path: Path) -> None:
    """size() is the sum of the file sizes."""
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger)
    ledger.commit(usage(row(START))).result(30)
    assert ledger.size() == sum(file.stat().st_size for file in tmp_path.glob("ledger.*"))
    assert ledger.writable()
    ledger.close()


class Clocks:
    """The wall clock and the monotonic clock of a process."""

    def __init__(self) -> None:
        self.wall, self.ran = START, 1000.0

    def go(self, time: timedelta) -> None:
        self.wall += time
        self.ran += time.total_seconds()


def jumping(folder: Path, clocks: Clocks, metrics: Metrics) -> SqliteStore:
    database = folder / "ledger.sqlite3"
    return SqliteStore(
        database, clock=lambda: clocks.wall, observer=metrics.ledger, monotonic=lambda: clocks.ran
    )


def upkeep(store: SqliteStore, clocks: Clocks) -> dict[str, int]:
    store.begin_round()
    while store.refresh() or store.prune(clocks.wall):
        pass
    with store.transaction() as connection:
        return tables(connection)


def test_time_that_passes_deletes(tmp_path: Path) -> None:
    """With reports every day, rows go after 94 days and totals after a year, also across restarts."""
    clocks, metrics = Clocks(), Metrics()
    kept: dict[int, dict[str, int]] = {}
    for day in range(380):
        if day % 50 == 0:
            store = jumping(tmp_path, clocks, metrics)
        with store.transaction() as connection:
            writes.merge_report(connection, usage(row(clocks.wall, sentBytes=1)), store.moment())
        kept[day] = upkeep(store, clocks)
        if day % 50 == 49:
            store.close()
        clocks.go(timedelta(days=1))
    store.close()
    assert [kept[day]["usage"] for day in (0, 93, 190, 379)] == [1, 94, 95, 95]
    assert [kept[day]["totals"] // 4 for day in (93, 366, 379)] == [94, 367, 368]
    assert metrics.registry.get_sample_value("wsedge_statistics_deletions_behind_seconds") == 0


def test_a_clock_that_jumps_deletes_nothing(tmp_path: Path) -> None:
    """Ahead by 400 days, for a while and over a restart, and back: all rows and totals stay; it is said."""
    clocks, metrics = Clocks(), Metrics()
    store = jumping(tmp_path, clocks, metrics)
    for _ in range(60):
        with store.transaction() as connection:
            writes.merge_report(connection, usage(row(clocks.wall, sentBytes=1)), store.moment())
        clocks.go(timedelta(days=1))
    before = upkeep(store, clocks)
    for jump in (400, -400, 200, -200, -100, 100):
        clocks.wall += timedelta(days=jump)
        with capture_logs() as logged:
            assert upkeep(store, clocks) == before
        assert any(line["event"] == "deletion waits" for line in logged) is (jump in (400, 200))
        clocks.go(timedelta(minutes=20))
        assert upkeep(store, clocks) == before
        store.close()
        store = jumping(tmp_path, clocks, metrics)
        behind = metrics.registry.get_sample_value("wsedge_statistics_deletions_behind_seconds")
        assert behind is not None
        assert (behind > 100 * 86400) is (jump in (400, 200))
    store.close()


def test_a_running_ledger_adds_up_and_deletes_by_itself(tmp_path: Path) -> None:
    """Its thread recomputes totals, and deletes what reports of a later time make old."""
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger)
    ledger.commit(usage(row(START, sentBytes=7), row(START + timedelta(hours=5), sentBytes=5))).result(30)
    told = ledger.sums(WHOLE, SLOT)
    with closing(open_reader(tmp_path / "ledger.sqlite3")) as reader:
        assert tables(reader)["dirty"] > 0
    ledger.close()
    with closing(open_writer(tmp_path / "ledger.sqlite3")) as opened:
        opened.execute("DELETE FROM state WHERE name = 'deletion_time'")
        later = NOW + timedelta(days=100)
        writes.merge_report(opened, usage(row(later)), writes.Moment(later))
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW + timedelta(days=100), observer=Metrics().ledger)
    with closing(open_reader(tmp_path / "ledger.sqlite3")) as reader:
        until_true(lambda: tables(reader)["usage"] == 1)
    assert ledger.sums(WHOLE, SLOT) == told
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
    store = SqliteStore(tmp_path / "ledger.sqlite3", clock=lambda: NOW, observer=Metrics().ledger)
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
        writes.merge_report(connection, report, writes.Moment(NOW))


def test_an_error_within_a_transaction_rolls_it_back(tmp_path: Path) -> None:
    """An error that is not SQLite's is raised as it is."""
    store = SqliteStore(tmp_path / "ledger.sqlite3", clock=lambda: NOW, observer=Metrics().ledger)

    def fail() -> None:
        with store.transaction() as connection:
            writes.merge_report(connection, usage(row(START)), writes.Moment(NOW))
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
            SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger)


def test_a_read_that_fails_is_an_error_of_the_ledger(tmp_path: Path) -> None:
    """A damaged or missing file is reported to the caller of the read, with the cause."""
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as other:
        other.execute("DROP TABLE keys")
        other.commit()
    with pytest.raises(LedgerUnreadableError, match="cannot be read: no such table: keys"):
        ledger.seen(None)
    (tmp_path / "ledger.sqlite3").rename(tmp_path / "moved")
    with pytest.raises(LedgerUnreadableError, match="was moved or deleted"):
        ledger.seen(None)
    ledger.close()


def test_a_read_ends_when_it_is_due(tmp_path: Path) -> None:
    """Within the work of one statement; the ledger answers the next question."""
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger)
    ledger.commit(usage(*(row(START + timedelta(minutes=5 * n)) for n in range(500)))).result(30)
    hung_up = Stop(60)
    hung_up.cancel()
    for stop in (Stop(0), hung_up):
        with begin(stop):
            with pytest.raises(LedgerDeadlineError, match="Ask for a shorter span"):
                ledger.sums(WHOLE, SLOT)
            with pytest.raises(LedgerDeadlineError):
                list(ledger.values(WHOLE))
    assert len(ledger.sums(WHOLE, SLOT)) == 1
    ledger.close()


def test_keys_are_listed_by_account(tmp_path: Path) -> None:
    """Each key has its first and last bucket."""
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger)
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


def test_keys_of_a_commit_that_failed_are_not_taken_for_stored(tmp_path: Path) -> None:
    """The next report of the same key stores it."""
    store = SqliteStore(tmp_path / "ledger.sqlite3", clock=lambda: NOW, observer=Metrics().ledger)
    report = usage(row(START, sentBytes=7))

    def fail() -> None:
        with store.transaction() as connection:
            writes.merge_report(connection, report, store.moment())
            raise KeyError("a defect")

    with pytest.raises(KeyError):
        fail()
    with store.transaction() as connection:
        writes.merge_report(connection, report, store.moment())
    with store.transaction() as connection:
        assert reads.sums(connection, WHOLE, SLOT, (Dimension.DOMAIN,))[0].counts.sent == 7
    store.close()


def test_a_key_that_was_deleted_is_stored_again(tmp_path: Path) -> None:
    """A report of a key whose last counts are a year old is stored under a new number."""
    clocks = Clocks()
    store = jumping(tmp_path, clocks, Metrics())
    for _ in range(2):
        with store.transaction() as connection:
            writes.merge_report(connection, usage(row(clocks.wall, sentBytes=7)), store.moment())
        other = usage(row(clocks.wall + timedelta(days=370), domain="other.example", sentBytes=1))
        clocks.go(timedelta(days=370))
        with store.transaction() as connection:
            writes.merge_report(connection, other, store.moment())
        assert upkeep(store, clocks)["keys"] == 1
    store.close()


def test_a_total_that_was_recomputed_is_marked_again(tmp_path: Path) -> None:
    """By the next report of the same keys, and also after a commit that failed."""
    store = SqliteStore(tmp_path / "ledger.sqlite3", clock=lambda: NOW, observer=Metrics().ledger)

    def fail() -> None:
        with store.transaction() as connection:
            writes.merge_report(connection, usage(row(START, sentBytes=9)), store.moment())
            raise KeyError("a defect")

    with pytest.raises(KeyError):
        fail()
    for sent in (1, 2, 3):
        for again in (sent, sent):
            with store.transaction() as connection:
                writes.merge_report(connection, usage(row(START, sentBytes=again)), store.moment())
                assert tables(connection)["dirty"] == 4
        store.begin_round()
        while store.refresh():
            pass
        with store.transaction() as connection:
            assert tables(connection)["dirty"] == 0
            for group_by in ((), (Dimension.ACCOUNT,), (Dimension.DOMAIN,), (Dimension.REGION,)):
                assert reads.sums(connection, WHOLE, SLOT, group_by)[0].counts.sent == sent
    store.close()


PLACES: dict[str, tuple[dict[str, Any], tuple[Dimension, ...], str]] = {
    "one area": ({}, (Dimension.AREA,), "account"),
    "one region in the only area": ({"region": "shanghai"}, (Dimension.AREA,), "account"),
    "a region that nobody has": ({"region": "tibet"}, (Dimension.AREA,), "account"),
    "one isp of two": ({"isp": "telecom"}, (), "place"),
    "both isps": ({}, (Dimension.ISP,), "place"),
}


@pytest.mark.parametrize(("filters", "group_by", "grain"), PLACES.values(), ids=PLACES.keys())
def test_totals_of_places_are_read_where_they_differ_from_the_accounts(
    connection: sqlite3.Connection, filters: dict[str, Any], group_by: tuple[Dimension, ...], grain: str
) -> None:
    """An account whose counts are all of one group is answered from its own totals, which are fewer."""
    for isp in ("telecom", "unicom"):
        writes.merge_report(connection, usage(row(START, isp=isp, sentBytes=4)), writes.Moment(NOW))
    refresh(connection)
    selection = Selection(WHOLE.start, WHOLE.end, account="team-a", **filters)
    assert reads._choose(connection, selection, group_by).grain == grain
    found = reads.sums(connection, selection, SLOT, group_by)
    kept = [
        isp for isp in ("telecom", "unicom") if filters.get("isp", isp) == isp and "tibet" not in str(filters)
    ]
    assert sum(each.counts.sent for each in found) == 4 * len(kept)


REPEATED = {
    "all new": (),
    "all stored": ("a.example", "b.example", "c.example"),
    "the first stored": ("a.example",),
    "the last stored": ("c.example",),
}


@pytest.mark.parametrize("stored", REPEATED.values(), ids=REPEATED.keys())
def test_a_report_may_have_a_key_twice(connection: sqlite3.Connection, stored: tuple[str, ...]) -> None:
    """The largest of each count is stored, and a row is counted once against the room of its account."""
    before = [row(START, domain=name, sentBytes=5, codes={"101": 5}) for name in stored]
    writes.merge_report(connection, usage(*before), writes.Moment(NOW))
    rows = [
        row(START, domain=name, sentBytes=sent, receivedBytes=10 - sent, codes={"101": sent, "403": 1})
        for name in ("a.example", "b.example", "c.example")
        for sent in (3, 7, 4)
    ]
    writes.merge_report(connection, usage(*rows), writes.Moment(NOW))
    found = connection.execute("SELECT sent, received FROM usage").fetchall()
    assert found == [(7, 7)] * 3
    assert connection.execute("SELECT code, count FROM codes").fetchall() == [(101, 7), (403, 1)] * 3
    fills = connection.execute("SELECT rows FROM fill WHERE bucket >= -1 ORDER BY bucket").fetchall()
    assert fills == [(9,), (9,)]


def test_a_key_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins anew once it is full."""
    monkeypatch.setattr(keys_module, "CACHED", 2)
    cache = KeyCache()
    known = {Key(name, "a", "r", "i", "c"): KnownKey(1, 2, 3, 4, 5, 6) for name in "xyz"}
    for key, each in known.items():
        cache.remember({key: each})
    assert list(cache._known) == list(known)[2:]


def test_a_full_cache_of_keys_takes_no_known_key_for_new(
    monkeypatch: pytest.MonkeyPatch, connection: sqlite3.Connection
) -> None:
    """While a report's keys are looked up, the cache begins anew."""
    monkeypatch.setattr(keys_module, "CACHED", 2)
    monkeypatch.setattr(totals, "MARKED", 2)
    moment = writes.Moment(NOW)
    for names in ("ab", "abcd", "abcde", "cde"):
        report = usage(*(row(START, domain=f"{name}.example", sentBytes=1) for name in names))
        writes.merge_report(connection, report, moment)
    assert tables(connection)["keys"] == tables(connection)["usage"] == 5
