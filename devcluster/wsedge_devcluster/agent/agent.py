"""The node agent: runs the pods that the scheduler bound to its nodes, and serves Services."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog

from wsedge_devcluster.agent.actions import Place
from wsedge_devcluster.agent.api import Api
from wsedge_devcluster.agent.context import Tools
from wsedge_devcluster.agent.events import Events
from wsedge_devcluster.agent.images import Images
from wsedge_devcluster.agent.informer import Informer
from wsedge_devcluster.agent.nodes import SIMULATED, Heartbeat, Node, node_object, plan_nodes
from wsedge_devcluster.agent.objects import Object, key_of
from wsedge_devcluster.agent.pod import PodRunner
from wsedge_devcluster.agent.provision import Provisioner
from wsedge_devcluster.agent.selectors import Candidate, Endpoint
from wsedge_devcluster.agent.server import KubeletServer
from wsedge_devcluster.agent.services import ServiceProxy
from wsedge_devcluster.agent.status import Record
from wsedge_devcluster.errors import present
from wsedge_devcluster.machine.children import Children
from wsedge_devcluster.machine.controlplane import Files
from wsedge_devcluster.machine.ranges import Addresses, Pair

log = structlog.get_logger()

_LAST_GRACE = 2.0  # seconds for pods between SIGTERM and SIGKILL when the whole cluster ends


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Settings of the agent, from the ClusterSpec."""

    directory: Path
    mark: str
    server: str
    files: Files
    pair: Pair
    nodes: int
    simulated_nodes: int
    backoff_scale: float
    sync_seconds: float
    images: Images
    relays_answer: bool = True


class Agent:
    """Acts as all nodes of a cluster. Start it once the API server is ready."""

    def __init__(self, settings: AgentSettings, api: Api, children: Children) -> None:
        self._settings, self._api = settings, api
        nodes = plan_nodes(settings.nodes, settings.simulated_nodes, settings.pair.nodes)
        self._nodes = {node.name: node for node in nodes}
        self._runners: dict[str, PodRunner] = {}
        self._waiting: dict[str, Object] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._pods = Informer(api, "/api/v1/pods", {"fieldSelector": "spec.nodeName!="})
        self._services = Informer(api, "/api/v1/services")
        self._events = Events(api)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False, limit=0, force_close=True)
        )
        logs = settings.directory / "logs" / "pods"
        self._server = KubeletServer(settings.files, logs, self, children)
        self._provisioner = Provisioner(api, settings.directory / "volumes")
        url = urlsplit(settings.server)
        self._proxy = ServiceProxy(
            lambda: self._services,
            self._candidates,
            nodes=[node.address for node in nodes],
            apiserver=Endpoint(str(url.hostname), int(url.port or 443)),
            events=self._events,
        )
        self._tools = Tools(
            api=api,
            children=children,
            events=self._events,
            http=self._http,
            addresses=Addresses(settings.pair.pods),
            services=lambda: self._services,
            endpoints_changed=self._proxy.changed,
            pods_folder=settings.directory / "pods",
            logs_folder=logs,
            mark=settings.mark,
            server=settings.server,
            backoff_scale=settings.backoff_scale,
            sync_seconds=settings.sync_seconds,
            images=settings.images,
            relays_answer=settings.relays_answer,
        )

    async def start(self) -> None:
        """Register the nodes and begin to run pods. Raises ApiError or aiohttp.ClientError."""
        await self._server.start()
        version = (await self._api.get("/version"))["gitVersion"]
        for node in self._nodes.values():
            port = await self._server.listen(node.address)
            heartbeat = Heartbeat(self._api, node_object(node, port, version))
            await heartbeat.register()
            self._spawn(heartbeat.run())
        await self._provisioner.start()
        self._pods.on_change(self._pod_changed)
        self._services.on_change(lambda _old, _new: self._proxy.changed())
        self._spawn(self._events.run())
        self._spawn(self._services.run())
        await self._services.synced.wait()
        # Services first: their variables belong to the environment of the pods.
        self._spawn(self._pods.run())
        self._spawn(self._proxy.run())
        self._spawn(self._provisioner.run())

    async def stop(self) -> None:
        """End all pods and listeners, without reports: the API server ends next."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._proxy.close()
        await asyncio.gather(*(runner.abandon(_LAST_GRACE) for runner in self._runners.values()))
        await self._server.stop()
        await self._http.close()

    # -- questions of the kubelet API

    def container(self, namespace: str, pod: str, container: str) -> tuple[str, Record] | None:
        """Return the pod's uid and the container's record; None for a pod of no node here."""
        runner = self._runners.get(f"{namespace}/{pod}")
        if runner is None:
            return None
        for record in runner.context.facts.records:
            if record.name == container:
                return runner.uid, record
        return None

    def place(self, namespace: str, pod: str, container: str) -> Place | None:
        """Return the place of the container's process while it runs."""
        runner = self._runners.get(f"{namespace}/{pod}")
        return runner.place(container) if runner is not None else None

    def address(self, namespace: str, pod: str) -> str | None:
        """Return the pod's address; None for a pod of no node here."""
        runner = self._runners.get(f"{namespace}/{pod}")
        return runner.context.facts.address if runner is not None else None

    # -- within

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_report)
        self._tasks.append(task)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            old = present(old)
            self._waiting.pop(key_of(old), None)
            runner = self._runners.get(key_of(old))
            if runner is not None and runner.uid == old["metadata"]["uid"]:
                runner.removed()
            return
        node = self._nodes.get(new["spec"]["nodeName"])
        if node is None:
            return
        key = key_of(new)
        runner = self._runners.get(key)
        if runner is None:
            self._run_pod(key, new, node)
        elif runner.uid == new["metadata"]["uid"]:
            runner.update(new)
        else:
            self._waiting[key] = new  # until its predecessor has ended

    def _run_pod(self, key: str, pod: Object, node: Node) -> None:
        annotated = pod["metadata"].get("annotations", {}).get(SIMULATED) == "true"
        runner = PodRunner(pod, node, self._tools, simulated=node.simulated or annotated)
        self._runners[key] = runner
        self._proxy.changed()
        self._spawn(self._until_gone(key, runner))

    async def _until_gone(self, key: str, runner: PodRunner) -> None:
        try:
            await runner.finished()
        finally:
            self._runners.pop(key, None)
            self._proxy.changed()
            current = asyncio.current_task()
            self._tasks = [task for task in self._tasks if task is not current]
        successor = self._waiting.pop(key, None)
        if successor is not None:
            self._run_pod(key, successor, self._nodes[successor["spec"]["nodeName"]])

    def _candidates(self) -> list[Candidate]:
        return [runner.candidate() for runner in self._runners.values()]


def _report(task: asyncio.Task[None]) -> None:
    """Log the failure of a part of the agent, which is a defect; the other parts continue."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("part of the agent failed", part=repr(task), exc_info=error)
