"""When a plan takes effect, sentence by sentence. Unless said otherwise: Asia/Shanghai, UTC+8, no DST."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from support.operator.story import (
    MONTH_95,
    PEAK_DAILY,
    TRAFFIC_DAILY,
    Story,
    at,
)
from wsedge_operator.api.billing_plan import BillingCycle, BillingPlan, MeteringMethod
from wsedge_operator.billing.activation import Account, Pending, Period, Terms, claim_of, settle, terms_of

NOON = at("2026-11-22 12:00+08:00")
MIDNIGHT = at("2026-11-23 00:00+08:00")
NEXT_MONTH = at("2026-12-01 00:00+08:00")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def customer(terms: Terms, since: datetime = NOON - 60 * DAY) -> Story:
    """An account with a plan that has been in force for 60 days."""
    story = Story()
    story.creates(since, terms)
    story.looks_at(since)
    return story


# New customers


def test_new_customer_at_once() -> None:
    """A new customer's plan is in force from its creation, also when the operator looks a while later."""
    story = Story()
    story.creates(NOON, MONTH_95)
    account = story.looks_at(NOON + timedelta(minutes=3))
    assert account.periods == (Period(MONTH_95, NOON),)
    assert account.current == Period(MONTH_95, NOON)
    assert story.looks[-1].next_change is None


def test_no_plan_nothing() -> None:
    """Without a plan nothing is in force, and there is nothing to record."""
    story = Story()
    assert story.looks_at(NOON) == Account()
    assert story.account.current is None


def test_new_customer_ahead_of_our_clock() -> None:
    """A creation that lies in the future of a slow clock counts as now."""
    story = Story()
    story.creates(NOON + 5 * HOUR, TRAFFIC_DAILY)
    assert story.looks_at(NOON).periods == (Period(TRAFFIC_DAILY, NOON),)


def test_a_second_look_changes_nothing() -> None:
    """An account that was settled is settled: the same objects give an equal account, so no write."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, MONTH_95)
    first = story.looks_at(NOON + HOUR)
    assert story.looks_at(NOON + 2 * HOUR) == first
    third = story.looks_at(NOON + DAY)
    assert story.looks_at(NOON + 40 * DAY) == third


# Existing customers elsewhere


@pytest.mark.parametrize(
    ("existing", "effective"),
    [(BillingCycle.DAILY, MIDNIGHT), (BillingCycle.MONTHLY, NEXT_MONTH)],
    ids=["daily", "monthly"],
)
def test_existing_cycle_elsewhere(existing: BillingCycle, effective: datetime) -> None:
    """A customer whose history is elsewhere waits for the boundary of the cycle there."""
    story = Story()
    story.creates(NOON, TRAFFIC_DAILY, existing=existing)
    account = story.looks_at(NOON + HOUR)
    assert (account.current, account.pending) == (None, Pending(TRAFFIC_DAILY, NOON, effective))
    assert story.looks[-1].next_change == effective
    assert story.looks_at(effective - timedelta(seconds=1)).current is None
    assert story.looks_at(effective).current == Period(TRAFFIC_DAILY, effective)


def test_existing_cycle_corrected() -> None:
    """While nothing is in force yet, a corrected existingCycle moves the date."""
    story = Story()
    story.creates(NOON, TRAFFIC_DAILY, existing=BillingCycle.MONTHLY)
    story.looks_at(NOON)
    story.edits(NOON + HOUR, TRAFFIC_DAILY, existing=BillingCycle.DAILY)
    assert story.looks_at(NOON + 2 * HOUR).pending == Pending(TRAFFIC_DAILY, NOON + HOUR, MIDNIGHT)


def test_existing_cycle_taken_back() -> None:
    """Who takes existingCycle back before its boundary is a new customer, from the plan's creation."""
    story = Story()
    story.creates(NOON, TRAFFIC_DAILY, existing=BillingCycle.MONTHLY)
    story.looks_at(NOON)
    story.edits(NOON + HOUR, TRAFFIC_DAILY)
    account = story.looks_at(NOON + 2 * HOUR)
    assert (account.periods, account.pending) == ((Period(TRAFFIC_DAILY, NOON),), None)


