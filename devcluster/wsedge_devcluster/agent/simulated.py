"""The admin port of a simulated relay: `GET /config` answered from the pod's ConfigMap, without a process.

A simulated pod has an address of its own in the cluster's range of 127.0.0.0/8, as every pod has, so each
relay has a listener of its own there, and the operator finds it as it finds a real one. The ConfigMap is read
like a kubelet syncs mounted files: at the first request, at the first request after the pod was changed (a
poke of the operator), and else at most every `sync_seconds`. So a relay lags after an edit, as real ones do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import aiohttp
import structlog

from wsedge_devcluster.agent.context import PodContext
from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.errors import ApiError

log = structlog.get_logger()

_ADMIN: Final = "admin"  # name of the container's port
_CONFIG: Final = "WSEDGE_RELAY_CONFIG"  # path of the RelayConfig, in the container's environment
_HEAD_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a pod a relay: its admin port, and the place of its RelayConfig."""

    port: int
    config_map: str
    key: str


def identity_of(pod: Object) -> Identity | None:
    """Return the relay that a pod simulates; None for a pod that is no relay."""
    for container in pod["spec"]["containers"]:
        ports = [port["containerPort"] for port in container.get("ports", []) if port.get("name") == _ADMIN]
        paths = [entry.get("value", "") for entry in container.get("env", []) if entry["name"] == _CONFIG]
        if not (ports and paths):
            continue
        path = PurePosixPath(paths[0])
        mounted = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}
        for volume in pod["spec"].get("volumes", []):
            if volume["name"] == mounted.get(str(path.parent)) and "configMap" in volume:
                return Identity(ports[0], volume["configMap"]["name"], path.name)
    return None


def state_of(config: Object) -> Object:
    """Return the RelayState of a relay without connections that runs a RelayConfig."""
    draining = all(not domain.get("enabled", True) for domain in config.get("domains", []))
    return {"generation": config["generation"], "draining": draining, "openConnections": 0}


class SimulatedRelay:
    """One relay of a simulated pod."""

    def __init__(self, context: PodContext, identity: Identity) -> None:
        self._context, self._identity = context, identity
        self._server: asyncio.Server | None = None
        self._state: Object | None = None
        self._read: tuple[int, float] | None = None  # the pod's version and the time of the last reading

    async def start(self) -> None:
        """Listen on the pod's address; a port in use is logged, and the relay then does not answer."""
        host, port = self._context.facts.address, self._identity.port
        try:
            self._server = await asyncio.start_server(self._serve, host, port)
        except OSError as error:
            log.warning("simulated relay does not listen", host=host, port=port, error=str(error))

    def close(self) -> None:
        """End the listener."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            status, body = await self._answer(head)
            writer.write(
                b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                b"Connection: close\r\n\r\n%s" % (status, len(body), body)
            )
            await writer.drain()
        writer.close()

    async def _answer(self, head: bytes) -> tuple[bytes, bytes]:
        if not head.startswith(b"GET /config "):
            return b"404 Not Found", b""
        try:
            state = await self._current()
        except (ApiError, aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            log.info("simulated relay has no configuration", pod=self._pod(), error=repr(error))
            return b"503 Service Unavailable", b""
        return b"200 OK", json.dumps(state).encode()

    async def _current(self) -> Object:
        version, now = self._context.version, time.monotonic()
        sync = self._context.tools.sync_seconds
        if (
            self._state is None
            or self._read is None
            or self._read[0] != version
            or now - self._read[1] > sync
        ):
            metadata = self._context.pod["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/configmaps/{self._identity.config_map}"
            live = await self._context.tools.api.get(path)
            self._state = state_of(json.loads(live["data"][self._identity.key]))
            self._read = version, now
        return self._state

    def _pod(self) -> str:
        metadata = self._context.pod["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}"
