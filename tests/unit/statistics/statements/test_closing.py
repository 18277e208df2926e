"""Statements close once, when every clock says that the period is over."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.statistics.application import MemoryLedger
from support.statistics.build import instant, row, usage
from support.statistics.desk import GB, PRICES, Desk, terms
from wsedge_statistics.errors import LedgerUnwritableError
from wsedge_statistics.ledger import SeenKey, StoredStatement
from wsedge_statistics.statements.closing import FORMER_A_TICK, Closer, ClosingThread

DUE = "2026-07-02T00:00:00Z"


def june(desk: Desk) -> Any:
    (stored,) = [each for each in desk.ledger.statements("team-a") if each.period == "2026-06"]
    return json.loads(stored.body)


def test_a_month_closes_a_day_after_its_end() -> None:
    """One second before the grace ends it is open, then it is closed, with its bytes."""
    desk = Desk()
    desk.count("2026-06-03T00:00:00Z", 3 * GB)
    desk.at("2026-07-01T23:59:59Z")
    assert "2026-06" not in desk.closed()
    desk.at(DUE)
    assert "2026-06" in desk.closed()
    document = june(desk)
    assert (document["state"], document["closedAt"], document["closesAfter"]) == ("Closed", DUE, DUE)
    assert [(line["area"], line["quantity"]) for line in document["lines"]] == [("CN", "3.000000000")]


def test_a_closed_statement_is_closed_once_also_after_a_restart() -> None:
    """Later ticks and a new process change nothing of it."""
    desk = Desk()
    desk.count("2026-06-03T00:00:00Z", 5)
    desk.at(DUE)
    before = desk.ledger.statements("team-a")
    desk.at("2026-07-02T00:01:00Z")
    desk.restart()
    desk.at("2026-07-05T00:00:00Z")
    assert desk.ledger.statements("team-a") == before
    assert desk.metric("statements_closed_total", cycle="Monthly") == 1


def test_a_clock_that_is_ahead_closes_nothing() -> None:
    """The own clock jumps by 40 days: the operator and the relays do not say so."""
    desk = Desk()
    desk.at("2026-06-15T00:00:00Z")
    desk.now = desk.now.replace(month=7, day=25)
    desk.closer.tick()
    assert desk.closed() == []
    assert desk.metric("statements_overdue") == 1


def test_a_month_does_not_close_on_the_word_of_two_clocks_while_relays_count_in_it() -> None:
    """Own clock and operator's are ahead, a relay counts at the true time: the month is not over."""
    desk = Desk()
    desk.at("2026-06-15T00:00:00Z")
    desk.now = desk.now.replace(month=7, day=25)
    desk.operator_writes()
    for minutes in range(0, 60, 5):
        desk.seconds = 60.0 * minutes
        desk.count(f"2026-06-15T00:{minutes:02}:00Z", 1)
        desk.closer.tick()
    assert desk.closed() == []


def test_an_idle_cluster_closes_its_months() -> None:
    """No relay has counted for a quarter of an hour: the two clocks are enough."""
    desk = Desk()
    desk.count("2026-06-03T00:00:00Z", 5)
    desk.now = desk.now.replace(month=7, day=3)
    desk.operator_writes()
    desk.closer.tick()
    assert desk.closed() == []
    desk.seconds = 900.0
    desk.closer.tick()
    assert desk.closed() == ["2026-06"]
    assert desk.metric("statements_overdue") == 0


def test_the_operator_must_have_written_the_terms_since() -> None:
    """An operator that is down could still have a change of June: the month waits for it."""
    desk = Desk()
    desk.at("2026-06-20T00:00:00Z")
    desk.now = desk.now.replace(month=7, day=5)
    desk.count("2026-07-04T00:00:00Z", 5)
    desk.closer.tick()
    assert desk.closed() == []
    desk.operator_writes()
    desk.closer.tick()
    assert desk.closed() == ["2026-06"]


