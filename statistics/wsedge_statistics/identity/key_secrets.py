"""The Secrets with access keys, listed and watched at the API server.

The program may list and watch Secrets of one name and no other: RBAC restricts a list by `resourceNames`
where the request selects the name. So keys come from their owners' namespaces to this process alone, over
TLS; no other program carries them, and no disk of this program has them. A revoked key ends with its event.

While the API server cannot be reached, the last keys stay valid: they were not revoked by its failure.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import structlog

from wsedge_statistics.contract import ACCESS_KEYS_NAME, ACCESS_KEYS_TYPE
from wsedge_statistics.identity.access_keys import AccessKeys, KeySecret, read_secret

WATCH_SECONDS: Final = 30  # bounds how long a connection that the network forgot delays a revocation
READ_SECONDS: Final = 40.0
CLOSE_SECONDS: Final = 2.0
PAUSES: Final = (1.0, 2.0, 5.0, 10.0)
PAGE: Final = 50
MAX_PAGE: Final = 96 << 20  # fifty Secrets of the largest size
MAX_EVENT: Final = 4 << 20
# A namespace's user can write Secrets of a megabyte as fast as the API server takes them. Parsed at this rate
# they cost a few percent of a core; a watch that falls behind is ended by the server, and listed again.
BYTES_PER_SECOND: Final = 4 << 20

log = structlog.get_logger()


class _WatchEndedError(Exception):
    """The watch cannot go on from its last version; list again."""


@dataclass(frozen=True, slots=True)
class OpenAnswer:
    """An answer that is being read. `opened` is its socket, also where the connection has let go of it."""

    connection: http.client.HTTPSConnection
    opened: socket.socket
    answer: http.client.HTTPResponse

    def interrupt(self) -> None:
        """End a read of the answer in another thread."""
        with suppress(OSError):  # the other side may have ended it
            self.opened.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the answer and its connection."""
        self.answer.close()
        self.connection.close()


@dataclass(frozen=True, slots=True)
class ApiServer:
    """The API server and this program's credentials. The token's file is read at each call: it is renewed."""

    url: str
    ca_file: Path | None
    token_file: Path

    def open(self, path: str, document: Any = None) -> OpenAnswer:
        """Send a GET, or a POST of a document; return its answer.

        Raises OSError, ValueError or http.client.HTTPException; FileNotFoundError for 404.
        """
        parts = urlsplit(self.url)
        token = self.token_file.read_text().strip()
        if not token.isascii() or not token.isprintable():
            # http.client rejects most of these as well, but its message contains the token
            raise ValueError(f"{self.token_file} does not contain a token")
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 443, timeout=READ_SECONDS, context=context
        )
        try:
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            connection.connect()
            opened = connection.sock
            method, body = ("GET", None) if document is None else ("POST", json.dumps(document).encode())
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, parts.path.rstrip("/") + path, body, headers)
            answer = connection.getresponse()
            if answer.status == 404:
                raise FileNotFoundError(f"the API server has no {path}")
            if answer.status not in (200, 201):
                raise OSError(f"the API server answered {answer.status}: {answer.read(300)!r}")
            return OpenAnswer(connection, opened, answer)
        except BaseException:
            connection.close()
            raise


@dataclass
class _Scope:
    """One namespace (None: all) with the Secrets found in it; None until the first list."""

    namespace: str | None
    found: dict[str, KeySecret] | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    reading: OpenAnswer | None = None


