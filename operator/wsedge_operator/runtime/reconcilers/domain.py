"""Reconciles a WebSocketDomain and its children."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp
import structlog

from wsedge_operator.desired.names import DESIRED_ANNOTATION
from wsedge_operator.errors import ApiError, NamespaceGoneError, UndeclaredError, UnreachableError
from wsedge_operator.kube.client import Object
from wsedge_operator.kube.kinds import DEPLOYMENT, DOMAIN
from wsedge_operator.peers.relays import send_orders
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.rollout import query_delay
from wsedge_operator.reconcile.domain.serving import admin_token
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Outcome, earliest
from wsedge_operator.reconcile.reasons import Reason
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.queue import Contests
from wsedge_operator.runtime.snapshots import Gatherer
from wsedge_operator.runtime.stage import Stage
from wsedge_operator.runtime.triggers import Key
from wsedge_operator.runtime.writer import Writer, failure_text, is_to_be_reported

log = structlog.get_logger()

_NO_WRITES: Final[dict[str, Any]] = dict.fromkeys(
    ("dry_run", "restore", "costs", "apply", "delete", "entrance", "retire"), ()
)


class DomainReconciler:
    """Brings the children of a WebSocketDomain to the state that the decision asks for.

    The next snapshot has the failure of a write (`Gatherer.failures`) and writes that another controller
    reverts each time (`Gatherer.contested`), so that the status reports both.
    """

    def __init__(
        self,
        *,
        gatherer: Gatherer,
        cache: Cache,
        writer: Writer,
        clock: Clock,
        relays: aiohttp.ClientSession,
        stage: Stage,
        take_request: Callable[[Key], bool] = lambda _: True,
    ) -> None:
        """Get snapshots from `gatherer` and turns from `stage`, write through `writer`.

        Orders to relays are sent by `relays`. `take_request` returns whether anything has changed for a key
        since it was called (`Agenda`).
        """
        self._relays = relays
        self._stage = stage
        self._gatherer = gatherer
        self._cache = cache
        self._writer = writer
        self._clock = clock
        self._take_request = take_request
        self._contests: Contests[Key] = Contests()
        # Keys whose relays do not answer, each with the instant of its next decision (None: none is known).
        self._unanswered: dict[Key, datetime | None] = {}
        # Keys whose last failure is not in their status yet.
        self._unreported: set[Key] = set()

    async def reconcile(self, key: Key, failures: int) -> datetime | None:
        """Decide about the WebSocketDomain of `key` and carry the outcome out; return when to do so again."""
        was_requested = self._take_request(key)
        live = self._cache.get(DOMAIN, key.namespace, key.name)
        if live is None:
            self._unanswered.pop(key, None)
            self._gatherer.forget(key)
            self._contests.forget(key)
            self._unreported.discard(key)
            self._stage.forget(key, self._clock.now())
            return None
        try:
            if key in self._unanswered and not (was_requested or failures):
                again = await self._query(key, live)
                if again is not None:
                    return again
            return await self._reconcile(key, live, failures)
        except NamespaceGoneError:
            self._gatherer.failures.pop(key, None)
            raise

    async def _query(self, key: Key, live: Object) -> datetime | None:
        """Query relays that did not answer; return when to do so again, None when a decision is due.

        Nothing else has changed since the last decision, so that it would be the same: a thousand domains
        whose relays are behind a network policy cost a connection each per half a minute, and no more.
        """
        now, decision = self._clock.now(), self._unanswered[key]
        if (decision is not None and now >= decision) or await self._gatherer.has_new_reports(key, live, now):
            return None
        return earliest(decision, now + query_delay(live, now))

    async def _reconcile(self, key: Key, live: Object, failures: int) -> datetime | None:
        now = self._clock.now()
        snapshot = self._stage.complete(key, await self._gatherer.domain(key, live, now), now)
        outcome = decide(snapshot, self._clock.now())
        outcome, suspended_until = self._without_contested(key, live, outcome)
        self._stage.note(key, snapshot, outcome, self._clock.now())
        try:
            await self._writer.perform(key, outcome)
        except UndeclaredError as error:
            if not self._gatherer.is_exposure_declared:
                raise
            # The definition in the cluster is older than this operator: decide again without what it lacks.
            log.warning("definition outdated", error=str(error))
            self._gatherer.is_exposure_declared = False
            return self._clock.now()
        except (ApiError, UnreachableError) as error:
            if outcome.starts:
                self._stage.give_back(key, self._clock.now())
            if is_to_be_reported(error, failures, conflicts_are_refusals=True):
                await self._report_failure(key, live, failure_text(error))
            raise
        self._unreported.discard(key)
        self._gatherer.remember(key, outcome.memory)
        await self._send_orders(key, snapshot, outcome)
        self._unanswered.pop(key, None)
        had_failed = self._gatherer.failures.pop(key, None) is not None
        contested_until = self._note_writes(key, live, outcome)
        if had_failed or (contested_until is None and _writes(outcome)):
            # The writes have changed the snapshot of this decision, so decide again at once.
            return self._clock.now()
        again = earliest(outcome.reconcile_at, suspended_until, contested_until)
        if outcome.query_at is not None:
            self._unanswered[key] = again
        return earliest(again, outcome.query_at)

    async def _send_orders(self, key: Key, snapshot: DomainSnapshot, outcome: Outcome) -> None:
        """Send relays their orders to close connections; the next snapshot has the failures."""
        if outcome.sheds and (token := admin_token(snapshot.children.get("Secret"))) is not None:
            self._gatherer.shed_failures[key] = await send_orders(self._relays, outcome.sheds, token)

    def _without_contested(self, key: Key, live: Object, outcome: Outcome) -> tuple[Outcome, datetime | None]:
        """Return the outcome without suspended writes, and until when they are suspended."""
        writes, now = _writes(outcome), self._clock.now()
        until = self._contests.suspended_until(key, writes, _generation(live), now)
        if until is None:
            return outcome, None
        notes = tuple(note for note in outcome.notes if note.reason != Reason.CHANGED_FROM_OUTSIDE)
        return replace(outcome, **_NO_WRITES, notes=notes, waits=False, starts=False), until

    def _note_writes(self, key: Key, live: Object, outcome: Outcome) -> datetime | None:
        """Record the writes of an outcome; return when to repeat those that another client reverts."""
        now = self._clock.now()
        repeated, pause = self._contests.note(key, _writes(outcome), _generation(live), now)
        until = self._contests.reported_until(key, now)
        if until is None:
            self._gatherer.contested.pop(key, None)
        elif repeated:
            log.warning("writes were reverted", writes=sorted(repeated), pause=pause)
            kinds = ", ".join(sorted({write.split()[1] for write in repeated}))
            self._gatherer.contested[key] = (
                f"{kinds}: another controller or an admission webhook reverts each write of the operator; the"
                " Events and metadata.managedFields name it: stop it"
            )
        return now + timedelta(seconds=pause) if repeated else until

    async def _report_failure(self, key: Key, live: Object, text: str) -> None:
        """Report the failure of a write in the status, or in an Event where that cannot be written either."""
        if self._gatherer.failures.get(key) == text and key not in self._unreported:
            return
        self._gatherer.failures[key] = text
        self._unreported.add(key)
        try:
            now = self._clock.now()
            snapshot = self._stage.complete(key, await self._gatherer.domain(key, live, now), now)
            decision = decide(snapshot, self._clock.now())
            await self._writer.perform(key, Outcome(status=decision.status, notes=decision.notes))
        except NamespaceGoneError:
            raise
        except (ApiError, UnreachableError):
            await self._writer.report_failure(live, text)
        else:
            self._unreported.discard(key)


def _writes(outcome: Outcome) -> frozenset[str]:
    """Return the identity of each write of an outcome, as a text."""
    applied = (
        f"apply {made['kind']} {made['metadata']['annotations'][DESIRED_ANNOTATION]}"
        f"{f' {outcome.scaled_at}' if made['kind'] == DEPLOYMENT.kind and outcome.scaled_at else ''}"
        for made in (*outcome.apply, *outcome.entrance)
    )
    restored = (f"restore {exact.ref.kind} {exact.digest}" for exact in outcome.restore)
    asked = (f"ask {exact.ref.kind} {exact.digest} {exact.version}" for exact in outcome.dry_run)
    deleted = (f"delete {ref.kind} {ref.uid}" for ref in (*outcome.delete, *outcome.retire))
    return frozenset([*applied, *restored, *asked, *deleted])


def _generation(live: Object) -> int:
    return int(live["metadata"].get("generation") or 0)
