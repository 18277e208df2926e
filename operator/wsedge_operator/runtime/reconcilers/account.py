"""Reconciles an account: its plans, its record and the record's copy."""

from __future__ import annotations

from datetime import datetime

import structlog

from wsedge_operator.errors import ApiError, ConflictError, OperatorError, UnreachableError
from wsedge_operator.kube.kinds import PLAN
from wsedge_operator.reconcile.account.decide import decide
from wsedge_operator.reconcile.outcome import Outcome, earliest
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.triggers import Key
from wsedge_operator.runtime.writer import Writer, failure_text, is_to_be_reported

log = structlog.get_logger()


class AccountReconciler:
    """Settles the account of a namespace, and the accounts of its former lives that have not ended."""

    def __init__(
        self, *, accounts: Accounts, cache: Cache, writer: Writer, agenda: Agenda, clock: Clock
    ) -> None:
        """Read through `accounts`, write through `writer`."""
        self._accounts = accounts
        self._cache = cache
        self._writer = writer
        self._agenda = agenda
        self._clock = clock

    async def reconcile(self, key: Key, failures: int) -> datetime | None:
        """Settle the account of `key`; return when its terms change next. Raises OperatorError."""
        now = self._clock.now()
        again: datetime | None = None
        snapshots = await self._accounts.all_lives(key.namespace)
        await self._report_moved(key)
        for snapshot in snapshots:
            outcome = decide(snapshot, now)
            try:
                await self._writer.perform(key, outcome)
            except (ApiError, UnreachableError) as error:
                if isinstance(error, ConflictError):
                    await self._accounts.reload_record(snapshot)
                # A conflict over a record is no refusal: the cache was behind the API server.
                if is_to_be_reported(error, failures, conflicts_are_refusals=False):
                    for plan in self._cache.all(PLAN, key.namespace):
                        await self._writer.report_failure(plan, failure_text(error))
                raise
            await self._accounts.update_copy(snapshot, self._writer.written)
            again = earliest(again, outcome.reconcile_at)
        return again

    async def _report_moved(self, key: Key) -> None:
        """Write an Event for each record that was moved, and request its account.

        A namespace may have no other object whose event would request its account.
        """
        for note in self._accounts.pop_move_events():
            self._agenda.request(Key("account", note.regarding["metadata"]["namespace"]))
            try:
                await self._writer.perform(key, Outcome(notes=(note,)))
            except OperatorError as error:
                log.warning("move of a record not reported", note=note.message, error=str(error))