def test_existing_cycle_with_history_is_not_read() -> None:
    """Once there is history here, existingCycle says nothing: the cycle in force does."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, MONTH_95, existing=BillingCycle.MONTHLY)
    assert story.looks_at(NOON).pending == Pending(MONTH_95, NOON, MIDNIGHT)


def test_existing_cycle_given_up() -> None:
    """A plan that is deleted while it waits for its first day leaves nothing that could begin."""
    story = Story()
    story.creates(NOON, TRAFFIC_DAILY, existing=BillingCycle.MONTHLY)
    story.looks_at(NOON)
    story.deletes()
    story.looks_at(NOON + HOUR)
    account = story.looks_at(NEXT_MONTH + DAY)
    assert (account.periods, account.pending) == ((), None)


# Edits


def test_edit_daily() -> None:
    """A daily customer's edit takes effect on the next natural day at 00:00; the old terms stay till then."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, MONTH_95)
    account = story.looks_at(NOON + HOUR)
    assert account.current == Period(TRAFFIC_DAILY, NOON - 60 * DAY)
    assert account.pending == Pending(MONTH_95, NOON, MIDNIGHT)
    assert story.looks_at(MIDNIGHT).periods == (
        Period(TRAFFIC_DAILY, NOON - 60 * DAY, MIDNIGHT),
        Period(MONTH_95, MIDNIGHT),
    )


def test_edit_monthly() -> None:
    """A monthly customer's edit takes effect on the 1st of the next month at 00:00, even to a daily cycle."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    assert story.looks_at(NOON).pending == Pending(PEAK_DAILY, NOON, NEXT_MONTH)
    assert story.looks_at(NEXT_MONTH).current == Period(PEAK_DAILY, NEXT_MONTH)


def test_last_edit_before_the_boundary_wins() -> None:
    """Of several edits before the boundary the last one comes into force, at the same boundary."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    story.looks_at(NOON)
    story.edits(NOON + DAY, TRAFFIC_DAILY)
    assert story.looks_at(NOON + DAY).pending == Pending(TRAFFIC_DAILY, NOON + DAY, NEXT_MONTH)


def test_edit_after_the_boundary() -> None:
    """An edit after a change came into force waits for the boundary of the new cycle."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    story.looks_at(NOON)
    story.edits(NEXT_MONTH + HOUR, TRAFFIC_DAILY)
    account = story.looks_at(NEXT_MONTH + HOUR)
    assert account.current == Period(PEAK_DAILY, NEXT_MONTH)
    assert account.pending == Pending(TRAFFIC_DAILY, NEXT_MONTH + HOUR, NEXT_MONTH + DAY)


def test_revert_cancels() -> None:
    """Going back to the terms in force cancels the change."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    story.looks_at(NOON)
    story.edits(NOON + HOUR, MONTH_95)
    assert story.looks_at(NOON + HOUR).pending is None
    assert story.looks_at(NEXT_MONTH).periods == (Period(MONTH_95, NOON - 60 * DAY),)


def test_edit_of_the_zone_counts_in_the_old_zone() -> None:
    """A change of the time zone waits for the boundary in the zone now in force."""
    story = customer(TRAFFIC_DAILY)
    havana = replace(TRAFFIC_DAILY, zone="America/Havana")
    story.edits(NOON, havana)
    assert story.looks_at(NOON).pending == Pending(havana, NOON, MIDNIGHT)


def test_request_on_the_boundary() -> None:
    """A request exactly on a boundary belongs to the new day."""
    story = customer(TRAFFIC_DAILY)
    story.edits(MIDNIGHT, PEAK_DAILY)
    assert story.looks_at(MIDNIGHT).pending == Pending(PEAK_DAILY, MIDNIGHT, MIDNIGHT + DAY)


def test_request_a_second_before_the_boundary() -> None:
    """A request one second before the boundary is in force one second later."""
    story = customer(TRAFFIC_DAILY)
    story.edits(MIDNIGHT - timedelta(seconds=1), PEAK_DAILY)
    assert story.looks_at(MIDNIGHT).current == Period(PEAK_DAILY, MIDNIGHT)


