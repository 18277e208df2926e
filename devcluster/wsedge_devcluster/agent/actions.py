"""Actions of probes and lifecycle hooks: httpGet, tcpSocket, exec, sleep."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from wsedge_devcluster.agent.context import PodContext
from wsedge_devcluster.agent.images import program
from wsedge_devcluster.agent.mounts import replace_mount_paths
from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.errors import ContainerError, present


@dataclass(frozen=True, slots=True)
class Place:
    """Environment, folder and mounts of a container's commands."""

    env: Mapping[str, str]
    folder: Path
    mounts: Mapping[str, str]


async def perform(
    action: Object, container: Object, context: PodContext, place: Place, seconds: float
) -> str | None:
    """Carry out one action. Return None for success, else the failure, with a kubelet's text."""
    try:
        async with asyncio.timeout(seconds):
            if "httpGet" in action:
                return await _http_get(action["httpGet"], container, context)
            if "tcpSocket" in action:
                return await _tcp(action["tcpSocket"], container, context)
            if "exec" in action:
                return await _execute(action["exec"]["command"], context, place)
            if "sleep" in action:
                await asyncio.sleep(action["sleep"]["seconds"])
                return None
    except TimeoutError:
        return f"command timed out after {seconds:g}s" if "exec" in action else "context deadline exceeded"
    return "this node does not support the action " + ", ".join(
        k for k in action if isinstance(action[k], dict)
    )


def port_number(port: int | str, container: Object) -> int:
    """Return a port given by its number or by its name in the container. Raises ContainerError."""
    if isinstance(port, int):
        return port
    for named in container.get("ports", []):
        if named.get("name") == port:
            return int(named["containerPort"])
    raise ContainerError("UnknownPort", f"couldn't find port: {port!r} in container {container['name']}")


async def _http_get(action: Object, container: Object, context: PodContext) -> str | None:
    host = action.get("host") or context.facts.address
    try:
        port = port_number(action["port"], container)
    except ContainerError as error:
        return error.message
    url = f"{action.get('scheme', 'HTTP').lower()}://{host}:{port}{_slash(action.get('path', '/'))}"
    headers = {"User-Agent": "kube-probe/1.36", "Connection": "close"}
    headers |= {header["name"]: header["value"] for header in action.get("httpHeaders", [])}
    try:
        async with context.tools.http.get(url, headers=headers, allow_redirects=False) as response:
            if 200 <= response.status < 400:
                return None
            return f"HTTP probe failed with statuscode: {response.status}"
    except (aiohttp.ClientError, ConnectionError) as error:
        return f'Get "{url}": {_cause(error, host, port)}'


async def _tcp(action: Object, container: Object, context: PodContext) -> str | None:
    host = action.get("host") or context.facts.address
    try:
        port = port_number(action["port"], container)
        _, writer = await asyncio.open_connection(host, port)
    except ContainerError as error:
        return error.message
    except OSError as error:
        return _cause(error, host, port)
    writer.close()
    return None


async def _execute(command: list[str], context: PodContext, place: Place) -> str | None:
    try:
        full = program([replace_mount_paths(word, place.mounts) for word in command])
        child = context.tools.children.start(
            full, env=place.env, cwd=place.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except (ContainerError, OSError) as error:
        return str(error)
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), present(child.stdout)
    )
    try:
        output = await reader.read(10 * 1024)  # a kubelet's limit for the output of a probe
        code = await child.wait()
    finally:
        child.send_to_all(signal.SIGKILL)
        transport.close()
    return None if code == 0 else output.decode(errors="replace").strip() or f"command ended with {code}"


def _cause(error: BaseException, host: str, port: int) -> str:
    if isinstance(error, ConnectionRefusedError) or isinstance(
        getattr(error, "os_error", None), ConnectionRefusedError
    ):
        return f"dial tcp {host}:{port}: connect: connection refused"
    return f"dial tcp {host}:{port}: {error}"


def _slash(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"
