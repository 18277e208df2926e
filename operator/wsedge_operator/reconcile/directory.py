"""The Directory: all accounts and domains, by which the statistics accept and attribute usage."""

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

# The settings of a domain whose own are invalid.
_UNREAD: Final = {"enabled": True, "heartbeatSeconds": 60}


@dataclass(frozen=True, slots=True)
class RecordedAccount:
    """A life of a namespace with its record, and when the operator found the namespace deleted."""

    life: record.Life
    config_map: Manifest | None
    gone: datetime | None = None


def directory(
    recorded: Iterable[RecordedAccount], domains: Iterable[Manifest], now: datetime
) -> contract.Directory:
    """Return the Directory of the `recorded` accounts and the accepted `domains`.

    An account with a damaged record has no periods; its domains are in the Directory.
    """
    accounts = sorted(_accounts(recorded), key=lambda account: account.account)
    read = (_domain(live) for live in domains)
    listed = sorted((domain for domain in read if domain is not None), key=lambda domain: domain.domain)
    return contract.Directory(version=1, writtenAt=now, accounts=tuple(accounts), domains=tuple(listed))


def without_lives(full: contract.Directory) -> contract.Directory:
    """Return a Directory without the fields that the statistics of the last release refuse as unknown."""
    plain = {"uid": None, "since": None, "until": None}
    accounts = tuple(account.model_copy(update=plain) for account in full.accounts)
    return full.model_copy(update={"accounts": accounts})


def _accounts(recorded: Iterable[RecordedAccount]) -> Iterable[contract.DirectoryAccount]:
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
    """Return the entry of a domain, with default settings if its own are invalid; None without a name."""
    metadata, websocket = live["metadata"], part_at(live, "spec", "websocket")
    identity = {"domain": claimed_name(live), "account": metadata["namespace"], "name": metadata["name"]}
    settings = {
        "enabled": part_at(websocket, "enabled"),
        "heartbeatSeconds": part_at(websocket, "heartbeatSeconds") or 60,
        "originProtocol": part_at(websocket, "originProtocol"),
    }
    # Relays of a domain that this version cannot read may still run: their usage belongs to its account.
    for chosen in (settings, _UNREAD):
        with contextlib.suppress(ValidationError):
            return contract.DirectoryDomain.model_validate({**identity, **chosen})
    return None