def test_days_close_by_day() -> None:
    """A daily account has a statement per day, in order."""
    desk = Desk(terms(cycle="Daily"))
    desk.count("2026-06-01T10:00:00Z", 5)
    desk.at("2026-06-04T00:00:00Z")
    assert desk.closed() == ["2026-06-01", "2026-06-02"]
    desk.at("2026-06-05T00:00:00Z")
    assert desk.closed() == ["2026-06-01", "2026-06-02", "2026-06-03"]
    assert desk.metric("statements_closed_total", cycle="Daily") == 3


def test_terms_that_change_are_seen_before_the_next_closing() -> None:
    """An account that waits for its month's end becomes daily: its days close."""
    desk = Desk()
    desk.count("2026-06-01T00:00:00Z", 5)
    desk.at(DUE)
    change = "2026-07-03T00:00:00Z"
    desk.accounts = {"team_a": [terms(end=change), terms(cycle="Daily", start=change)]}
    desk.at("2026-07-05T00:00:00Z")
    assert desk.closed() == ["2026-06", "2026-07-03"]


def test_months_before_the_first_count_are_not_closed() -> None:
    """Plans are older than the ledger: months without a ledger are no months without traffic."""
    desk = Desk(terms(start="2024-01-01T00:00:00Z"))
    desk.count("2026-06-03T00:00:00Z", 5)
    desk.at(DUE)
    assert desk.closed() == ["2026-06"]


def test_months_whose_values_are_deleted_are_not_closed() -> None:
    """A ledger that was idle for two years closes what it still has all values of."""
    desk = Desk(terms(start="2024-01-01T00:00:00Z"))
    desk.count("2024-02-03T00:00:00Z", 5)
    desk.at(DUE)
    assert desk.closed()[0] == "2025-07"
    assert len(desk.closed()) == 12


def test_without_any_count_nothing_closes() -> None:
    """An empty ledger knows nothing about any month."""
    desk = Desk()
    desk.now = desk.now.replace(month=8, day=5)
    desk.operator_writes()
    desk.closer.tick()
    assert desk.closed() == []


def test_late_counts_adjust_a_later_statement() -> None:
    """The closed month stays to the byte; July names the closed figure and the new one."""
    desk = Desk()
    desk.count("2026-06-03T00:00:00Z", GB)
    desk.at(DUE)
    before = june(desk)
    desk.now = desk.now.replace(day=10)
    desk.count("2026-06-04T00:00:00Z", 2 * GB, epoch="aaaa0000")
    desk.at("2026-08-02T00:00:00Z")
    assert june(desk) == before
    july = json.loads(desk.ledger.statements("team-a")[1].body)
    (adjusted,) = july["adjustments"]
    assert (adjusted["period"], adjusted["lateBytes"]) == ("2026-06", 2 * GB)
    assert (adjusted["closed"]["quantity"], adjusted["new"]["quantity"]) == ("1.000000000", "3.000000000")
    assert (adjusted["closed"]["statedIn"], adjusted["new"]["statedIn"]) == ("2026-06", "2026-07")
    assert desk.metric("statement_adjustments_total") == 1


def test_an_adjustment_is_made_once_and_later_ones_begin_at_it() -> None:
    """August has no adjustment for what July adjusted; further late counts begin at July's figure."""
    desk = Desk()
    desk.count("2026-06-03T00:00:00Z", GB)
    desk.at(DUE)
    desk.count("2026-06-04T00:00:00Z", GB, epoch="aaaa0000")
    desk.at("2026-08-02T00:00:00Z")
    desk.at("2026-09-02T00:00:00Z")
    desk.count("2026-06-05T00:00:00Z", GB, epoch="bbbb0000")
    desk.at("2026-10-02T00:00:00Z")
    documents = [json.loads(each.body) for each in desk.ledger.statements("team-a")]
    found = [
        (document["period"], each["closed"]["statedIn"], each["new"]["quantity"])
        for document in documents
        for each in document["adjustments"]
    ]
    assert found == [
        ("2026-07", "2026-06", "2.000000000"),
        ("2026-09", "2026-07", "3.000000000"),
    ]


