"""The process that owns a cluster: `python -m wsedge_devcluster.cluster.supervisor`.

It reads a ClusterSpec from the first line of stdin, then one command per line; it writes events to stdout.
The end of stdin, also by a SIGKILL of the starter, ends the cluster: every process, every port, and the
folder unless it is to stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import fcntl
import os
import shutil
import signal
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import structlog
from pydantic import BaseModel

from wsedge_devcluster.agent.agent import Agent, AgentSettings
from wsedge_devcluster.agent.api import Api
from wsedge_devcluster.agent.images import Images
from wsedge_devcluster.cluster.spec import (
    START_APISERVER,
    STOP_APISERVER,
    ClusterSpec,
    Done,
    Failed,
    Progress,
    Ready,
)
from wsedge_devcluster.errors import DevclusterError, StartError, present
from wsedge_devcluster.log import configure_logging
from wsedge_devcluster.machine import controlplane
from wsedge_devcluster.machine.children import MARK, Child, Children, kill_marked
from wsedge_devcluster.machine.ranges import Claim, claim, reserve_port

log = structlog.get_logger()

_START_DEADLINE = 90.0
_RESTART_PAUSE = 1.0


class Component:
    """One program of the control plane, restarted when it ends by itself."""

    def __init__(self, name: str, spec: ClusterSpec, children: Children, arguments: list[str]) -> None:
        self.name, self.log = name, spec.directory / "logs" / f"{name}.log"
        self._command = [str(spec.binaries[name]), *arguments]
        self._spec, self._children = spec, children
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the program and keep it running."""
        self._launch()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self, number: signal.Signals) -> None:
        """End the program and wait for its end."""
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        if self._child is not None:
            self._child.send(number)
            await self._child.wait()

    def has_ended(self) -> int | None:
        """Return the exit code of a program that has ended, None while it runs."""
        if self._child is not None and self._child.ended.done():
            return self._child.ended.result()
        return None

    def _launch(self) -> None:
        home = self._spec.directory / "home"
        env = {"PATH": os.defpath, "HOME": str(home), MARK: self._spec.mark}
        with self.log.open("ab") as output:
            self._child = self._children.start(
                self._command, env=env, cwd=self._spec.directory, stdout=output, stderr=output
            )

    async def _keep(self) -> None:
        while True:
            code = await present(self._child).wait()
            log.warning("component ended", component=self.name, code=code)
            await asyncio.sleep(_RESTART_PAUSE)
            self._launch()


