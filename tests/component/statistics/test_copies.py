"""Backup while running, restore, verification."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from support.statistics.build import directory, instant, recent_bucket, report, row, usage
from support.statistics.process import statistics
from wsedge_statistics.ledger.sqlite import totals, writes
from wsedge_statistics.ledger.sqlite.connections import open_writer, transaction
from wsedge_statistics.ledger.sqlite.place import Place

NOW = instant("2026-06-12T00:00:00Z")
NAME = "ledger.sqlite3"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wsedge_statistics.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_backup_of_the_running_program_is_restored(tmp_path: Path) -> None:
    """It has what was acknowledged before; the program goes on; the restored folder answers the same."""
    data, copy, other = tmp_path / "data", tmp_path / "copy.sqlite3", tmp_path / "other"
    with statistics(data) as program:
        program.put_directory(directory())
        assert program.post(report(row(recent_bucket(1), sentBytes=7))).status == 204
        made = run("backup", "--data", data, "--to", copy)
        assert made.returncode == 0, made.stderr
        assert program.post(report(row(recent_bucket(1), sentBytes=9))).status == 204
        again = run("backup", "--data", data, "--to", copy)
        assert (again.returncode, "exists; a backup overwrites nothing" in again.stderr) == (1, True)
    restored = run("restore", "--data", other, "--from", copy)
    assert restored.returncode == 0, restored.stderr
    with statistics(other) as program:
        assert program.get("/v1/traffic").json["total"]["sentBytes"] == 7
        assert program.get("/v1/options", account="team-a").json["timeZone"] == "Asia/Shanghai"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.sqlite3", "data", "other"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger with counts until NOW."""
    folder = tmp_path / "data"
    Place(folder).release()
    fill(folder, instant("2026-06-11T23:55:00Z"))
    return folder


def fill(folder: Path, *buckets: object) -> None:
    with closing(open_writer(folder / NAME)) as connection, transaction(connection):
        for bucket in buckets:
            rows = [row(bucket, domain=f"d{n}.example", sentBytes=n, codes={"101": n}) for n in range(3)]  # type: ignore[arg-type]
            writes.merge_report(connection, usage(*rows), writes.Moment(NOW))
        while totals.refresh(connection, turn=1, spent=lambda: False):
            pass


def test_a_restore_keeps_the_ledger_that_it_replaces(folder: Path, tmp_path: Path) -> None:
    """Beside the restored ledger, under another name."""
    assert run("backup", "--data", folder, "--to", tmp_path / "copy").returncode == 0
    ran = run("restore", "--data", folder, "--from", tmp_path / "copy")
    assert ran.returncode == 0, ran.stderr
    assert "its former ledger is" in ran.stdout
    assert len(list(folder.glob("replaced-*.sqlite3"))) == 1
    assert run("verify", "--data", folder).returncode == 0


def test_a_restore_over_newer_counts_is_refused(folder: Path, tmp_path: Path) -> None:
    """The text names both times, and nothing changes."""
    assert run("backup", "--data", folder, "--to", tmp_path / "copy").returncode == 0
    fill(folder, instant("2026-06-12T00:00:00Z"))
    ran = run("restore", "--data", folder, "--from", tmp_path / "copy")
    assert ran.returncode == 1
    assert "has counts until 2026-06-12T00:00:00Z, the backup until 2026-06-11T23:55:00Z" in ran.stderr
    assert {path.name for path in folder.iterdir()} <= {NAME, "lock", f"{NAME}-wal", f"{NAME}-shm"}


LACKING = {
    "counts of the newest bucket": (
        lambda ledger: add(ledger, "2026-06-11T23:55:00Z", "2026-06-12T00:00:00Z"),
        "has more counts of 2026-06-11T23:55:00Z, which the backup has not",
    ),
    "counts of half an hour before": (
        lambda ledger: add(ledger, "2026-06-11T23:25:00Z", "2026-06-11T23:30:00Z"),
        "has more counts of 2026-06-11T23:25:00Z, which the backup has not",
    ),
    "counts that came late": (
        lambda ledger: add(ledger, "2026-06-11T12:00:00Z", "2026-06-12T00:05:00Z"),
        "has late counts of 2026-06-12T00:05:00Z, which the backup has not",
    ),
    "a statement": (
        lambda ledger: ledger.execute("INSERT INTO statements VALUES ('a', '2026-05', 1, '', '{}')"),
        "has 1 closed statements, which the backup has not",
    ),
}