def test_late_counts_after_the_end_of_the_terms_make_a_supplement() -> None:
    """The plan ended with June: no July could have the adjustment. One supplement a day at most."""
    desk = Desk(terms(end="2026-07-01T00:00:00Z"))
    desk.count("2026-06-03T00:00:00Z", GB)
    desk.at(DUE)
    desk.at("2026-07-10T00:00:00Z")
    assert desk.closed() == ["2026-06"]
    for number, epoch in enumerate(("aaaa0000", "bbbb0000")):
        desk.count(f"2026-06-04T0{number}:00:00Z", GB, epoch=epoch)
        desk.at(f"2026-07-10T{number + 2:02}:00:00Z")
        assert desk.closed() == ["2026-06"]
    desk.at("2026-07-11T02:00:00Z")
    desk.count("2026-06-05T00:00:00Z", GB, epoch="cccc0000")
    desk.at("2026-07-14T00:00:00Z")
    desk.at("2026-07-15T00:00:00Z")
    documents = [json.loads(each.body) for each in desk.ledger.statements("team-a")]
    assert [
        (
            document["period"],
            len(document["lines"]),
            [each["new"]["bytes"] for each in document["adjustments"]],
        )
        for document in documents
    ] == [("2026-06", 1, []), ("2026-06.1", 0, [3 * GB]), ("2026-06.2", 0, [4 * GB])]


def test_late_counts_that_were_in_the_statement_make_no_supplement() -> None:
    """A repeated report of the five minutes of the closing adjusts nothing."""
    desk = Desk(terms(end="2026-07-01T00:00:00Z"))
    desk.count("2026-06-03T00:00:00Z", GB)
    desk.at("2026-07-01T20:00:00Z")
    desk.now = desk.now.replace(day=2, hour=0)
    desk.count("2026-06-04T00:00:00Z", GB, epoch="aaaa0000")
    desk.at(DUE)
    desk.at("2026-07-10T00:00:00Z")
    assert desk.closed() == ["2026-06"]


def test_late_counts_before_closing_are_in_the_statement_and_shown() -> None:
    """Counts that came in within the grace are billed, and the line says how many were late."""
    desk = Desk()
    desk.count("2026-06-03T00:00:00Z", 5)
    desk.now = desk.now.replace(month=7, day=1, hour=20)
    desk.count("2026-06-04T00:00:00Z", 7, epoch="aaaa0000")
    desk.at(DUE)
    (line,) = june(desk)["lines"]
    assert (line["bytes"], line["lateBytes"]) == (12, 12 - 5)


def test_adjustments_are_computed_by_the_rules_and_prices_of_the_closing(tmp_path: Path) -> None:
    """Prices that doubled since change nothing about June."""
    book = tmp_path / "prices.json"
    book.write_text(PRICES)
    desk = Desk(prices=book)
    desk.count("2026-06-03T00:00:00Z", 2 * GB)
    desk.at(DUE)
    book.write_text(PRICES.replace("0.5", "1.0"))
    desk.count("2026-06-04T00:00:00Z", 2 * GB, epoch="aaaa0000")
    desk.at("2026-08-02T00:00:00Z")
    july = json.loads(desk.ledger.statements("team-a")[1].body)
    assert [each["amount"] for each in july["adjustments"]] == ["1.00"]


def test_without_a_usable_price_book_a_statement_waits(tmp_path: Path) -> None:
    """A book that was broken since the start: closed for nothing would be closed for good."""
    book = tmp_path / "prices.json"
    book.write_text("{")
    desk = Desk(prices=book)
    desk.count("2026-06-03T00:00:00Z", GB)
    desk.at(DUE)
    assert (desk.closed(), desk.metric("statements_overdue")) == ([], 1)
    assert desk.metric("statement_failures_total") == 1
    book.write_text(PRICES)
    desk.at("2026-07-02T00:01:00Z")
    assert june(desk)["amount"] == "0.50"


