"""What the parts of the agent share: tools for all pods, and the state of one pod for its containers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from wsedge_devcluster.agent.api import Api
from wsedge_devcluster.agent.events import Events
from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.agent.status import PodFacts
from wsedge_devcluster.agent.volumes import Volumes
from wsedge_devcluster.children import Children
from wsedge_devcluster.ranges import Addresses


@dataclass(frozen=True, slots=True)
class Tools:
    """Shared by all pods of the agent."""

    api: Api
    children: Children
    events: Events
    http: aiohttp.ClientSession  # for probes and hooks: no checks of certificates, no reuse of connections
    addresses: Addresses
    services: Callable[[], Iterable[Object]]
    endpoints_changed: Callable[[], None]  # some pod's address, labels or readiness are not what they were
    pods_folder: Path
    logs_folder: Path
    mark: str
    server: str
    authority: Path
    backoff_scale: float
    sync_seconds: float


@dataclass(slots=True)
class PodContext:
    """One pod, for its containers."""

    tools: Tools
    pod: Object  # as last seen, with the addresses that the agent gave
    folder: Path
    volumes: Volumes
    facts: PodFacts
    changed: Callable[[], None]  # a container's state is not what it was
    poked: asyncio.Event = field(
        default_factory=asyncio.Event
    )  # set, and renewed, when the pod's object changes

    def container(self, name: str) -> Object:
        """The specification of a container, as it is now."""
        spec = self.pod["spec"]
        every = [*spec.get("initContainers", []), *spec["containers"]]
        return next(each for each in every if each["name"] == name)

    async def pause(self, seconds: float) -> None:
        """Waits, but not longer than until the pod's object changes."""
        poked = self.poked
        try:
            await asyncio.wait_for(poked.wait(), seconds)
        except TimeoutError:
            return

    def poke(self) -> None:
        """Wakes all who pause."""
        self.poked.set()
        self.poked = asyncio.Event()
