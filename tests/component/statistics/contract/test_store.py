"""Merges, room, late counts, overflows, retention and statements of every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from support.statistics.build import instant, row, seconds, usage
from support.statistics.model import NaiveLedger
from support.statistics.stores import StoreUnderTest
from wsedge_statistics.contract import UsageReport
from wsedge_statistics.ledger.protocol import LATE_AFTER, LateCounts, Room, StoredStatement
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import DAY, Dimension, Selection

START = instant("2026-06-09T22:00:00Z")
AT = seconds("2026-06-09T22:00:00Z")
WHOLE = Selection(seconds("2026-06-09T00:00:00Z"), seconds("2026-06-12T00:00:00Z"))
DAYS = [Slot(at, at + DAY) for at in range(WHOLE.start, WHOLE.end, DAY)]
GROUPS: tuple[tuple[Dimension, ...], ...] = (
    (),
    (Dimension.ACCOUNT,),
    (Dimension.DOMAIN,),
    (Dimension.REGION,),
    (Dimension.DOMAIN, Dimension.REGION),
)
MOST = 2**53 - 1
ROOMY = Room(10_000, 10_000, 10_000)


def sent(store: StoreUnderTest, **fields: Any) -> int:
    selection = replace(WHOLE, **fields)
    return sum(part.counts.sent for part in store.sums(selection, [Slot(WHOLE.start, WHOLE.end)]))


def huge(account: str, domains: int = 1100) -> UsageReport:
    """A report whose sums need more than 64 bits."""
    fields = {
        "account": account,
        "sentBytes": MOST,
        "receivedBytes": MOST,
        "sentMessages": MOST,
        "peakConnections": MOST,
        "codes": {"101": MOST},
    }
    return usage(*(row(START, domain=f"d{n}.{account}.example", **fields) for n in range(domains)))


def test_a_tenants_huge_counts_are_added_exactly(store: StoreUnderTest) -> None:
    """Sums of more than 64 bits are right, from rows and from totals, for it, for others and for all."""
    model = NaiveLedger()
    for report in (huge("team-b"), usage(row(START, sentBytes=7, codes={"101": 2}))):
        store.merge(report, START)
        model.add(report)
    selections = [WHOLE, replace(WHOLE, account="team-a")]
    for _ in range(2):
        for selection in selections:
            for group_by in (GROUPS[0], GROUPS[1], GROUPS[4]):
                asked = (selection, DAYS, group_by)
                assert store.sums(*asked) == model.sums(*asked)
                assert store.codes(*asked) == model.codes(*asked)
                assert list(store.values(selection, group_by)) == list(model.values(selection, group_by))
        store.refresh()
    assert sent(store) == 1100 * MOST + 7


def test_a_total_may_be_huge_in_one_bucket_of_many(store: StoreUnderTest) -> None:
    """The other buckets of its scope are still added to it."""
    for report in (huge("team-b"), usage(row(START + timedelta(hours=1), account="team-b", sentBytes=5))):
        store.merge(report, START)
    store.refresh()
    store.merge(
        usage(row(START, account="team-b", domain="d0.team-b.example", sentBytes=MOST), uid="x"), START
    )
    store.refresh()
    assert sent(store) == sent(store, account="team-b") == 1101 * MOST + 5


def test_a_key_is_stored_under_the_account_of_its_life(store: StoreUnderTest) -> None:
    """The rows of an account are stored under the key that the caller names."""
    store.merge(usage(row(START, sentBytes=7)), START, {"team-a": "team-a@1a2b3c4d"})
    assert (sent(store, account="team-a"), sent(store, account="team-a@1a2b3c4d")) == (0, 7)


def merged(store: StoreUnderTest, report: UsageReport, room: Room, now: datetime = START) -> tuple[int, ...]:
    return store.merge(report, now, None, room)


def test_rows_beyond_a_buckets_room_are_refused(store: StoreUnderTest) -> None:
    """Their indices are returned and nothing is stored; rows that are stored need no room."""
    room = replace(ROOMY, of_bucket=3)
    stored = [row(START, sentBytes=1, codes={"101": 1})]
    assert merged(store, usage(*stored), room) == ()
    new = [row(START, domain=f"{name}.example", sentBytes=1) for name in "ab"]
    assert merged(store, usage(*stored, *new), room) == (2,)
    assert sent(store) == 1
    assert merged(store, usage(row(START, sentBytes=5, codes={"101": 3}), new[0]), room) == ()
    assert merged(store, usage(new[1]), room) == (0,)
    assert merged(store, usage(row(START + timedelta(minutes=5), domain="b.example")), room) == ()
    assert merged(store, usage(row(START, domain="b.example", account="team-b")), room) == ()


def test_rows_beyond_an_accounts_room_are_refused(store: StoreUnderTest) -> None:
    """The room of all buckets is shared, and deletion gives it back."""
    room = replace(ROOMY, of_account=2)
    later = [row(START + timedelta(minutes=5 * n)) for n in range(3)]
    assert merged(store, usage(*later), room) == (2,)
    assert merged(store, usage(*later[:2]), room) == ()
    assert merged(store, usage(later[2]), room) == (0,)
    store.refresh()
    store.prune(START + timedelta(days=100))
    assert merged(store, usage(row(START + timedelta(days=99))), room) == ()


def test_keys_beyond_an_accounts_room_are_refused(store: StoreUnderTest) -> None:
    """An account may have so many domains, regions, ISPs and areas together; others are not concerned."""
    room = replace(ROOMY, of_keys=2)
    made_up = [row(START, domain=f"d{n}.example") for n in range(4)]
    assert merged(store, usage(*made_up), room) == (2, 3)
    assert sent(store) == 0
    assert merged(store, usage(*made_up[:2]), room) == ()
    again = row(START + timedelta(minutes=5), domain="d1.example")
    assert merged(store, usage(made_up[2], again, again), room) == (0,)
    assert merged(store, usage(again), room) == ()
    assert merged(store, usage(row(START, account="team-b")), room) == ()


def test_what_comes_in_late_is_recorded(store: StoreUnderTest) -> None:
    """By bucket and area, what the bytes grew by, and when; what was in time, or was repeated, is not."""
    in_time = START + timedelta(minutes=5) + LATE_AFTER - timedelta(seconds=1)
    late = in_time + timedelta(seconds=1)
    store.merge(usage(row(START, sentBytes=7, receivedBytes=3)), in_time)
    assert store.late("team-a", WHOLE.start, WHOLE.end) == []
    grown = [row(START, sentBytes=9, receivedBytes=3), row(START, domain="b.example", sentBytes=5)]
    for _ in range(2):
        store.merge(usage(*grown, row(START, area="AP1", receivedBytes=4)), late)
    assert store.late("team-a", WHOLE.start, WHOLE.end) == [
        LateCounts(AT + 900, "team-a", "AP1", AT, 0, 4),
        LateCounts(AT + 900, "team-a", "CN", AT, 7, 0),
    ]
    assert store.late("team-b", WHOLE.start, WHOLE.end) == []
    assert store.late("team-a", AT + 300, WHOLE.end) == []


def test_totals_outlive_their_rows(store: StoreUnderTest) -> None:
    """Rows go after 93 days, totals after 366; between, only a domain's regions are not answered."""
    model = NaiveLedger()
    reports = (
        usage(row(START, sentBytes=7, codes={"101": 2}), uid="one"),
        usage(row(START, sentBytes=5), row(START + timedelta(hours=3), sentBytes=1)),
        usage(row(START, account="team-b", domain="b.example", receivedBytes=9)),
    )
    for report in reports:
        store.merge(report, START)
        model.add(report)
    store.refresh()
    for age in (93, 95, 200, 366):
        store.prune(START + timedelta(days=age))
        for group_by in GROUPS[:4]:
            assert store.sums(WHOLE, DAYS, group_by) == model.sums(WHOLE, DAYS, group_by)
            assert store.codes(WHOLE, DAYS, group_by) == model.codes(WHOLE, DAYS, group_by)
    assert store.sums(WHOLE, DAYS, GROUPS[4]) == []
    assert store.prune(START + timedelta(days=370)) > 0
    assert store.sums(WHOLE, DAYS) == []


