"""What happens to the ledger's files under the running program, and what a start finds of them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from support.statistics.build import instant, recent_bucket, report, row, usage
from support.statistics.faults import damage
from support.statistics.process import Statistics, statistics
from wsedge_statistics.contract import UsageReport
from wsedge_statistics.errors import (
    LedgerDamagedError,
    LedgerPlaceError,
    LedgerUnreadableError,
    LedgerUnwritableError,
)
from wsedge_statistics.ledger.sqlite import store as module
from wsedge_statistics.ledger.sqlite import writes
from wsedge_statistics.ledger.sqlite.place import Place
from wsedge_statistics.ledger.sqlite.store import SqliteLedger, SqliteStore
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import DAY, Selection, SlotSums

NOW = instant("2026-06-12T00:00:00Z")
START = instant("2026-06-09T22:00:00Z")
NAME = "ledger.sqlite3"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    opened = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger)
    opened.commit(usage(row(START, sentBytes=7))).result(30)
    yield opened
    opened.close()


def rename(folder: Path) -> None:
    (folder / NAME).rename(folder / "elsewhere")


def delete(folder: Path) -> None:
    (folder / NAME).unlink()


def replace(folder: Path) -> None:
    copy = folder / "copy"
    copy.write_bytes((folder / NAME).read_bytes())
    copy.rename(folder / NAME)


def empty(folder: Path) -> None:
    os.truncate(folder / NAME, 0)


def truncate(folder: Path) -> None:
    os.truncate(folder / NAME, (folder / NAME).stat().st_size - 4096)


def delete_the_log(folder: Path) -> None:
    (folder / f"{NAME}-wal").unlink()


def delete_the_shared_memory(folder: Path) -> None:
    (folder / f"{NAME}-shm").unlink()


@pytest.mark.parametrize(
    "harm", [rename, delete, replace, empty, truncate, delete_the_log, delete_the_shared_memory]
)
def test_a_ledger_whose_files_are_gone_stores_and_answers_nothing(
    ledger: SqliteLedger, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """It is not ready, reports and questions fail; the lock stays with the process."""
    assert ledger.writable()
    harm(tmp_path)
    assert not ledger.writable()
    with pytest.raises(LedgerUnwritableError, match=r"moved or deleted|replaced|truncated|cannot be written"):
        ledger.commit(usage(row(START, sentBytes=8))).result(30)
    with pytest.raises(LedgerUnreadableError):
        ledger.seen(None)
    assert ledger.alive()


def test_a_file_that_is_put_back_is_the_ledger_again(ledger: SqliteLedger, tmp_path: Path) -> None:
    """Reports that were refused meanwhile are stored when relays repeat them."""
    rename(tmp_path)
    with pytest.raises(LedgerUnwritableError):
        ledger.commit(usage(row(START, sentBytes=8))).result(30)
    (tmp_path / "elsewhere").rename(tmp_path / NAME)
    ledger.commit(usage(row(START, sentBytes=8))).result(30)
    assert ledger.writable()
    assert len(ledger.seen(None)) == 1


def test_a_report_for_a_renamed_ledger_is_503(tmp_path: Path) -> None:
    """Never 204; /readyz is 503, /healthz 200, and the log names the file."""
    with statistics(tmp_path / "data") as program:
        assert program.post(report(row(recent_bucket(1)))).status == 204
        rename(tmp_path / "data")
        assert program.post(report(row(recent_bucket(1)))).status == 503
        assert program.get("/readyz").status == 503
        assert program.get("/healthz").status == 200
        assert "was moved or deleted" in program.event("ledger cannot be written")["error"]


def test_the_lock_is_on_the_database(tmp_path: Path) -> None:
    """Without the file `lock` a second process is refused as well."""
    with statistics(tmp_path / "data") as first:
        (tmp_path / "data" / "lock").unlink()
        second = Statistics(tmp_path / "data")
        assert second.wait() == 1
        assert "in use by another process" in second.lines[-1]
        assert first.post(report(row(recent_bucket(1)))).status == 204


def test_an_empty_file_is_not_a_new_ledger(tmp_path: Path) -> None:
    """What was a ledger is not begun anew without a word."""
    SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger).close()
    empty(tmp_path)
    with pytest.raises(LedgerPlaceError, match="is empty, and no ledger is"):
        Place(tmp_path)
    (tmp_path / NAME).unlink()
    Place(tmp_path).release()


def test_a_log_without_its_database_is_not_a_new_ledger(tmp_path: Path) -> None:
    """The last commits may be in the log alone."""
    (tmp_path / f"{NAME}-wal").write_bytes(b"frames")
    with pytest.raises(LedgerPlaceError, match="has its last commits"):
        Place(tmp_path)


def test_a_start_that_was_killed_while_it_created_a_ledger_is_repeated(tmp_path: Path) -> None:
    """Half a file under another name is no ledger."""
    (tmp_path / f"{NAME}.new").write_bytes(b"half a file")
    SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger).close()
    with closing(sqlite3.connect(tmp_path / NAME)) as made:
        assert made.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_disk_that_others_fill_makes_it_not_ready(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first report fails; reports are still tried."""
    assert ledger.writable()
    monkeypatch.setattr(module, "LEAST_FREE", 1 << 62)
    assert not ledger.writable()
    ledger.commit(usage(row(START, sentBytes=8))).result(30)


