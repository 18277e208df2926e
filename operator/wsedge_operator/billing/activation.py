"""When a billing plan takes effect: a pure function of the account's record, the plans, and the time.

The rules (docs/activation.md tells them to users):

- Nothing in force and no history: at once, from the plan's creation; `existingCycle` says instead that the
  account has a cycle elsewhere, whose next boundary is waited for.
- Terms in force: a change waits for the next boundary of the cycle now in force, in the zone now in force.
  The last request before the boundary wins; asking for the terms in force cancels; no plan is a request to
  end. After an end, a plan takes effect at once.
- The oldest plan of the namespace counts, no other.

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

What the record does not have is read from the objects, and does not depend on when the operator reconciles: a
new plan was requested at its creation, an edited plan when its spec was last written (`managedFields`), a
deleted plan at its deletion. So an operator that was down over a boundary computes the same account as one
that was up. Three things leave no trace on an object and count from when the operator first sees them: a plan
that does not exist any more, a waiting plan that counts next, and a change of the default time zone.
A request is never dated before what is already recorded, so that neither a late reconciliation nor a clock
that steps back rewrites history in force.
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
    """How an account is metered. Equal terms are the same terms, whichever plan asked for them."""

    cycle: BillingCycle
    metering: MeteringMethod
    zone: str

    def boundary_after(self, instant: datetime) -> datetime:
        """Return where the cycle of these terms that `instant` lies in ends (UTC)."""
        return next_boundary(instant, self.cycle, zone_of(self.zone))


@dataclass(frozen=True, slots=True)
class Period:
    """Terms in force from `start` until before `end`; None: until further notice."""

    terms: Terms
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A change to come: `terms` (None: the end) asked for at `requested`, in force from `effective` on."""

    terms: Terms | None
    requested: datetime
    effective: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """What is recorded about an account. All instants are UTC, whole seconds.

    `periods` are oldest first and all kept: the 1 MiB of a ConfigMap holds a change on each day of 11 years
    (tests/unit/operator/billing/test_record.py). `plan` and `generation` name the plan whose request was
    last taken in, `asked` when that was asked for, `waiting` the other plans there were: their turn is not a
    new request of theirs.
    """

    periods: tuple[Period, ...] = ()
    pending: Pending | None = None
    plan: str | None = None
    generation: int = 0
    asked: datetime | None = None
    waiting: tuple[str, ...] = ()

    @property
    def current(self) -> Period | None:
        """The period in force, if any. No byte is served without one."""
        return self.periods[-1] if self.periods and self.periods[-1].end is None else None

    @property
    def recorded_until(self) -> datetime | None:
        """The newest instant of which the record says what happened; nothing before it is ever changed."""
        ends = self.periods[-1:]
        known = [self.asked, *(period.start for period in ends), *(period.end for period in ends)]
        return max((instant for instant in known if instant is not None), default=None)


@dataclass(frozen=True, slots=True)
class Claim:
    """A plan as far as the calendar is concerned. `terms` is None when the plan cannot be followed."""

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
        """What tells this plan from another: its uid, or its name while it is only a file."""
        return self.uid or self.name


@dataclass(frozen=True, slots=True)
class Settlement:
    """The account as of now; the key of the plan that counts; and when the account changes next by itself."""

    account: Account
    counting: str | None
    next_change: datetime | None


def settle(account: Account, claims: Sequence[Claim], now: datetime) -> Settlement:
    """Return the account as it is at `now` (aware), given all plans of its namespace.

    Level-triggered: any number of calls at any instants gives the same account, and an equal one when nothing
    has happened, so that there is nothing to write. Raises UnknownZoneError when terms in the record name a
    zone that this system does not have.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    now = max(now, account.recorded_until or now)
    alive = sorted((claim for claim in claims if claim.deleted is None), key=lambda c: (c.created, c.name))
    counting = alive[0] if alive else None
    if counting is None:
        settled = _take_end(account, _deletion_time(account, claims, now))
    elif counting.terms is not None:
        asked = _request_time(account, counting, claims, now)
        settled = _take_claim(account, counting, counting.terms, asked)
    elif counting.key != account.plan:
        # The plan that counted is deleted, and its successor cannot be followed.
        settled = _take_end(account, _request_time(account, counting, claims, now))
    else:
        settled = account  # An edit that cannot be followed: the last good request stands.
    settled = replace(_advance(settled, now), waiting=tuple(sorted(claim.key for claim in alive[1:])))
    return Settlement(
        account=settled,
        counting=counting.key if counting else None,
        next_change=settled.pending.effective if settled.pending else None,
    )


def claim_of(plan: BillingPlan, *, default_zone: str, now: datetime) -> Claim:
    """Return what the calendar needs of a plan. A plan from a file counts as created now."""
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
    """Return the terms that a plan asks for; whether the zone exists is not checked here."""
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

    A managedFields entry's time moves when its manager adds, changes or removes a field, and stays when
    another manager takes one over (Kubernetes API reference, ManagedFieldsEntry).
    """
    times = (
        entry.time
        for entry in plan.metadata.managedFields
        if entry.time is not None and not entry.subresource and "f:spec" in entry.fieldsV1
    )
    return max(times, default=None)


