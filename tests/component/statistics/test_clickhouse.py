"""The ledger on a ClickHouse server: several processes beside each other, one Directory, one statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.statistics.build import directory_message, instant, row, seconds, usage
from support.statistics.clickhouse import clickhouse_address
from wsedge_statistics.errors import (
    LedgerDeadlineError,
    LedgerPlaceError,
    LedgerUnreadableError,
    LedgerUnwritableError,
    LedgerVersionError,
)
from wsedge_statistics.ledger import budget
from wsedge_statistics.ledger.clickhouse import reads, retention, schema, statements, tenancy, totals
from wsedge_statistics.ledger.clickhouse.server import Address, Server
from wsedge_statistics.ledger.clickhouse.state import write_state
from wsedge_statistics.ledger.clickhouse.store import ClickHouseLedger, ClickHouseStore
from wsedge_statistics.ledger.clickhouse.writes import MARK_SECONDS, Known
from wsedge_statistics.ledger.protocol import LateCounts, SeenKey, StoredStatement
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import Key, Selection

START = instant("2026-06-09T22:00:00Z")
NOW = instant("2026-06-12T00:00:00Z")
AT = seconds("2026-06-09T22:00:00Z")
WHOLE = Selection(seconds("2026-06-09T00:00:00Z"), seconds("2026-06-12T00:00:00Z"))
SLOT = [Slot(WHOLE.start, WHOLE.end)]
STATEMENT = StoredStatement("team-a", "2026-06", 1, START, '{"lines": []}')


@pytest.fixture
def address() -> Iterator[Address]:
    with clickhouse_address() as given:
        yield given


@pytest.fixture
def server(address: Address) -> Iterator[Server]:
    with closing(Server(address)) as connected:
        schema.create(connected, None)
        yield connected


@contextmanager
def opened(address: Address) -> Iterator[ClickHouseLedger]:
    with closing(ClickHouseLedger(address, clock=lambda: NOW, observer=Metrics().ledger)) as ledger:
        yield ledger


def sent(server: Server) -> int:
    return sum(part.counts.sent for part in reads.sums(server, WHOLE, SLOT))


def round_of(store: ClickHouseStore) -> None:
    store.begin_round()
    while store.refresh():
        pass


def test_a_report_is_answered_by_every_process(address: Address) -> None:
    """What one process has acknowledged, the next reads, whatever it is."""
    directory = directory_message()
    report = usage(row(START, sentBytes=7, codes={"101": 2}))
    with opened(address) as first, opened(address) as second:
        assert first.commit(report).result(30) == ()
        assert second.commit(report).result(30) == ()
        tenures = first.put_directory(directory).result(30)
        assert second.put_statement(STATEMENT).result(30)
        assert not first.put_statement(replace(STATEMENT, body="{}")).result(30)
        for ledger in (first, second):
            (total,) = ledger.sums(WHOLE, SLOT)
            assert total.counts.sent == 7
            assert [(part.code, part.count) for part in ledger.codes(WHOLE, SLOT)] == [(101, 2)]
            assert [value.sent for value in ledger.values(WHOLE)] == [7]
            key = Key("chat.example.com", "team-a", "shanghai", "telecom", "CN")
            assert ledger.seen(None) == ledger.seen("team-a") == [SeenKey(key, AT, AT)]
            assert ledger.seen("team-b") == []
            assert ledger.directory() == directory
            assert ledger.tenures() == tenures
            assert ledger.statements("team-a") == [STATEMENT]
            late = LateCounts(int(NOW.timestamp()), "team-a", "CN", AT, 7, 0)
            assert ledger.late("team-a", WHOLE.start, WHOLE.end) == [late]
            assert ledger.size() > 0
            assert (ledger.backlog(), ledger.alive(), ledger.writable()) == (0, True, True)


def test_a_mark_outlives_the_round_that_sees_it(server: Server) -> None:
    """A total is computed a round after its mark was seen, when its rows are stored for certain."""
    store = ClickHouseStore(server, observer=Metrics().ledger)
    with store.transaction() as batch:
        batch.merge(usage(row(START, sentBytes=7)), START)
    round_of(store)
    assert server.query("SELECT count() FROM totals") == [(0,)]
    round_of(store)
    assert server.query("SELECT count() FROM totals") == [(4,)]
    assert sent(server) == 7


def test_a_step_of_totals_is_bounded_by_its_rows(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server stops a statement that takes too long; a bucket of more rows is a step of its own."""
    monkeypatch.setattr(totals, "ROWS", 5)
    store = ClickHouseStore(server, observer=Metrics().ledger)
    for bucket, count in enumerate((2, 3, 1, 9, 1)):
        rows = (row(START + timedelta(minutes=5 * bucket), domain=f"d{n}.example") for n in range(count))
        with store.transaction() as batch:
            batch.merge(usage(*rows), START)
    round_of(store)
    store.begin_round()
    assert [store.refresh() for _ in range(5)] == [2, 1, 1, 1, 0]


