"""A small client of the Kubernetes API: plain REST and watch."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp

from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.errors import ApiError
from wsedge_devcluster.machine.pki import Identity

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
_REQUEST_SECONDS = 30.0
_WATCH_SILENCE = 120.0  # a bookmark comes each minute


class Api:
    """One API server, one identity. Requests have a deadline and raise ApiError or aiohttp.ClientError."""

    def __init__(self, server: str, authority: Path, identity: Identity) -> None:
        context = ssl.create_default_context(cafile=str(authority))
        context.load_cert_chain(identity.certificate, identity.key)
        self._session = aiohttp.ClientSession(
            server,
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def text(self, path: str) -> str:
        """GET text, such as /readyz."""
        async with self._session.get(path) as response:
            await _check(response)
            return await response.text()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Object:
        """GET an object or a list."""
        return await self._request("GET", path, params=params)

    async def create(self, path: str, body: Object) -> Object:
        """POST."""
        return await self._request("POST", path, body=body)

    async def patch(self, path: str, body: Object, kind: str = MERGE) -> Object:
        """PATCH; `kind` is the media type of the patch."""
        return await self._request("PATCH", path, body=body, content_type=kind)

    async def delete(self, path: str, body: Object | None = None) -> Object:
        """DELETE, with DeleteOptions."""
        return await self._request("DELETE", path, body=body)

    async def watch(self, path: str, params: Mapping[str, str]) -> AsyncIterator[tuple[str, Object]]:
        """Yield events after `resourceVersion` as (type, object), until the server ends the watch.

        An ERROR event is raised as ApiError (410: too old, list again).
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=_WATCH_SILENCE)
        asked = {**params, "watch": "1", "allowWatchBookmarks": "1"}
        async with self._session.get(path, params=asked, timeout=timeout) as response:
            await _check(response)
            pending = b""
            # Lines by hand: an object can be longer than aiohttp's line limit.
            async for chunk in response.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _error(event["object"], event["object"].get("code", 500))
                    yield event["type"], event["object"]

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        async with self._session.request(method, path, params=params, data=data, headers=headers) as response:
            await _check(response)
            answer: Object = await response.json()
            return answer


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = await response.text()
    try:
        status = json.loads(text)
    except ValueError:
        status = {"reason": response.reason, "message": text}
    raise _error(status, response.status)


def _error(status: Object, code: int) -> ApiError:
    return ApiError(code, str(status.get("reason", "")), str(status.get("message", "")))
