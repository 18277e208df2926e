"""One HTTP/1.1 POST over asyncio streams: the only HTTP client that a relay needs.

One connection per call, limited answers, one deadline from name resolution to the last byte. It runs on the
relay's own loop, so no thread outlives a deadline.
"""

from __future__ import annotations

import asyncio
import functools
import http.client
import io
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from wsedge_relay.errors import PostFailedError, without_userinfo

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_BODY_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class PostAnswer:
    """The final answer to a request; header names are lower case, the body is cut at MAX_BODY_BYTES."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def post(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    seconds: float,
    context: ssl.SSLContext | None = None,
) -> PostAnswer:
    """POST `body` to an http or https URL; raises PostFailedError without an answer within `seconds`.

    https trusts `context`, by default the system's authorities. A user and password in `url` are not used.
    """
    # Before anything can fail: the relay's errors contain the URL, and Python's errors parts of it.
    url = without_userinfo(url)
    try:
        async with asyncio.timeout(seconds):
            return await _exchange(url, body, headers, context)
    except TimeoutError as error:
        raise PostFailedError(url, f"no answer within {seconds:g} s") from error
    except asyncio.LimitOverrunError as error:
        raise PostFailedError(url, "the answer's head is too large") from error
    except asyncio.IncompleteReadError as error:
        raise PostFailedError(url, "the connection ended before the answer did") from error
    except (http.client.HTTPException, ValueError) as error:
        raise PostFailedError(url, f"not an HTTP/1.1 answer: {error!r}") from error
    except OSError as error:
        raise PostFailedError(url, str(error) or type(error).__name__) from error


async def _exchange(
    url: str, body: bytes, headers: Mapping[str, str], context: ssl.SSLContext | None
) -> PostAnswer:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    if secure and context is None:
        context = _system_authorities()
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if secure else 80),
        ssl=context if secure else None,
        limit=MAX_HEAD_BYTES,
    )
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        writer.write(_request(target, parts.netloc, body, headers))
        await writer.drain()
        return await _answer(reader)
    finally:
        # abort, not close: a peer that never reads must not delay the TLS shutdown past the deadline.
        writer.transport.abort()


@functools.cache
def _system_authorities() -> ssl.SSLContext:
    # Loading the system's certificates (over 100) blocks the loop for some 20 ms, so they are loaded once.
    return ssl.create_default_context()


def _request(target: str, host: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header with a line break")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def _answer(reader: asyncio.StreamReader) -> PostAnswer:
    head = await reader.readuntil(b"\r\n\r\n")
    while head.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):  # interim answers (RFC 9110 §15.2)
        head = await reader.readuntil(b"\r\n\r\n")
    parsed = _parse(head)
    status = parsed.status
    headers = {name.lower(): value for name, value in parsed.getheaders()}
    if status in (204, 304):
        return PostAnswer(status, headers, b"")
    if "transfer-encoding" not in headers and headers.get("content-length", "").isdecimal():
        body = await reader.readexactly(min(int(headers["content-length"]), MAX_BODY_BYTES))
        return PostAnswer(status, headers, body)
    rest = bytearray()  # chunked, or up to the end of the connection (the request has Connection: close)
    while len(rest) < MAX_BODY_BYTES and (piece := await reader.read(65536)):
        rest += piece
    return PostAnswer(status, headers, _body(head, bytes(rest)))


def _parse(message: bytes) -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(_Bytes(message), method="POST")  # type: ignore[arg-type]
    response.begin()
    return response


def _body(head: bytes, rest: bytes) -> bytes:
    response = _parse(head + rest)
    try:
        return response.read()
    except http.client.IncompleteRead as error:
        return error.partial  # cut at MAX_BODY_BYTES, which is enough for an error message


class _Bytes:
    """The part of a socket that http.client needs, with bytes that were read before."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _mode: str) -> io.BufferedIOBase:
        return io.BytesIO(self._content)