@pytest.mark.parametrize(
    ("zone", "asked", "effective"),
    [
        ("Asia/Shanghai", "2026-12-31 18:00+08:00", "2027-01-01 00:00+08:00"),
        ("UTC", "2028-02-28 18:00+00:00", "2028-02-29 00:00+00:00"),
        ("America/Sao_Paulo", "2018-11-03 18:00-03:00", "2018-11-04 01:00-02:00"),
        ("America/Havana", "2020-10-31 18:00-04:00", "2020-11-01 00:00-04:00"),
        ("Asia/Beirut", "2022-03-26 18:00+02:00", "2022-03-27 01:00+03:00"),
    ],
    ids=[
        "31 December",
        "a leap year",
        "a midnight skipped",
        "a midnight twice",
        "a midnight skipped in Beirut",
    ],
)
def test_edit_on_an_odd_day(zone: str, asked: str, effective: str) -> None:
    """An edit takes effect at the first instant of the next natural day, however the clocks change there."""
    terms = replace(TRAFFIC_DAILY, zone=zone)
    story = customer(terms, at(asked) - 10 * DAY)
    story.edits(at(asked), replace(PEAK_DAILY, zone=zone))
    assert story.looks_at(at(asked)).pending == Pending(
        replace(PEAK_DAILY, zone=zone), at(asked), at(effective)
    )


def test_edit_that_cannot_be_followed() -> None:
    """An edit to terms that cannot be followed leaves the last good request as it is."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    before = story.looks_at(NOON)
    story.edits(NOON + HOUR, None)
    assert story.looks_at(NOON + 2 * HOUR) == before
    assert story.looks_at(NEXT_MONTH).current == Period(PEAK_DAILY, NEXT_MONTH)


def test_edit_that_mends() -> None:
    """A mended plan counts from its mending."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, None)
    story.looks_at(NOON)
    story.edits(NOON + DAY, PEAK_DAILY)
    assert story.looks_at(NOON + DAY).pending == Pending(PEAK_DAILY, NOON + DAY, MIDNIGHT + DAY)


def test_change_of_the_default_zone() -> None:
    """A new default time zone of the operator is a request of now; it rewrites no history."""
    story = customer(TRAFFIC_DAILY)
    utc = replace(TRAFFIC_DAILY, zone="UTC")
    story.claims["plan"] = replace(story.claims["plan"], terms=utc)
    assert story.looks_at(NOON).pending == Pending(utc, NOON, MIDNIGHT)


def test_edit_whose_time_is_lost() -> None:
    """An edit without a time of its own counts from when it is seen, never from an older time."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, PEAK_DAILY, seen=False)
    assert story.looks_at(NOON + HOUR).pending == Pending(PEAK_DAILY, NOON + HOUR, MIDNIGHT)


# Deletion and return


def test_delete_ends_at_the_boundary() -> None:
    """Deleting the plan asks for the end at the boundary; until then it serves on."""
    story = customer(MONTH_95)
    story.deletes()
    account = story.looks_at(NOON)
    assert account.current == Period(MONTH_95, NOON - 60 * DAY)
    assert account.pending == Pending(None, NOON, NEXT_MONTH)
    account = story.looks_at(NEXT_MONTH)
    assert account.periods == (Period(MONTH_95, NOON - 60 * DAY, NEXT_MONTH),)
    assert account.current is None


def test_delete_and_create_again_with_the_same_terms() -> None:
    """A plan that comes back with the same terms before the boundary changes nothing."""
    story = customer(MONTH_95)
    story.deletes()
    story.looks_at(NOON)
    story.creates(NOON + HOUR, MONTH_95)
    account = story.looks_at(NOON + 2 * HOUR)
    assert (account.pending, account.periods) == (None, (Period(MONTH_95, NOON - 60 * DAY),))


def test_delete_and_create_again_with_other_terms() -> None:
    """A plan that comes back with other terms before the boundary replaces the end."""
    story = customer(MONTH_95)
    story.deletes()
    story.looks_at(NOON)
    story.creates(NOON + HOUR, PEAK_DAILY)
    assert story.looks_at(NOON + HOUR).pending == Pending(PEAK_DAILY, NOON + HOUR, NEXT_MONTH)


def test_create_again_after_the_end() -> None:
    """After the end nothing is in force whose boundary could be waited for: a plan takes effect at once."""
    story = customer(TRAFFIC_DAILY)
    story.deletes()
    story.looks_at(NOON)
    story.creates(MIDNIGHT + HOUR, PEAK_DAILY, existing=BillingCycle.MONTHLY)
    assert story.looks_at(MIDNIGHT + 2 * HOUR).periods == (
        Period(TRAFFIC_DAILY, NOON - 60 * DAY, MIDNIGHT),
        Period(PEAK_DAILY, MIDNIGHT + HOUR),
    )


def test_deletion_that_is_held_up() -> None:
    """A plan that somebody's finalizer holds is deleted from its deletionTimestamp on."""
    story = customer(TRAFFIC_DAILY)
    story.claims["plan"] = replace(story.claims["plan"], deleted=NOON)
    account = story.looks_at(MIDNIGHT + HOUR)
    assert account.periods == (Period(TRAFFIC_DAILY, NOON - 60 * DAY, MIDNIGHT),)


