"""A SQLite ledger moved to a ClickHouse server by the command."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from support.statistics.build import directory_message, instant, row, seconds, usage
from support.statistics.clickhouse import clickhouse_address
from wsedge_statistics import commands
from wsedge_statistics.ledger.clickhouse import reads, statements, tenancy
from wsedge_statistics.ledger.clickhouse.server import Address, Server
from wsedge_statistics.ledger.moving import compare
from wsedge_statistics.ledger.protocol import LateCounts, StoredStatement
from wsedge_statistics.ledger.sqlite import reads as sqlite_reads
from wsedge_statistics.ledger.sqlite import retention, totals, writes
from wsedge_statistics.ledger.sqlite import tenancy as sqlite_tenancy
from wsedge_statistics.ledger.sqlite.connections import open_reader, open_writer, transaction
from wsedge_statistics.ledger.sqlite.place import Place
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import Dimension, Selection

START = instant("2026-06-09T22:00:00Z")
LATER = START + timedelta(days=100)
MOST = 2**53 - 1
STATEMENT = StoredStatement("team-a", "2026-06", 1, START, '{"lines": []}')


def merge(connection: sqlite3.Connection, *rows: object, minutes: int = 0, later: bool = False) -> None:
    base = LATER if later else START
    report = usage(*rows)  # type: ignore[arg-type]
    writes.merge_report(connection, report, writes.Moment(base + timedelta(minutes=minutes)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger with totals whose rows were deleted, one of them wide; rows; late counts; dirty buckets."""
    with closing(open_writer(tmp_path / "ledger.sqlite3")) as connection, transaction(connection):
        merge(connection, *(row(START, domain=f"d{n}.example", sentBytes=MOST) for n in range(1100)))
        merge(connection, row(START, account="team-b", sentBytes=5, codes={"101": 2, "403": 1}))
        totals_of(connection)
        merge(connection, row(LATER, sentBytes=7, peakConnections=3, codes={"502": 9}), later=True)
        totals_of(connection)
        while retention.prune(connection, LATER):
            pass
        late = row(LATER, sentBytes=9, connectionSeconds=4, codes={"101": 1})
        merge(connection, late, row(LATER + timedelta(hours=2)), minutes=60, later=True)
        sqlite_tenancy.put_directory(connection, directory_message(), START)
        writes.put_statement(connection, STATEMENT)
    return tmp_path


def totals_of(connection: sqlite3.Connection) -> None:
    while totals.refresh(connection, turn=1, spent=lambda: False):
        pass


@pytest.fixture
def address() -> Iterator[Address]:
    with clickhouse_address() as given:
        yield given


def migrate(folder: Path, address: Address) -> int:
    server = ["--clickhouse-url", address.url, "--clickhouse-database", address.database]
    return commands.run(["migrate", "--from", str(folder), *server])


def test_a_moved_ledger_gives_the_same_answers(
    folder: Path, address: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows, totals without rows, codes, late counts, keys, Directory, statements; also moved again."""
    for _ in range(2):
        assert migrate(folder, address) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "both ledgers have the same sums"
    with closing(Server(address)) as server, closing(open_reader(folder / "ledger.sqlite3")) as source:
        assert list(compare(source, server)) == []
        whole = Selection(int(START.timestamp()) - 86_400, int(LATER.timestamp()) + 86_400)
        slots = [Slot(whole.start, whole.end)]
        for group_by in ((), (Dimension.DOMAIN,), (Dimension.DOMAIN, Dimension.REGION)):
            asked = (whole, slots, group_by)
            assert reads.sums(server, *asked) == sqlite_reads.sums(source, *asked)
            assert reads.codes(server, *asked) == sqlite_reads.codes(source, *asked)
        (total,) = reads.sums(server, whole, slots)
        assert total.counts.sent == 1100 * MOST + 5 + 9
        at = int(LATER.timestamp())
        late = [LateCounts(at + 3600, "team-a", "CN", at, 2, 0)]
        assert reads.late(server, "team-a", at, at + 300) == late
        assert reads.seen(server, None) == sqlite_reads.seen(source, None)
        assert tenancy.directory(server) == directory_message()
        assert tenancy.tenures(server) == sqlite_tenancy.tenures(source)
        assert statements.statements(server, "team-a") == [STATEMENT]


def test_an_interrupted_move_goes_on(folder: Path, address: Address) -> None:
    """The server loses a table half-way; the next call moves the rest, and nothing is doubled."""
    assert migrate(folder, address) == 0
    with closing(Server(address)) as server:
        server.execute("DROP TABLE state SYNC")
        server.execute("TRUNCATE TABLE totals")
    assert migrate(folder, address) == 0


def test_a_difference_is_told(folder: Path, address: Address, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that has other counts is no copy: exit code 1, with the day and what differs."""
    assert migrate(folder, address) == 0
    with closing(Server(address)) as server:
        server.execute("ALTER TABLE totals DROP PARTITION " + str(seconds("2026-06-09T00:00:00Z") // 86_400))
    assert migrate(folder, address) == 1
    assert "sums of 2026-06-09 and the 30 days after it by everything" in capsys.readouterr().err


def test_a_ledger_in_use_is_not_moved(
    folder: Path, address: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is reported meanwhile would be missing."""
    place = Place(folder)
    assert migrate(folder, address) == 1
    place.release()
    assert "in use" in capsys.readouterr().err
    assert migrate(folder / "typo", address) == 1
    assert "has no ledger" in capsys.readouterr().err
    assert commands.run(["migrate", "--from", str(folder)]) == 2
    assert "--clickhouse-url: must be given" in capsys.readouterr().err
