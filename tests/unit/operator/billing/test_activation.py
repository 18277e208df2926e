"""When a plan takes effect. Times are in Asia/Shanghai (UTC+8, no DST) unless a test names a zone."""

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
    """Return an account with a plan that has been in force for 60 days."""
    story = Story()
    story.creates(since, terms)
    story.settled_at(since)
    return story


# New customers


def test_new_customer_at_once() -> None:
    """A first plan is in force from its creation, also if the operator reconciles it later."""
    story = Story()
    story.creates(NOON, MONTH_95)
    account = story.settled_at(NOON + timedelta(minutes=3))
    assert account.periods == (Period(MONTH_95, NOON),)
    assert account.current == Period(MONTH_95, NOON)
    assert story.settlements[-1].next_change is None


def test_no_plan_nothing() -> None:
    """Without a plan no terms are in force, and there is nothing to record."""
    story = Story()
    assert story.settled_at(NOON) == Account()
    assert story.account.current is None


def test_new_customer_ahead_of_our_clock() -> None:
    """A creation in the future, by a slow clock, counts as now."""
    story = Story()
    story.creates(NOON + 5 * HOUR, TRAFFIC_DAILY)
    assert story.settled_at(NOON).periods == (Period(TRAFFIC_DAILY, NOON),)


def test_settling_twice_changes_nothing() -> None:
    """The same objects give an equal account, so there is no write."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, MONTH_95)
    first = story.settled_at(NOON + HOUR)
    assert story.settled_at(NOON + 2 * HOUR) == first
    third = story.settled_at(NOON + DAY)
    assert story.settled_at(NOON + 40 * DAY) == third


# Existing customers elsewhere


@pytest.mark.parametrize(
    ("existing", "effective"),
    [(BillingCycle.DAILY, MIDNIGHT), (BillingCycle.MONTHLY, NEXT_MONTH)],
    ids=["daily", "monthly"],
)
def test_existing_cycle_elsewhere(existing: BillingCycle, effective: datetime) -> None:
    """With existingCycle the plan takes effect at the next boundary of that cycle."""
    story = Story()
    story.creates(NOON, TRAFFIC_DAILY, existing=existing)
    account = story.settled_at(NOON + HOUR)
    assert (account.current, account.pending) == (None, Pending(TRAFFIC_DAILY, NOON, effective))
    assert story.settlements[-1].next_change == effective
    assert story.settled_at(effective - timedelta(seconds=1)).current is None
    assert story.settled_at(effective).current == Period(TRAFFIC_DAILY, effective)


def test_existing_cycle_corrected() -> None:
    """While no terms are in force, a corrected existingCycle changes the date."""
    story = Story()
    story.creates(NOON, TRAFFIC_DAILY, existing=BillingCycle.MONTHLY)
    story.settled_at(NOON)
    story.edits(NOON + HOUR, TRAFFIC_DAILY, existing=BillingCycle.DAILY)
    assert story.settled_at(NOON + 2 * HOUR).pending == Pending(TRAFFIC_DAILY, NOON + HOUR, MIDNIGHT)


def test_existing_cycle_removed() -> None:
    """Without existingCycle before its boundary the plan is in force from its creation."""
    story = Story()
    story.creates(NOON, TRAFFIC_DAILY, existing=BillingCycle.MONTHLY)
    story.settled_at(NOON)
    story.edits(NOON + HOUR, TRAFFIC_DAILY)
    account = story.settled_at(NOON + 2 * HOUR)
    assert (account.periods, account.pending) == ((Period(TRAFFIC_DAILY, NOON),), None)


def test_existing_cycle_with_history_is_not_read() -> None:
    """An account with history changes at the boundary of its cycle in force."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, MONTH_95, existing=BillingCycle.MONTHLY)
    assert story.settled_at(NOON).pending == Pending(MONTH_95, NOON, MIDNIGHT)


