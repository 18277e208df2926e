"""A ledger of the last release, filled by its own code, becomes one of this schema while it is used."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.releases import LAST_RELEASE, unpack
from support.statistics.build import directory, instant, recent_bucket, report, row, seconds, usage
from support.statistics.last_release import Story, pruned, run_last_release
from support.statistics.model import NaiveLedger
from support.statistics.process import statistics
from wsedge_statistics.contract import UsageReport
from wsedge_statistics.ledger.protocol import SeenKey
from wsedge_statistics.ledger.sqlite import migration, reads, totals, writes
from wsedge_statistics.ledger.sqlite.connections import open_writer, transaction
from wsedge_statistics.ledger.sqlite.store import SqliteLedger
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import DAY, Dimension, Grain, Selection, grain_of

NOW = instant("2026-06-15T12:00:00Z")
LONG_AGO = NOW - timedelta(days=300)
MONTHS_AGO = NOW - timedelta(days=150)
D = Dimension
GROUPS: tuple[tuple[Dimension, ...], ...] = ((), (D.ACCOUNT,), (D.DOMAIN,), (D.REGION,), (D.ISP, D.AREA))
WHOLE = Selection(seconds("2025-06-16T00:00:00Z"), seconds("2026-06-16T00:00:00Z"))
SELECTIONS = (
    WHOLE,
    Selection(WHOLE.start, WHOLE.end, account="team-a"),
    Selection(WHOLE.start, WHOLE.end, account="team-b", region="beijing"),
    Selection(int(NOW.timestamp()) - 3 * DAY, WHOLE.end, domains=frozenset({"b.example"})),
    Selection(int(MONTHS_AGO.timestamp()) - 7200, int(MONTHS_AGO.timestamp()) + 7200),
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last release's sources."""
    return unpack(LAST_RELEASE, tmp_path_factory.mktemp("release"))


def reports() -> list[Any]:
    """Reports of a year: two accounts, two domains each, two relays, several buckets of three times."""
    told = []
    for number, at in enumerate((LONG_AGO, MONTHS_AGO, NOW - timedelta(days=2), NOW - timedelta(hours=1))):
        for relay in range(2):
            rows = [
                row(
                    at + timedelta(minutes=5 * bucket),
                    domain=f"{name}{bucket % 2 or ''}.example",
                    account="team-b" if name == "b" else "team-a",
                    region=("shanghai", "beijing")[(bucket + relay) % 2],
                    isp=("telecom", "unicom")[bucket % 2],
                    sentBytes=1 + 1000 * number + 100 * bucket + relay,  # a packed series has no zeros
                    receivedBytes=7 * bucket,
                    peakConnections=bucket + relay,
                    codes={"101": bucket, "403": relay},
                )
                for bucket in range(5)
                for name in "ab"
            ]
            told.append(report(*rows, uid=f"uid-{relay}"))
    return told


def story() -> Story:
    """A year of the last release: what is old is in the tier of its age, the last hour is not rolled up."""
    given = [("report", document) for document in reports()]
    rolled: Story = [("hours", None), ("days", int(NOW.timestamp()))]
    return [
        *given[:4],
        *rolled,
        pruned(NOW - timedelta(days=20)),
        *given[4:6],
        *rolled,
        pruned(NOW),
        ("directory", directory(domains={"a.example": "team-a"})),
        *given[6:],
    ]


def model_of(documents: list[Any]) -> NaiveLedger:
    model = NaiveLedger()
    for document in documents:
        model.add(UsageReport.model_validate(document))
    return model


@pytest.fixture
def database(sources: Path, tmp_path: Path) -> Path:
    """A ledger that the last release filled."""
    path = tmp_path / "ledger.sqlite3"
    ran = run_last_release(sources, path, story())
    assert ran.returncode == 0, ran.stderr
    with closing(sqlite3.connect(path)) as filled:
        assert filled.execute("PRAGMA user_version").fetchone() == (1,)
        for table in ("usage", "hours", "days", "dirty_hours"):
            assert filled.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0, table
    return path


def assert_answers(connection: sqlite3.Connection, model: NaiveLedger) -> None:
    for selection in SELECTIONS:
        slots = [Slot(at, at + DAY) for at in range(selection.start, selection.end, DAY)]
        for group_by in GROUPS:
            if grain_of(selection, group_by) is Grain.ROWS:
                continue  # packed series had every key; totals have not, and such questions are refused
            asked = (selection, slots, group_by)
            assert reads.sums(connection, *asked) == model.sums(*asked)
            assert reads.codes(connection, *asked) == model.codes(*asked)
            assert list(reads.values(connection, selection, group_by)) == list(
                model.values(selection, group_by)
            )