def test_an_account_of_an_unknown_zone_does_not_stop_the_others() -> None:
    """Its statements wait for a newer program; those of the next account close."""
    desk = Desk(team_a=[terms(zone="Mars/Olympus")], team_b=[terms()])
    desk.count("2026-06-03T00:00:00Z", 5)
    desk.at(DUE)
    assert (desk.closed(), desk.closed("team-b")) == ([], ["2026-06"])
    assert desk.metric("statement_failures_total") == 1


def test_a_damaged_statement_stops_its_account_alone() -> None:
    """A stored text that cannot be read is told, and nothing is closed over it."""
    desk = Desk(team_a=[terms()], team_b=[terms()])
    desk.ledger.put_statement(StoredStatement("team-a", "2026-05", 1, desk.now, "{}"))
    desk.count("2026-06-03T00:00:00Z", 5)
    desk.at(DUE)
    assert (desk.closed(), desk.closed("team-b")) == (["2026-05"], ["2026-06"])


@dataclass
class Failing(MemoryLedger):
    """A ledger with faults: reads that fail, or a commit that does not end."""

    broken: bool = False
    stuck: bool = False

    def seen(self, account: str | None) -> list[SeenKey]:
        if self.broken:
            raise LedgerUnwritableError("the disk is gone")
        return super().seen(account)

    def put_statement(self, statement: StoredStatement) -> Future[bool]:
        if not self.stuck:
            return super().put_statement(statement)
        done: Future[bool] = Future()
        done.set_exception(TimeoutError())
        return done


def test_a_ledger_that_cannot_be_read_or_written_is_tried_again() -> None:
    """Neither a read that fails nor a commit that does not come ends the closing."""
    ledger = Failing()
    desk = Desk(ledger=ledger)
    desk.count("2026-06-03T00:00:00Z", 5)
    for fault in ("broken", "stuck"):
        setattr(ledger, fault, True)
        desk.at(DUE)
        setattr(ledger, fault, False)
    assert desk.closed() == []
    desk.at("2026-07-02T00:01:00Z")
    assert desk.closed() == ["2026-06"]


def test_a_second_replica_keeps_what_the_first_closed() -> None:
    """Of two that close the same month, one stores it, and the other goes on with that."""
    desk = Desk()
    desk.count("2026-06-03T00:00:00Z", 5)

    class First(Closer):
        def tick(self) -> None:
            put = desk.ledger.put_statement

            def late(statement: StoredStatement) -> Future[bool]:
                put(StoredStatement(statement.account, statement.period, 1, desk.now, statement.body))
                return put(statement)

            desk.ledger.put_statement = late  # type: ignore[method-assign]
            super().tick()

    desk.closer = First(desk.services, monotonic=lambda: desk.seconds)
    desk.at(DUE)
    assert desk.closed() == ["2026-06"]
    assert desk.services.metrics.registry.get_sample_value(
        "wsedge_statistics_statements_closed_total", {"cycle": "Monthly"}
    ) in (None, 0)


def test_a_name_that_was_given_again_is_another_account() -> None:
    """The statements of a deleted namespace are not those of its successor."""
    desk = Desk()
    desk.count("2026-06-03T00:00:00Z", 5)
    desk.at(DUE)
    key = desk.services.tenures.current("team-a").key
    assert [each.account for each in desk.ledger.statements(key)] == [key]


def test_the_thread_closes_and_ends() -> None:
    """It ticks until it is stopped."""
    ticked = threading.Event()
    desk = Desk()

    class Ticking(Closer):
        def tick(self) -> None:
            super().tick()
            ticked.set()

    with ClosingThread(Ticking(desk.services), every=0.001) as closing:
        assert ticked.wait(timeout=30)
        assert closing.alive()
    assert not closing.alive()
    assert "closing" not in [thread.name for thread in threading.enumerate()]