class KeySecrets:
    """Follows the Secrets of all namespaces, or of some, each in a thread of its own."""

    def __init__(
        self,
        server: ApiServer,
        namespaces: tuple[str, ...],
        *,
        changed: Callable[[int], None],
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        """Follow nothing yet; `changed` is called with the number of keys after each change.

        `wait` waits some seconds, or less when the event is set.
        """
        self._wait = wait
        self._server = server
        self._changed = changed
        self._scopes = [_Scope(name) for name in namespaces] or [_Scope(None)]
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._keys: AccessKeys | None = None

    @property
    def keys(self) -> AccessKeys | None:
        """The keys in force; None before the first list of every namespace."""
        return self._keys

    def start(self) -> None:
        """Begin to follow."""
        for scope in self._scopes:
            thread = threading.Thread(target=self._follow, args=(scope,), name="access keys", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Stop, and wait for the threads."""
        for scope in self._scopes:
            scope.stop.set()
            with self._lock:
                if scope.reading is not None:
                    scope.reading.interrupt()
        for thread in self._threads:
            thread.join(CLOSE_SECONDS)  # one that is connecting ends with the process

    def _follow(self, scope: _Scope) -> None:
        failures = 0
        version = ""
        while not scope.stop.is_set():
            try:
                version = version or self._list(scope)
                version = self._watch(scope, version)
                failures = 0
            except _WatchEndedError:
                version = ""
            # What is not of the API's form is no reason to stop: the next list may be.
            except (
                OSError,
                ValueError,
                LookupError,
                TypeError,
                AttributeError,
                http.client.HTTPException,
            ) as error:
                version = ""
                if scope.stop.is_set():
                    return
                log.warning("access keys not read", namespace=scope.namespace, error=str(error)[:300])
                self._wait(scope.stop, PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1

    def _path(self, scope: _Scope, **parameters: str) -> str:
        place = f"/namespaces/{scope.namespace}" if scope.namespace else ""
        selector = f"metadata.name={ACCESS_KEYS_NAME},type={ACCESS_KEYS_TYPE}"
        return f"/api/v1{place}/secrets?{urlencode({'fieldSelector': selector, **parameters})}"

    def _list(self, scope: _Scope) -> str:
        """List the Secrets of a scope; return the version to watch from."""
        found: dict[str, KeySecret] = {}
        more = ""
        while True:
            path = self._path(scope, limit=str(PAGE), **({"continue": more} if more else {}))
            text = b"".join(self._lines(scope, path, MAX_PAGE))
            page = json.loads(text)
            for live in page.get("items") or []:
                if (secret := read_secret(live)) is not None:
                    found[secret.account] = secret
            more = page["metadata"].get("continue", "")
            if not more:
                self._replace(scope, found)
                return str(page["metadata"]["resourceVersion"])

    def _watch(self, scope: _Scope, version: str) -> str:
        """Apply events until the server ends the watch; return the version to go on from."""
        path = self._path(
            scope,
            watch="1",
            resourceVersion=version,
            allowWatchBookmarks="true",
            timeoutSeconds=str(WATCH_SECONDS),
        )
        for line in self._lines(scope, path, MAX_EVENT):
            event = json.loads(line)
            live = event["object"]
            if event["type"] == "ERROR":
                raise _WatchEndedError
            version = str(live["metadata"]["resourceVersion"])
            self._apply(scope, event["type"], live)
        return version

    def _apply(self, scope: _Scope, kind: str, live: dict[str, Any]) -> None:
        secret = read_secret(live)
        if kind == "BOOKMARK" or secret is None:
            return
        found = dict(scope.found or {})
        if kind == "DELETED":
            # Of a namespace that was made again the new Secret stays.
            if secret.account in found and found[secret.account].uid == secret.uid:
                del found[secret.account]
        else:
            found[secret.account] = secret
        self._replace(scope, found)

    def _lines(self, scope: _Scope, path: str, limit: int) -> Iterator[bytes]:
        reading = self._server.open(path)
        with self._lock:
            scope.reading = reading
        try:
            while not scope.stop.is_set() and (line := reading.answer.readline(limit)):
                if not line.endswith(b"\n") and len(line) >= limit:
                    raise ValueError(f"the API server sent a line of more than {limit} bytes")
                yield line
                self._wait(scope.stop, len(line) / BYTES_PER_SECOND)
        finally:
            with self._lock:
                scope.reading = None
            reading.close()

    def _replace(self, scope: _Scope, found: dict[str, KeySecret]) -> None:
        """Put the keys of a scope in force."""
        with self._lock:
            before, scope.found = scope.found or {}, found
            if any(each.found is None for each in self._scopes):
                return
            secrets = [secret for each in self._scopes for secret in (each.found or {}).values()]
            self._keys = keys = AccessKeys.of(secrets)
        self._changed(len(keys))
        for account in sorted(before.keys() | found.keys()):
            old, new = before.get(account), found.get(account)
            if old != new:
                log.info(
                    "access keys changed",
                    account=account,
                    keys=len(new.keys) if new else 0,
                    ignored=list(new.ignored) if new else [],
                )
