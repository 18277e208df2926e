"""A current copy of a list of objects: list, watch, repeat."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping

import aiohttp
import structlog

from wsedge_devcluster.agent.api import Api
from wsedge_devcluster.agent.objects import Object, key_of
from wsedge_devcluster.errors import ApiError

log = structlog.get_logger()

# Arguments of a handler: the object before (None: new) and after (None: deleted).
Handler = Callable[[Object | None, Object | None], None]
_PAUSE_FIRST, _PAUSE_MAX = 0.2, 5.0


class Informer:
    """Objects of one path by `namespace/name`. Handlers are called once for each change."""

    def __init__(self, api: Api, path: str, params: Mapping[str, str] | None = None) -> None:
        self._api, self._path, self._params = api, path, dict(params or {})
        self._objects: dict[str, Object] = {}
        self._handlers: list[Handler] = []
        self.synced = asyncio.Event()

    def on_change(self, handler: Handler) -> None:
        """Add a handler; call before run()."""
        self._handlers.append(handler)

    def get(self, key: str) -> Object | None:
        """Return the object `namespace/name`, None when it does not exist."""
        return self._objects.get(key)

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    async def run(self) -> None:
        """Run until cancelled. Repeat requests to a server that is down or busy, with growing pauses."""
        pause = _PAUSE_FIRST
        while True:
            try:
                version = await self._list()
                pause = _PAUSE_FIRST
                while True:
                    version = await self._watch(version)
            except ApiError as error:
                if error.code != 410:
                    log.warning("watch refused", path=self._path, error=str(error))
            except (aiohttp.ClientError, TimeoutError) as error:
                log.info("watch ended", path=self._path, error=repr(error))
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 (spread, not secrecy)
            pause = min(pause * 2, _PAUSE_MAX)

    async def _list(self) -> str:
        answer = await self._api.get(self._path, self._params)
        fresh = {key_of(item): item for item in answer["items"]}
        for key in [key for key in self._objects if key not in fresh]:
            self._tell(self._objects.pop(key), None)
        for key, item in fresh.items():
            self._put(key, item)
        self.synced.set()
        return str(answer["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        params = {**self._params, "resourceVersion": version, "timeoutSeconds": "300"}
        async for kind, item in self._api.watch(self._path, params):
            version = item["metadata"]["resourceVersion"]
            if kind == "DELETED":
                self._tell(self._objects.pop(key_of(item), None) or item, None)
            elif kind != "BOOKMARK":
                self._put(key_of(item), item)
        return version

    def _put(self, key: str, item: Object) -> None:
        old = self._objects.get(key)
        if old is not None and old["metadata"]["resourceVersion"] == item["metadata"]["resourceVersion"]:
            return
        self._objects[key] = item
        if old is not None and old["metadata"]["uid"] != item["metadata"]["uid"]:
            # Deleted and created again between two watches: two objects, two changes.
            self._tell(old, None)
            old = None
        self._tell(old, item)

    def _tell(self, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            handler(old, new)
