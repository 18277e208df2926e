"""Lives of accounts, and the domains that each held."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.statistics.build import UID, directory_message, instant, row, usage
from wsedge_statistics.contract import Directory, DirectoryAccount, Period, Terms
from wsedge_statistics.errors import ForbiddenError
from wsedge_statistics.identity.callers import Caller, Policy
from wsedge_statistics.ingest.checks import check_rows
from wsedge_statistics.tenure import (
    EARLY,
    LATE,
    MOST_FORMER,
    MOST_PERIODS,
    MOST_TERMS,
    TERMS_KEPT,
    Epoch,
    Holding,
    Tenures,
    follow,
)

KEPT = timedelta(days=93)
OLD, NEW = "11111111-aaaa-4000-8000-000000000001", "22222222-bbbb-4000-8000-000000000002"
MADE_AGAIN = "2026-06-15T10:00:00Z"


def tenures_after(*directories: dict[str, Any]) -> Tenures:
    tenures = Tenures()
    for fields in directories:
        tenures = follow(tenures, directory_message(**fields), kept=KEPT)
    return tenures


FIRST = {"lives": {"team-a": {"uid": OLD, "since": "2026-01-01T00:00:00Z"}}}
GONE = {
    "lives": {"team-a": {"uid": OLD, "until": "2026-06-15T09:59:00Z"}},
    "domains": {},
    "written_at": "2026-06-15T09:59:00Z",
}
AGAIN = {"lives": {"team-a": {"uid": NEW, "since": MADE_AGAIN}}, "written_at": "2026-06-15T10:01:00Z"}


def caller(issued: str) -> Caller:
    return Caller("system:serviceaccount:team-a:relay", "team-a", UID, issued=instant(issued))


def test_a_namespace_made_again_is_another_account() -> None:
    """Its counts get a key of their own; the time of issue decides to which life a token belongs."""
    tenures = tenures_after(FIRST, AGAIN)
    current = tenures.current("team-a")
    assert (current.key, current.uid, current.since) == ("team-a@22222222", NEW, instant(MADE_AGAIN))
    before = tenures.of_token("team-a", instant("2026-06-15T09:00:00Z"))
    assert before is not None
    assert before.key == "team-a"
    after = tenures.of_token("team-a", instant(MADE_AGAIN))
    assert after is not None
    assert after.key == "team-a@22222222"


def test_reports_count_for_the_life_of_their_token() -> None:
    """The last rows of a deleted namespace's relays count for it, not for the new namespace."""
    tenures = tenures_after(FIRST, AGAIN)
    report = usage(row(instant(MADE_AGAIN)))
    now = instant("2026-06-15T10:02:00Z")
    for issued, key in {"2026-06-15T09:00:00Z": "team-a", MADE_AGAIN: "team-a@22222222"}.items():
        keys = check_rows(caller(issued), report, tenures=tenures, now=now, retention=KEPT)
        assert keys == {"team-a": key}


def test_a_life_reads_its_own_counts_alone() -> None:
    """The new namespace reads nothing of the old namespace, and tokens of the old one are refused."""
    policy, tenures = Policy(), tenures_after(FIRST, AGAIN)
    assert policy.key_to_read(caller(MADE_AGAIN), None, tenures) == "team-a@22222222"
    with pytest.raises(ForbiddenError, match="deleted"):
        policy.key_to_read(caller("2026-06-15T09:00:00Z"), "team-a", tenures)


def test_a_deleted_namespace_is_read_by_no_successor() -> None:
    """A token from after the deletion reads nothing, also before a Directory names the new namespace."""
    policy, tenures = Policy(), tenures_after(FIRST, GONE)
    key = policy.key_to_read(caller(MADE_AGAIN), None, tenures)
    assert key == "team-a@"
    assert tenures.display_name("team-a@") == "team-a"


def test_the_first_notice_of_a_deletion_counts() -> None:
    """An operator that was restarted notices the same deletion later."""
    later = {"lives": {"team-a": {"uid": OLD, "until": "2026-06-15T10:30:00Z"}}, "domains": {}}
    tenures = tenures_after(FIRST, GONE, {**later, "written_at": "2026-06-15T10:30:00Z"})
    assert tenures.of_token("team-a", instant(MADE_AGAIN)) is None