def test_existing_cycle_given_up() -> None:
    """A scheduled plan that is deleted leaves nothing pending."""
    story = Story()
    story.creates(NOON, TRAFFIC_DAILY, existing=BillingCycle.MONTHLY)
    story.settled_at(NOON)
    story.deletes()
    story.settled_at(NOON + HOUR)
    account = story.settled_at(NEXT_MONTH + DAY)
    assert (account.periods, account.pending) == ((), None)


# Edits


def test_edit_daily() -> None:
    """The edit of a daily plan takes effect on the next natural day at 00:00."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, MONTH_95)
    account = story.settled_at(NOON + HOUR)
    assert account.current == Period(TRAFFIC_DAILY, NOON - 60 * DAY)
    assert account.pending == Pending(MONTH_95, NOON, MIDNIGHT)
    assert story.settled_at(MIDNIGHT).periods == (
        Period(TRAFFIC_DAILY, NOON - 60 * DAY, MIDNIGHT),
        Period(MONTH_95, MIDNIGHT),
    )


def test_edit_monthly() -> None:
    """The edit of a monthly plan takes effect on the 1st at 00:00, also to a daily cycle."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    assert story.settled_at(NOON).pending == Pending(PEAK_DAILY, NOON, NEXT_MONTH)
    assert story.settled_at(NEXT_MONTH).current == Period(PEAK_DAILY, NEXT_MONTH)


def test_last_edit_before_the_boundary_wins() -> None:
    """Of several edits the last one comes into force, at the same boundary."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    story.settled_at(NOON)
    story.edits(NOON + DAY, TRAFFIC_DAILY)
    assert story.settled_at(NOON + DAY).pending == Pending(TRAFFIC_DAILY, NOON + DAY, NEXT_MONTH)


def test_edit_after_the_boundary() -> None:
    """An edit after a change came into force waits for the boundary of the new cycle."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    story.settled_at(NOON)
    story.edits(NEXT_MONTH + HOUR, TRAFFIC_DAILY)
    account = story.settled_at(NEXT_MONTH + HOUR)
    assert account.current == Period(PEAK_DAILY, NEXT_MONTH)
    assert account.pending == Pending(TRAFFIC_DAILY, NEXT_MONTH + HOUR, NEXT_MONTH + DAY)


def test_revert_cancels() -> None:
    """A request for the terms in force cancels the change."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    story.settled_at(NOON)
    story.edits(NOON + HOUR, MONTH_95)
    assert story.settled_at(NOON + HOUR).pending is None
    assert story.settled_at(NEXT_MONTH).periods == (Period(MONTH_95, NOON - 60 * DAY),)


def test_edit_of_the_zone_counts_in_the_old_zone() -> None:
    """A change of the time zone takes effect at the boundary in the zone in force."""
    story = customer(TRAFFIC_DAILY)
    havana = replace(TRAFFIC_DAILY, zone="America/Havana")
    story.edits(NOON, havana)
    assert story.settled_at(NOON).pending == Pending(havana, NOON, MIDNIGHT)


def test_request_on_the_boundary() -> None:
    """A request exactly on a boundary belongs to the new day."""
    story = customer(TRAFFIC_DAILY)
    story.edits(MIDNIGHT, PEAK_DAILY)
    assert story.settled_at(MIDNIGHT).pending == Pending(PEAK_DAILY, MIDNIGHT, MIDNIGHT + DAY)


def test_request_a_second_before_the_boundary() -> None:
    """A request one second before the boundary is in force one second later."""
    story = customer(TRAFFIC_DAILY)
    story.edits(MIDNIGHT - timedelta(seconds=1), PEAK_DAILY)
    assert story.settled_at(MIDNIGHT).current == Period(PEAK_DAILY, MIDNIGHT)


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
def test_edit_on_a_day_whose_clocks_change(zone: str, asked: str, effective: str) -> None:
    """An edit takes effect at the first instant of the next natural day."""
    terms = replace(TRAFFIC_DAILY, zone=zone)
    story = customer(terms, at(asked) - 10 * DAY)
    story.edits(at(asked), replace(PEAK_DAILY, zone=zone))
    assert story.settled_at(at(asked)).pending == Pending(
        replace(PEAK_DAILY, zone=zone), at(asked), at(effective)
    )


def test_invalid_edit() -> None:
    """An edit to invalid terms leaves the last valid request."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    before = story.settled_at(NOON)
    story.edits(NOON + HOUR, None)
    assert story.settled_at(NOON + 2 * HOUR) == before
    assert story.settled_at(NEXT_MONTH).current == Period(PEAK_DAILY, NEXT_MONTH)