def _request_time(account: Account, claim: Claim, claims: Sequence[Claim], now: datetime) -> datetime:
    """Return when the claim's terms were asked for: never in the future, never before what is recorded."""
    if claim.key in account.waiting:
        return _deletion_time(account, claims, now)
    if claim.key == account.plan and claim.generation == account.generation:
        return now
    asked = max(claim.created, claim.edited or claim.created)
    if claim.key == account.plan and account.asked is not None and asked <= account.asked:
        # The generation says that there was an edit, but its time is lost: its manager's entry is gone.
        return now
    return _within(account, asked, now)


def _deletion_time(account: Account, claims: Sequence[Claim], now: datetime) -> datetime:
    """Return when the end was asked for: at the deletion of the plan, if there is still a trace of it."""
    deleted = [claim.deleted for claim in claims if claim.deleted is not None and claim.key == account.plan]
    return _within(account, deleted[0], now) if deleted else now


def _within(account: Account, instant: datetime, now: datetime) -> datetime:
    return min(max(instant, account.recorded_until or instant), now)


def _advance(account: Account, instant: datetime) -> Account:
    """Return the account with its pending change in force, if that is due at `instant`."""
    pending = account.pending
    if pending is None or pending.effective > instant:
        return account
    periods = account.periods
    if account.current is not None:
        periods = (*periods[:-1], replace(periods[-1], end=pending.effective))
    if pending.terms is not None:
        periods = (*periods, Period(pending.terms, pending.effective))
    return replace(account, periods=periods, pending=None)


def _take_claim(account: Account, claim: Claim, terms: Terms, asked: datetime) -> Account:
    """Return the account after the claim asked for `terms` at `asked`."""
    account = _advance(account, asked)
    if account.current is not None:
        wanted = _change(account.current.terms, terms, asked)
        taken = replace(account, pending=_kept(account.pending, wanted))
    elif not account.periods and claim.existing is not None:
        boundary = replace(terms, cycle=claim.existing).boundary_after(asked)
        taken = replace(account, pending=_kept(account.pending, Pending(terms, asked, boundary)))
    else:
        # DESIGN: a new customer's plan is in force from its creation, whatever was edited before it was
        # first seen. After an end the request's own time counts, for the time before it was not asked for.
        start = asked if account.periods else min(claim.created, asked)
        taken = replace(account, periods=(*account.periods, Period(terms, start)), pending=None)
    return _noted(account, taken, claim.key, claim.generation, asked)


def _take_end(account: Account, asked: datetime) -> Account:
    """Return the account after a request to end at `asked`."""
    account = _advance(account, asked)
    wanted = _change(account.current.terms, None, asked) if account.current else None
    taken = replace(account, pending=_kept(account.pending, wanted))
    return _noted(account, taken, None, 0, asked)


def _change(current: Terms, wanted: Terms | None, asked: datetime) -> Pending | None:
    return None if wanted == current else Pending(wanted, asked, current.boundary_after(asked))


def _kept(old: Pending | None, new: Pending | None) -> Pending | None:
    """Return the old request where the new one is the same, so that its time is not asked anew."""
    same = old is not None and new is not None and (old.terms, old.effective) == (new.terms, new.effective)
    return old if same else new


def _noted(before: Account, after: Account, plan: str | None, generation: int, asked: datetime) -> Account:
    """Return `after` with who asked and when, if that differs from what was recorded."""
    noted = replace(after, plan=plan, generation=generation)
    return noted if noted == before else replace(noted, asked=asked)
