"""Calls to the API server: plain JSON objects in and out, each call with a deadline.

Objects stay dicts: an applied object must be byte-stable, and is compared with the stored one field by field.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import SimpleNamespace, TracebackType
from typing import Any, Final, NamedTuple, Self

import aiohttp

from wsedge_operator.errors import AccessError, ApiError, UndeclaredError, UnreachableError, api_error
from wsedge_operator.kube.access import Access
from wsedge_operator.kube.breaker import Breaker
from wsedge_operator.kube.kinds import Kind

Object = dict[str, Any]
Operations = list[Object]  # of a JSON patch

# Raises LeaseLostError when this process must not write any more.
Fence = Callable[[], None]

FIELD_MANAGER: Final = "wsedge"
# Aggregated discovery: v2 since Kubernetes 1.30, v2beta1 before; else the list of groups.
_DISCOVERY: Final = ",".join(
    [
        *(
            f"application/json;g=apidiscovery.k8s.io;v={v};as=APIGroupDiscoveryList"
            for v in ("v2", "v2beta1")
        ),
        "application/json",
    ]
)
PAGE_SIZE: Final = 500


class _Answer(NamedTuple):
    document: Object
    status: int
    etag: str


class Client:
    """Calls to one API server.

    Every method raises ApiError or UnreachableError, and no other exception; but a write of a client with a
    fence may raise LeaseLostError.
    """

    def __init__(self, access: Access, *, call_seconds: float) -> None:
        """Call the API server of `access`, each time with a deadline of `call_seconds`; enter it first."""
        self._access = access
        self._call_seconds = call_seconds
        self._breaker: Breaker | None = None
        self._fence: Fence | None = None

    def guarded(self, fence: Fence) -> Client:
        """Return a client on the same connections with a breaker, and with a fence before its writes.

        Calls about the Lease need a client without both: they renew what the fence checks, and are few.
        """
        guarded = copy.copy(self)
        guarded._breaker = Breaker()
        guarded._fence = fence
        return guarded

    async def __aenter__(self) -> Self:
        connection = self._access.connection
        try:
            tls = connection.as_ssl_context()
        except (OSError, ValueError) as error:
            raise AccessError(f"cannot use the certificates for the API server: {error}") from error
        self._session = aiohttp.ClientSession(
            # No limit of its own: the number of the operator's workers bounds the connections.
            connector=aiohttp.TCPConnector(limit=0, ssl=tls),
            headers={"User-Agent": "wsedge-operator", "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=self._call_seconds),
            trust_env=connection.trust_env,
            trace_configs=[_checks_after_connecting()],
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
        """Return the objects of a kind that match its selectors, and the list's resource version.

        `namespace` None means all namespaces.
        """
        query = {"limit": str(PAGE_SIZE)}
        if kind.labels:
            query["labelSelector"] = kind.labels
        if kind.fields:
            query["fieldSelector"] = kind.fields
        found: list[Object] = []
        while True:
            page = await self._call("GET", kind.path(namespace), query=query)
            # The API server omits apiVersion and kind in the items of a list.
            found.extend(
                {"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page["items"]
            )
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return found, str(metadata["resourceVersion"])
            query["continue"] = metadata["continue"]

    async def probe(self, kind: Kind, namespace: str | None) -> None:
        """List one object of a kind: a cheap call with the same right and the same errors as `list`."""
        await self._call("GET", kind.path(namespace), query={"limit": "1"})

    async def discover(self, etag: str) -> tuple[Object | None, str]:
        """Return the document of all groups, versions and kinds that are served, and its ETag.

        The document is None when it is the one that `etag` names: an unchanged answer costs a header. It is
        an APIGroupDiscoveryList, or an APIGroupList of an API server without aggregated discovery.
        """
        headers = {"Accept": _DISCOVERY, **({"If-None-Match": etag} if etag else {})}
        answer = await self._attempt("GET", "/apis", headers=headers)
        return (None, etag) if answer.status == 304 else (answer.document, answer.etag)

    async def watch(
        self, kind: Kind, namespace: str | None, version: str, seconds: int
    ) -> AsyncIterator[tuple[str, Object]]:
        """Yield type and object of each change since the resource version, for `seconds` at most.

        Raises ExpiredError when the API server does not know that version any more.
        """
        query = {
            "watch": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
            "allowWatchBookmarks": "true",
        }
        if kind.labels:
            query["labelSelector"] = kind.labels
        path = kind.path(namespace)
        call = f"WATCH {path}"
        # A connection that broke without FIN or RST is noticed after the time of the watch.
        timeout = aiohttp.ClientTimeout(total=None, connect=self._call_seconds, sock_read=seconds + 10)
        try:
            connection = self._access.current()
            async with self._session.get(
                f"{connection.server}{path}",
                params=query,
                headers=connection.as_http_headers(),
                proxy=connection.proxy_url,
                allow_redirects=False,
                timeout=timeout,
            ) as answer:
                if answer.status >= 300:
                    raise api_error(call, answer.status, _document(await answer.read()))
                async for line in _lines(answer.content):
                    event = _document(line)
                    found = event.get("object") or {}
                    if event.get("type") == "ERROR":
                        raise api_error(call, int(found.get("code") or 500), found)
                    yield str(event.get("type")), found
        except AccessError as error:
            raise UnreachableError(call, str(error)) from error
        except TimeoutError as error:
            raise UnreachableError(call, "the watch was silent") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(call, f"{type(error).__name__}: {error}") from error

    async def served(self, group: str, version: str) -> frozenset[str]:
        """Return the plural names of the kinds that the API server serves in a group and version."""
        found = await self._call("GET", f"/apis/{group}/{version}")
        return frozenset(entry["name"] for entry in found["resources"])

    async def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Create an object; raises ConflictError when one of that name exists."""
        return await self._call("POST", kind.path(namespace), body=body)

    async def replace(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Replace an object; raises ConflictError when it has changed since `body` was read."""
        return await self._call("PUT", kind.path(namespace, body["metadata"]["name"]), body=body)

    async def apply(self, kind: Kind, body: Object, *, subresource: str = "") -> Object:
        """Apply an object (server-side) as field manager `wsedge`, also fields that others manage."""
        metadata = body["metadata"]
        return await self._call(
            "PATCH",
            kind.path(metadata["namespace"], metadata["name"], subresource),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=body,
            content="application/apply-patch+yaml",
        )

    async def declares(self, kind: Kind, live: Object, status: Object) -> bool:
        """Return whether the definition of a kind has the fields of `status`, by a dry run of an apply."""
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {key: live["metadata"][key] for key in ("namespace", "name")},
            "status": status,
        }
        try:
            await self._call(
                "PATCH",
                kind.path(live["metadata"]["namespace"], live["metadata"]["name"], "status"),
                query={"fieldManager": FIELD_MANAGER, "force": "true", "dryRun": "All"},
                body=body,
                content="application/apply-patch+yaml",
            )
        except UndeclaredError:
            return False
        return True

    async def merge(self, kind: Kind, namespace: str, name: str, change: Object) -> Object:
        """Merge a change into an object (RFC 7386); raises NotFoundError when there is none."""
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
        """Replace whole parts of an object, by path (`spec.selector`), whichever managers own their fields.

        Server-side apply leaves fields of other managers in a map or list; a JSON patch (RFC 6902) does not.
        Raises ConflictError when the object is newer than `version`. A dry run changes nothing and returns
        the object as it would be after defaulting and admission.
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
        """Delete the object of that uid; raises ConflictError when the name is another object's."""
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
        headers = {"Content-Type": content}
        return (await self._attempt(method, path, query=query, body=body, headers=headers)).document

    async def _attempt(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | Operations | None = None,
        headers: Mapping[str, str],
    ) -> _Answer:
        call = f"{method} {path}"
        if self._breaker is None:
            return await self._send(call, method, path, query, body, headers)
        admitted = await self._breaker.admit()
        try:
            answer = await self._send(call, method, path, query, body, headers)
        except UnreachableError as error:
            self._breaker.failed(admitted, None, str(error))
            raise
        except ApiError as error:
            if error.status == 429 or error.status >= 500:
                self._breaker.failed(admitted, error.retry_after, str(error))
            else:
                self._breaker.succeeded(admitted)
            raise
        self._breaker.succeeded(admitted)
        return answer

    async def _send(
        self,
        call: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | Operations | None,
        headers: Mapping[str, str],
    ) -> _Answer:
        fence = self._fence if method != "GET" else None
        if fence is not None:
            fence()
        try:
            connection = self._access.current()
            async with self._session.request(
                method,
                f"{connection.server}{path}",
                params=query,
                data=None if body is None else json.dumps(body, separators=(",", ":")).encode(),
                headers={**headers, **connection.as_http_headers()},
                proxy=connection.proxy_url,
                # An API server never redirects these calls. Any other server must not get the token.
                allow_redirects=False,
                trace_request_ctx=fence,
            ) as answer:
                data = await answer.read()
        except AccessError as error:
            raise UnreachableError(call, str(error)) from error
        except TimeoutError as error:
            raise UnreachableError(call, f"no answer within {self._call_seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(call, f"{type(error).__name__}: {error}") from error
        document = _document(data)
        if answer.status >= 300 and answer.status != 304:
            said = document or {"message": data.decode(errors="replace")[:500]}
            raise api_error(call, answer.status, said, _seconds(answer.headers.get("Retry-After")))
        return _Answer(document, answer.status, answer.headers.get("ETag", ""))


def _checks_after_connecting() -> aiohttp.TraceConfig:
    """Return hooks that ask a write's fence again after connecting, which may take seconds."""

    async def check(_session: object, context: SimpleNamespace, _connected: object) -> None:
        if context.trace_request_ctx is not None:
            context.trace_request_ctx()

    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(check)
    return config


def _seconds(text: str | None) -> float | None:
    """Return the seconds of a Retry-After (RFC 9110, 10.2.3); None for a date, which no API server sends."""
    try:
        seconds = float(text) if text is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield the lines of a watch, each an object of any size: `StreamReader.readline` bounds a line."""
    rest = bytearray()
    async for chunk in content.iter_any():
        *lines, last = chunk.split(b"\n")
        for line in lines:
            yield bytes(rest + line)
            rest.clear()
        rest += last


def _document(data: bytes) -> Object:
    """Return the JSON object of an answer; an empty one for anything else, such as a proxy's error page."""
    try:
        document = json.loads(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
