"""The kubelet API of all nodes, as far as `kubectl logs`, `exec` and `port-forward` need it.

The nodes declare ExtendWebSocketsToKubelet, so the API server passes kubectl's WebSockets on as they come.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from aiohttp import web

from wsedge_devcluster.agent.actions import Place
from wsedge_devcluster.agent.logs import log_folder, parse_lines
from wsedge_devcluster.agent.status import Record, Running
from wsedge_devcluster.agent.streaming.execute import execute
from wsedge_devcluster.agent.streaming.portforward import forward
from wsedge_devcluster.machine.children import Children
from wsedge_devcluster.machine.controlplane import Files


class Pods(Protocol):
    """The pods of all nodes; None for a pod or container of no node here."""

    def container(self, namespace: str, pod: str, container: str) -> tuple[str, Record] | None:
        """Return the pod's uid, and the container's record."""

    def place(self, namespace: str, pod: str, container: str) -> Place | None:
        """Return environment and folder of the container's process while it runs."""

    def address(self, namespace: str, pod: str) -> str | None:
        """Return the pod's address."""


_API_SERVER = "kube-apiserver-kubelet"
_LOOK_SECONDS = 0.1  # between reads of a log that is followed


class KubeletServer:
    """HTTPS on each node's address, for the API server's certificate alone."""

    def __init__(self, files: Files, logs: Path, pods: Pods, children: Children) -> None:
        self._logs, self._pods, self._children = logs, pods, children
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.authority))
        self._tls.load_cert_chain(files.kubelet.certificate, files.kubelet.key)
        self._tls.verify_mode = ssl.CERT_REQUIRED
        application = web.Application(middlewares=[_only_api_server])
        application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._container_logs)
        application.router.add_get("/exec/{namespace}/{pod}/{container}", self._exec)
        application.router.add_get("/portForward/{namespace}/{pod}", self._port_forward)
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )

    async def start(self) -> None:
        """Prepare; then listen()."""
        await self._runner.setup()

    async def listen(self, address: str) -> int:
        """Listen on one node's address; return the port, chosen by the kernel."""
        site = web.TCPSite(self._runner, address, 0, ssl_context=self._tls)
        await site.start()
        return int(self._runner.addresses[-1][1])

    async def stop(self) -> None:
        """End all requests."""
        await self._runner.cleanup()

    async def _container_logs(self, request: web.Request) -> web.StreamResponse:
        namespace, pod, container = (request.match_info[key] for key in ("namespace", "pod", "container"))
        found = self._pods.container(namespace, pod, container)
        if found is None:
            return web.Response(
                status=404, text=f'container "{container}" of pod "{pod}" is not on this node'
            )
        uid, record = found
        folder = log_folder(self._logs, namespace, pod, uid, container)
        files = sorted(folder.glob("*.log"), key=lambda path: int(path.stem))
        if request.query.get("previous") == "true":
            # The current file exists as soon as the container has been started once more.
            files = [file for file in files if int(file.stem) < record.restarts]
            if not files:
                text = f'previous terminated container "{container}" in pod "{pod}" not found'
                return web.Response(status=400, text=text)
        if not files:
            text = f'container "{container}" in pod "{pod}" is waiting to start'
            return web.Response(status=400, text=text)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        follow = request.query.get("follow") == "true" and request.query.get("previous") != "true"
        await _Reader(files[-1], request).copy(response, (lambda: self._runs(record)) if follow else None)
        return response

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        namespace, pod, container = (request.match_info[key] for key in ("namespace", "pod", "container"))
        place = self._pods.place(namespace, pod, container)
        if place is None:
            return web.Response(status=400, text=f'container "{container}" of pod "{pod}" is not running')
        return await execute(request, place, self._children)

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        namespace, pod = (request.match_info[key] for key in ("namespace", "pod"))
        address = self._pods.address(namespace, pod)
        if address is None:
            return web.Response(status=404, text=f'pod "{pod}" is not on this node')
        return await forward(request, address)

    def _runs(self, record: Record) -> bool:
        return isinstance(record.state, Running)


class _Reader:
    """Reads one log file with the options of `kubectl logs`."""

    def __init__(self, path: Path, request: web.Request) -> None:
        query = request.query
        self._path = path
        self._timestamps = query.get("timestamps") == "true"
        self._tail = int(query["tailLines"]) if "tailLines" in query else None
        self._bytes_left = int(query["limitBytes"]) if "limitBytes" in query else None
        self._since = query.get("sinceTime", "")
        if "sinceSeconds" in query:
            moment = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=int(query["sinceSeconds"]))
            self._since = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def copy(self, response: web.StreamResponse, runs: Callable[[], bool] | None) -> None:
        """Copy the file; with `runs`, also later lines until the container has ended."""
        with self._path.open("rb") as file:
            content = file.read()
            if self._tail is not None:
                content = b"".join(content.splitlines(keepends=True)[-self._tail :] if self._tail else [])
            await self._send(response, content)
            while runs is not None and self._bytes_left != 0:
                running = runs()  # evaluated before the read, so that the last lines are read
                if content := file.read():
                    await self._send(response, content)
                elif not running:
                    return
                else:
                    await asyncio.sleep(_LOOK_SECONDS)

    async def _send(self, response: web.StreamResponse, content: bytes) -> None:
        shown = []
        for line in parse_lines(content.decode(errors="replace")):
            if line.time < self._since:
                continue
            start = f"{line.time} " if self._timestamps else ""
            shown.append(start + line.text + ("\n" if line.whole else ""))
        data = "".join(shown).encode()
        if self._bytes_left is not None:
            data = data[: self._bytes_left]
            self._bytes_left -= len(data)
        if data:
            await response.write(data)


@web.middleware
async def _only_api_server(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    names = dict(pair for part in (certificate or {}).get("subject", ()) for pair in part)
    if names.get("commonName") != _API_SERVER:
        return web.Response(status=403, text="Only the API server may use this port.")
    return await handler(request)
