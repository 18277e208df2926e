"""Events, as a kubelet writes them: equal Events are counted, and writing never blocks the caller."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

import aiohttp
import structlog

from wsedge_devcluster.agent.api import Api
from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.agent.times import stamp, utc_now
from wsedge_devcluster.errors import ApiError

log = structlog.get_logger()

_WAITING = 1000  # events; later ones are dropped while the API server is down
_TRIES, _PAUSE = 12, 5.0  # a minute; a kubelet gives up in the same way


@dataclass(slots=True)
class _Known:
    name: str
    count: int


class Events:
    """Writes Events in the background."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._queue: asyncio.Queue[tuple[Object, str, str, str, str]] = asyncio.Queue(_WAITING)
        self._known: dict[tuple[str, str, str, str], _Known] = {}

    def normal(self, item: Object, reason: str, message: str, *, field: str = "") -> None:
        """Queue a Normal Event. `field` names a part of the object, such as spec.containers{main}."""
        self._put(item, "Normal", reason, message, field)

    def warning(self, item: Object, reason: str, message: str, *, field: str = "") -> None:
        """Queue a Warning Event: a person may have to act."""
        self._put(item, "Warning", reason, message, field)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            event = await self._queue.get()
            for _ in range(_TRIES):
                try:
                    await self._write(*event)
                    break
                except ApiError as error:
                    # Refused for good, for example in a namespace that is being deleted.
                    log.debug("event refused", error=str(error))
                    break
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(_PAUSE)

    def _put(self, item: Object, kind: str, reason: str, message: str, field: str) -> None:
        try:
            self._queue.put_nowait((item, kind, reason, message, field))
        except asyncio.QueueFull:
            log.warning("event dropped", reason=reason, message=message)

    async def _write(self, item: Object, kind: str, reason: str, message: str, field: str) -> None:
        metadata = item["metadata"]
        namespace = metadata.get("namespace", "default")
        path = f"/api/v1/namespaces/{namespace}/events"
        key = (metadata["uid"], reason, message, field)
        now = stamp(utc_now())
        if known := self._known.get(key):
            known.count += 1
            try:
                await self._api.patch(f"{path}/{known.name}", {"count": known.count, "lastTimestamp": now})
                return
            except ApiError as error:
                if error.code != 404:  # expired meanwhile: create another
                    raise
        name = f"{metadata['name']}.{uuid.uuid4().hex[:16]}"
        await self._api.create(path, _event(item, kind, reason, message, field, name, now))
        self._known[key] = _Known(name, 1)
        if len(self._known) > 10 * _WAITING:
            del self._known[next(iter(self._known))]


def _event(item: Object, kind: str, reason: str, message: str, field: str, name: str, now: str) -> Object:
    metadata = item["metadata"]
    involved = {
        "apiVersion": "v1",
        "kind": item.get("kind", "Pod"),
        "name": metadata["name"],
        "namespace": metadata.get("namespace"),
        "uid": metadata["uid"],
        "resourceVersion": metadata.get("resourceVersion"),
        "fieldPath": field or None,
    }
    source = {"component": "kubelet", "host": item.get("spec", {}).get("nodeName")}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": metadata.get("namespace", "default")},
        "involvedObject": involved,
        "type": kind,
        "reason": reason,
        "message": message[:1024],
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": source,
        "reportingComponent": "kubelet",
        "reportingInstance": source["host"] or "",
    }
