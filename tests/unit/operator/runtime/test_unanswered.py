"""Relays that do not answer are queried without a decision, until something changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from support.operator.snapshots import IN_FORCE, NOW, applied, live_domain, pod, served
from wsedge_operator.kube.kinds import DOMAIN
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import RelayReport
from wsedge_operator.runtime import stage as turns
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.reconcilers.domain import DomainReconciler
from wsedge_operator.runtime.triggers import Key

KEY = Key("domain", "team-a", "chat")
SECOND = timedelta(seconds=1)


class Stage:
    """A domain whose only relay runs and does not answer; a clock that is set; an agenda."""

    def __init__(self) -> None:
        self.failures: dict[Key, str] = {}
        self.contested: dict[Key, str] = {}
        self.at, self.decisions, self.queries, self.answers = NOW, 0, 0, False
        silent = pod("pod-1")
        silent["status"]["containerStatuses"][0]["ready"] = True
        ending = replace(IN_FORCE, changes_at=NOW + 300 * SECOND)
        lagging = replace(
            served(account_state=ending),
            pods=(silent,),
            relays={"uid-pod-1": RelayReport(0, None, "no answer")},
        )
        self._snapshot = applied(lagging, decide(lagging, NOW))
        self.cache = Cache()
        self.cache.put(DOMAIN, dict(self._snapshot.live))
        self.agenda = Agenda(self, Metrics())
        self.reconciler = DomainReconciler(
            gatherer=cast(Any, self),
            cache=self.cache,
            writer=cast(Any, self),
            clock=self,
            relays=cast(Any, None),
            stage=turns.Stage(
                self.cache, self.agenda, Metrics(), version="1", limit=10, pause=timedelta(minutes=10)
            ),
            take_request=self.agenda.take_request,
        )

    def now(self) -> datetime:
        return self.at

    async def wait(self, event: Any, seconds: float) -> None:
        raise NotImplementedError

    async def domain(self, key: Key, live: Any, now: datetime) -> Any:
        self.decisions += 1
        return self._snapshot

    async def has_new_reports(self, key: Key, live: Any, now: datetime) -> bool:
        self.queries += 1
        return self.answers

    async def perform(self, key: Key, outcome: Any) -> None:
        assert not outcome.apply

    def remember(self, key: Key, memory: Any) -> None:
        pass

    def forget(self, key: Key) -> None:
        pass

    async def at_second(self, seconds: int) -> datetime | None:
        self.at = NOW + seconds * SECOND
        return await self.reconciler.reconcile(KEY, 0)


@pytest.fixture
async def stage() -> Stage:
    made = Stage()
    made.agenda.request(KEY)
    assert await made.at_second(0) == NOW + SECOND
    assert (made.decisions, made.queries) == (1, 0)
    return made


async def test_without_an_answer_nothing_is_decided(stage: Stage) -> None:
    """The pauses grow, as if it were decided each time."""
    assert await stage.at_second(1) == stage.at + SECOND
    assert await stage.at_second(100) == stage.at + 10 * SECOND
    assert (stage.decisions, stage.queries) == (1, 2)


async def test_an_answer_is_decided_about(stage: Stage) -> None:
    """The relay runs again, or the network lets it answer."""
    stage.answers = True
    await stage.at_second(1)
    assert (stage.decisions, stage.queries) == (2, 1)


async def test_a_change_is_decided_about(stage: Stage) -> None:
    """Whatever requests the key: an edit, a pod, a plan."""
    stage.agenda.request(KEY)
    await stage.at_second(1)
    assert (stage.decisions, stage.queries) == (2, 0)


async def test_a_failure_is_decided_about(stage: Stage) -> None:
    """The retry after a failure is no query."""
    stage.at = NOW + SECOND
    await stage.reconciler.reconcile(KEY, 1)
    assert (stage.decisions, stage.queries) == (2, 0)


async def test_a_date_is_decided_about(stage: Stage) -> None:
    """The plan ends after five minutes, whether relays answer or not."""
    assert await stage.at_second(290) == NOW + 300 * SECOND
    await stage.at_second(300)
    assert stage.decisions == 2


async def test_a_deleted_domain_is_forgotten(stage: Stage) -> None:
    """Another object of that name is decided about."""
    stage.cache.remove(DOMAIN, live_domain())
    assert await stage.at_second(1) is None
    assert (stage.decisions, stage.queries) == (1, 0)
