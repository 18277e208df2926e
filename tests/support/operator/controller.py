"""A controller without a cluster, on a fixed clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from support.operator.snapshots import NOW
from wsedge_operator.kube.kinds import Kind
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.controller import Controller
from wsedge_operator.runtime.intake import Intake
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.reconcilers.account import AccountReconciler
from wsedge_operator.runtime.reconcilers.domain import DomainReconciler
from wsedge_operator.runtime.reconcilers.rollouts import RolloutsReconciler
from wsedge_operator.runtime.stage import Stage
from wsedge_operator.runtime.triggers import Key
from wsedge_operator.runtime.writer import Writer


class Clock:
    """A clock with a fixed time."""

    def now(self) -> datetime:
        return NOW

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        await event.wait()


@dataclass(frozen=True)
class Made:
    """An operator from the intake of objects to the writes, without the Directory."""

    agenda: Agenda
    intake: Intake
    controller: Controller
    metrics: Metrics

    def receive(self, kind: Kind, gone: bool, live: Any) -> None:
        self.intake.receive(kind, gone, live)

    async def work(self) -> None:
        await self.controller.work()

    @property
    def failing(self) -> int:
        return self.controller.failing


class NoDirectory:
    """A reconciler for a cluster without statistics, which need no Directory."""

    async def reconcile(self, key: Key, failures: int) -> None:
        return None


def made(cache: Cache, client: Any = None, gatherer: Any = None, relays: Any = None) -> Made:
    clock, metrics = Clock(), Metrics()
    agenda = Agenda(clock, metrics)
    accounts = Accounts(client, cache, "UTC")
    writer = Writer(
        client=client,
        cache=cache,
        agenda=agenda,
        note_admitted=lambda key, exact, live: gatherer.note_admitted(key, exact, live),
        clock=clock,
        metrics=metrics,
        identity="operator-1",
    )
    stage = Stage(cache, agenda, metrics, version="1", limit=10, pause=timedelta(minutes=10))
    controller = Controller(
        reconcilers={
            "account": AccountReconciler(
                accounts=accounts, cache=cache, writer=writer, agenda=agenda, clock=clock
            ),
            "domain": DomainReconciler(
                gatherer=gatherer,
                cache=cache,
                writer=writer,
                clock=clock,
                relays=relays,
                stage=stage,
            ),
            "directory": NoDirectory(),
            "rollouts": RolloutsReconciler(stage=stage, clock=clock),
        },
        agenda=agenda,
        cache=cache,
        clock=clock,
        metrics=metrics,
        workers=1,
    )
    intake = Intake(client=client, cache=cache, accounts=accounts, agenda=agenda, metrics=metrics)
    return Made(agenda, intake, controller, metrics)


async def turns(number: int = 2000) -> None:
    for _ in range(number):
        await asyncio.sleep(0)
