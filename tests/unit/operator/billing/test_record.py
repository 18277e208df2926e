"""The record of an account: writing, reading, and refusing an invalid one."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.operator.story import MONTH_95, PEAK_DAILY, TRAFFIC_DAILY, Story, at
from wsedge_operator.api.billing_plan import BillingCycle, MeteringMethod
from wsedge_operator.billing.activation import Account, Pending, Period, Terms
from wsedge_operator.billing.record import (
    KEY,
    Life,
    from_data,
    from_record,
    identity_of,
    record_data,
    to_data,
)
from wsedge_operator.errors import AccountError
from wsedge_statistics.contract import known_zones

START = at("2026-11-01 00:00+08:00")
MIDDLE = at("2026-11-22 12:00+08:00")
END = at("2026-12-01 00:00+08:00")
FULL = Account(
    periods=(Period(TRAFFIC_DAILY, START - timedelta(days=9), START), Period(MONTH_95, START)),
    pending=Pending(PEAK_DAILY, MIDDLE, END),
    plan="5b1f",
    generation=3,
    requested_at=MIDDLE,
    waiting=("77aa",),
)


def test_empty_round_trip() -> None:
    """An account without history is read as it was written."""
    assert from_data(to_data(Account())) == Account()


def test_full_round_trip() -> None:
    """An account with all fields is read as it was written, from equal bytes."""
    assert from_data(to_data(FULL)) == FULL
    assert to_data(from_data(to_data(FULL))) == to_data(FULL)


def test_pending_end_round_trip() -> None:
    """A pending end differs from no pending change."""
    ending = Account(
        periods=(Period(MONTH_95, START),), pending=Pending(None, MIDDLE, END), requested_at=MIDDLE
    )
    assert from_data(to_data(ending)) == ending


@given(st.lists(st.sampled_from([MONTH_95, PEAK_DAILY, TRAFFIC_DAILY, None]), max_size=8))
def test_every_settled_account_round_trips(wishes: list[Any]) -> None:
    """Every account that `settle` returns can be written and read."""
    story, now = Story(), datetime(2026, 11, 22, 4, 0, 0, tzinfo=UTC)
    for index, wish in enumerate(wishes):
        when = now + index * timedelta(days=17)
        if wish is None:
            story.claims.clear()
        elif story.claims:
            story.edits(when, wish)
        else:
            story.creates(when, wish)
        account = story.settled_at(when)
        assert from_data(to_data(account)) == account


def test_eleven_years_of_daily_changes_fit_into_a_config_map() -> None:
    """With the longest values all periods need less than the 1 MiB of a ConfigMap."""
    method = max(MeteringMethod, key=len)
    terms = Terms(BillingCycle.MONTHLY, method, max(known_zones(), key=len))
    days = [START + index * timedelta(days=1) for index in range(11 * 365 + 1)]
    account = Account(periods=tuple(Period(terms, day, end) for day, end in pairwise(days)))
    assert len(to_data(account)[KEY].encode()) < 1 << 20


def test_a_person_can_read_a_record() -> None:
    """It has the words of the API and times in Kubernetes' form."""
    record = json.loads(to_data(FULL)[KEY])
    assert record["version"] == 1
    assert record["periods"][1] == {
        "terms": {
            "billingCycle": "Monthly",
            "meteringMethod": "Month95Bandwidth",
            "timeZone": "Asia/Shanghai",
        },
        "start": "2026-10-31T16:00:00Z",
        "end": None,
    }
    assert record["pending"]["effectiveTime"] == "2026-11-30T16:00:00Z"


def damaged(**changes: Any) -> dict[str, str]:
    """Return the data of the full record with fields replaced."""
    return {KEY: json.dumps(json.loads(to_data(FULL)[KEY]) | changes)}


