"""Closes statements: each period once, when it is over and late counts had their time.

One clock's word is not enough to close a month, since a closed statement never changes:

    the own clock             is `grace` past the period's end
    the operator's clock      has written the Directory since then, so the terms of the period are complete
    the relays' clocks        have counted after the period's end; or no relay has counted for IDLE seconds

A closed statement is stored by the ledger, which never replaces one. So a restart, or a second replica that
closes the same period, changes nothing.

A namespace that was deleted and made again leaves a former life, whose last periods close under its own key
by the terms that `tenure` keeps. A life that never counted has nothing to be billed. A tenant decides how
many lives there are, so a tick looks at a few of each account.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from wsedge_statistics.billing.document import (
    VERSION,
    StatementDocument,
    document_of,
    read_document,
    supplement_of,
)
from wsedge_statistics.billing.periods import BillingPeriod, Span, names_between, period_named, spans_of
from wsedge_statistics.billing.statement import compose
from wsedge_statistics.contract import Period
from wsedge_statistics.errors import BillingError, LedgerError
from wsedge_statistics.ledger import StoredStatement
from wsedge_statistics.ledger.budget import Stop, begin
from wsedge_statistics.numbers.granularity import REACH, Granularity
from wsedge_statistics.numbers.ranges import complete_until
from wsedge_statistics.services import Services
from wsedge_statistics.statements.usage import late_since_closing, pending_adjustments, read_usage, slot_of

TICK_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 900.0
_COMMIT_SECONDS: Final = 10.0  # a commit takes milliseconds; the end of the program waits for this one
_READ_SECONDS: Final = 300.0  # for an account: nobody waits, and a large one must close too
_AN_HOUR: Final = 3600
FORMER_A_TICK: Final = 20  # former lives of an account: each costs some reads
_REACH: Final = REACH[Granularity.DAY]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Counted:
    """The first and the last bucket that any account has counts of, and the keys of all that have any."""

    first: int
    last: int
    keys: frozenset[str]


class Closer:
    """Decides what is due and closes it. `monotonic` measures for how long no relay has counted."""

    def __init__(self, services: Services, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._waits: dict[str, tuple[tuple[Span, ...], int]] = {}
        self._newest: tuple[int, float] | None = None
        self._tried: dict[str, int] = {}
        self._turns = itertools.count(1)

    def tick(self) -> None:
        """Close every statement that is due. An account that cannot be closed now is tried again later."""
        services, now = self._services, self._services.clock()
        overdue = 0
        try:
            counted = self._counted()
        except LedgerError as error:
            log.warning("statements cannot be closed", error=str(error))
            return
        if counted is None:
            return
        for name, key, periods in itertools.chain(self._current(), self._former(counted, now)):
            try:
                with begin(Stop(_READ_SECONDS)):
                    overdue += self._close_account(name, key, spans_of(periods), counted, now)
            except (LedgerError, BillingError, TimeoutError) as error:
                overdue += 1
                services.metrics.statements.failures.inc()
                log.warning("statement cannot be closed", account=name, error=str(error) or "no commit yet")
        services.metrics.statements.overdue.set(overdue)

    def _current(self) -> Iterator[tuple[str, str, Sequence[Period]]]:
        """Yield name, key and terms of each account in the Directory."""
        for name, entry in self._services.directory.accounts.items():
            yield name, self._services.tenures.current(name).key, entry.periods

    def _former(self, counted: Counted, now: datetime) -> Iterator[tuple[str, str, Sequence[Period]]]:
        """Yield the same of former lives, of each account the few that were tried longest ago."""
        tenures = self._services.tenures
        for lives in tenures.epochs.values():
            waiting = [
                life
                for life in lives[:-1]
                if life.terms and life.key in counted.keys and not self._waits_on(life.key, now)
            ]
            for life in sorted(waiting, key=lambda life: self._tried.get(life.key, 0))[:FORMER_A_TICK]:
                self._tried[life.key] = next(self._turns)
                yield tenures.display_name(life.key), life.key, life.terms

    def _waits_on(self, key: str, now: datetime) -> bool:
        return key in self._waits and now.timestamp() < self._waits[key][1]

    def _counted(self) -> Counted | None:
        seen = self._services.ledger.seen(None)
        if not seen:
            return None
        counted = Counted(
            min(key.first for key in seen),
            max(key.last for key in seen),
            frozenset(each.key.account for each in seen),
        )
        if self._newest is None or counted.last > self._newest[0]:
            self._newest = (counted.last, self._monotonic())
        return counted

    def _close_account(
        self, name: str, key: str, spans: tuple[Span, ...], counted: Counted, now: datetime
    ) -> int:
        """Close what is due of an account; return how many are due by the own clock alone."""
        if self._waits_on(key, now) and self._waits[key][0] == spans:
            return 0
        overdue = 0
        documents = closed_documents(self._services, key)
        for period in open_periods(spans, documents, counted, now):
            due = self.due(period)
            if now.timestamp() < due:
                continue
            if self._agreed(period, due, counted):
                documents.append(self._close(name, key, period, documents, now))
            else:
                overdue += 1
        if not overdue:
            left = open_periods(spans, documents, counted, now)
            if not left and documents:
                self._supplement(name, key, documents, now)
            dues = [self.due(period) for period in left]
            self._waits[key] = (spans, min([*dues, int(now.timestamp()) + _AN_HOUR]))
        return overdue

    def due(self, period: BillingPeriod) -> int:
        """Return the instant from which on a period may close."""
        return period.end + int(self._services.billing.grace.total_seconds())

    def _agreed(self, period: BillingPeriod, due: int, counted: Counted) -> bool:
        """Return whether the other clocks say that a period is over, too."""
        written = self._services.directory.written_at
        if written is None or written.timestamp() < due:
            return False
        idle_since = self._newest[1] if self._newest is not None else self._monotonic()
        return counted.last >= period.end or self._monotonic() - idle_since >= IDLE_SECONDS

    def _close(
        self,
        name: str,
        key: str,
        period: BillingPeriod,
        documents: Sequence[StatementDocument],
        now: datetime,
    ) -> StatementDocument:
        """Compute and store a statement. Raises LedgerError, BillingError, or TimeoutError."""
        services = self._services
        ledger, billing = services.ledger, services.billing
        book = None if billing.prices is None else billing.prices.book()
        changed = pending_adjustments(ledger, key, documents, stated_in=period.name, now=now)
        usage = read_usage(
            ledger, key, period, billing.rules, int(complete_until(now, services.grace).timestamp())
        )
        document = document_of(
            compose(name, period, usage, billing.rules, book),
            changed,
            closes_after=self.due(period),
            closed_at=int(now.timestamp()),
            at_closing=[late for late in usage.late if late.received_at == slot_of(now)],
        )
        return self._store(name, key, document, now)

    def _supplement(self, name: str, key: str, documents: Sequence[StatementDocument], now: datetime) -> None:
        """Close a statement of adjustments alone: the terms have ended, and no further period comes.

        It waits as long as others for late counts, so that these make few statements.
        """
        ledger = self._services.ledger
        fresh = late_since_closing(ledger, key, documents, now)
        grace = self._services.billing.grace.total_seconds()
        if not fresh or now.timestamp() < min(late.received_at for late in fresh) + grace:
            return
        last = documents[-1]
        number = int(last.period.partition(".")[2] or 0) + 1
        stated_in = f"{last.period.partition('.')[0]}.{number}"
        changed = pending_adjustments(ledger, key, documents, stated_in=stated_in, now=now)
        if changed:
            closed_at = int(now.timestamp())
            self._store(name, key, supplement_of(last, changed, number=number, closed_at=closed_at), now)

    def _store(self, name: str, key: str, document: StatementDocument, now: datetime) -> StatementDocument:
        """Store a statement, unless another replica was first; return the stored one."""
        services = self._services
        stored = StoredStatement(key, document.period, VERSION, now, document.model_dump_json())
        if not services.ledger.put_statement(stored).result(timeout=_COMMIT_SECONDS):
            return _stored(services, key, document.period)
        cycle = "Daily" if document.period.count("-") > 1 else "Monthly"
        services.metrics.statements.closed.labels(cycle).inc()
        services.metrics.statements.adjustments.inc(len(document.adjustments))
        log.info(
            "statement closed",
            account=name,
            period=document.period,
            lines=len(document.lines),
            adjustments=len(document.adjustments),
        )
        return document


def _stored(services: Services, key: str, name: str) -> StatementDocument:
    return next(each for each in closed_documents(services, key) if each.period == name)


def closed_documents(services: Services, key: str) -> list[StatementDocument]:
    """Return an account's closed statements in the order of closing. Raises StatementDamagedError."""
    stored = services.ledger.statements(key)
    documents = [read_document(each.body) for each in stored]
    return sorted(documents, key=lambda each: (each.closedAt or each.closesAfter, each.end, each.period))


def open_periods(
    spans: Sequence[Span], documents: Sequence[StatementDocument], counted: Counted, now: datetime
) -> list[BillingPeriod]:
    """Return the periods that have begun and are not closed, by their end.

    Periods before the ledger's first count are left out, and those whose values are no longer kept: a closed
    statement of zeros would be wrong for good.
    """
    closed = {document.period for document in documents}
    kept = int((now - _REACH).timestamp())
    names = names_between(spans, max(kept, counted.first), int(now.timestamp()))
    periods = [period_named(spans, name) for name in names if name not in closed]
    found = [period for period in periods if period is not None and period.values_from >= kept]
    return sorted(found, key=lambda period: (period.end, period.name))


class ClosingThread:
    """Runs a closer until it is stopped, beside the server."""

    def __init__(self, closer: Closer, *, every: float = TICK_SECONDS) -> None:
        self._closer = closer
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="closing")

    def alive(self) -> bool:
        """Return false once the thread has ended: by a defect, whose traceback is on standard error."""
        return self._thread.is_alive()

    def __enter__(self) -> ClosingThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self._closer.tick()