def test_administrators_name_former_lives() -> None:
    """The plain name is the current account; NAME@UID is a deleted account."""
    tenures = tenures_after(FIRST, AGAIN)
    admin = Policy(admins=frozenset({"admin"}))
    names = {"team-a": "team-a@22222222", "team-a@11111111": "team-a", "team-a@22222222": "team-a@22222222"}
    for name, key in names.items():
        assert admin.key_to_read(Caller("admin"), name, tenures) == key
    assert [tenures.display_name(key) for key in ("team-a", "team-a@22222222")] == [
        "team-a@11111111",
        "team-a",
    ]


def test_names_of_lives_without_a_uid_are_keys() -> None:
    """A former life that no operator sent a uid for is NAME@former; an unknown name is its own key."""
    lives = (Epoch("team-a", "team-a"), Epoch("team-a", "team-a@22222222", NEW))
    tenures = Tenures(True, {"team-a": lives})
    assert tenures.display_name("team-a") == "team-a@former"
    assert tenures.key_named("team-a@former") == "team-a"
    assert tenures.key_named("team-a@99999999") == "team-a@99999999"
    assert tenures.display_name("team-a@99999999") == "team-a@99999999"
    assert tenures.key_named("team-b") == "team-b"


def test_a_token_older_than_every_life_belongs_to_the_first() -> None:
    """A ledger whose first life has a beginning, as after a loss of its oldest Directory."""
    first = Epoch("team-a", "team-a", OLD, instant("2026-01-01T00:00:00Z"))
    tenures = Tenures(True, {"team-a": (first,)})
    assert tenures.of_token("team-a", instant("2025-01-01T00:00:00Z")) == first
    assert tenures.of_token("team-a", None) == first


def test_equal_beginnings_of_uids_give_longer_keys() -> None:
    """Two lives whose uids have the same first eight letters have different keys."""
    twin = f"{NEW[:8]}-cccc-4000-8000-000000000003"
    later = {
        "lives": {"team-a": {"uid": twin, "since": "2026-06-16T10:00:00Z"}},
        "written_at": "2026-06-16T10:00:00Z",
    }
    tenures = tenures_after(FIRST, AGAIN, later)
    assert [life.key for life in tenures.epochs["team-a"]] == ["team-a", "team-a@22222222", f"team-a@{twin}"]


def test_a_rolled_back_operator_does_not_end_a_deletion() -> None:
    """Without a uid in the Directory the life's end stays."""
    tenures = tenures_after(FIRST, GONE, {"written_at": "2026-06-15T10:30:00Z"})
    assert tenures.current("team-a").until == instant("2026-06-15T09:59:00Z")


SAME = {
    "an operator that sends no uid": {"written_at": "2026-06-15T10:01:00Z"},
    "the same uid again": {**FIRST, "written_at": "2026-06-15T10:01:00Z"},
}


@pytest.mark.parametrize("later", SAME.values(), ids=SAME.keys())
def test_no_new_life_without_a_new_uid(later: dict[str, Any]) -> None:
    """After a rollback of the operator, or without a change, the account stays the same."""
    assert tenures_after(FIRST, later).current("team-a") == tenures_after(FIRST).current("team-a")


def test_the_first_uid_belongs_to_the_earlier_counts() -> None:
    """An upgrade of the operator makes no new account."""
    (life,) = tenures_after({}, AGAIN).epochs["team-a"]
    assert (life.key, life.uid, life.since) == ("team-a", NEW, None)


def test_the_uid_of_a_former_life_changes_nothing() -> None:
    """A restored operator may send an old Directory."""
    assert tenures_after(FIRST, AGAIN, FIRST).current("team-a").uid == NEW


def test_former_domains_are_dropped_after_the_retention_and_bounded() -> None:
    """They are retained as long as reports are accepted, and up to MOST_FORMER per account."""
    domains = {f"d{number}.example": "team-a" for number in range(MOST_FORMER + 2)}
    first = {"domains": domains, "written_at": "2026-01-01T00:00:00Z"}
    gone = {"domains": {}, "written_at": "2026-01-02T00:00:00Z"}
    assert len(tenures_after(first, gone).held) == MOST_FORMER
    assert not tenures_after(first, gone, {"domains": {}, "written_at": "2026-04-06T00:00:00Z"}).held


def at(minutes: int) -> datetime:
    return instant("2026-06-01T00:00:00Z") + timedelta(minutes=minutes)


def named(minutes: int, *accounts: str) -> dict[str, Any]:
    """A Directory of this minute in which these accounts have a domain of that name of their own."""
    return {"written_at": at(minutes).isoformat(), "domains": {f"{name}.example": name for name in accounts}}


def holds(tenures: Tenures, minutes: int) -> bool:
    return tenures.holds("team-b", "team-b.example", at(minutes))


