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

    def zone_name(self, account: str | None, now: datetime) -> str | None:
        """Return the time zone of an account's terms in force; before its first period, that of the first."""
        entry = self.accounts.get(account) if account is not None else None
        if entry is None or not entry.periods:
            return None
        begun = [period for period in entry.periods if period.start <= now]
        return (begun[-1] if begun else entry.periods[0]).terms.timeZone

    def unknown_zones(self) -> set[str]:
        """Return the zone names that are not in the IANA database of this program."""
        names = {period.terms.timeZone for entry in self.accounts.values() for period in entry.periods}
        return {name for name in names if zone_named(name) is None}