FIRST_LIFE = {"team_a": {"uid": "11111111-life", "since": "2026-01-01T00:00:00Z"}}
MADE_AGAIN = "2026-06-15T10:00:00Z"


def two_lives() -> Desk:
    """Team-a counts in June, and is made again before June closed."""
    desk = Desk()
    desk.lives = FIRST_LIFE
    desk.operator_writes()
    desk.count("2026-06-03T00:00:00Z", 3 * GB)
    desk.made_again("22222222-life", MADE_AGAIN, terms(start=MADE_AGAIN))
    desk.count("2026-06-20T00:00:00Z", GB, epoch="aaaa0000")
    return desk


def test_a_namespace_that_is_made_again_pays_for_its_former_life() -> None:
    """The June of each closes under its own key and name, with its own bytes; July is of the new one."""
    desk = two_lives()
    desk.at("2026-07-01T23:59:59Z")
    assert (desk.closed(), desk.closed("team-a@22222222")) == ([], [])
    desk.at(DUE)
    documents = [json.loads(each.body) for key in ("team-a", "team-a@22222222") for each in closed(desk, key)]
    assert [
        (each["account"], each["period"], [line["bytes"] for line in each["lines"]]) for each in documents
    ] == [("team-a@11111111", "2026-06", [3 * GB]), ("team-a", "2026-06", [GB])]
    assert documents[0]["lines"][0]["end"] <= MADE_AGAIN
    desk.at("2026-09-05T00:00:00Z")
    assert desk.closed() == ["2026-06"]
    assert desk.closed("team-a@22222222") == ["2026-06", "2026-07", "2026-08"]


def closed(desk: Desk, key: str) -> list[StoredStatement]:
    return desk.ledger.statements(key)


def test_a_former_life_closes_after_a_restart_and_gets_its_adjustments() -> None:
    """What comes in late for it is a supplement of its own."""
    desk = two_lives()
    desk.restart()
    desk.at(DUE)
    late = usage(row(instant("2026-06-04T00:00:00Z"), sentBytes=GB), epoch="bbbb0000")
    desk.ledger.add(late, {"team-a": "team-a"}, now=desk.now)
    desk.at("2026-07-03T00:10:00Z")
    desk.at("2026-07-04T02:00:00Z")
    assert desk.closed() == ["2026-06", "2026-06.1"]


def test_former_lives_that_never_counted_have_no_statements() -> None:
    """There is nothing to be billed, however often a namespace is made again."""
    desk = two_lives()
    for number in range(30, 60):
        since = f"2026-06-21T10:{number}:00Z"
        desk.made_again(f"{number:08}-life", since, terms(start=since))
    desk.at(DUE)
    keys = [life.key for life in desk.services.tenures.epochs["team-a"]]
    assert [key for key in keys if desk.closed(key)] == ["team-a", "team-a@22222222", keys[-1]]


def test_a_tick_looks_at_a_few_former_lives_of_an_account() -> None:
    """All of them close in the end: those that were tried are tried last."""
    desk = two_lives()
    many = 2 * FORMER_A_TICK + 3
    for number in range(many):
        since = f"2026-06-21T{10 + number // 60}:{number % 60:02}:00Z"
        desk.made_again(f"{number:08}-life", since, terms(start=since))
        desk.count("2026-06-21T09:00:00Z", 1, epoch=f"{number:08}")
    keys = [life.key for life in desk.services.tenures.epochs["team-a"][:-1]]
    desk.at(DUE)
    done = []
    for _ in range(3):
        done.append(sum(bool(desk.closed(key)) for key in keys))
        desk.closer.tick()
    assert done == [FORMER_A_TICK, 2 * FORMER_A_TICK, many + 1]