def test_rows_are_marked_again_after_another_process_added_them(server: Server) -> None:
    """Each process uses a mark for less time than marks stay."""
    elapsed = [0.0]
    known = Known(server, monotonic=lambda: elapsed[0])
    known.marked = {5: 0.0}
    assert known.unmarked({5, 6}) == {6}
    elapsed[0] = MARK_SECONDS
    assert known.unmarked({5, 6}) == {5, 6}


def test_totals_of_two_processes_are_the_larger(server: Server) -> None:
    """A process that computed a total from fewer rows, and stores it later, changes nothing."""
    store = ClickHouseStore(server, observer=Metrics().ledger)
    for sent_bytes, code in ((7, "101"), (9, "403")):
        with store.transaction() as batch:
            batch.merge(usage(row(START, sentBytes=sent_bytes, codes={code: sent_bytes})), START)
        round_of(store)
        round_of(store)
        if code == "101":
            server.execute("CREATE TABLE slow AS totals")
            server.execute("INSERT INTO slow SELECT * FROM totals")
    server.execute("INSERT INTO totals SELECT * FROM slow")
    assert sent(server) == 9
    assert [(part.code, part.count) for part in reads.codes(server, WHOLE, SLOT)] == [(101, 7), (403, 9)]


class Overtaken(Server):
    """A process that another process overtakes just before its insert."""

    def __init__(self, address: Address, other: Callable[[], None]) -> None:
        super().__init__(address)
        self._other: Callable[[], None] | None = other

    def insert(
        self,
        table: str,
        columns: Mapping[str, str],
        rows: Sequence[Sequence[Any]],
        *,
        token: str | None = None,
    ) -> None:
        if self._other is not None:
            other, self._other = self._other, None
            other()
        super().insert(table, columns, rows, token=token)


def test_of_two_statements_at_once_the_first_stays(server: Server) -> None:
    """Both processes found none; the server stores one, and each process learns whether it was its own."""
    theirs = replace(STATEMENT, body='{"of": "the other"}')

    def other() -> None:
        assert statements.put_statement(server, theirs)

    with closing(Overtaken(server.address, other)) as slow:
        assert not statements.put_statement(slow, STATEMENT)
        assert statements.put_statement(slow, replace(STATEMENT, period="2026-07"))
    assert statements.statements(server, "team-a") == [theirs, replace(STATEMENT, period="2026-07")]


def test_of_two_directories_at_once_both_are_followed(server: Server) -> None:
    """The process that comes second follows the tenures of the first; an older Directory changes nothing."""
    first = directory_message(written_at="2026-06-11T01:00:00Z", domains={"a.example": "team-a"})
    second = directory_message(written_at="2026-06-11T02:00:00Z", domains={"b.example": "team-a"})

    def other() -> None:
        assert tenancy.put_directory(server, first, NOW)

    with closing(Overtaken(server.address, other)) as slow:
        tenures = tenancy.put_directory(slow, second, NOW)
    assert tenures == tenancy.tenures(server)
    assert tenures
    assert {domain for domain, _ in tenures.held} == {"a.example", "b.example"}
    assert tenancy.directory(server) == second
    assert tenancy.put_directory(server, first, NOW) is None
    assert tenancy.serial(server) == 2


def test_a_directory_of_the_future_does_not_block_others(server: Server) -> None:
    """Once the operator's clock is corrected, its next Directory is stored."""
    ahead = directory_message(written_at="2027-06-01T00:00:00Z", domains={})
    right = directory_message(written_at="2026-06-11T23:59:00Z")
    assert tenancy.put_directory(server, ahead, NOW)
    assert tenancy.put_directory(server, right, NOW)
    assert tenancy.directory(server) == right


def test_terms_of_former_lives_are_stored(server: Server) -> None:
    """As the Directory last named them, until the life's end; a text of an older program has none."""
    for day, uid in (("01", "11111111-life"), ("02", "22222222-life")):
        lives = {"team-a": {"uid": uid, "since": f"2026-06-{day}T00:00:00Z"}}
        directory = directory_message(written_at=f"2026-06-{day}T00:00:00Z", lives=lives)
        after = tenancy.put_directory(server, directory, NOW)
        assert tenancy.tenures(server) == after
    (former, current) = tenancy.tenures(server).epochs["team-a"]
    assert [life.terms[0].end for life in (former, current)] == [instant("2026-06-02T00:00:00Z"), None]


def test_former_directories_are_deleted(server: Server) -> None:
    """Upkeep leaves the last Directories, of which the newest is in force."""
    for number in range(2 * schema.DIRECTORIES + 1):
        directory = directory_message(written_at=(START + timedelta(seconds=number)).isoformat())
        assert tenancy.put_directory(server, directory, NOW)
    retention.prune(server, NOW)
    assert server.query("SELECT count() FROM directory") == [(schema.DIRECTORIES + 2,)]
    assert tenancy.directory(server) == directory


