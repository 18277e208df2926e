"""Runs the probes of one started container."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from wsedge_devcluster.agent.actions import Place, perform
from wsedge_devcluster.agent.context import PodContext
from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.agent.probes import Kind, Probe, Verdict
from wsedge_devcluster.agent.status import Record

# Called with the failed probe, to end the container.
Restart = Callable[[Probe], Awaitable[None]]


class Prober:
    """Sets `record.started` and `record.ready` from the probes, and requests restarts."""

    def __init__(
        self, container: Object, context: PodContext, place: Place, record: Record, restart: Restart
    ) -> None:
        self._container, self._context, self._place = container, context, place
        self._record, self._restart = record, restart

    async def run(self) -> None:
        """Run until cancelled, when the container has ended."""
        if startup := Probe.of(self._container, Kind.STARTUP):
            await self._probe(startup)
        self._record.started = True
        readiness = Probe.of(self._container, Kind.READINESS)
        liveness = Probe.of(self._container, Kind.LIVENESS)
        if readiness is None:
            self._record.ready = True
        self._context.changed()
        async with asyncio.TaskGroup() as group:
            for probe in (readiness, liveness):
                if probe is not None:
                    group.create_task(self._probe(probe))

    async def _probe(self, probe: Probe) -> None:
        """Probe until cancelled; a startup probe until it has passed."""
        verdict = Verdict(probe)
        await asyncio.sleep(probe.initial_delay)
        while True:
            failure = await perform(probe.action, self._container, self._context, self._place, probe.timeout)
            if failure is not None:
                self._context.tools.events.warning(
                    self._context.pod,
                    "Unhealthy",
                    f"{probe.kind} probe failed: {failure}",
                    field=f"spec.containers{{{self._container['name']}}}",
                )
            decided = verdict.observe(failure is None)
            if decided and await self._act(probe, verdict.passed):
                return
            await asyncio.sleep(probe.period)

    async def _act(self, probe: Probe, passed: bool) -> bool:
        """Apply a verdict; return True when this probe is done."""
        if probe.kind is Kind.READINESS:
            if self._record.ready != passed:
                self._record.ready = passed
                self._context.changed()
            return False
        if passed:
            return probe.kind is Kind.STARTUP
        await self._restart(probe)
        # The end of the container cancels this task.
        await asyncio.Event().wait()
        return True
