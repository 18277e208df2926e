"""The cluster's public keys: fetched from the API server, and retained while it is unavailable."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from wsedge_statistics.errors import KeysUnavailableError, TokenRefusedError

# An API server answers 406 to a client that accepts plain JSON alone; other issuers may publish only that.
ACCEPT: Final = "application/jwk-set+json, application/json"
ALGORITHMS: Final = ("RS256", "ES256")
FETCH_TIMEOUT: Final = 5.0
RETRY_SECONDS: Final = 2.0  # between fetches: callers can invent key ids, and each unknown id needs a fetch
REFRESH_SECONDS: Final = 600.0  # bounds how long a key stays valid that the cluster no longer publishes
MAX_DOCUMENT: Final = 1 << 20

log = structlog.get_logger()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: a redirect would send the program's token to another server."""

    def redirect_request(self, *_: Any) -> None:
        """Return None, which makes urllib raise the answer as HTTPError."""


@dataclass(frozen=True, slots=True)
class KeyServer:
    """The server of the keys. The file of the program's own token is read at each fetch: it is renewed."""

    url: str
    ca_file: Path | None = None
    token_file: Path | None = None

    def fetch(self) -> bytes:
        """Return the JWKS document. Blocks. Raises OSError, ValueError or http.client.HTTPException."""
        request = urllib.request.Request(self.url, headers={"Accept": ACCEPT})  # noqa: S310  settings allow https only
        if self.token_file is not None:
            request.add_header("Authorization", f"Bearer {self._token(self.token_file)}")
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # the API server is never behind a proxy for outgoing traffic
            urllib.request.HTTPSHandler(context=context),
            _NoRedirect(),
        )
        with opener.open(request, timeout=FETCH_TIMEOUT) as answer:
            return bytes(answer.read(MAX_DOCUMENT))

    @staticmethod
    def _token(file: Path) -> str:
        token = file.read_text().strip()
        if not token.isascii() or not token.isprintable():
            # http.client rejects most of these as well, but its message contains the token
            raise ValueError(f"{file} does not contain a token")
        return token


def parse_keys(document: bytes) -> dict[str, PyJWK]:
    """Return the usable signing keys of a JWKS document (RFC 7517) by key id. Raises ValueError."""
    parsed = json.loads(document)
    entries = parsed.get("keys") if isinstance(parsed, Mapping) else None
    if not isinstance(entries, list):
        raise ValueError("the document has no list of keys")
    keys: dict[str, PyJWK] = {}
    for entry in entries:
        key = _usable(entry)
        if key is not None and key.key_id:
            keys[key.key_id] = key
    return keys


def _usable(entry: Any) -> PyJWK | None:
    if not isinstance(entry, Mapping) or entry.get("use", "sig") != "sig":
        return None
    try:
        key = PyJWK(dict(entry))
    except (PyJWTError, ValueError, TypeError):
        return None  # of a kind that this program does not verify
    return key if key.algorithm_name in ALGORITHMS else None


class KeySet:
    """Public keys by id; an unknown id or an old set leads to a fetch, at most one per RETRY_SECONDS."""

    def __init__(
        self, fetch: Callable[[], bytes], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: dict[str, PyJWK] = {}
        self._tried_at: float | None = None
        self._fetched_at: float | None = None
        self._failing = True
        self._lock = asyncio.Lock()

    async def key(self, key_id: str) -> PyJWK:
        """Return the key of an id. Raises TokenRefusedError (unknown key) or KeysUnavailableError."""
        if key_id not in self._keys or (self._stale() and not self._lock.locked()):
            async with self._lock:
                if (self._stale() or key_id not in self._keys) and self._may_try():
                    await self._refresh()
        try:
            return self._keys[key_id]
        except KeyError:
            if self._failing:
                raise KeysUnavailableError(
                    "The API server's keys cannot be fetched now. Try again later."
                ) from None
            raise TokenRefusedError(
                "The token is signed by a key that the cluster does not publish."
            ) from None

    def _stale(self) -> bool:
        return self._fetched_at is None or self._monotonic() - self._fetched_at > REFRESH_SECONDS

    def _may_try(self) -> bool:
        return self._tried_at is None or self._monotonic() - self._tried_at >= RETRY_SECONDS

    async def _refresh(self) -> None:
        self._tried_at = self._monotonic()
        try:
            keys = parse_keys(await asyncio.to_thread(self._fetch))
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._failing = True
            # Counted from the end of the attempt: callers that waited for it must not each begin another.
            self._tried_at = self._monotonic()
            log.warning("fetch of keys failed", error=str(error), retained=len(self._keys))
            return
        if keys.keys() != self._keys.keys():
            log.info("keys fetched", ids=sorted(keys))
        self._keys, self._failing = keys, False
        self._fetched_at = self._monotonic()
