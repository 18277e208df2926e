from __future__ import annotations
import asyncio, ipaddress
from dataclasses import dataclass
from pathlib import Path
from wsedge_devcluster.agent.api import Api
from wsedge_devcluster.agent.nodes import Heartbeat, node_object, plan_nodes
from wsedge_devcluster.children import Children
from wsedge_devcluster.controlplane import Files

@dataclass(frozen=True, slots=True)
class AgentSettings:
    directory: Path
    mark: str
    server: str
    files: Files
    pods: ipaddress.IPv4Network
    services: ipaddress.IPv4Network
    nodes: int
    simulated_nodes: int
    backoff_scale: float
    sync_seconds: float

class Agent:
    def __init__(self, settings: AgentSettings, api: Api, children: Children) -> None:
        self.s, self.api = settings, api
        self.tasks = []
    async def start(self):
        v=(await self.api.get("/version"))["gitVersion"]
        for n in plan_nodes(self.s.nodes, self.s.simulated_nodes, [str(self.s.pods[i]) for i in range(1,101)]):
            h=Heartbeat(self.api, node_object(n, 1, v)); await h.register()
            self.tasks.append(asyncio.create_task(h.run()))
    async def stop(self):
        for t in self.tasks: t.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
