"""The life of one pod: volumes, init containers, containers, status, end."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Coroutine, Sequence

import aiohttp
import structlog

from wsedge_devcluster.agent.actions import Place
from wsedge_devcluster.agent.api import STRATEGIC
from wsedge_devcluster.agent.container import ContainerRunner
from wsedge_devcluster.agent.context import PodContext, Tools
from wsedge_devcluster.agent.nodes import Node
from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.agent.selectors import Candidate
from wsedge_devcluster.agent.simulated import SimulatedRelay, identity_of
from wsedge_devcluster.agent.status import PodFacts, Role, Running, ended, is_ready, pod_status
from wsedge_devcluster.agent.times import utc_now
from wsedge_devcluster.agent.volumes import Volumes
from wsedge_devcluster.errors import ApiError, VolumeError

log = structlog.get_logger()

_MOUNT_RETRY, _MOUNT_RETRY_MAX = 0.5, 120.0  # a kubelet's, seconds
_WRITE_RETRY, _WRITE_RETRY_MAX = 0.2, 5.0


class PodRunner:
    """Runs one pod until it is deleted. `simulated`: report it as running and ready, and start nothing."""

    def __init__(self, pod: Object, node: Node, tools: Tools, *, simulated: bool) -> None:
        metadata = pod["metadata"]
        self.key = f"{metadata['namespace']}/{metadata['name']}"
        self._simulated, self._tools = simulated, tools
        folder = tools.pods_folder / metadata["uid"]
        facts = PodFacts(address=tools.addresses.allocate(), host=node.address, started=utc_now())
        volumes = Volumes(tools.api, folder / "volumes")
        self._seen = pod
        self.context = PodContext(tools, pod, folder, volumes, facts, self._changed)
        self._runners: dict[str, ContainerRunner] = {}
        self._relay: SimulatedRelay | None = None
        self._dirty, self._deleting, self._removed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._shown: tuple[bool, bool] = (False, False)
        self.update(pod)
        self._prepare_records()
        self._task = asyncio.create_task(self._run(), name=f"pod {self.key}")

    # -- for other parts of the agent

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return str(self._seen["metadata"]["uid"])

    def place(self, container: str) -> Place | None:
        """Return the place of a container's process while it runs."""
        runner = self._runners.get(container)
        return runner.place if runner is not None else None

    def candidate(self) -> Candidate:
        """Return the pod as Services see it."""
        pod, facts = self.context.pod, self.context.facts
        named = {
            port["name"]: int(port["containerPort"])
            for container in pod["spec"]["containers"]
            for port in container.get("ports", [])
            if "name" in port
        }
        done = self._seen.get("status", {}).get("phase") in ("Succeeded", "Failed")
        ready = not done and is_ready(pod, facts.records)
        metadata = pod["metadata"]
        return Candidate(
            namespace=metadata["namespace"],
            labels=metadata.get("labels", {}),
            address="" if done else facts.address,
            node=facts.host,
            ports=named,
            ready=ready,
            terminating=self._deleting.is_set(),
        )

    def update(self, pod: Object) -> None:
        """Replace the object by a newer version."""
        before, self._seen = self._seen, pod
        facts = self.context.facts
        addresses = {"podIP": facts.address, "hostIP": facts.host}
        self.context.pod = {**pod, "kind": "Pod", "status": {**pod.get("status", {}), **addresses}}
        if "deletionTimestamp" in pod["metadata"]:
            self._deleting.set()
        # A write of the status does not sync volumes; any other edit does.
        parts = ("labels", "annotations", "deletionTimestamp")
        edited = [key for key in parts if before["metadata"].get(key) != pod["metadata"].get(key)]
        if edited or before["spec"] != pod["spec"]:
            self.context.poke()
            self._tools.endpoints_changed()
        self._dirty.set()

    def removed(self) -> None:
        """End all processes at once: the object was deleted."""
        self._removed.set()
        self._deleting.set()

    async def finished(self) -> None:
        """Wait for the end of the pod."""
        await asyncio.shield(self._task)

    async def abandon(self, seconds: float) -> None:
        """End the pod with its cluster: SIGTERM, then SIGKILL after `seconds`; report nothing."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        runners = list(self._runners.values())
        for number in (signal.SIGTERM, signal.SIGKILL):
            for runner in runners:
                runner.kill(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await asyncio.gather(*(runner.wait_ended() for runner in runners))

    # -- life

    async def _run(self) -> None:
        writing = asyncio.create_task(self._write_statuses())
        living = asyncio.create_task(self._live())
        deleting = asyncio.create_task(self._deleting.wait())
        try:
            done, _ = await asyncio.wait({living, deleting}, return_when=asyncio.FIRST_COMPLETED)
            if living in done:
                living.result()
                await deleting
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            await self._end_containers()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await self._finalize()
        except Exception:
            log.exception("pod failed", pod=self.key)
            raise
        finally:
            for task in (writing, living, deleting):
                task.cancel()
            await asyncio.gather(writing, living, deleting, return_exceptions=True)
            if self._relay is not None:
                self._relay.close()
        self._tools.addresses.free(self.context.facts.address)
        shutil.rmtree(self.context.folder, ignore_errors=True)

    async def _live(self) -> None:
        if (
            self._seen.get("status", {}).get("phase") in ("Succeeded", "Failed")
            and not self._deleting.is_set()
        ):
            return  # ended in an earlier life of this agent
        if self._simulated:
            await self._simulate()
            return
        version = await self._first_sync()
        self.context.facts.volumes_ready = True
        self._changed()
        keeping = asyncio.create_task(self._keep_volumes(version))
        sidecars: list[asyncio.Task[int]] = []
        try:
            if await self._initialize(sidecars):
                mains = [r.run() for r in self._runners.values() if r.record.role is Role.MAIN]
                await _all(mains)
        finally:
            for task in (keeping, *sidecars):
                task.cancel()
            await asyncio.gather(keeping, *sidecars, return_exceptions=True)
        # All containers have ended for good: the sidecars follow them.
        grace = self._grace()
        await asyncio.gather(*(r.end(grace) for r in self._runners.values() if r.record.role is Role.SIDECAR))

    def _prepare_records(self) -> None:
        spec = self._seen["spec"]
        inits = spec.get("initContainers", [])
        waiting = "PodInitializing" if inits else "ContainerCreating"
        for container in inits:
            role = Role.SIDECAR if container.get("restartPolicy") == "Always" else Role.INIT
            self._runners[container["name"]] = ContainerRunner(
                self.context, container["name"], role, "PodInitializing"
            )
        for container in spec["containers"]:
            name = container["name"]
            self._runners[name] = ContainerRunner(self.context, name, Role.MAIN, waiting)
        before = self._seen.get("status", {})
        statuses = [*before.get("initContainerStatuses", []), *before.get("containerStatuses", [])]
        counts = {status["name"]: status["restartCount"] for status in statuses if status.get("containerID")}
        for name, runner in self._runners.items():
            if name in counts:  # ran in an earlier life of this agent
                runner.record.restarts = counts[name] + 1
        self.context.facts.records = [runner.record for runner in self._runners.values()]

    async def _simulate(self) -> None:
        identity = identity_of(self.context.pod)
        if identity is not None and self._tools.relays_answer:
            self._relay = SimulatedRelay(self.context, identity)
            await self._relay.start()
        now = utc_now()
        for record in self.context.facts.records:
            record.container_id = f"wsedge-devcluster://simulated-{record.name}"
            if record.role is Role.INIT:
                record.state = ended(0, now, now, message="", identity=record.container_id)
            else:
                record.state, record.ready, record.started = Running(now), True, True
        self.context.facts.volumes_ready = True
        self._changed()

    async def _first_sync(self) -> int:
        """Set up the volumes; report a failure and retry. Return the version of the pod that was read."""
        pause = _MOUNT_RETRY
        while True:
            self._changed()
            version = self.context.version
            try:
                await self.context.volumes.sync(self.context.pod, utc_now())
                return version
            except VolumeError as error:
                self._tools.events.warning(self.context.pod, "FailedMount", str(error))
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("volumes wait for the API server", pod=self.key, error=repr(error))
            await self.context.pause(pause, since=version)
            pause = min(2 * pause, _MOUNT_RETRY_MAX * self._tools.backoff_scale)

    async def _keep_volumes(self, version: int) -> None:
        """Bring volumes up to date when the pod changes, and every `sync_seconds`."""
        while True:
            await self.context.pause(self._tools.sync_seconds, since=version)
            version = self.context.version
            try:
                await self.context.volumes.sync(self.context.pod, utc_now())
            except VolumeError as error:
                self._tools.events.warning(self.context.pod, "FailedMount", str(error))
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("sync of volumes failed", pod=self.key, error=repr(error))

    async def _initialize(self, sidecars: list[asyncio.Task[int]]) -> bool:
        """Run the init containers one after another; False when one failed for good."""
        for runner in self._runners.values():
            if runner.record.role is Role.SIDECAR:
                sidecars.append(asyncio.create_task(runner.run()))
                while not runner.record.started:
                    await self._next_change()
            elif runner.record.role is Role.INIT and await runner.run() != 0:
                return False
        return True

    async def _next_change(self) -> None:
        waiter = self._change_waiter = asyncio.get_running_loop().create_future()
        await waiter

    _change_waiter: asyncio.Future[None] | None = None

    # -- end

    def _grace(self) -> float:
        metadata, spec = self.context.pod["metadata"], self.context.pod["spec"]
        if self._removed.is_set():
            return 0.0
        return float(
            metadata.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 30))
        )

    async def _end_containers(self) -> None:
        """End main containers together, then sidecars in reverse; a forced deletion shortens the grace."""
        self._tools.endpoints_changed()
        runners = list(self._runners.values())
        mains = [runner for runner in runners if runner.record.role is not Role.SIDECAR]
        sidecars = [runner for runner in reversed(runners) if runner.record.role is Role.SIDECAR]
        ending = asyncio.create_task(_end([runner.end(self._grace()) for runner in mains]))
        forced = asyncio.create_task(self._removed.wait())
        await asyncio.wait({ending, forced}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            for runner in mains:
                runner.kill(signal.SIGKILL)
        await ending
        forced.cancel()
        for runner in sidecars:
            await runner.end(self._grace())

    async def _finalize(self) -> None:
        """Write the last status and delete the object, as a kubelet does at the end."""
        pause = _WRITE_RETRY
        while not self._removed.is_set():
            try:
                await self._write_status()
                precondition = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
                await self._tools.api.delete(self._path(), precondition)
                return
            except ApiError as error:
                if error.code in (404, 409):
                    return
                log.warning("delete of pod failed", pod=self.key, error=str(error))
            except (aiohttp.ClientError, TimeoutError) as error:
                log.info("delete of pod failed", pod=self.key, error=repr(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._removed.wait()
            pause = min(2 * pause, _WRITE_RETRY_MAX)

    # -- status

    def _changed(self) -> None:
        self._dirty.set()
        if self._change_waiter is not None and not self._change_waiter.done():
            self._change_waiter.set_result(None)
        shown = (is_ready(self.context.pod, self.context.facts.records), self._deleting.is_set())
        if shown != self._shown:
            self._shown = shown
            self._tools.endpoints_changed()

    async def _write_statuses(self) -> None:
        """Write the status whenever it differs from the API server's."""
        pause = _WRITE_RETRY
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._write_status()
                pause = _WRITE_RETRY
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                if isinstance(error, ApiError) and error.code in (404, 409):
                    continue  # deleted, or replaced by another pod of this name
                log.info("write of status failed", pod=self.key, error=repr(error))
                self._dirty.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _WRITE_RETRY_MAX)

    async def _write_status(self) -> None:
        status = pod_status(self.context.pod, self.context.facts, utc_now())
        if covers(self._seen.get("status", {}), status):
            return
        body = {"metadata": {"uid": self.uid}, "status": status}
        self._seen = await self._tools.api.patch(f"{self._path()}/status", body, STRATEGIC)

    def _path(self) -> str:
        namespace, _, name = self.key.partition("/")
        return f"/api/v1/namespaces/{namespace}/pods/{name}"


def covers(present: object, wanted: object) -> bool:
    """Return whether writing `wanted` over `present` changes nothing. A wanted None means absent."""
    if isinstance(wanted, dict):
        fields = present if isinstance(present, dict) else {}
        return all(covers(fields.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        items = present if isinstance(present, list) else []
        if wanted and isinstance(wanted[0], dict) and "type" in wanted[0]:
            by_type = {item["type"]: item for item in items}
            return all(covers(by_type.get(item["type"]), item) for item in wanted)
        return len(items) == len(wanted) and all(map(covers, items, wanted))
    return present == wanted or (not present and not wanted)


async def _end(ends: Sequence[Coroutine[None, None, None]]) -> None:
    await asyncio.gather(*ends)


async def _all(lives: Sequence[Coroutine[None, None, int]]) -> None:
    """Await the runs of all containers; cancel them when this is cancelled."""
    tasks = [asyncio.create_task(life) for life in lives]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