class Supervisor:
    """Starts, keeps and ends one cluster."""

    def __init__(self, spec: ClusterSpec) -> None:
        self._spec, self._directory = spec, spec.directory
        self._children = Children()
        self._components: dict[str, Component] = {}
        self._agent: Agent | None = None
        self._api: Api | None = None
        self._claim: Claim | None = None

    async def start(self) -> Ready:
        """Start the cluster; raises StartError when a component fails or is not ready in time."""
        for name in ("logs", "home"):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        self._claim = self._claim_ranges()
        pair = self._claim.pair
        holders = [reserve_port(controlplane.LOOPBACK) for _ in range(3)]
        ports = controlplane.Ports(*(holder.getsockname()[1] for holder in holders))
        files = controlplane.write_files(self._directory, ports, pair, dt.datetime.now(dt.UTC))
        say(Progress(text="starting etcd and kube-apiserver"))
        folder = self._directory
        self._add("etcd", controlplane.etcd(folder, ports, files, fsync=self._spec.keep))
        self._add("kube-apiserver", controlplane.apiserver(folder, ports, files, pair))
        server = controlplane.server_url(ports)
        self._api = Api(server, files.authority, files.node_agent)
        await self._until_ready(self._api)
        say(Progress(text="starting kube-controller-manager, kube-scheduler and the node agent"))
        self._add("kube-controller-manager", controlplane.controller_manager(files))
        self._add("kube-scheduler", controlplane.scheduler(files))
        settings = AgentSettings(
            directory=self._directory,
            mark=self._spec.mark,
            server=server,
            files=files,
            pair=pair,
            nodes=self._spec.nodes,
            simulated_nodes=self._spec.simulated_nodes,
            backoff_scale=self._spec.backoff_scale,
            sync_seconds=self._spec.sync_seconds,
            images=Images(self._spec.images, self._spec.variables),
            relays_answer=self._spec.relays_answer,
        )
        self._agent = Agent(settings, self._api, self._children)
        await self._agent.start()
        await self._until_usable(self._api)
        return Ready(server=server, service_range=str(pair.services), pod_range=str(pair.pods))

    async def carry_out(self, command: str) -> None:
        """Carry out one command of the starter."""
        component = self._components["kube-apiserver"]
        if command == STOP_APISERVER:
            await component.stop(signal.SIGKILL)
        elif command == START_APISERVER:
            component.start()
            await self._until_ready(present(self._api))
            # In other clusters these exit when they lose their Lease, and restart. Here they have no Lease,
            # and their back-off from the outage would last up to half a minute.
            for name in ("kube-controller-manager", "kube-scheduler"):
                await self._components[name].stop(signal.SIGKILL)
                self._components[name].start()
        else:
            raise StartError("supervisor", f"unknown command {command!r}")

    async def stop(self) -> None:
        """End everything: pods, components, every process with the mark; then the folder."""
        if self._agent is not None:
            await self._agent.stop()
        # The etcd of a kept folder is stopped in order; the other components have no state.
        last = signal.SIGTERM if self._spec.keep else signal.SIGKILL
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            if component := self._components.get(name):
                await component.stop(last if name == "etcd" else signal.SIGKILL)
        if self._api is not None:
            await self._api.close()
        self._children.close()
        kill_marked(self._spec.mark)
        if self._claim is not None:
            self._claim.release()
        if not self._spec.keep:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _claim_ranges(self) -> Claim:
        """Return free ranges; a folder of an earlier start needs the same ranges, which its Services use."""
        record = self._directory / "ranges"
        claimed = claim(int(record.read_text()) if record.exists() else None)
        record.write_text(str(claimed.pair.number))
        return claimed

    def _add(self, name: str, arguments: list[str]) -> None:
        component = Component(name, self._spec, self._children, arguments)
        self._components[name] = component
        component.start()

    async def _until_ready(self, api: Api) -> None:
        await self._until("kube-apiserver", "is not ready", lambda: api.text("/readyz"))

    async def _until_usable(self, api: Api) -> None:
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        await self._until("kube-controller-manager", "made no default ServiceAccount", lambda: api.get(path))

    async def _until(self, component: str, failure: str, request: Callable[[], Awaitable[object]]) -> None:
        """Repeat a request until it succeeds. Raises StartError at the deadline or when a component ends."""
        deadline = time.monotonic() + _START_DEADLINE
        while True:
            try:
                await request()
                return
            except (DevclusterError, aiohttp.ClientError, ssl.SSLError, TimeoutError):
                if time.monotonic() > deadline:
                    log_file = self._components[component].log
                    raise StartError(
                        component, f"{failure} after {_START_DEADLINE:.0f} s", log_file
                    ) from None
            for each in self._components.values():
                if (code := each.has_ended()) is not None:
                    raise StartError(each.name, f"ended with {code}", each.log)
            await asyncio.sleep(0.05)


def say(event: BaseModel) -> None:
    """Write one event for the starter. A starter that has ended closes stdin, which ends the cluster."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(event.model_dump_json() + "\n")
        sys.stdout.flush()


async def _run(spec: ClusterSpec) -> None:
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    supervisor = Supervisor(spec)
    work = asyncio.create_task(_serve(supervisor, commands))
    stopped = asyncio.create_task(ended.wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, stopped):
            task.cancel()
        await asyncio.gather(work, stopped, return_exceptions=True)
        await supervisor.stop()


async def _serve(supervisor: Supervisor, commands: asyncio.StreamReader) -> None:
    """Start, then carry out commands until stdin ends. An end of stdin during the start ends it at once."""
    starting = asyncio.create_task(supervisor.start())
    next_line = asyncio.create_task(commands.readline())
    try:
        await asyncio.wait({starting, next_line}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return
        say(starting.result())
        while line := await next_line:
            await supervisor.carry_out(line.decode().strip())
            say(Done())
            next_line = asyncio.create_task(commands.readline())
    except StartError as error:
        say(Failed(component=error.component, reason=error.reason, log=error.log))
    except DevclusterError as error:
        say(Failed(component="supervisor", reason=str(error), log=None))
    finally:
        for task in (starting, next_line):
            task.cancel()
        await asyncio.gather(starting, next_line, return_exceptions=True)


def main() -> None:
    """Read the ClusterSpec and run until stdin ends or a signal arrives."""
    # Unbuffered: the event loop reads the lines after the first.
    first = bytearray()
    while not first.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            return
        first += byte
    spec = ClusterSpec.model_validate_json(bytes(first))
    os.environ[MARK] = spec.mark
    configure_logging()
    spec.directory.mkdir(parents=True, exist_ok=True)
    with Path(spec.directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reason = f"another cluster runs in {spec.directory}"
            say(Failed(component="supervisor", reason=reason, log=None))
            return
        asyncio.run(_run(spec))


if __name__ == "__main__":
    main()
