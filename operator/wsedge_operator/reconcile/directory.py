"""The Directory: what the statistics need to know of accounts and domains, as a full snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from wsedge_operator import account as record
from wsedge_operator.activation import Period
from wsedge_operator.errors import AccountError
from wsedge_operator.reconcile.outcome import Manifest
from wsedge_statistics import contract


def directory(
    config_maps: Iterable[Manifest], domains: Iterable[Manifest], now: datetime
) -> contract.Directory:
    """Return the Directory of the accounts recorded in `config_maps` and of the accepted `domains`.

    An account whose record is damaged is left out; the statistics keep what they knew of usage by then.
    """
    accounts = sorted(_accounts(config_maps), key=lambda account: account.account)
    listed = sorted((_domain(live) for live in domains), key=lambda domain: domain.domain)
    return contract.Directory(version=1, writtenAt=now, accounts=tuple(accounts), domains=tuple(listed))


def _accounts(config_maps: Iterable[Manifest]) -> Iterable[contract.DirectoryAccount]:
    for live in config_maps:
        try:
            periods = record.from_data(live.get("data")).periods
        except AccountError:
            continue
        yield contract.DirectoryAccount(
            account=live["metadata"]["namespace"], periods=tuple(_period(period) for period in periods)
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


def _domain(live: Mapping[str, Any]) -> contract.DirectoryDomain:
    spec, metadata = live["spec"], live["metadata"]
    websocket = spec["websocket"]
    return contract.DirectoryDomain(
        domain=spec["domain"],
        account=metadata["namespace"],
        name=metadata["name"],
        enabled=websocket["enabled"],
        heartbeatSeconds=websocket.get("heartbeatSeconds", 60),
        originProtocol=websocket.get("originProtocol"),
    )
