"""The turns of all domains: `reconcile.rollouts`, computed anew only when a rollout begins, ends or fails.

It holds nothing that another process could not read from the cluster: rollouts are read from Deployments and
pods, and domains wait because their reconciliation says so.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from wsedge_operator.desired.names import DOMAIN_LABEL, ROLLOUT_ANNOTATION
from wsedge_operator.desired.ownership import Ownership, ownership
from wsedge_operator.kube.kinds import DEPLOYMENT, DOMAIN, POD
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Manifest, Outcome
from wsedge_operator.reconcile.pausing import Pause
from wsedge_operator.reconcile.rollouts import (
    Progress,
    Turn,
    Turns,
    failures,
    is_complete,
    progress,
    turns,
)
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache, Object, name_of
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.triggers import ROLLOUTS, Key

log = structlog.get_logger()

# A new leader grants no turn before each domain was reconciled once, so that the oldest is first; a domain
# whose reconciliation fails delays the others by no more than this.
WARM_UP: Final = timedelta(seconds=30)
_WAITING: Final = (
    "an upgrade of the operator, or a new default for pods, replaces the pods when it is this domain's turn"
)
_ELSEWHERE: Final = (
    "an upgrade of the operator, or a new default for pods, is paused, since relays of other accounts did not"
    " run with it; it continues by itself, with one domain at a time; the administrator of the operator knows"
    " which failed"
)


class Stage:
    """Which domains may begin a rollout of the operator's change; `version` names that change.

    `pause` is the shortest pause after failures in several accounts.
    """

    def __init__(
        self, cache: Cache, agenda: Agenda, metrics: Metrics, *, version: str, limit: int, pause: timedelta
    ) -> None:
        """Begin without any knowledge; the first call reads the cache, which is filled by then."""
        self._cache = cache
        self._agenda = agenda
        self._metrics = metrics
        self.version = version
        self._limit = limit
        self._began: datetime | None = None
        self._undecided: set[Key] = set()
        self._rollouts: dict[Key, tuple[str, Progress]] = {}
        self._waiting: list[tuple[str, Key]] = []
        self._ages: dict[Key, str] = {}
        self._turns: Turns[Key] = Turns()
        self._pause = Pause(pause)
        self._held: dict[Key, str] = {}

    def complete(self, key: Key, snapshot: DomainSnapshot, now: datetime) -> DomainSnapshot:
        """Return the snapshot with the turn of its domain."""
        return replace(snapshot, version=self.version, turn=self._turn(key, now), held=self._held.get(key))

    def _turn(self, key: Key, now: datetime) -> Turn:
        """Return whether the domain of `key` may begin."""
        self._begin(now)
        if key in self._turns.granted:
            return Turn(True, is_probe=self._turns.are_probes)
        if not self._turns.is_paused(key.namespace):
            return Turn(False, message=_WAITING, again=self._warm_at(now))
        message = _ELSEWHERE
        if failed := self._turns.failed.get(key.namespace):
            named = ", ".join(sorted(each.name for each in failed)[:3])
            message = f"an upgrade of the operator is paused, since the relays of {named} did not run with it"
        return Turn(False, paused=True, message=message)

    def note(self, key: Key, snapshot: DomainSnapshot, outcome: Outcome, now: datetime) -> None:
        """Record the decision `outcome` about the domain of `key`, before it is carried out."""
        self._begin(now)
        live, deployment = snapshot.live, snapshot.children.get("Deployment")
        state = progress(deployment, live, snapshot.pods, self.version, now)
        if outcome.held is not None:
            self._held[key] = outcome.held
        was_warming = bool(self._undecided)
        self._undecided.discard(key)
        if outcome.starts:
            state = Progress.ROLLING
        elif state is None and key in self._rollouts and deployment is not None and is_complete(deployment):
            self._pause = self._pause.completed(key.namespace)
        changed = was_warming and not self._undecided
        if self._set_rollout(key, state):
            changed = True
        if self._set_waiting(key, live if outcome.waits else None):
            changed = True
        if changed or self._is_due(now):
            self._compute(now)

    def forget(self, key: Key, now: datetime) -> None:
        """Drop a domain that is deleted."""
        self._held.pop(key, None)
        self.give_back(key, now)

    def give_back(self, key: Key, now: datetime) -> None:
        """Give back the turn of a domain, whose write failed: it asks again."""
        self._undecided.discard(key)
        if self._set_rollout(key, None) | self._set_waiting(key, None):
            self._compute(now)

    def review(self, now: datetime) -> datetime | None:
        """Compute the turns when a pause is over; return when the present one is, None without one."""
        self._begin(now)
        self._compute(now)
        return self._pause.until if self._pause.is_held(now) else None

    def _set_rollout(self, key: Key, state: Progress | None) -> bool:
        before = self._rollouts.get(key)
        after = None if state is None else (key.namespace, state)
        if before == after:
            return False
        if after is None:
            del self._rollouts[key]
        else:
            self._rollouts[key] = after
            log.info("rollout", namespace=key.namespace, domain=key.name, state=after[1].value)
        return True

    def _set_waiting(self, key: Key, live: Manifest | None) -> bool:
        age = (
            None
            if live is None
            else f"{live['metadata'].get('creationTimestamp')} {key.namespace} {key.name}"
        )
        before = self._ages.get(key)
        if before == age:
            return False
        if before is not None:
            del self._ages[key]
            del self._waiting[bisect_left(self._waiting, before, key=lambda entry: entry[0])]
        if age is not None:
            self._ages[key] = age
            insort(self._waiting, (age, key), key=lambda entry: entry[0])
        return True

    def _begin(self, now: datetime) -> None:
        """Read the rollouts that another process began."""
        if self._began is not None:
            return
        self._began = now
        self._undecided = {Key("domain", *name_of(live)) for live in self._cache.all(DOMAIN)}
        begun = {}
        for deployment in self._cache.all(DEPLOYMENT):
            metadata = deployment["metadata"]
            name = (metadata.get("labels") or {}).get(DOMAIN_LABEL, "")
            owner = self._cache.get(DOMAIN, metadata["namespace"], name)
            is_begun = ROLLOUT_ANNOTATION in (metadata.get("annotations") or {})
            if is_begun and owner is not None and _is_child(deployment, owner):
                begun[Key("domain", metadata["namespace"], name)] = deployment, owner
        pods = defaultdict(list)
        for pod in self._cache.all(POD) if begun else ():
            key = Key("domain", pod["metadata"]["namespace"], pod["metadata"]["labels"].get(DOMAIN_LABEL, ""))
            if key in begun:
                pods[key].append(pod)
        for key, (deployment, owner) in begun.items():
            self._set_rollout(key, progress(deployment, owner, pods[key], self.version, now))

    def _warm_at(self, now: datetime) -> datetime | None:
        """Return when turns are granted although some domains were never reconciled; None: already."""
        at = (self._began or now) + WARM_UP
        return at if self._undecided and now < at else None

    def _is_due(self, now: datetime) -> bool:
        """Return whether turns that waited for the warm-up are granted now."""
        return bool(self._undecided) and self._warm_at(now) is None

    def _compute(self, now: datetime) -> None:
        """Compute the turns; request the domains whose turn or whose message is another."""
        before = self._turns
        is_warming = self._warm_at(now) is not None
        waiting = ((key, key.namespace) for _, key in (() if is_warming else self._waiting))
        self._hold(now)
        self._turns = turns(
            self._rollouts,
            waiting,
            self._limit,
            is_held=self._pause.is_held(now),
            last=self._pause.accounts,
        )
        requested = self._turns.granted - before.granted
        if before.failed != self._turns.failed:
            failed = [f"{key.namespace}/{key.name}" for keys in self._turns.failed.values() for key in keys]
            log.warning("rollouts failed" if failed else "rollouts resumed", failed=failed)
            requested |= {key for key in self._ages if _is_told_anew(key.namespace, before, self._turns)}
        for key in requested:
            self._agenda.request(key)
        states = [state for _, state in self._rollouts.values()]
        for state in Progress:
            self._metrics.rollouts.labels(state.value).set(states.count(state))
        self._metrics.rollouts.labels("waiting").set(len(self._waiting))

    def _hold(self, now: datetime) -> None:
        """Begin a pause of all rollouts when relays of a further account failed."""
        before = self._pause.until
        self._pause = self._pause.failed(failures(self._rollouts).keys(), now)
        if self._pause.until != before:
            log.warning("rollouts paused", until=self._pause.until)
            self._agenda.request(ROLLOUTS)


def _is_told_anew(account: str, before: Turns[Key], after: Turns[Key]) -> bool:
    """Return whether the domains of an account wait for another reason, or another sentence."""
    return before.is_paused(account) != after.is_paused(account) or (
        before.failed.get(account) != after.failed.get(account)
    )


def _is_child(deployment: Object, owner: Object) -> bool:
    metadata = owner["metadata"]
    return ownership(deployment, metadata["name"], metadata["uid"]) is not Ownership.FOREIGN
