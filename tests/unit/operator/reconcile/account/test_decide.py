"""The decision about an account and its plans."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wsedge_operator.billing.record import Life, from_data
from wsedge_operator.reconcile.account.decide import AccountSnapshot, account_state, copy_manifest, decide
from wsedge_operator.reconcile.outcome import Outcome

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LIFE = Life("team-a", "u1", datetime(2026, 1, 1, tzinfo=UTC), "wsedge-system")
MIDNIGHT = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def plan(name: str = "plan", created: datetime = NOON, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "wsedge.io/v1alpha1",
        "kind": "BillingPlan",
        "metadata": {
            "name": name,
            "namespace": "team-a",
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        },
        "spec": {"billingCycle": "Daily", "meteringMethod": "Traffic", **spec},
    }


def account(*plans: dict[str, Any], record: dict[str, Any] | None = None) -> AccountSnapshot:
    return AccountSnapshot(LIFE, plans, record, "UTC")


def after(before: AccountSnapshot, outcome: Outcome) -> AccountSnapshot:
    """Return the account after `outcome` was carried out."""
    record = before.config_map
    for made in outcome.apply:
        record = {**made, "metadata": {**made["metadata"], "uid": "uid-record", "resourceVersion": "5"}}
    statuses = {status.name: status.status for status in outcome.status}
    plans = tuple(
        {**live, "status": statuses.get(live["metadata"]["name"], live.get("status"))}
        for live in before.plans
    )
    return AccountSnapshot(LIFE, plans, record, "UTC")


def settled(before: AccountSnapshot, now: datetime = NOON) -> AccountSnapshot:
    return after(before, decide(before, now))


def edited(before: AccountSnapshot, at: datetime, **spec: Any) -> AccountSnapshot:
    """Return the account after an edit of its first plan."""
    (live, *others) = before.plans
    metadata = dict(live["metadata"])
    metadata["generation"] += 1
    metadata["managedFields"] = [
        {
            "manager": "kubectl",
            "operation": "Update",
            "time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
            "fieldsV1": {"f:spec": {}},
        }
    ]
    changed = {**live, "metadata": metadata, "spec": {**live["spec"], **spec}}
    return AccountSnapshot(LIFE, (changed, *others), before.config_map, "UTC")


def answers(outcome: Outcome, name: str = "plan") -> dict[str, tuple[str, str]]:
    (status,) = [status.status for status in outcome.status if status.name == name]
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in status["conditions"]}


def told(outcome: Outcome) -> list[tuple[str, str]]:
    return [(note.regarding["kind"], note.reason) for note in outcome.notes]


def test_a_new_plan_is_in_force_and_recorded() -> None:
    """The record is created, not overwritten; all conditions are true; there is one Event."""
    outcome = decide(account(plan()), NOON)
    (record,) = outcome.apply
    assert record["metadata"]["name"] == LIFE.record_name
    assert record["metadata"]["resourceVersion"] == "0"
    assert "ownerReferences" not in record["metadata"]
    assert answers(outcome) == {
        "Accepted": ("True", "Accepted"),
        "Effective": ("True", "Effective"),
        "Ready": ("True", "Effective"),
    }
    status = outcome.status[0].status
    assert status["effectiveTime"] == "2026-11-22T12:00:00Z"
    assert status["current"] == {"billingCycle": "Daily", "meteringMethod": "Traffic", "timeZone": "UTC"}
    assert told(outcome) == [("BillingPlan", "Effective")]
    assert outcome.reconcile_at is None


def test_a_settled_account_needs_no_write() -> None:
    """The second reconciliation has an empty outcome, whenever it runs."""
    assert decide(settled(account(plan())), NOON + 100 * HOUR) == Outcome()


def test_an_account_without_plan_and_record_needs_no_write() -> None:
    """A namespace that never had a plan gets no ConfigMap."""
    assert decide(account(), NOON) == Outcome()


def test_a_scheduled_plan_is_ready_and_has_its_date() -> None:
    """With existingCycle a plan is not effective before the boundary, and its status has the time."""
    before = account(plan(existingCycle="Daily"))
    outcome = decide(before, NOON)
    assert answers(outcome) == {
        "Accepted": ("True", "Accepted"),
        "Effective": ("False", "Scheduled"),
        "Ready": ("True", "Scheduled"),
    }
    pending = outcome.status[0].status["pending"]
    assert (pending["requestTime"], pending["effectiveTime"]) == (
        "2026-11-22T12:00:00Z",
        "2026-11-23T00:00:00Z",
    )
    assert outcome.reconcile_at == MIDNIGHT
    assert told(outcome) == [("BillingPlan", "Scheduled")]
    later = decide(after(before, outcome), MIDNIGHT)
    assert answers(later)["Effective"] == ("True", "Effective")
    assert "pending" not in later.status[0].status
    assert told(later) == [("BillingPlan", "Effective")]


def test_an_edit_is_an_event_when_scheduled_and_when_in_force() -> None:
    """The old terms remain until the boundary; then the reason is Changed."""
    before = settled(account(plan()))
    asked = edited(before, NOON + HOUR, billingCycle="Monthly")
    outcome = decide(asked, NOON + HOUR)
    assert answers(outcome)["Effective"][0] == "True"
    assert answers(outcome)["Ready"] == ("True", "Scheduled")
    assert outcome.status[0].status["current"]["billingCycle"] == "Daily"
    assert outcome.status[0].status["pending"]["billingCycle"] == "Monthly"
    assert told(outcome) == [("BillingPlan", "Scheduled")]
    assert outcome.apply[0]["metadata"]["resourceVersion"] == "5"
    changed = decide(after(asked, outcome), MIDNIGHT)
    assert changed.status[0].status["current"]["billingCycle"] == "Monthly"
    assert told(changed) == [("BillingPlan", "Changed")]


def test_a_reverted_edit_is_an_event() -> None:
    """A request for the terms in force cancels the change."""
    asked = settled(edited(settled(account(plan())), NOON + HOUR, billingCycle="Monthly"), NOON + HOUR)
    outcome = decide(edited(asked, NOON + 2 * HOUR, billingCycle="Daily"), NOON + 2 * HOUR)
    assert told(outcome) == [("BillingPlan", "Cancelled")]
    assert "pending" not in outcome.status[0].status
    assert outcome.reconcile_at is None


def test_a_deleted_plan_ends_at_the_boundary() -> None:
    """The account is in force until then; Events are about the record, since the plan is deleted."""
    before = settled(account(plan()))
    gone = AccountSnapshot(LIFE, (), before.config_map, "UTC")
    outcome = decide(gone, NOON + HOUR)
    assert told(outcome) == [("ConfigMap", "Scheduled")]
    assert outcome.reconcile_at == MIDNIGHT
    ending = after(gone, outcome)
    assert account_state(ending, NOON + HOUR, served=True).effective
    end = decide(ending, MIDNIGHT)
    assert told(end) == [("ConfigMap", "Ended")]
    assert from_data(end.apply[0]["data"]).current is None
    assert account_state(after(ending, end), MIDNIGHT, served=True).reason == "PlanEnded"


def test_the_state_does_not_wait_for_the_record() -> None:
    """A domain is served from the boundary on, also before the record is written."""
    before = settled(account(plan(existingCycle="Daily")))
    assert not account_state(before, MIDNIGHT - HOUR, served=False).effective
    assert account_state(before, MIDNIGHT - HOUR, served=False).is_scheduled
    assert account_state(before, MIDNIGHT, served=False).effective


def test_a_second_plan_is_refused_by_name_of_the_first() -> None:
    """All its conditions have PlanConflict; the first plan's message counts the others."""
    outcome = decide(account(plan(), plan("late", NOON + HOUR)), NOON + HOUR)
    assert answers(outcome, "late") == {
        **dict.fromkeys(("Accepted", "Effective", "Ready"), ("False", "PlanConflict")),
        "Stalled": ("True", "PlanConflict"),
    }
    assert answers(outcome)["Accepted"] == ("True", "Accepted")
    assert ("BillingPlan", "PlanConflict") in told(outcome)
    message = outcome.status[1].status["conditions"][0]["message"]
    assert message.startswith('BillingPlan "plan" is older')