TERMS = {"billingCycle": "Monthly", "meteringMethod": "Traffic", "timeZone": "UTC"}
OPEN = {"terms": TERMS, "start": "2026-11-01T00:00:00Z"}
DAMAGES = {
    "the key is missing": ({}, "account.json: missing; restore it"),
    "the ConfigMap is empty": (None, "account.json: missing; restore it"),
    "it is not JSON": ({KEY: "{"}, "Invalid JSON"),
    "it is from a newer version": (damaged(version=2), "version: Input should be 1"),
    "it has an unknown field": (damaged(extra=1), "extra: Extra inputs"),
    "a time is not a time": (damaged(periods=[{**OPEN, "start": "yesterday"}]), "periods.0.start"),
    "a time has no zone": (damaged(periods=[{**OPEN, "start": "2026-11-01T00:00:00"}]), "periods.0.start"),
    "a zone is unknown": (
        damaged(periods=[{**OPEN, "terms": {**TERMS, "timeZone": "Mars/Olympus"}}]),
        "periods.0.terms: Value error, 'Mars/Olympus' is no time zone",
    ),
    "terms contradict themselves": (
        damaged(periods=[{**OPEN, "terms": {**TERMS, "meteringMethod": "DailyPeakBandwidth"}}]),
        "DailyPeakBandwidth is not settled Monthly",
    ),
    "a period ends before it begins": (
        damaged(periods=[{**OPEN, "end": "2026-10-01T00:00:00Z"}]),
        "periods.0: Value error, a period ends after its start",
    ),
    "an open period is not the last": (
        damaged(periods=[OPEN, {**OPEN, "start": "2026-11-09T00:00:00Z"}]),
        "the period from 2026-11-09T00:00:00Z begins before the previous period ends",
    ),
    "periods overlap": (
        damaged(periods=[{**OPEN, "end": "2026-11-09T00:00:00Z"}, {**OPEN, "start": "2026-11-08T00:00:00Z"}]),
        "begins before the previous period ends",
    ),
    "a change takes effect before its request": (
        damaged(
            pending={
                "terms": TERMS,
                "requestTime": "2026-12-01T00:00:00Z",
                "effectiveTime": "2026-11-30T00:00:00Z",
            }
        ),
        "pending: Value error, a pending change is effective after its request",
    ),
    "a change takes effect before the period in force": (
        damaged(
            pending={
                "terms": TERMS,
                "requestTime": "2026-10-01T00:00:00Z",
                "effectiveTime": "2026-10-02T00:00:00Z",
            }
        ),
        "pending: effective before the start of the period in force",
    ),
    "an end without a period in force": (
        damaged(
            periods=[],
            pending={
                "terms": None,
                "requestTime": "2026-10-01T00:00:00Z",
                "effectiveTime": "2026-10-02T00:00:00Z",
            },
        ),
        "pending: an end is pending, but no period is in force",
    ),
}


@pytest.mark.parametrize(("data", "why"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damage(data: dict[str, str] | None, why: str) -> None:
    """One invalid field makes the record invalid, and the error names the field."""
    with pytest.raises(AccountError) as caught:
        from_data(data)
    assert str(caught.value).startswith("wsedge-account: account.json")
    assert why in str(caught.value)


@pytest.mark.parametrize("name", ["localtime", "Factory"])
def test_two_names_that_version_0_1_0_accepted_are_utc(name: str) -> None:
    """That image resolved both to UTC, so accounts that it billed remain the same."""
    found = from_data(damaged(periods=[{**OPEN, "terms": {**TERMS, "timeZone": name}}]))
    assert [period.terms.zone for period in found.periods] == ["UTC"]


LIFE = Life("team-a", "5b1f-77aa", None, "wsedge-system")
NAMES: dict[str, tuple[str, tuple[str, str] | None]] = {
    "the name of a record": (LIFE.record_name, ("team-a", "5b1f-77aa")),
    "the longest names": (f"wsedge-account-{'a' * 63}.{'b' * 64}", ("a" * 63, "b" * 64)),
    "the copy in the account's namespace": ("wsedge-account", None),
    "a name without a uid": ("wsedge-account-team-a", None),
    "a name with two dots": ("wsedge-account-team-a.5b1f.x", None),
    "another object": ("kube-root-ca.crt", None),
}


@pytest.mark.parametrize(("name", "identity"), NAMES.values(), ids=NAMES.keys())
def test_the_name_of_a_record_has_the_namespace_and_its_uid(
    name: str, identity: tuple[str, str] | None
) -> None:
    """The operator finds all records by their names, also of namespaces that are deleted."""
    assert identity_of(name) == identity


def test_a_record_is_of_one_life() -> None:
    """The record of another namespace, or of an older one of the same name, is refused."""
    data = record_data(FULL, LIFE)
    assert from_record(data, LIFE) == FULL
    assert from_record(to_data(FULL), LIFE) == FULL  # as version 0.1 wrote it
    for other, field in ((replace(LIFE, namespace="team-b"), "namespace"), (replace(LIFE, uid="x"), "uid")):
        with pytest.raises(AccountError, match=f"{other.record_name}: {field}: .* is of another namespace"):
            from_record(data, other)