def test_edit_that_corrects_an_invalid_one() -> None:
    """The corrected plan is a request at the time of the correction."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, None)
    story.settled_at(NOON)
    story.edits(NOON + DAY, PEAK_DAILY)
    assert story.settled_at(NOON + DAY).pending == Pending(PEAK_DAILY, NOON + DAY, MIDNIGHT + DAY)


def test_change_of_the_default_zone() -> None:
    """A new default time zone of the operator is a request of now, and changes no period."""
    story = customer(TRAFFIC_DAILY)
    utc = replace(TRAFFIC_DAILY, zone="UTC")
    story.claims["plan"] = replace(story.claims["plan"], terms=utc)
    assert story.settled_at(NOON).pending == Pending(utc, NOON, MIDNIGHT)


def test_edit_whose_time_is_lost() -> None:
    """An edit without a time counts from the reconciliation that finds it."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, PEAK_DAILY, seen=False)
    assert story.settled_at(NOON + HOUR).pending == Pending(PEAK_DAILY, NOON + HOUR, MIDNIGHT)


# Deletion and return


def test_delete_ends_at_the_boundary() -> None:
    """The deletion of the plan requests the end; the terms are in force until the boundary."""
    story = customer(MONTH_95)
    story.deletes()
    account = story.settled_at(NOON)
    assert account.current == Period(MONTH_95, NOON - 60 * DAY)
    assert account.pending == Pending(None, NOON, NEXT_MONTH)
    account = story.settled_at(NEXT_MONTH)
    assert account.periods == (Period(MONTH_95, NOON - 60 * DAY, NEXT_MONTH),)
    assert account.current is None


def test_delete_and_create_again_with_the_same_terms() -> None:
    """A plan with the same terms before the boundary cancels the end."""
    story = customer(MONTH_95)
    story.deletes()
    story.settled_at(NOON)
    story.creates(NOON + HOUR, MONTH_95)
    account = story.settled_at(NOON + 2 * HOUR)
    assert (account.pending, account.periods) == (None, (Period(MONTH_95, NOON - 60 * DAY),))


def test_delete_and_create_again_with_other_terms() -> None:
    """A plan with other terms before the boundary replaces the end."""
    story = customer(MONTH_95)
    story.deletes()
    story.settled_at(NOON)
    story.creates(NOON + HOUR, PEAK_DAILY)
    assert story.settled_at(NOON + HOUR).pending == Pending(PEAK_DAILY, NOON + HOUR, NEXT_MONTH)


def test_create_again_after_the_end() -> None:
    """After the end no terms are in force, so a plan takes effect at once."""
    story = customer(TRAFFIC_DAILY)
    story.deletes()
    story.settled_at(NOON)
    story.creates(MIDNIGHT + HOUR, PEAK_DAILY, existing=BillingCycle.MONTHLY)
    assert story.settled_at(MIDNIGHT + 2 * HOUR).periods == (
        Period(TRAFFIC_DAILY, NOON - 60 * DAY, MIDNIGHT),
        Period(PEAK_DAILY, MIDNIGHT + HOUR),
    )


