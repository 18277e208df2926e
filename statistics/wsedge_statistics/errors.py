"""Errors of the statistics, as one tree.

StatisticsError
├── SettingsError               the command line or environment is wrong; the program does not start
├── LedgerError
│   ├── LedgerPlaceError        the data folder cannot hold a ledger (network disk, another process)
│   ├── LedgerVersionError      the ledger was written by a newer program
│   ├── LedgerCopyError         a backup, restore or verification cannot be carried out
│   ├── LedgerDeadlineError     a read took too long, or nobody waits for it any more
│   ├── LedgerUnreadableError   a read failed: the file is damaged, moved or gone
│   ├── LedgerBusyError         the writer's queue is full; try again
│   └── LedgerUnwritableError   the disk is full or broken; try again later
│       └── LedgerDamagedError  a write met a damaged place; others may succeed
├── BillingError
│   ├── PriceBookError          the price book cannot be used: the field and the reason
│   ├── UnknownZoneError        terms name a time zone that this program's IANA database does not have
│   └── StatementDamagedError   a stored statement cannot be read
├── QueryError                  a query parameter is wrong: its name, the reason, the allowed values
├── UnknownDomainError          the question names a domain that the account never had
├── UnknownAccountError         an administrator's question names an account that never existed
├── UnknownStatementError       the account has no statement of that period
├── TokenError
│   ├── TokenRefusedError       the token is missing or invalid
│   └── KeysUnavailableError    the cluster's public keys cannot be fetched now
├── ForbiddenError              the token is valid, but gives no right to this
├── RpcError                    an answer of the DCDN-compatible RPC that is an error: status, code, text
├── DirectoryAwaitedError       a report before the first Directory; try again later
└── RowsRefusedError            a report has wrong rows; nothing of it was stored
    └── NoRoomError             rows exceed what one account may store
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class StatisticsError(Exception):
    """Base of all errors of the statistics."""


class SettingsError(StatisticsError):
    """The command line or environment is wrong; the text is for a person."""


class LedgerError(StatisticsError):
    """The ledger cannot carry out a read or a write."""


class LedgerPlaceError(LedgerError):
    """The data folder cannot hold a ledger."""


class LedgerVersionError(LedgerError):
    """The ledger's schema is newer than this program."""


class LedgerCopyError(LedgerError):
    """A ledger cannot be copied, restored or verified; the text is for a person."""


class LedgerDeadlineError(LedgerError):
    """A read was stopped: it took longer than its request may, or the client hung up."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return (
            f"The question was stopped after {self.seconds:g} s. Ask for a shorter span, a coarser "
            "granularity or fewer domains; domains together with a region or ISP need the most time."
        )


class LedgerUnreadableError(LedgerError):
    """A read failed; nothing can be said about the counts that it asked for."""


class LedgerBusyError(LedgerError):
    """The writer's queue is full; the same request may succeed in a moment."""


class LedgerUnwritableError(LedgerError):
    """A commit failed (disk full, disk broken); nothing of it was stored. `code` is the store's own."""

    def __init__(self, text: str, *, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


class BillingError(StatisticsError):
    """A statement cannot be computed or read."""


class PriceBookError(BillingError):
    """The price book cannot be used; the text names the field."""


class UnknownZoneError(BillingError):
    """Terms name a time zone that this program's IANA database does not have."""

    def __init__(self, zone: str) -> None:
        super().__init__(zone)
        self.zone = zone

    def __str__(self) -> str:
        return f"time zone {self.zone!r} is not in the IANA database of this program"


class StatementDamagedError(BillingError):
    """A stored statement cannot be read."""


class LedgerDamagedError(LedgerUnwritableError):
    """A write met a place of the ledger that is damaged; nothing of it was stored, others may succeed."""


class QueryError(StatisticsError):
    """A query parameter is wrong. `allowed` names the allowed values."""

    def __init__(self, parameter: str, reason: str, allowed: str) -> None:
        super().__init__(parameter, reason, allowed)
        self.parameter = parameter
        self.reason = reason
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.parameter}: {self.reason}; allowed: {self.allowed}"


class UnknownDomainError(StatisticsError):
    """The account neither has nor had the domain. A domain of another account gets the same text."""

    def __init__(self, domain: str) -> None:
        super().__init__(domain)
        self.domain = domain

    def __str__(self) -> str:
        return f"domain {self.domain!r} is not configured and has no counts"


class UnknownStatementError(StatisticsError):
    """The account has no statement of this period: no terms were in force in it, or it has not begun."""

    def __init__(self, period: str) -> None:
        super().__init__(period)
        self.period = period

    def __str__(self) -> str:
        return f"there is no statement of {self.period!r}"


class UnknownAccountError(StatisticsError):
    """No namespace of this name has or had a plan or counts. Only those who read every account get this."""

    def __init__(self, account: str) -> None:
        super().__init__(account)
        self.account = account

    def __str__(self) -> str:
        return f"account {self.account!r} has neither a plan nor counts"


class TokenError(StatisticsError):
    """The caller could not be identified."""


class TokenRefusedError(TokenError):
    """The token is missing or invalid; the text has the reason and never the token."""


class KeysUnavailableError(TokenError):
    """The cluster's public keys cannot be fetched, so the token can be neither accepted nor rejected."""


class ForbiddenError(StatisticsError):
    """The caller is identified but lacks the right."""


class RpcError(StatisticsError):
    """An error of the RPC, as the original answers it. `retry_after` has seconds where a later call helps."""

    def __init__(self, status: int, code: str, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(code, text)
        self.status = status
        self.code = code
        self.text = text
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


class DirectoryAwaitedError(StatisticsError):
    """No Directory has arrived yet, so no row can be accepted or rejected."""


@dataclass(frozen=True, slots=True)
class RowFault:
    """One fault of one row (None: of the report itself)."""

    row: int | None
    field: str
    reason: str


class RowsRefusedError(StatisticsError):
    """A report with rows that are rejected; nothing of it was stored."""

    def __init__(self, faults: Sequence[RowFault], *, forbidden: bool = False) -> None:
        super().__init__(tuple(faults))
        self.faults = tuple(faults)
        self.forbidden = forbidden

    def __str__(self) -> str:
        first = self.faults[0]
        place = "" if first.row is None else f"row {first.row}, "
        more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
        return f"{place}{first.field}: {first.reason}{more}"


class NoRoomError(RowsRefusedError):
    """Rows beyond what their account may store; nothing of the report was stored."""
