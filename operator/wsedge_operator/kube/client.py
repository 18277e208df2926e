"""Calls to the API server: plain JSON objects in and out, each call with a deadline.

Objects stay dicts: what the operator applies must be byte-stable, and what it reads is compared with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from wsedge_operator.errors import AccessError, UnreachableError, api_error
from wsedge_operator.kube.access import Access
from wsedge_operator.kube.kinds import Kind

Object = dict[str, Any]
Operations = list[Object]  # of a JSON patch

FIELD_MANAGER: Final = "wsedge"
PAGE_SIZE: Final = 500


class Client:
    """An API server, seen as its objects.

    Every method raises ApiError or UnreachableError, and nothing else.
    """

    def __init__(self, access: Access, *, call_seconds: float) -> None:
        """Talk to the API server of `access`, giving each call `call_seconds`. Enter it before the first."""
        self._access = access
        self._call_seconds = call_seconds

    async def __aenter__(self) -> Self:
        connection = self._access.connection
        try:
            tls = connection.as_ssl_context()
        except (OSError, ValueError) as error:
            raise AccessError(f"cannot use the certificates for the API server: {error}") from error
        self._session = aiohttp.ClientSession(
            # As many at a time as the operator has workers: its settings bound them, not this.
            connector=aiohttp.TCPConnector(limit=0, ssl=tls),
            headers={"User-Agent": "wsedge-operator", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=self._call_seconds),
            trust_env=connection.trust_env,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Return one object."""
        return await self._call("GET", kind.path(namespace, name))

    async def list(self, kind: Kind, namespace: str | None) -> tuple[list[Object], str]:
        """Return the watched objects of a kind and the version of the list; None means all namespaces."""
        query = {"limit": str(PAGE_SIZE)}
        if kind.labels:
            query["labelSelector"] = kind.labels
        if kind.fields:
            query["fieldSelector"] = kind.fields
        found: list[Object] = []
        while True:
            page = await self._call("GET", kind.path(namespace), query=query)
            # Items of a list come without the two fields that every single object has.
            found.extend(
                {"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page["items"]
            )
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return found, str(metadata["resourceVersion"])
            query["continue"] = metadata["continue"]

    async def probe(self, kind: Kind, namespace: str | None) -> None:
        """Ask for one object of a kind, whichever it is; raises as `list` does."""
        await self._call("GET", kind.path(namespace), query={"limit": "1"})

    async def served(self, group: str, version: str) -> frozenset[str]:
        """Return the plural names of the kinds that the API server serves in a group and version."""
        found = await self._call("GET", f"/apis/{group}/{version}")
        return frozenset(entry["name"] for entry in found["resources"])

    async def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Create an object; ConflictError when its name is taken."""
        return await self._call("POST", kind.path(namespace), body=body)

    async def replace(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Replace an object; ConflictError when `body` was read before somebody else's change."""
        return await self._call("PUT", kind.path(namespace, body["metadata"]["name"]), body=body)

    async def apply(self, kind: Kind, body: Object, *, subresource: str = "") -> Object:
        """Apply an object on the server as field manager `wsedge`, taking over fields that others hold."""
        metadata = body["metadata"]
        return await self._call(
            "PATCH",
            kind.path(metadata["namespace"], metadata["name"], subresource),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=body,
            content="application/apply-patch+yaml",
        )

    async def merge(self, kind: Kind, namespace: str, name: str, change: Object) -> Object:
        """Merge a change into an object that must exist."""
        return await self._call(
            "PATCH",
            kind.path(namespace, name),
            query={"fieldManager": FIELD_MANAGER},
            body=change,
            content="application/merge-patch+json",
        )

    async def replace_parts(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        parts: Sequence[tuple[str, Any]],
        *,
        version: str,
        dry_run: bool = False,
    ) -> Object:
        """Replace whole parts of an object, by path (`spec.selector`), whoever owns what is in them.

        ConflictError when the object is newer than `version`. A dry run changes nothing and returns what
        would become of the object, through all defaults and admission.
        """
        operations = [
            {"op": "add", "path": "/" + path.replace(".", "/"), "value": value}
            for path, value in (("metadata.resourceVersion", version), *parts)
        ]
        return await self._call(
            "PATCH",
            kind.path(namespace, name),
            query={"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})},
            body=operations,
            content="application/json-patch+json",
        )

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """Delete the object of that uid; another of its name is left alone (ConflictError)."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        await self._call("DELETE", kind.path(namespace, name), body=options)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | Operations | None = None,
        content: str = "application/json",
    ) -> Object:
        call = f"{method} {path}"
        try:
            connection = self._access.current()
            async with self._session.request(
                method,
                f"{connection.server}{path}",
                params=query,
                data=None if body is None else json.dumps(body, separators=(",", ":")).encode(),
                headers={"Content-Type": content, **connection.as_http_headers()},
                proxy=connection.proxy_url,
                # An API server never redirects these calls; whoever does shall not get the token.
                allow_redirects=False,
            ) as answer:
                data = await answer.read()
        except AccessError as error:
            raise UnreachableError(call, str(error)) from error
        except TimeoutError as error:
            raise UnreachableError(call, f"no answer within {self._call_seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(call, f"{type(error).__name__}: {error}") from error
        document = _document(data)
        if answer.status >= 300:
            raise api_error(call, answer.status, document or {"message": data.decode(errors="replace")[:500]})
        return document


def _document(data: bytes) -> Object:
    """Return a JSON object, or an empty one for an answer that is none (a proxy's error page)."""
    try:
        document = json.loads(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
