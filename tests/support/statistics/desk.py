"""A program that closes statements, in memory: clocks that a test sets, one account, and counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from support.statistics.application import MemoryLedger, services_over
from support.statistics.build import instant, row, usage
from wsedge_statistics.contract import Directory
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.price_file import PriceFile
from wsedge_statistics.services import Billing
from wsedge_statistics.statements.closing import Closer

PRICES = '{"currency": "CNY", "prices": [{"method": "Traffic", "tiers": [{"price": "0.5"}]}]}'
GB = 2**30


def directory_of(
    written_at: str, lives: dict[str, dict[str, str]] | None = None, **accounts: list[dict[str, Any]]
) -> Directory:
    """A Directory of accounts with their periods; `_` in a name stands for `-`.

    `lives` has uid, since and until of their namespaces.
    """
    return Directory.model_validate(
        {
            "version": 1,
            "writtenAt": written_at,
            "accounts": [
                {"account": name.replace("_", "-"), "periods": periods, **(lives or {}).get(name, {})}
                for name, periods in accounts.items()
            ],
        }
    )


def terms(
    method: str = "Traffic",
    *,
    cycle: str = "Monthly",
    zone: str = "UTC",
    start: str = "2026-01-01T00:00:00Z",
    end: str | None = None,
) -> dict[str, Any]:
    return {
        "terms": {"billingCycle": cycle, "meteringMethod": method, "timeZone": zone},
        "start": start,
        "end": end,
    }


class Desk:
    """A closer with its services. `at` sets all clocks; the operator writes the Directory at once."""

    def __init__(
        self,
        *periods: dict[str, Any],
        ledger: MemoryLedger | None = None,
        prices: Path | None = None,
        **accounts: list[dict[str, Any]],
    ) -> None:
        self.lives: dict[str, dict[str, str]] = {}
        self.accounts = accounts or {"team_a": list(periods or [terms()])}
        self.ledger = ledger or MemoryLedger()
        self.now = instant("2026-05-31T12:00:00Z")
        self.seconds = 0.0
        self.services = services_over(
            self.ledger,
            clock=lambda: self.now,
            billing=Billing(prices=None if prices is None else PriceFile(prices)),
        )
        self.restart()
        self.operator_writes()

    def restart(self) -> None:
        self.closer = Closer(self.services, monotonic=lambda: self.seconds)

    def operator_writes(self, now: datetime | None = None) -> None:
        written = (now or self.now).isoformat()
        directory = directory_of(written, self.lives, **self.accounts)
        tenures = self.ledger.put_directory(directory).result()
        assert tenures is not None
        self.services.directory, self.services.tenures = DirectoryView.of(directory), tenures

    def count(self, bucket: str, sent: int, **fields: Any) -> None:
        """Merge counts that a relay measured in a bucket, at the time of the own clock."""
        source = fields.pop("epoch", "9f3c0000")
        report = usage(row(instant(bucket), sentBytes=sent, **fields), epoch=source)
        keys = {name: self.services.tenures.current(name).key for name in ("team-a", "busy")}
        self.ledger.add(report, keys, now=self.now)

    def made_again(self, uid: str, since: str, *periods: dict[str, Any]) -> None:
        """Team-a's namespace is made again; the operator tells of the new one from now on."""
        self.lives = {"team_a": {"uid": uid, "since": since}}
        self.accounts = {"team_a": list(periods)}
        self.now = instant(since)
        self.operator_writes()

    def at(self, now: str) -> None:
        """Go to an instant: all clocks agree, and some relay counts."""
        self.now = instant(now)
        self.operator_writes()
        recent = (self.now - timedelta(minutes=10)).replace(second=0)
        recent -= timedelta(minutes=recent.minute % 5)
        self.count(recent.isoformat().replace("+00:00", "Z"), 0, account="busy", domain="busy.example")
        self.closer.tick()

    def closed(self, account: str = "team-a") -> list[str]:
        return [each.period for each in self.ledger.statements(account)]

    def metric(self, name: str, **labels: str) -> float:
        value = self.services.metrics.registry.get_sample_value(f"wsedge_statistics_{name}", labels)
        assert value is not None
        return value

    def changed(self, **changes: Any) -> None:
        """Replace settings of billing."""
        self.services.billing = replace(self.services.billing, **changes)