def test_an_account_that_got_a_domain_counts_from_the_directory_before() -> None:
    """Between two Directories nobody knows when it got the domain; earlier it was not its own."""
    tenures = tenures_after(named(0), named(600, "team-b"))
    early = EARLY // timedelta(minutes=1)
    assert [holds(tenures, minute) for minute in (-early - 5, -early, 0, 600, 9000)] == [
        False,
        True,
        True,
        True,
        True,
    ]


def test_the_domains_of_the_first_directory_were_held_before_it() -> None:
    """A ledger that is new or was lost knows nothing of the time before."""
    assert holds(tenures_after(named(600, "team-b")), -50_000)


def test_a_domain_that_came_back_has_two_periods() -> None:
    """The time between them is of nobody, or of another account."""
    tenures = tenures_after(named(0, "team-b"), named(600), named(2000), named(2600, "team-b"))
    late = LATE // timedelta(minutes=1)
    assert [holds(tenures, minute) for minute in (0, 600 + late, 605 + late, 1980, 2000, 5000)] == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]
    assert tenures.held["team-b.example", "team-b"] == (Holding(None, at(600)), Holding(at(2000)))


def test_a_directory_that_left_a_domain_out_once_divides_no_period() -> None:
    """The next Directory names it again."""
    tenures = tenures_after(named(0, "team-b"), named(60), named(120, "team-b"))
    assert tenures.held["team-b.example", "team-b"] == (Holding(),)


def test_the_clock_of_the_operator_may_have_been_ahead() -> None:
    """A domain that is named after the correction is held from now on, not from the wrong time on."""
    tenures = tenures_after(named(500_000), named(60, "team-b"))
    assert (holds(tenures, 60), holds(tenures, 0)) == (True, False)


def test_of_many_periods_the_oldest_are_merged() -> None:
    """Their number is bounded; no time that was held is forgotten."""
    directories = [named(0, "team-b")]
    for number in range(1, 2 * MOST_PERIODS):
        start = number * 3000
        directories += [named(start), named(start + 1000), named(start + 2000, "team-b")]
    tenures = tenures_after(*directories)
    periods = tenures.held["team-b.example", "team-b"]
    assert len(periods) == MOST_PERIODS
    assert (periods[0].since, periods[-1].until) == (None, None)
    assert all(holds(tenures, number * 3000 + 2500) for number in range(2 * MOST_PERIODS))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=2 * MOST_PERIODS),
    st.lists(st.integers(-200, 4000), min_size=1, max_size=8),
)
def test_periods_are_what_all_directories_together_say(
    steps: list[tuple[int, bool]], questions: list[int]
) -> None:
    """An account held a domain from the Directory before the first of a run that names it, to the next."""
    moments, minute = [], 0
    for pause, is_named in steps:
        minute += pause
        moments.append((minute, is_named))
    tenures = tenures_after(*(named(when, *["team-b"] * is_named) for when, is_named in moments))
    for question in questions:
        expected = False
        for place, (_, is_named) in enumerate(moments):
            if is_named:
                since = moments[place - 1][0] if place else None
                until = moments[place + 1][0] if place + 1 < len(moments) else None
                begun = since is None or at(question) >= at(since) - EARLY
                expected = expected or (begun and (until is None or at(question) <= at(until) + LATE))
        assert holds(tenures, question) is expected


TERMS = Terms(billingCycle="Monthly", meteringMethod="Traffic", timeZone="UTC")
Named = tuple[int, int, tuple[tuple[int, int | None], ...], int | None]  # minute, life, terms, deleted


def terms_of(*periods: tuple[int, int | None]) -> tuple[Period, ...]:
    return tuple(Period(terms=TERMS, start=at(a), end=None if b is None else at(b)) for a, b in periods)


def lives_after(*steps: Named) -> tuple[Epoch, ...]:
    """The lives of team-a after Directories that name its life, which began with its first one."""
    tenures = Tenures()
    begun: dict[int, int] = {}
    for minute, number, periods, gone in steps:
        entry = DirectoryAccount(
            account="team-a",
            periods=terms_of(*periods),
            uid=f"{number:08}-life",
            since=at(begun.setdefault(number, minute)),
            until=None if gone is None else at(gone),
        )
        tenures = follow(tenures, Directory(version=1, writtenAt=at(minute), accounts=(entry,)), kept=KEPT)
    return tenures.epochs["team-a"]