def days(count: int) -> UsageReport:
    """A report of some rows in each of the last days before NOW."""
    return usage(
        *(
            row(NOW - timedelta(days=day + 1), domain=f"d{number}.example", sentBytes=1)
            for day in range(count)
            for number in range(120)
        )
    )


def test_a_garbage_page_stops_nothing_else(tmp_path: Path) -> None:
    """Its bucket is not answered; others are, reports are stored, totals computed, and a metric tells."""
    metrics = Metrics()
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=metrics.ledger)
    ledger.commit(days(9)).result(30)
    ledger.close()
    damage(tmp_path / NAME, "usage")  # of the oldest day
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=metrics.ledger)
    end = int(NOW.timestamp())
    assert sum(part.counts.sent for part in read(ledger, end - 2 * DAY, end)) == 240
    with pytest.raises(LedgerUnreadableError):
        read(ledger, end - 9 * DAY, end - 8 * DAY)
    bad = usage(row(NOW - timedelta(days=9), domain="d0.example", sentBytes=2))
    good = usage(row(NOW - timedelta(days=1), domain="d0.example", sentBytes=2))
    with pytest.raises(LedgerDamagedError):
        ledger.commit(bad).result(30)
    assert ledger.commit(good).result(30) == ()
    assert ledger.writable()
    assert metrics.ledger.damage_met
    ledger.close()


def read(ledger: SqliteLedger, start: int, end: int) -> list[SlotSums]:
    return ledger.sums(Selection(start, end), [Slot(start, end)])


def test_a_damaged_bucket_stops_neither_totals_nor_retention(tmp_path: Path) -> None:
    """Upkeep leaves it out, computes the totals of the others and deletes their rows."""
    metrics = Metrics()
    store = SqliteStore(tmp_path / NAME, clock=lambda: NOW, observer=metrics.ledger)
    with store.transaction() as connection:
        writes.merge_report(connection, days(9), store.moment())
    store.close()
    damage(tmp_path / NAME, "usage")
    store = SqliteStore(tmp_path / NAME, clock=lambda: NOW, observer=metrics.ledger)
    store.begin_round()
    while store.refresh():
        pass
    later = NOW + timedelta(days=95)
    with store.transaction() as connection:
        writes.merge_report(connection, usage(row(later)), writes.Moment(later))
    while store.prune(later):
        pass
    with store.transaction() as connection:
        (left,) = connection.execute("SELECT count(DISTINCT bucket) - 1 FROM dirty").fetchone()
        assert 1 <= left <= 4  # of nine: a page has rows of several
        (first,) = connection.execute("SELECT number FROM state WHERE name = 'intact_from'").fetchone()
        assert connection.execute("SELECT count(*) FROM usage WHERE bucket >= ?", (first,)).fetchone() == (1,)
    assert metrics.ledger.damage_met
    store.close()
