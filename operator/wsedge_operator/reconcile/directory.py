"""The Directory: what the statistics need to know of accounts and domains, as a full snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from wsedge_operator.api.reading import part_at
from wsedge_operator.billing import record
from wsedge_operator.billing.activation import Period
from wsedge_operator.errors import AccountError
from wsedge_operator.reconcile.domain.claims import claimed_name
from wsedge_operator.reconcile.outcome import Manifest
from wsedge_statistics import contract

_UNREAD: Final = {"enabled": True, "heartbeatSeconds": 60}


@dataclass(frozen=True, slots=True)
class Recorded:
    """The last life of an account's namespace with its record, and when the namespace was found gone."""

    life: record.Life
    config_map: Manifest | None
    gone: datetime | None = None


def directory(recorded: Iterable[Recorded], domains: Iterable[Manifest], now: datetime) -> contract.Directory:
    """Return the Directory of the accounts that are `recorded` and of the accepted `domains`.

    An account whose record is damaged has no periods; its domains are reported as before.
    """
    accounts = sorted(_accounts(recorded), key=lambda account: account.account)
    read = (_domain(live) for live in domains)
    listed = sorted((domain for domain in read if domain is not None), key=lambda domain: domain.domain)
    return contract.Directory(version=1, writtenAt=now, accounts=tuple(accounts), domains=tuple(listed))


def without_lives(told: contract.Directory) -> contract.Directory:
    """Return a Directory as the last release knows it, which refuses fields that it does not."""
    plain = {"uid": None, "since": None, "until": None}
    accounts = tuple(account.model_copy(update=plain) for account in told.accounts)
    return told.model_copy(update={"accounts": accounts})


def _accounts(recorded: Iterable[Recorded]) -> Iterable[contract.DirectoryAccount]:
    for each in recorded:
        life, live = each.life, each.config_map
        try:
            periods = record.from_record(live.get("data"), life).periods if live is not None else ()
        except AccountError:
            periods = ()
        yield contract.DirectoryAccount(
            account=life.namespace,
            periods=tuple(_period(period) for period in periods),
            uid=life.uid,
            since=life.created,
            until=each.gone,
        )


def _period(period: Period) -> contract.Period:
    terms = contract.Terms.model_validate(
        {
            "billingCycle": str(period.terms.cycle),
            "meteringMethod": str(period.terms.metering),
            "timeZone": period.terms.zone,
        }
    )
    return contract.Period(terms=terms, start=period.start, end=period.end)


def _domain(live: Mapping[str, Any]) -> contract.DirectoryDomain | None:
    """Return the entry of a domain, of an unreadable one what can be read; None: not even its name can."""
    metadata, websocket = live["metadata"], part_at(live, "spec", "websocket")
    owned = {"domain": claimed_name(live), "account": metadata["namespace"], "name": metadata["name"]}
    told = {
        "enabled": part_at(websocket, "enabled"),
        "heartbeatSeconds": part_at(websocket, "heartbeatSeconds") or 60,
        "originProtocol": part_at(websocket, "originProtocol"),
    }
    # Relays of an object of another version may well run: their usage belongs to its account.
    for settings in (told, _UNREAD):
        with contextlib.suppress(ValidationError):
            return contract.DirectoryDomain.model_validate({**owned, **settings})
    return None
