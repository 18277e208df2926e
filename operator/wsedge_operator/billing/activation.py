"""When a billing plan takes effect: a pure function of the account's record, the plans, and the time.

The rules (docs/activation.md states them for users):

- Nothing in force and no history: the plan takes effect at once, from its creation. With `existingCycle` the
  account already has a cycle elsewhere, and the plan takes effect at the next boundary of that cycle.
- Terms in force: a change takes effect at the next boundary of the cycle in force, in the zone in force.
  The last request before the boundary wins; a request for the terms in force cancels the change; no plan is
  a request to end. After an end, a plan takes effect at once.
- Only the oldest plan of the namespace counts.

The states of an account, by what its record has:

    new ──plan──────────────────────────────▶ in force         from the plan's creation
     └───plan with `existingCycle`──▶ scheduled ──boundary──▶ in force
                                       └──no plan──▶ new
    in force ──other terms──▶ in force, change pending ──boundary──▶ in force (a new period)
        │                        ├──the terms in force again──▶ in force (cancelled)
        │                        └──other terms again──▶ the last request before the boundary wins
        └──no plan──▶ ending ──boundary──▶ ended
                        └──the terms in force again──▶ in force (cancelled)
    ended ──plan──▶ in force                                   at the request

    new        no periods, nothing pending          in force   `current` is a period, nothing pending
    scheduled  no periods, `pending` has terms      pending    `current` is a period, `pending` has terms
    ended      the last period has an end           ending     `current` is a period, `pending.terms` is None

The time of a request is read from the objects and does not depend on when the operator reconciles: a new plan
is requested at its creation, an edited plan when its spec was last written (`managedFields`), the end at the
plan's deletion. So an operator that was down over a boundary computes the same account as an operator that
was up. Three events leave no trace on an object and count from the reconciliation that first finds them: a
plan that no longer exists, a waiting plan that counts next, and a change of the default time zone.
A request is never dated before the newest recorded instant, so that neither a late reconciliation nor a clock
that steps back changes periods that were billed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from wsedge_operator.api.billing_plan import BillingCycle, BillingPlan, MeteringMethod
from wsedge_operator.billing.calendar import next_boundary, zone_of
from wsedge_operator.errors import UnknownZoneError


@dataclass(frozen=True, slots=True)
class Terms:
    """How an account is metered. Terms are compared by value: it does not matter which plan requests them."""

    cycle: BillingCycle
    metering: MeteringMethod
    zone: str

    def boundary_after(self, instant: datetime) -> datetime:
        """Return the end (UTC) of the cycle that contains `instant`."""
        return next_boundary(instant, self.cycle, zone_of(self.zone))


@dataclass(frozen=True, slots=True)
class Period:
    """Terms in force from `start` (inclusive) to `end` (exclusive); None: no end is known."""

    terms: Terms
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A scheduled change: `terms` (None: the end), requested at `requested`, in force from `effective` on."""

    terms: Terms | None
    requested: datetime
    effective: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """The recorded history of an account. All instants are UTC, whole seconds.

    `periods` are in order of time and complete: the 1 MiB of a ConfigMap has room for a change on each day of
    11 years (tests/unit/operator/billing/test_record.py). `plan`, `generation` and `requested_at` are of the
    last request that was applied. `waiting` has the keys of the plans that did not count at that time: when
    such a plan counts later, its creation and edits are not the time of its request.
    """

    periods: tuple[Period, ...] = ()
    pending: Pending | None = None
    plan: str | None = None
    generation: int = 0
    requested_at: datetime | None = None
    waiting: tuple[str, ...] = ()

    @property
    def current(self) -> Period | None:
        """The period in force, or None: then no domain of the account is served."""
        return self.periods[-1] if self.periods and self.periods[-1].end is None else None

    @property
    def recorded_until(self) -> datetime | None:
        """The newest recorded instant, or None; nothing before it is ever changed."""
        ends = self.periods[-1:]
        known = [self.requested_at, *(period.start for period in ends), *(period.end for period in ends)]
        return max((instant for instant in known if instant is not None), default=None)


@dataclass(frozen=True, slots=True)
class Claim:
    """The facts of a plan that decide when it takes effect. `terms` is None when the plan is invalid."""

    name: str
    uid: str
    created: datetime
    terms: Terms | None
    existing: BillingCycle | None = None
    generation: int = 1
    edited: datetime | None = None
    deleted: datetime | None = None

    @property
    def key(self) -> str:
        """The uid of the plan, or its name while it is only a file (`explain`)."""
        return self.uid or self.name


@dataclass(frozen=True, slots=True)
class Settlement:
    """The account as of now, the key of the plan that counts, and the time of the next scheduled change."""

    account: Account
    counting: str | None
    next_change: datetime | None


