"""Lives of accounts, and who held which domain when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.statistics.build import UID, directory_message, instant, row, usage
from wsedge_statistics.errors import ForbiddenError
from wsedge_statistics.identity.callers import Caller, Policy
from wsedge_statistics.ingest.checks import check_rows
from wsedge_statistics.tenure import MOST_FORMER, Epoch, Tenures, follow

KEPT = timedelta(days=93)
OLD, NEW = "11111111-aaaa-4000-8000-000000000001", "22222222-bbbb-4000-8000-000000000002"
MADE_AGAIN = "2026-06-15T10:00:00Z"


def told(*directories: dict[str, Any]) -> Tenures:
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
    """Its counts get a key of their own; tokens tell by their time which life they are of."""
    tenures = told(FIRST, AGAIN)
    assert tenures.current("team-a") == Epoch("team-a", "team-a@22222222", NEW, instant(MADE_AGAIN))
    before = tenures.of_token("team-a", instant("2026-06-15T09:00:00Z"))
    assert before is not None
    assert before.key == "team-a"
    after = tenures.of_token("team-a", instant(MADE_AGAIN))
    assert after is not None
    assert after.key == "team-a@22222222"


def test_reports_are_booked_to_the_life_of_their_token() -> None:
    """The last rows of a deleted namespace's relays are its own, and not the new namespace's."""
    tenures = told(FIRST, AGAIN)
    report = usage(row(instant(MADE_AGAIN)))
    now = instant("2026-06-15T10:02:00Z")
    for issued, key in {"2026-06-15T09:00:00Z": "team-a", MADE_AGAIN: "team-a@22222222"}.items():
        keys = check_rows(caller(issued), report, tenures=tenures, now=now, retention=KEPT)
        assert keys == {"team-a": key}


def test_a_life_reads_its_own_counts_alone() -> None:
    """The new namespace reads nothing of the old one, whose tokens read nothing any more."""
    policy, tenures = Policy(), told(FIRST, AGAIN)
    assert policy.key_to_read(caller(MADE_AGAIN), None, tenures) == "team-a@22222222"
    with pytest.raises(ForbiddenError, match="deleted"):
        policy.key_to_read(caller("2026-06-15T09:00:00Z"), "team-a", tenures)


def test_a_namespace_that_is_gone_is_read_by_no_successor() -> None:
    """A token from after the deletion reads nothing, also before a Directory names the new namespace."""
    policy, tenures = Policy(), told(FIRST, GONE)
    key = policy.key_to_read(caller(MADE_AGAIN), None, tenures)
    assert key == "team-a@"
    assert tenures.shown("team-a@") == "team-a"


def test_when_a_namespace_went_is_said_once() -> None:
    """An operator that is started anew finds it gone later than the one before did."""
    later = {"lives": {"team-a": {"uid": OLD, "until": "2026-06-15T10:30:00Z"}}, "domains": {}}
    tenures = told(FIRST, GONE, {**later, "written_at": "2026-06-15T10:30:00Z"})
    assert tenures.of_token("team-a", instant(MADE_AGAIN)) is None


def test_administrators_name_former_lives() -> None:
    """The plain name is the account of now; NAME@UID one that was deleted."""
    tenures = told(FIRST, AGAIN)
    admin = Policy(admins=frozenset({"admin"}))
    names = {"team-a": "team-a@22222222", "team-a@11111111": "team-a", "team-a@22222222": "team-a@22222222"}
    for name, key in names.items():
        assert admin.key_to_read(Caller("admin"), name, tenures) == key
    assert [tenures.shown(key) for key in ("team-a", "team-a@22222222")] == ["team-a@11111111", "team-a"]


SAME = {
    "an operator that tells no uid": {"written_at": "2026-06-15T10:01:00Z"},
    "the same uid again": {**FIRST, "written_at": "2026-06-15T10:01:00Z"},
}


@pytest.mark.parametrize("later", SAME.values(), ids=SAME.keys())
def test_no_new_life_without_a_new_uid(later: dict[str, Any]) -> None:
    """After a rollback of the operator, or when nothing happened, the account stays the one that it was."""
    assert told(FIRST, later).current("team-a") == told(FIRST).current("team-a")


def test_the_first_uid_is_that_of_what_was_counted_before() -> None:
    """An upgrade makes nobody a new account."""
    assert told({}, AGAIN).current("team-a") == Epoch("team-a", "team-a", NEW)


def test_an_old_uid_does_not_come_back() -> None:
    """A Directory with a uid of before (a restored operator) changes nothing."""
    assert told(FIRST, AGAIN, FIRST).current("team-a").uid == NEW


def test_former_domains_are_forgotten_in_time_and_bounded() -> None:
    """They are kept as long as reports are taken, and of one account only so many."""
    domains = {f"d{number}.example": "team-a" for number in range(MOST_FORMER + 2)}
    first = {"domains": domains, "written_at": "2026-01-01T00:00:00Z"}
    gone = {"domains": {}, "written_at": "2026-01-02T00:00:00Z"}
    assert len(told(first, gone).held) == MOST_FORMER
    assert not told(first, gone, {"domains": {}, "written_at": "2026-04-06T00:00:00Z"}).held
