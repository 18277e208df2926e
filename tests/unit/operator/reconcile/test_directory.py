"""The Directory: the accounts and domains in it, with valid and invalid records and specs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from support.operator.snapshots import NOW, live_domain
from wsedge_operator.api.billing_plan import BillingCycle, MeteringMethod
from wsedge_operator.billing.activation import Account, Period, Terms
from wsedge_operator.billing.record import Life, record_data
from wsedge_operator.reconcile.directory import RecordedAccount, directory, without_lives

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
START = datetime(2026, 2, 1, tzinfo=UTC)
END = datetime(2026, 3, 1, tzinfo=UTC)
TERMS = Terms(BillingCycle.DAILY, MeteringMethod.TRAFFIC, "Asia/Shanghai")


def life(namespace: str = "team-a") -> Life:
    return Life(namespace, f"uid-{namespace}", CREATED, "wsedge-system")


def recorded(namespace: str = "team-a", **fields: Any) -> RecordedAccount:
    account = Account(periods=(Period(TERMS, START, END), Period(TERMS, END)))
    return RecordedAccount(life(namespace), {"data": record_data(account, life(namespace))}, **fields)


def test_an_account_has_its_periods_and_its_life() -> None:
    """Periods of its record; uid, creation and deletion of its namespace."""
    (account,) = directory([recorded(gone=NOW)], [], NOW).accounts
    assert (account.account, account.uid, account.since, account.until) == (
        "team-a",
        "uid-team-a",
        CREATED,
        NOW,
    )
    assert [(period.start, period.end) for period in account.periods] == [(START, END), (END, None)]
    assert account.periods[0].terms.model_dump() == {
        "billingCycle": "Daily",
        "meteringMethod": "Traffic",
        "timeZone": "Asia/Shanghai",
    }


RECORDS: dict[str, Any] = {
    "no record": None,
    "a record without data": {"data": None},
    "a record that is not JSON": {"data": {"account.json": "{"}},
    "the record of another namespace": {"data": record_data(Account(), life("team-b"))},
}


@pytest.mark.parametrize("config_map", RECORDS.values(), ids=RECORDS.keys())
def test_an_account_without_a_valid_record_has_no_periods(config_map: Any) -> None:
    """It is in the Directory all the same, so that usage of its domains is accepted."""
    (account,) = directory([RecordedAccount(life(), config_map)], [], NOW).accounts
    assert (account.account, account.periods) == ("team-a", ())


def test_accounts_and_domains_are_sorted() -> None:
    """Equal contents give equal bytes, whatever order the caches have."""
    lives = [recorded("team-b"), recorded("team-a")]
    domains = [live_domain(domain="b.example.com"), live_domain(domain="a.example.com")]
    first = directory(lives, domains, NOW)
    assert [account.account for account in first.accounts] == ["team-a", "team-b"]
    assert [domain.domain for domain in first.domains] == ["a.example.com", "b.example.com"]
    assert directory(lives[::-1], domains[::-1], NOW) == first


DOMAINS: dict[str, tuple[dict[str, Any], tuple[Any, ...] | None]] = {
    "a valid domain": (live_domain(), ("chat.example.com", True, 60, "HTTP")),
    "a domain that is switched off": (
        live_domain(websocket={"enabled": False, "heartbeatSeconds": 9, "originProtocol": "HTTPS"}),
        ("chat.example.com", False, 9, "HTTPS"),
    ),
    "a domain without a heartbeat": (
        live_domain(websocket={"enabled": True, "originProtocol": "HTTP"}),
        ("chat.example.com", True, 60, "HTTP"),
    ),
    "a protocol of another version": (
        live_domain(websocket={"enabled": False, "originProtocol": "QUIC"}),
        ("chat.example.com", True, 60, None),
    ),
    "no settings at all": (live_domain(websocket=None), ("chat.example.com", True, 60, None)),
    "a name that is not text": (live_domain(domain=["chat.example.com"]), None),
    "no spec": ({**live_domain(), "spec": None}, None),
}


@pytest.mark.parametrize(("live", "entry"), DOMAINS.values(), ids=DOMAINS.keys())
def test_a_domain_whose_settings_are_invalid_has_defaults(
    live: dict[str, Any], entry: tuple[Any, ...] | None
) -> None:
    """Its relays may still run, and their usage belongs to its account; without a name there is no entry."""
    found = [
        (domain.domain, domain.enabled, domain.heartbeatSeconds, domain.originProtocol)
        for domain in directory([], [live], NOW).domains
    ]
    assert found == ([] if entry is None else [entry])


def test_the_last_releases_directory_has_no_lives() -> None:
    """Its statistics refuse unknown fields; everything else is the same."""
    full = directory([recorded(gone=NOW)], [live_domain()], NOW)
    plain = without_lives(full)
    (account,) = plain.accounts
    assert (account.uid, account.since, account.until) == (None, None, None)
    assert account.periods == full.accounts[0].periods
    assert plain.domains == full.domains