def settle(account: Account, claims: Sequence[Claim], now: datetime) -> Settlement:
    """Return the account as it is at `now` (aware), given all plans of its namespace.

    Level-triggered: the account does not depend on how often or when this is called, and is equal to the
    input when nothing happened, so that there is nothing to write. Raises UnknownZoneError when recorded
    terms name a zone that this system does not have.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    now = max(now, account.recorded_until or now)
    alive = sorted((claim for claim in claims if claim.deleted is None), key=lambda c: (c.created, c.name))
    counting = alive[0] if alive else None
    if counting is None:
        settled = _request_end(account, _deletion_time(account, claims, now))
    elif counting.terms is not None:
        requested = _request_time(account, counting, claims, now)
        settled = _request_terms(account, counting, counting.terms, requested)
    elif counting.key != account.plan:
        # The plan that counted is deleted, and its successor is invalid: that is a request to end.
        settled = _request_end(account, _request_time(account, counting, claims, now))
    else:
        settled = account  # An invalid edit changes nothing: the last valid request remains.
    settled = replace(_advance(settled, now), waiting=tuple(sorted(claim.key for claim in alive[1:])))
    return Settlement(
        account=settled,
        counting=counting.key if counting else None,
        next_change=settled.pending.effective if settled.pending else None,
    )


def claim_of(plan: BillingPlan, *, default_zone: str, now: datetime) -> Claim:
    """Return the claim of a plan. A plan from a file has no creation time and counts as created now."""
    meta = plan.metadata
    return Claim(
        name=meta.name,
        uid=meta.uid,
        created=meta.creationTimestamp or now.replace(microsecond=0),
        terms=_followable(terms_of(plan, default_zone)),
        existing=plan.spec.existingCycle,
        generation=meta.generation,
        edited=_edited(plan),
        deleted=meta.deletionTimestamp,
    )


def terms_of(plan: BillingPlan, default_zone: str) -> Terms:
    """Return the terms that a plan requests. The zone is not checked."""
    spec = plan.spec
    return Terms(spec.billingCycle, spec.meteringMethod, spec.timeZone or default_zone)


def _followable(terms: Terms) -> Terms | None:
    try:
        zone_of(terms.zone)
    except UnknownZoneError:
        return None
    return terms


def _edited(plan: BillingPlan) -> datetime | None:
    """Return when the spec was last written.

    The time of a managedFields entry changes when its manager adds, changes or removes a field, and does not
    change when another manager becomes the owner of a field (Kubernetes API reference, ManagedFieldsEntry).
    """
    times = (
        entry.time
        for entry in plan.metadata.managedFields
        if entry.time is not None and not entry.subresource and "f:spec" in entry.fieldsV1
    )
    return max(times, default=None)


def _request_time(account: Account, claim: Claim, claims: Sequence[Claim], now: datetime) -> datetime:
    """Return when the claim's terms were requested: neither after `now` nor before what is recorded."""
    if claim.key in account.waiting:
        return _deletion_time(account, claims, now)
    if claim.key == account.plan and claim.generation == account.generation:
        return now
    requested = max(claim.created, claim.edited or claim.created)
    if claim.key == account.plan and account.requested_at is not None and requested <= account.requested_at:
        # The generation proves an edit, but its time is lost: the manager's entry was removed.
        return now
    return _within(account, requested, now)


def _deletion_time(account: Account, claims: Sequence[Claim], now: datetime) -> datetime:
    """Return when the end was requested: at the deletion of the recorded plan; `now` if unknown."""
    deleted = [claim.deleted for claim in claims if claim.deleted is not None and claim.key == account.plan]
    return _within(account, deleted[0], now) if deleted else now


def _within(account: Account, instant: datetime, now: datetime) -> datetime:
    return min(max(instant, account.recorded_until or instant), now)


def _advance(account: Account, instant: datetime) -> Account:
    """Return the account with its pending change in force, if the change is due at `instant`."""
    pending = account.pending
    if pending is None or pending.effective > instant:
        return account
    periods = account.periods
    if account.current is not None:
        periods = (*periods[:-1], replace(periods[-1], end=pending.effective))
    if pending.terms is not None:
        periods = (*periods, Period(pending.terms, pending.effective))
    return replace(account, periods=periods, pending=None)


def _request_terms(account: Account, claim: Claim, terms: Terms, requested: datetime) -> Account:
    """Return the account after the claim requested `terms` at `requested`."""
    account = _advance(account, requested)
    if account.current is not None:
        wanted = _change(account.current.terms, terms, requested)
        changed = replace(account, pending=_first_if_equal(account.pending, wanted))
    elif not account.periods and claim.existing is not None:
        boundary = replace(terms, cycle=claim.existing).boundary_after(requested)
        changed = replace(
            account, pending=_first_if_equal(account.pending, Pending(terms, requested, boundary))
        )
    else:
        # DESIGN: the first plan of an account is in force from its creation, even if it was edited before the
        # operator first reconciled it. After an end it is in force from the request: the account was not to
        # be billed in between.
        start = requested if account.periods else min(claim.created, requested)
        changed = replace(account, periods=(*account.periods, Period(terms, start)), pending=None)
    return _with_request(account, changed, claim.key, claim.generation, requested)


def _request_end(account: Account, requested: datetime) -> Account:
    """Return the account after a request to end at `requested`."""
    account = _advance(account, requested)
    wanted = _change(account.current.terms, None, requested) if account.current else None
    changed = replace(account, pending=_first_if_equal(account.pending, wanted))
    return _with_request(account, changed, None, 0, requested)


def _change(current: Terms, wanted: Terms | None, requested: datetime) -> Pending | None:
    return None if wanted == current else Pending(wanted, requested, current.boundary_after(requested))


def _first_if_equal(old: Pending | None, new: Pending | None) -> Pending | None:
    """Return the old request if the new one is equal to it, so that the time of the first request remains."""
    same = old is not None and new is not None and (old.terms, old.effective) == (new.terms, new.effective)
    return old if same else new


def _with_request(
    before: Account, after: Account, plan: str | None, generation: int, requested: datetime
) -> Account:
    """Return `after` with the last request (plan, generation, time), if it differs from that of `before`."""
    noted = replace(after, plan=plan, generation=generation)
    return noted if noted == before else replace(noted, requested_at=requested)
