"""Calls to the API server: plain JSON objects in and out, each call with a deadline.

Objects stay dicts: an applied object must be byte-stable, and is compared with the stored one field by field.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Any, Final, NamedTuple, NoReturn, Self

import aiohttp
from pydantic_core import from_json

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
# Of a list: a page is parsed as a whole, and its objects have many times the size that the cache keeps.
PAGE_SIZE: Final = 100
# A watch ends after this time and goes on in another stream; it ends earlier when it is silent.
_WATCH_SECONDS: Final = 600
_SILENT_SECONDS: Final = 130.0
# Characters that are escaped in a body: beyond ASCII, up to U+FFFF.
_ESCAPED: Final = re.compile("[\x7f-\uffff]")
BOOKMARK: Final = "BOOKMARK"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and the resource version of the whole list."""

    items: list[Object]
    version: str


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
        self._timeout = aiohttp.ClientTimeout(total=call_seconds)
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
        self._proxy = connection.proxy()
        try:
            tls = connection.tls()
        except (OSError, ValueError) as error:
            raise AccessError(f"cannot use the certificates for the API server: {error}") from error
        self._session = aiohttp.ClientSession(
            # No limit of its own: the number of the operator's workers bounds the connections.
            connector=aiohttp.TCPConnector(limit=0, ssl=tls),
            headers={"User-Agent": "wsedge-operator", "Accept": "application/json"},
            timeout=self._timeout,
            trust_env=False,
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
        found: list[Object] = []
        async for page in self.pages(kind, namespace):
            found += page.items
        return found, page.version

    async def pages(self, kind: Kind, namespace: str | None) -> AsyncIterator[Page]:
        """Yield a list in pages, so that few objects are held at once.

        Raises ExpiredError when the list is too old for its next page.
        """
        query = {"limit": str(PAGE_SIZE), **_selectors(kind)}
        while True:
            page = await self._call("GET", kind.path(namespace), query=query)
            # The API server omits apiVersion and kind in the items of a list.
            items = [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page["items"]]
            metadata = page["metadata"]
            yield Page(items, str(metadata["resourceVersion"]))
            if not metadata.get("continue"):
                return
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
        self, kind: Kind, namespace: str | None, version: str
    ) -> AsyncIterator[tuple[str, Object]]:
        """Yield the events after a resource version until the stream ends: its type, and the object.

        The object of a BOOKMARK has nothing but a resource version. Raises ExpiredError when the API server
        does not know the events after `version` any more.
        """
        path = kind.path(namespace)
        query = {
            "watch": "1",
            "allowWatchBookmarks": "1",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
            **_selectors(kind),
        }
        # A connection that broke without FIN or RST is silent; a bookmark comes each minute.
        bounds = aiohttp.ClientTimeout(sock_connect=self._call_seconds, sock_read=_SILENT_SECONDS)
        pending = bytearray()
        async with self._response("GET", path, query=query, headers={}, bounds=bounds) as answer:
            if answer.status >= 300:
                _reject(f"WATCH {path}", answer, await answer.read())
            async for piece in answer.content.iter_any():
                pending += piece
                if b"\n" not in piece:
                    continue
                *lines, rest = pending.split(b"\n")
                pending = bytearray(rest)
                for line in lines:
                    yield _event(path, line)

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
        data = None if body is None else encoded(body)
        headers = {"Content-Type": content}
        return (await self._attempt(method, path, query=query, data=data, headers=headers)).document

    async def _attempt(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str],
    ) -> _Answer:
        call = f"{method} {path}"
        if self._breaker is None:
            return await self._send(call, method, path, query, data, headers)
        admitted = await self._breaker.admit()
        try:
            answer = await self._send(call, method, path, query, data, headers)
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
        data: bytes | None,
        headers: Mapping[str, str],
    ) -> _Answer:
        async with self._response(method, path, query=query, data=data, headers=headers) as answer:
            text = await answer.read()
        if answer.status >= 300 and answer.status != 304:
            _reject(call, answer, text)
        return _Answer(_document(text), answer.status, answer.headers.get("ETag", ""))

    @asynccontextmanager
    async def _response(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str],
        bounds: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the answer of a call. Failures to get or to read it are raised as UnreachableError."""
        call = f"{method} {path}"
        fence = self._fence if method != "GET" else None
        if fence is not None:
            fence()
        try:
            connection = self._access.current()
            async with self._session.request(
                method,
                f"{connection.server}{path}",
                params=query,
                data=data,
                headers={**headers, **connection.headers()},
                proxy=self._proxy,
                # An API server never redirects these calls. Any other server must not get the token.
                allow_redirects=False,
                timeout=bounds or self._timeout,
                trace_request_ctx=fence,
            ) as answer:
                yield answer
        except AccessError as error:
            raise UnreachableError(call, str(error)) from error
        except TimeoutError as error:
            seconds = (bounds or self._timeout).sock_read or self._call_seconds
            raise UnreachableError(call, f"no answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(call, f"{type(error).__name__}: {error}") from error


def encoded(body: Object | Operations) -> bytes:
    r"""Return a body as JSON that is YAML too, as which the API server reads an apply.

    JSON escapes a character beyond U+FFFF as two surrogates, which YAML refuses; so it is written as it is.
    All others beyond ASCII are escaped, since YAML refuses some of them as they are, and folds line breaks.
    """
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return _ESCAPED.sub(_escape, text).encode()


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return "\\ufffd" if 0xD800 <= code < 0xE000 else f"\\u{code:04x}"


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


def _selectors(kind: Kind) -> dict[str, str]:
    selectors = {"labelSelector": kind.labels, "fieldSelector": kind.fields}
    return {name: value for name, value in selectors.items() if value}


def _event(path: str, line: bytes | bytearray) -> tuple[str, Object]:
    """Return the type and the object of one line of a watch; raises ApiError for an ERROR."""
    event = _document(line)
    live = event.get("object")
    if not isinstance(live, dict):
        raise UnreachableError(f"WATCH {path}", "an event that is no JSON object")
    if event.get("type") == "ERROR":
        raise api_error(f"WATCH {path}", int(live.get("code") or 500), live)
    return str(event.get("type")), live


def _reject(call: str, answer: aiohttp.ClientResponse, text: bytes) -> NoReturn:
    said = _document(text) or {"message": text.decode(errors="replace")[:500]}
    raise api_error(call, answer.status, said, _seconds(answer.headers.get("Retry-After")))


def _document(data: bytes | bytearray) -> Object:
    """Return the JSON object of an answer; an empty one for anything else, such as a proxy's error page.

    Short strings are cached and shared by all documents: a cache of objects has each name of a field once.
    """
    try:
        document = from_json(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