def test_late_counts_outlive_their_rows(server: Server) -> None:
    """What a bucket grew by late is known after its rows were deleted, until its totals are."""
    store = ClickHouseStore(server, observer=Metrics().ledger)
    for sent_bytes, minutes in ((7, 5), (9, 60), (12, 120), (12, 180)):
        with store.transaction() as batch:
            batch.merge(usage(row(START, sentBytes=sent_bytes)), START + timedelta(minutes=minutes))
    for _ in range(2):
        round_of(store)
    expected = [
        LateCounts(AT + 3600, "team-a", "CN", AT, 2, 0),
        LateCounts(AT + 7200, "team-a", "CN", AT, 3, 0),
    ]
    assert reads.late(server, "team-a", WHOLE.start, WHOLE.end) == expected
    while retention.prune(server, START + timedelta(days=100)):
        pass
    assert server.query("SELECT (SELECT count() FROM usage), (SELECT count() FROM late)") == [(0, 0)]
    assert reads.late(server, "team-a", WHOLE.start, WHOLE.end) == expected
    while retention.prune(server, START + timedelta(days=370)):
        pass
    assert reads.late(server, "team-a", WHOLE.start, WHOLE.end) == []
    assert reads.seen(server, None) == []


def test_deletion_trusts_more_than_one_clock(server: Server) -> None:
    """A clock that is a year ahead deletes nothing; with days of reports and of running, deletion goes on."""
    elapsed = [0.0]
    store = ClickHouseStore(server, observer=Metrics().ledger, monotonic=lambda: elapsed[0])
    ahead = START + timedelta(days=400)
    with store.transaction() as batch:
        batch.merge(usage(row(START, sentBytes=7)), START)
    for _ in range(2):
        round_of(store)
    assert not store.prune(START)
    assert not store.prune(ahead)
    with store.transaction() as batch:
        batch.merge(usage(row(START + timedelta(days=100), sentBytes=1)), START + timedelta(days=100))
    assert not store.prune(ahead)
    elapsed[0] += timedelta(days=10).total_seconds()
    for _ in range(2):
        round_of(store)
    assert store.prune(ahead)
    assert server.query("SELECT min(bucket) FROM usage") == [((AT + 100 * 86400) // 300,)]


def test_a_question_is_stopped_at_its_deadline(server: Server) -> None:
    """The server stops it, and a request whose time is spent asks nothing."""
    heavy = "SELECT sum(sleepEachRow(0.01)) FROM numbers(3000) SETTINGS max_block_size = 10"
    with budget.begin(budget.Stop(0.5)), pytest.raises(LedgerDeadlineError):
        server.query(heavy)
    with budget.begin(budget.Stop(0.0)), pytest.raises(LedgerDeadlineError):
        sent(server)


def test_a_newer_schema_is_refused(server: Server) -> None:
    """The tables of a newer program stay as they are."""
    write_state(server, "schema", schema.VERSION + 1)
    with pytest.raises(LedgerVersionError, match="use a newer program"):
        ClickHouseStore(server, observer=Metrics().ledger)


def test_a_server_that_is_gone_stores_and_answers_nothing(server: Server, address: Address) -> None:
    """A report is not acknowledged and the ledger is not writable; once the tables are back, both recover."""
    with opened(address) as ledger:
        assert ledger.commit(usage(row(START, sentBytes=1))).result(30) == ()
        server.execute("RENAME TABLE late TO away")
        with pytest.raises(LedgerUnwritableError) as refused:
            ledger.commit(usage(row(START, sentBytes=2))).result(30)
        assert refused.value.code == "60"  # UNKNOWN_TABLE
        assert not ledger.writable()
        with pytest.raises(LedgerUnreadableError, match="code: 60"):
            ledger.sums(WHOLE, SLOT)
        server.execute("RENAME TABLE away TO late")
        assert ledger.commit(usage(row(START, sentBytes=2))).result(30) == ()
        assert ledger.writable()
        assert ledger.sums(WHOLE, SLOT)[0].counts.sent == 2


def test_no_server_no_ledger() -> None:
    """The program does not start, and says which server does not answer."""
    address = Address("http://127.0.0.1:1", password="secret")
    with pytest.raises(LedgerPlaceError, match=r"http://127\.0\.0\.1:1") as refused:
        ClickHouseLedger(address, clock=lambda: NOW, observer=Metrics().ledger)
    assert "secret" not in f"{refused.value} {address}"


def test_tables_of_a_cluster_are_replicated() -> None:
    """In a cluster each table is created on every server, under one path in Keeper; elsewhere none is."""
    for name in schema.TABLES:
        alone = schema.table(name, database="db", cluster=None)
        assert "Replicated" not in alone
        assert "ON CLUSTER" not in alone
        assert "fsync_after_insert = 1" in alone
        replicated = schema.table(name, database="db", cluster="c1")
        assert f"`db`.{name} ON CLUSTER 'c1' (" in replicated
        engine = f"MergeTree('/clickhouse/tables/{{shard}}/db/{name}', '{{replica}}'"
        assert f"Replicated{alone.partition('ENGINE = ')[2].partition('MergeTree')[0]}{engine}" in replicated