def test_an_unknown_zone_is_refused_by_field() -> None:
    """An invalid plan is not recorded."""
    outcome = decide(account(plan(timeZone="Mars/Olympus")), NOON)
    assert outcome.apply == ()
    assert answers(outcome)["Accepted"] == ("False", "InvalidTimeZone")
    assert answers(outcome)["Ready"] == ("False", "InvalidTimeZone")
    assert answers(outcome)["Stalled"] == ("True", "InvalidTimeZone")
    assert outcome.status[0].status["conditions"][0]["message"].startswith("spec.timeZone: 'Mars/Olympus'")


UNREADABLE: dict[str, dict[str, Any]] = {
    "a method of a version to come": {"meteringMethod": "FromTheFuture"},
    "a type that has changed": {"billingCycle": {"days": 1}},
    "no method any more": {"meteringMethod": None},
}


@pytest.mark.parametrize("spec", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_plan_with_an_unknown_value_keeps_its_terms_in_force(spec: dict[str, Any]) -> None:
    """An unreadable edit is no request: nothing is recorded, and the condition names the field."""
    before = settled(account(plan()))
    unread = edited(before, NOON + HOUR, **spec)
    outcome = decide(unread, NOON + HOUR)
    assert outcome.apply == ()
    assert answers(outcome)["Accepted"] == ("Unknown", "Unreadable")
    assert answers(outcome)["Effective"] == ("True", "Effective")
    assert answers(outcome)["Ready"] == ("False", "Unreadable")
    assert answers(outcome)["Stalled"] == ("True", "Unreadable")
    (name,) = spec
    assert f"spec.{name}: " in outcome.status[0].status["conditions"][0]["message"]
    assert account_state(unread, NOON + 48 * HOUR, served=False).effective


def test_a_plan_with_unknown_fields_counts() -> None:
    """Unknown fields are ignored; a condition and an Event name them."""
    outcome = decide(account(plan(currency="EUR")), NOON)
    assert [made["kind"] for made in outcome.apply] == ["ConfigMap"]
    assert answers(outcome)["Accepted"] == ("True", "UnknownFields")
    assert answers(outcome)["Ready"] == ("True", "Effective")
    assert "spec.currency" in outcome.status[0].status["conditions"][0]["message"]
    assert ("BillingPlan", "UnknownFields") in told(outcome)


def test_a_status_of_another_version_is_replaced() -> None:
    """Only the spec is parsed."""
    live = {**plan(), "status": {"observedGeneration": -1, "pending": {"billingCycle": "Weekly"}}}
    assert answers(decide(account(live), NOON))["Ready"] == ("True", "Effective")


def test_a_damaged_record_is_never_written() -> None:
    """The condition has the fault, and the account's domains remain served or not served."""
    good = settled(account(plan()))
    assert good.config_map is not None
    damaged = {**good.config_map, "data": {"account.json": "{"}}
    before = AccountSnapshot(LIFE, good.plans, damaged, "UTC")
    outcome = decide(before, NOON)
    assert outcome.apply == ()
    assert answers(outcome) == {
        "Accepted": ("Unknown", "AccountDamaged"),
        "Effective": ("Unknown", "AccountDamaged"),
        "Ready": ("False", "AccountDamaged"),
        "Stalled": ("False", "AccountDamaged"),
    }
    told_so = after(before, outcome)
    assert decide(told_so, NOON) == Outcome(reconcile_at=NOON + 5 * MINUTE)
    assert answers(decide(told_so, NOON + 5 * MINUTE))["Stalled"] == ("True", "AccountDamaged")
    assert [account_state(before, NOON, served=served).effective for served in (True, False)] == [True, False]


def test_a_record_without_its_labels_is_applied_again() -> None:
    """The watch selects records by label."""
    good = settled(account(plan()))
    assert good.config_map is not None
    bare = {**good.config_map, "metadata": {**good.config_map["metadata"], "labels": {}}}
    (record,) = decide(AccountSnapshot(LIFE, good.plans, bare, "UTC"), NOON).apply
    assert record["metadata"]["labels"] == good.config_map["metadata"]["labels"]
    assert record["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "wsedge"


def test_records_are_byte_stable() -> None:
    """Equal accounts give equal bytes."""
    first, second = (decide(account(plan()), NOON + hours * HOUR).apply for hours in (0, 5))
    assert json.dumps(first) == json.dumps(second)


def test_the_event_of_a_cancelled_first_plan() -> None:
    """A scheduled plan that is deleted leaves no terms in force."""
    before = settled(account(plan(existingCycle="Daily")))
    outcome = decide(AccountSnapshot(LIFE, (), before.config_map, "UTC"), NOON + HOUR)
    assert [(note.reason, note.message) for note in outcome.notes] == [
        ("Cancelled", "no terms take effect, and no terms are in force")
    ]


def test_an_unreadable_plan_ends_at_its_deletion() -> None:
    """It does not count once it has a deletionTimestamp, even if a finalizer retains it."""
    before = settled(account(plan()))
    (live,) = before.plans
    going = {
        **live,
        "metadata": {**live["metadata"], "deletionTimestamp": "2026-11-22T13:00:00Z"},
        "spec": {**live["spec"], "meteringMethod": "FromTheFuture"},
    }
    outcome = decide(AccountSnapshot(LIFE, (going,), before.config_map, "UTC"), NOON + 2 * HOUR)
    assert outcome.reconcile_at == MIDNIGHT


def unselected(before: AccountSnapshot) -> AccountSnapshot:
    return replace(before, selected=False)


@pytest.mark.parametrize("plans", [(plan(),), (plan(), plan("second"))], ids=["a plan", "two plans"])
def test_no_account_begins_in_a_namespace_that_is_not_selected(plans: tuple[dict[str, Any], ...]) -> None:
    """No record is made and no terms are in force until the namespace is selected."""
    outcome = decide(unselected(account(*plans)), NOON)
    assert outcome.apply == ()
    told_by_plan = answers(outcome)
    assert told_by_plan["Accepted"] == told_by_plan["Ready"] == ("False", "NamespaceNotSelected")
    assert told_by_plan["Effective"] == ("False", "NoPlan")
    assert told_by_plan["Stalled"] == ("False", "NamespaceNotSelected")
    assert not account_state(unselected(account(*plans)), NOON, served=False).effective
    assert answers(decide(account(*plans), NOON))["Ready"] == ("True", "Effective")


def test_an_account_in_force_remains_when_its_namespace_is_deselected() -> None:
    """Its terms remain, an edit has no effect, and the plan's deletion ends it at the boundary."""
    before = settled(account(plan(timeZone="UTC")))
    outcome = decide(
        unselected(edited(before, NOON + MINUTE, meteringMethod="DailyPeakBandwidth")), NOON + HOUR
    )
    assert outcome.apply == ()
    assert answers(outcome)["Effective"] == ("True", "Effective")
    assert answers(outcome)["Ready"] == ("False", "NamespaceNotSelected")
    assert outcome.status[0].status["current"]["meteringMethod"] == "Traffic"
    without = unselected(AccountSnapshot(LIFE, (), before.config_map, "UTC"))
    ending = account_state(without, NOON + HOUR, served=True)
    assert (ending.reason, ending.changes_at) == ("Ending", MIDNIGHT)


def copied(**data: Any) -> dict[str, Any]:
    """Return the copy of a record as it is stored in the account's namespace."""
    labels = {"app.kubernetes.io/managed-by": "wsedge"}
    return {"kind": "ConfigMap", "metadata": {"name": "wsedge-account", "labels": labels}, "data": data}


def test_the_copy_of_a_record_is_written_until_it_is_equal() -> None:
    """It has the record's JSON alone, and a note that it is a copy."""
    before = settled(account(plan()))
    assert before.config_map is not None
    text = before.config_map["data"]["account.json"]
    made = copy_manifest(before)
    assert made is not None
    assert made["metadata"]["namespace"] == "team-a"
    assert made["metadata"]["name"] == "wsedge-account"
    assert LIFE.record_name in made["metadata"]["annotations"]["wsedge.io/note"]
    assert made["data"] == {"account.json": text}
    equal = copied(**{"account.json": text})
    assert copy_manifest(replace(before, copy=equal)) is None
    assert copy_manifest(replace(before, copy=copied(**{"account.json": "{}"}))) == made
    assert copy_manifest(replace(before, copy={**equal, "metadata": {"name": "wsedge-account"}})) == made


@pytest.mark.parametrize("record", [None, {"data": None}, {"data": {"namespace": "team-a"}}])
def test_without_a_record_there_is_no_copy(record: dict[str, Any] | None) -> None:
    """After a rollback, version 0.1 would read an empty copy as a damaged record."""
    assert copy_manifest(account(plan(), record=record)) is None
