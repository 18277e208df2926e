"""The record of an account as text: what the ConfigMap of its namespace's life holds.

The records lie in the operator's own namespace, out of the tenants' reach: one for each life of a namespace,
which its uid tells apart, for a namespace that is deleted and made again is a new account. A record is the
only thing the operator cannot derive anew, so it is written for people too (`kubectl get configmap -l
wsedge.io/account=NAMESPACE -o yaml`), carries a version, and is refused whole when any of it cannot be so:
the operator then stops changing that account rather than guess a billing history.

The ConfigMap `wsedge-account` in the account's own namespace is where the record lay until version 0.1. It is
kept as a copy for a rollback to that version, and never read again.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from wsedge_operator.api.billing_plan import BillingCycle, MeteringMethod
from wsedge_operator.api.meta import Instant, Strict
from wsedge_operator.billing.activation import Account, Pending, Period, Terms
from wsedge_operator.billing.calendar import zone_of
from wsedge_operator.errors import AccountError, UnknownZoneError

COPY_NAME: Final = "wsedge-account"
KEY: Final = "account.json"
ACCOUNT_LABEL: Final = "wsedge.io/account"
UID_LABEL: Final = "wsedge.io/account-uid"
CREATED_ANNOTATION: Final = "wsedge.io/namespace-created"
# A namespace's name has no dot, so that what follows the first one is the uid: at most 115 letters.
_NAME: Final = re.compile(r"wsedge-account-([a-z0-9-]{1,63})\.([a-z0-9-]{1,64})")


@dataclass(frozen=True, slots=True)
class Life:
    """A namespace from its creation to its deletion, and the namespace that its record lies in."""

    namespace: str
    uid: str
    created: datetime | None
    records_in: str

    @property
    def record_name(self) -> str:
        """The name of the ConfigMap with the record."""
        return f"wsedge-account-{self.namespace}.{self.uid}"


def identity_of(record_name: str) -> tuple[str, str] | None:
    """Return namespace and uid by the name of a record; None for the name of something else."""
    found = _NAME.fullmatch(record_name)
    return (found[1], found[2]) if found else None


class _Terms(Strict):
    billingCycle: BillingCycle
    meteringMethod: MeteringMethod
    timeZone: str

    @field_validator("timeZone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        """Read two names that are no zones, but that version 0.1.0 took, as what its image meant by them."""
        return "UTC" if value in ("localtime", "Factory") else value

    @model_validator(mode="after")
    def _can_be_billed(self) -> Self:
        if self.meteringMethod.cycle not in (None, self.billingCycle):
            raise ValueError(f"{self.meteringMethod} is not settled {self.billingCycle}")
        try:
            zone_of(self.timeZone)
        except UnknownZoneError as error:
            raise ValueError(str(error)) from None
        return self

    def value(self) -> Terms:
        return Terms(self.billingCycle, self.meteringMethod, self.timeZone)


class _Period(Strict):
    terms: _Terms
    start: Instant
    end: Instant | None = None

    @model_validator(mode="after")
    def _runs_forward(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError("a period ends after its start")
        return self


class _Pending(Strict):
    terms: _Terms | None  # null: the end
    requestTime: Instant
    effectiveTime: Instant

    @model_validator(mode="after")
    def _waits(self) -> Self:
        if self.effectiveTime <= self.requestTime:
            raise ValueError("a pending change is effective after its request")
        return self


class _LastRequest(Strict):
    plan: str | None  # null: there was no plan any more
    generation: Annotated[int, Field(ge=0)]
    time: Instant


class _Record(Strict):
    version: Literal[1]
    periods: tuple[_Period, ...] = ()
    pending: _Pending | None = None
    lastRequest: _LastRequest | None = None
    waitingPlans: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_one_history(self) -> Self:
        for earlier, later in itertools.pairwise(self.periods):
            if earlier.end is None or earlier.end > later.start:
                raise ValueError(f"the period from {later.start:%FT%TZ} begins before the one before it ends")
        if self.pending and self.pending.terms is None and (not self.periods or self.periods[-1].end):
            raise ValueError("pending: nothing is in force that could end")
        if self.pending and self.periods and self.pending.effectiveTime <= self.periods[-1].start:
            raise ValueError("pending: effective before what is in force")
        return self


def to_data(account: Account) -> dict[str, str]:
    """Return the ConfigMap's `data` for an account; equal accounts give equal bytes."""
    record = _Record(
        version=1,
        periods=tuple(
            _Period(terms=_written(period.terms), start=period.start, end=period.end)
            for period in account.periods
        ),
        pending=_written_pending(account.pending),
        lastRequest=_written_request(account.plan, account.generation, account.asked),
        waitingPlans=account.waiting,
    )
    return {KEY: record.model_dump_json(indent=2) + "\n"}


def record_data(account: Account, life: Life) -> dict[str, str]:
    """Return the `data` of a record: the account, and whose it is."""
    return {**to_data(account), "namespace": life.namespace, "uid": life.uid}


def from_record(data: Mapping[str, str] | None, life: Life) -> Account:
    """Return the account that a record's `data` holds. Raises AccountError, also when it is another's."""
    account = from_data(data, life.record_name)
    for key, wanted in (("namespace", life.namespace), ("uid", life.uid)):
        if (found := (data or {}).get(key, wanted)) != wanted:
            raise AccountError(
                f"{life.record_name}: {key}", f"{found!r} is another namespace's; restore this one's"
            )
    return account


def from_data(data: Mapping[str, str] | None, name: str = COPY_NAME) -> Account:
    """Return the account that the `data` of a ConfigMap of that name holds.

    An account without a ConfigMap is `Account()`; a ConfigMap without a readable record is damage. Raises
    AccountError, which names the place.
    """
    text = (data or {}).get(KEY)
    if text is None:
        raise AccountError(f"{name}: {KEY}", "missing; restore it, or delete the ConfigMap")
    try:
        record = _Record.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise AccountError(f"{name}: {KEY}" + (f": {place}" if place else ""), first["msg"]) from None
    last = record.lastRequest
    return Account(
        periods=tuple(Period(period.terms.value(), period.start, period.end) for period in record.periods),
        pending=_read_pending(record.pending),
        plan=last.plan if last else None,
        generation=last.generation if last else 0,
        asked=last.time if last else None,
        waiting=record.waitingPlans,
    )


def _written(terms: Terms) -> _Terms:
    return _Terms(billingCycle=terms.cycle, meteringMethod=terms.metering, timeZone=terms.zone)


def _written_pending(pending: Pending | None) -> _Pending | None:
    if pending is None:
        return None
    terms = _written(pending.terms) if pending.terms else None
    return _Pending(terms=terms, requestTime=pending.requested, effectiveTime=pending.effective)


def _written_request(plan: str | None, generation: int, asked: datetime | None) -> _LastRequest | None:
    return None if asked is None else _LastRequest(plan=plan, generation=generation, time=asked)


def _read_pending(record: _Pending | None) -> Pending | None:
    if record is None:
        return None
    terms = record.terms.value() if record.terms else None
    return Pending(terms, record.requestTime, record.effectiveTime)