@pytest.mark.parametrize(("grow", "lacking"), LACKING.values(), ids=LACKING.keys())
def test_a_restore_over_more_than_the_backup_has_is_refused(
    folder: Path, tmp_path: Path, grow: Callable[[sqlite3.Connection], object], lacking: str
) -> None:
    """With the same newest bucket as well: the text says what would be lost, and nothing changes."""
    assert run("backup", "--data", folder, "--to", tmp_path / "copy").returncode == 0
    with closing(open_writer(folder / NAME)) as ledger, transaction(ledger):
        grow(ledger)
    ran = run("restore", "--data", folder, "--from", tmp_path / "copy")
    assert (ran.returncode, lacking in ran.stderr) == (1, True), ran.stderr
    assert {path.name for path in folder.iterdir()} <= {NAME, "lock", f"{NAME}-wal", f"{NAME}-shm"}


def add(ledger: sqlite3.Connection, bucket: str, now: str) -> None:
    """Add a report of another process that arrives at an instant."""
    given = usage(row(instant(bucket), sentBytes=1), uid="another")
    writes.merge_report(ledger, given, writes.Moment(instant(now)))


def test_a_restore_over_a_running_ledger_is_refused(folder: Path, tmp_path: Path) -> None:
    """Whatever its counts are."""
    assert run("backup", "--data", folder, "--to", tmp_path / "copy").returncode == 0
    place = Place(folder)
    try:
        ran = run("restore", "--data", folder, "--from", tmp_path / "copy")
        assert (ran.returncode, "is in use by another process" in ran.stderr) == (1, True)
    finally:
        place.release()


def test_a_file_that_is_no_ledger_is_not_restored(folder: Path, tmp_path: Path) -> None:
    """Garbage, an older schema, and a damaged copy."""
    copy = tmp_path / "copy"
    copy.write_bytes(b"something else" * 999)
    ran = run("restore", "--data", folder, "--from", copy)
    assert (ran.returncode, "is no ledger" in ran.stderr) == (1, True)


def test_an_emptied_ledger_is_restored(folder: Path, tmp_path: Path) -> None:
    """What a start refuses is what a backup is for."""
    assert run("backup", "--data", folder, "--to", tmp_path / "copy").returncode == 0
    (folder / NAME).write_bytes(b"")
    ran = run("restore", "--data", folder, "--from", tmp_path / "copy")
    assert ran.returncode == 0, ran.stderr
    assert run("verify", "--data", folder).returncode == 0
    assert list(folder.glob("replaced-*")) == []


def test_verification_names_each_total_that_differs(folder: Path) -> None:
    """Bucket, scope, the stored counts and those of the rows; exit code 1."""
    fill(folder, instant("2026-06-11T23:00:00Z"))
    ran = run("verify", "--data", folder)
    assert (ran.returncode, ran.stdout) == (0, "0 totals differ from their rows\n")
    with closing(open_writer(folder / NAME)) as connection:
        connection.execute(
            "UPDATE totals SET sent = sent + 5 WHERE scope ="
            " (SELECT id FROM scopes WHERE domain = 'd2.example')"
            " AND bucket = (SELECT min(bucket) FROM totals)"
        )
        connection.execute(
            "DELETE FROM code_totals WHERE scope = (SELECT id FROM scopes WHERE grain = 'account')"
            " AND bucket = (SELECT max(bucket) FROM totals)"
        )
        connection.execute("INSERT INTO totals VALUES (1, 5, 0, 1, 0, 0, 0, 0, 0, 0)")
        connection.execute("UPDATE scopes SET first = 5 WHERE id = 1")
    ran = run("verify", "--data", folder)
    assert ran.returncode == 1
    lines = ran.stdout.splitlines()
    assert lines[-1] == "3 totals differ from their rows"
    assert "2026-06-11T23:00:00Z domain team-a d2.example: stored ([7, " in ran.stdout
    assert "2026-06-11T23:55:00Z account team-a: stored ([3, " in ran.stdout
    assert (
        "1970-01-01T00:25:00Z everything: stored ([1, 0, 0, 0, 0, 0, 0], {}), rows have ([], {})"
        in ran.stdout
    )


def test_a_command_without_its_options_ends_with_2() -> None:
    """The usage names what is missing."""
    ran = run("backup")
    assert ran.returncode == 2
    assert "--to" in ran.stderr