def test_deletion_that_a_finalizer_delays() -> None:
    """The plan counts as deleted from its deletionTimestamp on."""
    story = customer(TRAFFIC_DAILY)
    story.claims["plan"] = replace(story.claims["plan"], deleted=NOON)
    account = story.settled_at(MIDNIGHT + HOUR)
    assert account.periods == (Period(TRAFFIC_DAILY, NOON - 60 * DAY, MIDNIGHT),)


def test_replaced_by_an_invalid_plan() -> None:
    """An invalid successor counts as no plan."""
    story = customer(TRAFFIC_DAILY)
    story.deletes()
    story.creates(NOON, None, name="broken")
    assert story.settled_at(NOON).pending == Pending(None, NOON, MIDNIGHT)


# Two plans


def test_two_plans_the_oldest_counts() -> None:
    """The order in which plans are listed does not matter."""
    story = customer(TRAFFIC_DAILY)
    story.creates(NOON, MONTH_95, name="another")
    for order in (1, -1):
        claims = tuple(story.claims.values())[::order]
        settled = settle(story.account, claims, NOON)
        assert settled.counting == story.claims["plan"].key
        assert settled.account.pending is None


def test_two_plans_of_the_same_second() -> None:
    """Of two plans of one second the one with the lower name counts."""
    story = Story()
    story.creates(NOON, MONTH_95, name="b")
    story.creates(NOON, PEAK_DAILY, name="a")
    assert story.settled_at(NOON).periods == (Period(PEAK_DAILY, NOON),)


def test_the_waiting_plan_follows() -> None:
    """A waiting plan requests its terms when the plan before it is deleted, not at its creation."""
    story = customer(TRAFFIC_DAILY, NOON - 3 * DAY)
    story.creates(NOON - 2 * DAY, PEAK_DAILY, name="another")
    story.settled_at(NOON - 2 * DAY)
    story.deletes()
    account = story.settled_at(NOON)
    assert account.pending == Pending(PEAK_DAILY, NOON, MIDNIGHT)
    assert account.waiting == ()


def test_the_waiting_plan_follows_a_delayed_deletion() -> None:
    """Its request has the time of the deletionTimestamp."""
    story = customer(TRAFFIC_DAILY, NOON - 3 * DAY)
    story.creates(NOON - 2 * DAY, PEAK_DAILY, name="another")
    story.settled_at(NOON - 2 * DAY)
    story.claims["plan"] = replace(story.claims["plan"], deleted=NOON)
    assert story.settled_at(MIDNIGHT).current == Period(PEAK_DAILY, MIDNIGHT)


# The operator down, and clocks


def test_down_over_the_boundary_of_an_edit() -> None:
    """An operator that was down computes the same account as one that was up."""
    down, up = customer(MONTH_95), customer(MONTH_95)
    for story in (down, up):
        story.edits(NOON, PEAK_DAILY)
    up.settled_at(NOON)
    up.settled_at(NEXT_MONTH)
    assert down.settled_at(NEXT_MONTH + 3 * DAY) == up.settled_at(NEXT_MONTH + 3 * DAY)
    assert down.account.current == Period(PEAK_DAILY, NEXT_MONTH)


def test_down_over_the_revert() -> None:
    """A recorded change that was reverted before the boundary never came into force."""
    story = customer(MONTH_95)
    story.edits(NOON, PEAK_DAILY)
    story.settled_at(NOON)
    story.edits(NOON + HOUR, MONTH_95)
    account = story.settled_at(NEXT_MONTH + DAY)
    assert (account.periods, account.pending) == ((Period(MONTH_95, NOON - 60 * DAY),), None)


