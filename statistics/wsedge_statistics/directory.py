"""Look-ups in the Directory: the owner of a domain, and the time zone that cuts an account's days. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wsedge_statistics.contract import Directory, DirectoryAccount, DirectoryDomain, zone_named


@dataclass(frozen=True, slots=True)
class DirectoryView:
    """A Directory indexed for look-ups; an empty one has no account and no domain."""

    written_at: datetime | None = None
    accounts: Mapping[str, DirectoryAccount] = field(default_factory=dict)
    domains: Mapping[str, DirectoryDomain] = field(default_factory=dict)

    @classmethod
    def of(cls, directory: Directory | None) -> DirectoryView:
        """Index a Directory."""
        if directory is None:
            return cls()
        return cls(
            directory.writtenAt,
            {account.account: account for account in directory.accounts},
            {domain.domain: domain for domain in directory.domains},
        )

    def owner(self, domain: str) -> str | None:
        """Return the account that owns a domain, None when the Directory does not list the domain."""
        entry = self.domains.get(domain)
        return entry.account if entry else None

    def zones(self, account: str | None) -> list[tuple[datetime, str]]:
        """Return the time zones of an account's terms, each with its start, whether past or pending."""
        entry = self.accounts.get(account) if account is not None else None
        return [(period.start, period.terms.timeZone) for period in entry.periods] if entry else []

    def unknown_zones(self) -> set[str]:
        """Return the zone names that are not in the IANA database of this program."""
        names = {period.terms.timeZone for entry in self.accounts.values() for period in entry.periods}
        return {name for name in names if zone_named(name) is None}