def test_replaced_by_a_plan_that_cannot_be_followed() -> None:
    """A plan replaced by one that cannot be followed is a plan deleted."""
    story = customer(TRAFFIC_DAILY)
    story.deletes()
    story.creates(NOON, None, name="broken")
    assert story.looks_at(NOON).pending == Pending(None, NOON, MIDNIGHT)


# Two plans


def test_two_plans_the_oldest_counts() -> None:
    """Of two plans the oldest counts, whatever the order in which they are listed."""
    story = customer(TRAFFIC_DAILY)
    story.creates(NOON, MONTH_95, name="another")
    for order in (1, -1):
        claims = tuple(story.claims.values())[::order]
        settled = settle(story.account, claims, NOON)
        assert settled.counting == story.claims["plan"].key
        assert settled.account.pending is None


def test_two_plans_of_the_same_second() -> None:
    """Of two plans created in the same second the one whose name comes first counts."""
    story = Story()
    story.creates(NOON, MONTH_95, name="b")
    story.creates(NOON, PEAK_DAILY, name="a")
    assert story.looks_at(NOON).periods == (Period(PEAK_DAILY, NOON),)


def test_the_waiting_plan_follows() -> None:
    """When the plan that counts is deleted, the waiting one asks for its terms then, not at its creation."""
    story = customer(TRAFFIC_DAILY, NOON - 3 * DAY)
    story.creates(NOON - 2 * DAY, PEAK_DAILY, name="another")
    story.looks_at(NOON - 2 * DAY)
    story.deletes()
    account = story.looks_at(NOON)
    assert account.pending == Pending(PEAK_DAILY, NOON, MIDNIGHT)
    assert account.waiting == ()


def test_the_waiting_plan_follows_a_held_deletion() -> None:
    """If the deletion has left a time, the waiting plan's turn came then."""
    story = customer(TRAFFIC_DAILY, NOON - 3 * DAY)
    story.creates(NOON - 2 * DAY, PEAK_DAILY, name="another")
    story.looks_at(NOON - 2 * DAY)
    story.claims["plan"] = replace(story.claims["plan"], deleted=NOON)
    assert story.looks_at(MIDNIGHT).current == Period(PEAK_DAILY, MIDNIGHT)


# The operator down, and clocks


def test_down_over_the_boundary_of_an_edit() -> None:
    """An operator down from before the edit until after the boundary finds what one that was up has."""
    down, up = customer(MONTH_95), customer(MONTH_95)
    for story in (down, up):
        story.edits(NOON, PEAK_DAILY)
    up.looks_at(NOON)
    up.looks_at(NEXT_MONTH)
    assert down.looks_at(NEXT_MONTH + 3 * DAY) == up.looks_at(NEXT_MONTH + 3 * DAY)
    assert down.account.current == Period(PEAK_DAILY, NEXT_MONTH)


def test_down_over_the_revert() -> None:
    """A change recorded and taken back before the boundary, both unseen since, never was in force."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    story.looks_at(NOON)
    story.edits(NOON + HOUR, MONTH_95)
    account = story.looks_at(NEXT_MONTH + DAY)
    assert (account.periods, account.pending) == ((Period(MONTH_95, NOON - 60 * DAY),), None)


def test_down_over_an_edit_after_the_boundary() -> None:
    """A recorded change comes into force at its boundary, an unseen edit after it waits for the next."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, MONTH_95)
    story.looks_at(NOON)
    story.edits(MIDNIGHT + HOUR, TRAFFIC_DAILY)
    account = story.looks_at(MIDNIGHT + 2 * HOUR)
    assert account.current == Period(MONTH_95, MIDNIGHT)
    assert account.pending == Pending(TRAFFIC_DAILY, MIDNIGHT + HOUR, NEXT_MONTH)