def test_every_answer_is_right_after_every_step(database: Path) -> None:
    """While rows and packed days are moved, and afterwards, sums are those of all reports."""
    model = model_of(reports())
    steps = 0
    while True:
        with closing(open_writer(database)) as connection:  # as a process that is started after a kill
            assert_answers(connection, model)
            with transaction(connection):
                if not migration.step(connection):
                    break
        steps += 1
    assert steps > 10
    with closing(open_writer(database)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        assert not [name for name in names if name.startswith("old_")]
        while totals.refresh(connection, turn=1, spent=lambda: False):
            pass
        assert_answers(connection, model)


def migrate(connection: sqlite3.Connection) -> None:
    while migration.step(connection):
        pass


def test_reports_meanwhile_merge_with_what_was_not_moved(database: Path) -> None:
    """A report that is repeated counts once, one that grew counts the growth, a late one is added."""
    grown = reports()
    for document in grown[4:]:
        for each in document["rows"]:
            each["sentBytes"] += 5
    late = [
        report(row(at, domain="new.example", sentBytes=3), row(at, domain="a.example", region="beijing"))
        for at in (MONTHS_AGO, NOW - timedelta(days=2), NOW - timedelta(hours=3))
    ]
    model = model_of([*reports(), *grown, *late[1:]])
    with closing(open_writer(database)) as connection:
        for number, document in enumerate((*reports()[4:], *grown[4:], *late[1:])):
            with transaction(connection):
                writes.merge_report(connection, UsageReport.model_validate(document), writes.Moment(NOW))
                if number % 3 == 0:
                    migration.step(connection)
        assert_answers(connection, model)
        with transaction(connection):
            migrate(connection)
        assert_answers(connection, model)


def test_a_report_for_packed_counts_lowers_and_doubles_nothing(database: Path) -> None:
    """Where rows are deleted already, packed counts are moved before a report raises their total."""
    model = model_of(reports())
    whole = [Slot(WHOLE.start, WHOLE.end)]
    before = model.sums(WHOLE, whole)[0].counts.sent
    with closing(open_writer(database)) as connection:
        low, high = (usage(row(MONTHS_AGO, domain="a.example", sentBytes=n), uid="x") for n in (1, 10**6))
        stored = reads.sums(connection, Selection(WHOLE.start, WHOLE.end, account="team-a"), whole)[0]
        writes.merge_report(connection, low, writes.Moment(NOW))
        assert reads.sums(connection, WHOLE, whole)[0].counts.sent == before
        migrate(connection)
        assert reads.sums(connection, WHOLE, whole)[0].counts.sent == before
        writes.merge_report(connection, high, writes.Moment(NOW))
        assert reads.sums(connection, WHOLE, whole)[0].counts.sent > before
        assert stored.counts.sent > 0


def test_keys_room_and_tenures_are_kept(database: Path, tmp_path: Path) -> None:
    """Each key has its first and last bucket; rows count for their account; holders follow the Directory."""
    with closing(open_writer(database)) as connection:
        with transaction(connection):
            migrate(connection)
        rows = dict(
            connection.execute(
                "SELECT s.account, f.rows FROM fill f JOIN scopes s ON s.id = f.account WHERE bucket = -1"
            ).fetchall()
        )
        assert rows == {"team-a": 60, "team-b": 60}
    ledger = SqliteLedger(tmp_path, clock=lambda: NOW, observer=Metrics().ledger)
    try:
        seen = ledger.seen("team-b")
        ends = {(each.first, each.last) for each in seen}
        assert isinstance(seen[0], SeenKey)
        assert min(first for first, _ in ends) == int(LONG_AGO.timestamp())
        assert ledger.tenures().holds("team-a", "a1.example", NOW)
        assert not ledger.tenures().holds("team-b", "b.example", NOW)
        assert ledger.directory() is not None
    finally:
        ledger.close()


def test_a_damaged_packed_day_stops_nothing(database: Path) -> None:
    """The other days are moved and answered; the damaged one is logged."""
    with closing(open_writer(database)) as connection:
        connection.execute("UPDATE old_days SET packed = x'00' WHERE domain = 'a.example'")
        reads.sums(connection, WHOLE, [Slot(WHOLE.start, WHOLE.end)])
        with transaction(connection):
            migrate(connection)
        model = model_of(reports())
        selection = Selection(WHOLE.start, WHOLE.end, domains=frozenset({"b.example", "b1.example"}))
        slots = [Slot(WHOLE.start, WHOLE.end)]
        assert reads.sums(connection, selection, slots) == model.sums(selection, slots)


def test_the_last_release_refuses_the_ledger_afterwards(sources: Path, database: Path) -> None:
    """A rollback of the release ends at the start with a text, and changes nothing."""
    open_writer(database).close()
    before = database.read_bytes()
    ran = run_last_release(sources, database, [("open", None)])
    assert ran.returncode != 0
    assert "has schema 2, this program knows 1: use the newer program" in ran.stderr
    assert database.read_bytes() == before


@pytest.fixture
def recent(sources: Path, tmp_path: Path) -> tuple[Path, int]:
    """A folder with a ledger of the last days, and its bytes in all."""
    folder = tmp_path / "data"
    folder.mkdir()
    documents = [
        report(*(row(recent_bucket(n), domain=f"d{m}.example", sentBytes=n + m) for m in range(4)))
        for n in range(1, 800)
    ]
    ran = run_last_release(sources, folder / "ledger.sqlite3", [("report", each) for each in documents])
    assert ran.returncode == 0, ran.stderr
    return folder, sum(n + m for n in range(1, 800) for m in range(4))


def text_of(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_process_that_is_killed_while_it_migrates_continues(recent: tuple[Path, int]) -> None:
    """SIGKILL in the middle, several times; each start answers with every byte."""
    folder, sent = recent
    asked = {"start": text_of(recent_bucket(900)), "end": text_of(recent_bucket(-1)), "granularity": "1d"}
    left = []
    for _ in range(3):
        with statistics(folder) as program:
            assert program.get("/v1/traffic", **asked).json["total"]["sentBytes"] == sent
            program.stop(signal.SIGKILL)
        with closing(sqlite3.connect(folder / "ledger.sqlite3")) as connection:
            left += connection.execute("SELECT count(*) FROM old_usage").fetchone()
    assert 3196 > left[0] > left[1] > left[2] > 0
    with statistics(folder) as program:
        program.logged("ledger migrated")
        assert program.get("/v1/traffic", **asked).json["total"]["sentBytes"] == sent
