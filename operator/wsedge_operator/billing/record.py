"""The record of an account: the JSON in a ConfigMap from which `Account` is read.

Records are in the operator's namespace, where tenants cannot write. There is one record per life of a
namespace, identified by the namespace's uid: a namespace that is deleted and created again is a new account.
The record is the only state that the operator cannot compute from other objects. Therefore people can read it
(`kubectl get configmap -l wsedge.io/account=NAMESPACE -o yaml`), it has a version, and an invalid field makes
the whole record invalid: the operator then stops changing the account instead of guessing a billing history.

Until version 0.1 the record was the ConfigMap `wsedge-account` in the account's own namespace. That ConfigMap
is still written, as a copy for a rollback to that version, and is not read after the upgrade.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
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
# The name of a namespace has no dot (RFC 1123 label), so the uid begins after the first one. An account has
# at most 63 characters and a uid 36, so a record's name is within the 253 of a DNS subdomain.
_NAME: Final = re.compile(r"wsedge-account-([a-z0-9-]{1,63})\.([a-z0-9-]{1,64})")


@dataclass(frozen=True, slots=True)
class Life:
    """A namespace from its creation to its deletion; `records_in` is the namespace of its record."""

    namespace: str
    uid: str
    created: datetime | None
    records_in: str

    @property
    def record_name(self) -> str:
        """The name of the ConfigMap with the record."""
        return f"{names_begin(self.namespace)}{self.uid}"


def names_begin(namespace: str) -> str:
    """Return the begin of the names of a namespace's records, which no other namespace's names have."""
    return f"wsedge-account-{namespace}."


def identity_of(record_name: str) -> tuple[str, str] | None:
    """Return the namespace and the uid in the name of a record; None when it is not the name of a record."""
    found = _NAME.fullmatch(record_name)
    return (found[1], found[2]) if found else None


class _Terms(Strict):
    billingCycle: BillingCycle
    meteringMethod: MeteringMethod
    timeZone: str

    @field_validator("timeZone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        """Return UTC for two names that version 0.1.0 accepted: its image resolved both to UTC."""
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
    terms: _Terms | None  # null: a request to end
    requestTime: Instant
    effectiveTime: Instant

    @model_validator(mode="after")
    def _waits(self) -> Self:
        if self.effectiveTime <= self.requestTime:
            raise ValueError("a pending change is effective after its request")
        return self


class _LastRequest(Strict):
    plan: str | None  # null: the last plan was deleted
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
                raise ValueError(
                    f"the period from {later.start:%FT%TZ} begins before the previous period ends"
                )
        if self.pending and self.pending.terms is None and (not self.periods or self.periods[-1].end):
            raise ValueError("pending: an end is pending, but no period is in force")
        if self.pending and self.periods and self.pending.effectiveTime <= self.periods[-1].start:
            raise ValueError("pending: effective before the start of the period in force")
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
        lastRequest=_written_request(account.plan, account.generation, account.requested_at),
        waitingPlans=account.waiting,
    )
    return {KEY: record.model_dump_json(indent=2) + "\n"}


def record_data(account: Account, life: Life) -> dict[str, str]:
    """Return the `data` of a record: the account, its namespace and the uid of that."""
    return {**to_data(account), "namespace": life.namespace, "uid": life.uid}


def from_record(data: Mapping[str, str] | None, life: Life) -> Account:
    """Return the account in the `data` of a record.

    Raises AccountError when the data is invalid or names another namespace or uid than `life`.
    """
    account = from_data(data, life.record_name)
    for key, wanted in (("namespace", life.namespace), ("uid", life.uid)):
        if (found := (data or {}).get(key, wanted)) != wanted:
            raise AccountError(
                f"{life.record_name}: {key}",
                f"{found!r} is of another namespace; restore the record of this one",
            )
    return account


def from_data(data: Mapping[str, str] | None, name: str = COPY_NAME) -> Account:
    """Return the account in the `data` of the ConfigMap `name`.

    Raises AccountError, which names the field, when the record is missing or invalid: only an account without
    a ConfigMap is new.
    """
    text = (data or {}).get(KEY)
    if text is None:
        raise AccountError(f"{name}: {KEY}", "missing; restore it, or delete the ConfigMap")
    return _account(text, name)


# Each domain of an account is decided by its record, often one after another.
@lru_cache(maxsize=32)
def _account(text: str, name: str) -> Account:
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
        requested_at=last.time if last else None,
        waiting=record.waitingPlans,
    )


def _written(terms: Terms) -> _Terms:
    return _Terms(billingCycle=terms.cycle, meteringMethod=terms.metering, timeZone=terms.zone)


def _written_pending(pending: Pending | None) -> _Pending | None:
    if pending is None:
        return None
    terms = _written(pending.terms) if pending.terms else None
    return _Pending(terms=terms, requestTime=pending.requested, effectiveTime=pending.effective)


def _written_request(plan: str | None, generation: int, requested_at: datetime | None) -> _LastRequest | None:
    return None if requested_at is None else _LastRequest(plan=plan, generation=generation, time=requested_at)


def _read_pending(record: _Pending | None) -> Pending | None:
    if record is None:
        return None
    terms = record.terms.value() if record.terms else None
    return Pending(terms, record.requestTime, record.effectiveTime)