def test_down_over_the_return_of_a_plan() -> None:
    """A recorded end does not happen when the plan came back in time, though nobody saw it then."""
    story = customer(TRAFFIC_DAILY)
    story.deletes()
    story.looks_at(NOON)
    story.creates(MIDNIGHT - HOUR, TRAFFIC_DAILY)
    assert story.looks_at(MIDNIGHT + 9 * HOUR).periods == (Period(TRAFFIC_DAILY, NOON - 60 * DAY),)


def test_down_over_the_deletion() -> None:
    """A deletion without a trace counts from when it is first seen."""
    story = customer(TRAFFIC_DAILY)
    story.deletes()
    assert story.looks_at(MIDNIGHT + HOUR).pending == Pending(None, MIDNIGHT + HOUR, MIDNIGHT + DAY)


def test_down_over_everything() -> None:
    """An operator that never ran while an existing customer's boundary passed finds it in force since."""
    story = Story()
    story.creates(NOON, MONTH_95, existing=BillingCycle.DAILY)
    assert story.looks_at(NEXT_MONTH).periods == (Period(MONTH_95, MIDNIGHT),)


def test_clock_steps_back_over_a_boundary() -> None:
    """What is in force stays in force when the clock steps back behind its beginning."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, PEAK_DAILY)
    story.looks_at(NOON)
    after = story.looks_at(MIDNIGHT)
    assert story.looks_at(MIDNIGHT - 2 * HOUR) == after
    story.edits(MIDNIGHT - HOUR, TRAFFIC_DAILY)
    account = story.looks_at(MIDNIGHT - HOUR)
    assert account.periods == after.periods
    assert account.pending == Pending(TRAFFIC_DAILY, MIDNIGHT, MIDNIGHT + DAY)


def test_clock_steps_back_before_a_new_customer() -> None:
    """A clock behind the beginning of the only period does not undo it."""
    story = customer(TRAFFIC_DAILY, NOON)
    assert story.looks_at(NOON - 30 * DAY).periods == (Period(TRAFFIC_DAILY, NOON),)


def test_clock_steps_forward() -> None:
    """A clock that steps over a boundary brings into force what was due there, at the boundary's time."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, PEAK_DAILY)
    story.looks_at(NOON)
    assert story.looks_at(NOON + 90 * DAY).current == Period(PEAK_DAILY, MIDNIGHT)


# From the object to the claim


def plan_object(**metadata: object) -> BillingPlan:
    """A plan as the API server returns it."""
    spec = {"billingCycle": "Monthly", "meteringMethod": "Traffic"}
    return BillingPlan.model_validate({"metadata": {"name": "plan", **metadata}, "spec": spec})


def entry(time: str, fields: str, subresource: str = "") -> dict[str, object]:
    """An entry of managedFields."""
    return {"manager": "kubectl", "time": time, "fieldsV1": {fields: {}}, "subresource": subresource}


def test_claim_of_an_edited_plan() -> None:
    """The request's time is the newest of entries that own spec fields; status and labels do not count."""
    plan = plan_object(
        uid="u-1",
        generation=3,
        creationTimestamp="2026-11-01T00:00:00Z",
        managedFields=[
            entry("2026-11-02T00:00:00Z", "f:spec"),
            entry("2026-11-03T00:00:00Z", "f:spec"),
            entry("2026-11-04T00:00:00Z", "f:metadata"),
            entry("2026-11-05T00:00:00Z", "f:status", "status"),
        ],
    )
    claim = claim_of(plan, default_zone="UTC", now=NOON)
    assert (claim.key, claim.generation) == ("u-1", 3)
    assert claim.edited == at("2026-11-03 00:00+00:00")
    assert claim.terms == Terms(BillingCycle.MONTHLY, MeteringMethod.TRAFFIC, "UTC")


def test_claim_of_a_file() -> None:
    """A plan that never met an API server counts as created now, under its name."""
    now = datetime(2026, 11, 22, 4, 0, 0, 250, tzinfo=UTC)
    claim = claim_of(plan_object(), default_zone="Asia/Shanghai", now=now)
    assert (claim.key, claim.created, claim.edited) == ("plan", now.replace(microsecond=0), None)


def test_claim_of_an_unknown_zone() -> None:
    """A plan whose zone the database does not have cannot be followed."""
    plan = plan_object()
    assert claim_of(plan, default_zone="Mars/Olympus", now=NOON).terms is None
    assert terms_of(plan, "Mars/Olympus").zone == "Mars/Olympus"
