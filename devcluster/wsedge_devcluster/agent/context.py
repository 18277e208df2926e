"""State that the parts of the agent share: tools for all pods, and one pod for its containers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from wsedge_devcluster.agent.api import Api
from wsedge_devcluster.agent.events import Events
from wsedge_devcluster.agent.images import Images
from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.agent.status import PodFacts
from wsedge_devcluster.agent.volumes import Volumes
from wsedge_devcluster.machine.children import Children
from wsedge_devcluster.machine.ranges import Addresses


@dataclass(frozen=True, slots=True)
class Tools:
    """Shared by all pods of the agent."""

    api: Api
    children: Children
    events: Events
    http: aiohttp.ClientSession  # for probes and hooks: no checks of certificates, no reuse of connections
    addresses: Addresses
    services: Callable[[], Iterable[Object]]
    endpoints_changed: Callable[[], None]  # a pod's address, labels or readiness have changed
    pods_folder: Path
    logs_folder: Path
    mark: str
    server: str
    backoff_scale: float
    sync_seconds: float
    images: Images
    relays_answer: bool = True  # relays of simulated pods answer GET /config


@dataclass(slots=True)
class PodContext:
    """One pod, for its containers."""

    tools: Tools
    pod: Object  # as last seen, with the addresses that the agent gave
    folder: Path
    volumes: Volumes
    facts: PodFacts
    changed: Callable[[], None]  # a container's state has changed
    # Counts changes of the pod's object that are more than a new status. Read the version before the pod's
    # object and pass it to pause(), so that a change in between ends the pause.
    version: int = 0
    _poked: asyncio.Event = field(default_factory=asyncio.Event)

    def container(self, name: str) -> Object:
        """Return the specification of a container, as it is now."""
        spec = self.pod["spec"]
        every = [*spec.get("initContainers", []), *spec["containers"]]
        return next(each for each in every if each["name"] == name)

    async def pause(self, seconds: float, *, since: int) -> None:
        """Wait for some seconds, or until the pod's object has changed after `version` since."""
        if self.version != since:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._poked.wait()

    def poke(self) -> None:
        """Count a change of the pod's object, and wake every pause()."""
        self.version += 1
        self._poked.set()
        self._poked = asyncio.Event()