def test_down_over_an_edit_after_the_boundary() -> None:
    """A recorded change is in force from its boundary; a later edit waits for the next one."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, MONTH_95)
    story.settled_at(NOON)
    story.edits(MIDNIGHT + HOUR, TRAFFIC_DAILY)
    account = story.settled_at(MIDNIGHT + 2 * HOUR)
    assert account.current == Period(MONTH_95, MIDNIGHT)
    assert account.pending == Pending(TRAFFIC_DAILY, MIDNIGHT + HOUR, NEXT_MONTH)


def test_down_over_the_return_of_a_plan() -> None:
    """A recorded end does not happen if a plan was created before the boundary."""
    story = customer(TRAFFIC_DAILY)
    story.deletes()
    story.settled_at(NOON)
    story.creates(MIDNIGHT - HOUR, TRAFFIC_DAILY)
    assert story.settled_at(MIDNIGHT + 9 * HOUR).periods == (Period(TRAFFIC_DAILY, NOON - 60 * DAY),)


def test_down_over_the_deletion() -> None:
    """A deletion without a trace counts from the reconciliation that finds it."""
    story = customer(TRAFFIC_DAILY)
    story.deletes()
    assert story.settled_at(MIDNIGHT + HOUR).pending == Pending(None, MIDNIGHT + HOUR, MIDNIGHT + DAY)


def test_down_over_everything() -> None:
    """A scheduled plan is in force from its boundary, also if the operator first runs later."""
    story = Story()
    story.creates(NOON, MONTH_95, existing=BillingCycle.DAILY)
    assert story.settled_at(NEXT_MONTH).periods == (Period(MONTH_95, MIDNIGHT),)


def test_clock_steps_back_over_a_boundary() -> None:
    """A period remains in force when the clock steps back behind its start."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, PEAK_DAILY)
    story.settled_at(NOON)
    after = story.settled_at(MIDNIGHT)
    assert story.settled_at(MIDNIGHT - 2 * HOUR) == after
    story.edits(MIDNIGHT - HOUR, TRAFFIC_DAILY)
    account = story.settled_at(MIDNIGHT - HOUR)
    assert account.periods == after.periods
    assert account.pending == Pending(TRAFFIC_DAILY, MIDNIGHT, MIDNIGHT + DAY)


def test_clock_steps_back_before_a_new_customer() -> None:
    """The first period remains when the clock steps back behind its start."""
    story = customer(TRAFFIC_DAILY, NOON)
    assert story.settled_at(NOON - 30 * DAY).periods == (Period(TRAFFIC_DAILY, NOON),)


def test_clock_steps_forward() -> None:
    """A change that was due while the clock stepped is in force from its boundary."""
    story = customer(TRAFFIC_DAILY)
    story.edits(NOON, PEAK_DAILY)
    story.settled_at(NOON)
    assert story.settled_at(NOON + 90 * DAY).current == Period(PEAK_DAILY, MIDNIGHT)


# From the object to the claim


def plan_object(**metadata: object) -> BillingPlan:
    """Return a plan as the API server returns it."""
    spec = {"billingCycle": "Monthly", "meteringMethod": "Traffic"}
    return BillingPlan.model_validate({"metadata": {"name": "plan", **metadata}, "spec": spec})


def entry(time: str, fields: str, subresource: str = "") -> dict[str, object]:
    """Return an entry of managedFields."""
    return {"manager": "kubectl", "time": time, "fieldsV1": {fields: {}}, "subresource": subresource}


def test_claim_of_an_edited_plan() -> None:
    """The request has the newest time of entries that own spec fields; others do not count."""
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
    """A plan from a file counts as created now, and its key is its name."""
    now = datetime(2026, 11, 22, 4, 0, 0, 250, tzinfo=UTC)
    claim = claim_of(plan_object(), default_zone="Asia/Shanghai", now=now)
    assert (claim.key, claim.created, claim.edited) == ("plan", now.replace(microsecond=0), None)


def test_claim_of_an_unknown_zone() -> None:
    """A plan with an unknown zone is invalid: its claim has no terms."""
    plan = plan_object()
    assert claim_of(plan, default_zone="Mars/Olympus", now=NOON).terms is None
    assert terms_of(plan, "Mars/Olympus").zone == "Mars/Olympus"