FORMER_TERMS: dict[str, tuple[list[Named], tuple[tuple[int, int | None], ...]]] = {
    "terms without an end end when the next life begins": (
        [(0, 1, ((0, None),), None), (500, 2, (), None)],
        ((0, 500),),
    ),
    "they end when the operator noticed the deletion": (
        [(0, 1, ((0, None),), None), (300, 1, ((0, None),), 300), (500, 2, (), None)],
        ((0, 300),),
    ),
    "terms that ended before the life keep their end": (
        [(0, 1, ((0, 100),), None), (500, 2, (), None)],
        ((0, 100),),
    ),
    "terms that would have begun later never begin": (
        [(0, 1, ((0, 700), (700, None)), None), (500, 2, (), None)],
        ((0, 500),),
    ),
    "the terms that were named last are kept": (
        [(0, 1, ((0, None),), None), (10, 1, ((0, 20), (20, None)), None), (500, 2, (), None)],
        ((0, 20), (20, 500)),
    ),
    "a record that cannot be read does not take the terms away": (
        [(0, 1, ((0, None),), None), (10, 1, (), None), (500, 2, (), None)],
        ((0, 500),),
    ),
    "a namespace without a plan has none": ([(0, 1, (), None), (500, 2, ((500, None),), None)], ()),
    "an old Directory of a restored operator changes nothing": (
        [(0, 1, ((0, None),), None), (500, 2, (), None), (600, 1, ((0, 50),), None)],
        ((0, 500),),
    ),
}


@pytest.mark.parametrize(("steps", "expected"), FORMER_TERMS.values(), ids=FORMER_TERMS.keys())
def test_a_former_life_keeps_its_terms_until_its_end(
    steps: list[Named], expected: tuple[tuple[int, int | None], ...]
) -> None:
    """The Directory names the new life alone, and the last period of the former one is still open."""
    former, current = lives_after(*steps)
    assert former.terms == terms_of(*expected)
    assert current.terms == terms_of(*steps[-1][2]) or steps[-1][1] == 1


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 500), st.booleans(), st.lists(st.integers(0, 3000), max_size=4, unique=True)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_terms_are_what_the_last_directory_said_of_each_life(
    steps: list[tuple[int, bool, list[int]]],
) -> None:
    """A minute is under the terms of a former life if its last Directory with terms said so, to its end."""
    named: list[Named] = []
    minute, number = 0, 0
    for pause, is_new, edges in steps:
        minute, number = minute + pause, number + is_new
        ordered = sorted(edges)
        periods = tuple(zip(ordered, [*ordered[1:], None], strict=True)) if ordered else ()
        named.append((minute, number, periods, None))
    lives = lives_after(*named)
    assert len(lives) == len({number for _, number, _, _ in named})
    for life, number in zip(lives, sorted({number for _, number, _, _ in named}), strict=True):
        said = [periods for _, of, periods, _ in named if of == number and periods]
        ends = [when for when, of, _, _ in named if of > number]
        for question in range(0, 3500, 125):
            expected = bool(said) and question >= said[-1][0][0] and (not ends or question < ends[0])
            found = [
                period
                for period in life.terms
                if period.start <= at(question) and (period.end is None or at(question) < period.end)
            ]
            assert len(found) == expected


def test_the_terms_of_a_thousand_lives_are_dropped_with_their_values() -> None:
    """Made again within a month, each life is still billed; a year later the old ones are not kept."""
    year = TERMS_KEPT // timedelta(minutes=1)
    many: list[Named] = [(number * 30, number, ((number * 30, None),), None) for number in range(1, 1001)]
    lives = lives_after(*many)
    assert all(life.terms for life in lives)
    later = lives_after(*many, (30_000 + year, 2000, ((0, None),), None))
    assert [bool(life.terms) for life in later] == [False] * 900 + [True] * (MOST_TERMS + 1)


def test_one_directory_of_a_wrong_clock_loses_no_terms() -> None:
    """The terms of the last lives stay, however late it seems to be."""
    year = TERMS_KEPT // timedelta(minutes=1)
    first, _, _ = lives_after(
        (0, 1, ((0, None),), None), (500, 2, ((500, None),), None), (2 * year, 3, (), None)
    )
    assert first.terms == terms_of((0, 500))


def test_a_former_life_is_found_by_its_key() -> None:
    """The current life and unknown keys are no former ones."""
    tenures = tenures_after(FIRST, AGAIN)
    former = tenures.former("team-a")
    assert former is not None
    assert (former.uid, former.until) == (OLD, instant(MADE_AGAIN))
    assert [tenures.former(key) for key in ("team-a@22222222", "team-a@", "team-b")] == [None] * 3