def test_nothing_is_deleted_before_its_total_is_current(store: StoreUnderTest) -> None:
    """After a long outage the totals come first."""
    store.merge(usage(row(START, sentBytes=7)), START)
    store.prune(START + timedelta(days=200))
    assert [part.counts.sent for part in store.sums(WHOLE, DAYS, GROUPS[4])] == [7]
    store.refresh()
    store.prune(START + timedelta(days=200))
    assert store.sums(WHOLE, DAYS, GROUPS[4]) == []
    assert sent(store) == 7


def test_counts_of_a_deleted_bucket_lower_no_total(store: StoreUnderTest) -> None:
    """Rows deleted months too early still count when a report for their bucket arrives."""
    store.merge(usage(row(START, sentBytes=7, codes={"101": 1})), START)
    store.refresh()
    store.prune(START + timedelta(days=100))
    for number in (3, 9):
        late = usage(row(START, sentBytes=number, codes={"403": 1}))
        store.merge(late, START)
        for _ in range(2):
            assert sent(store) == sent(store, account="team-a") == max(7, number)
            codes = store.codes(WHOLE, DAYS)
            assert [(part.code, part.count) for part in codes] == [(101, 1), (403, 1)]
            store.refresh()


def test_a_closed_statement_stays(store: StoreUnderTest) -> None:
    """A second one of the same account and period changes nothing."""
    first = StoredStatement("team-a", "2026-06", 1, START, '{"lines": []}')
    assert store.put_statement(first)
    assert not store.put_statement(replace(first, version=2, body="{}"))
    earlier = replace(first, period="2026-05")
    assert store.put_statement(earlier)
    assert store.put_statement(replace(first, account="team-b"))
    assert store.statements("team-a") == [earlier, first]
