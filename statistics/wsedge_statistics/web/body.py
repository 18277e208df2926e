"""A request's JSON body, bounded in its size as sent, its inflated size, and its time."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from fastapi import Request
from starlette.requests import ClientDisconnect

from wsedge_statistics.web.problems import ProblemError

READ_SECONDS: Final = 30.0
_GZIP: Final = 16 + zlib.MAX_WBITS


async def read_json(
    request: Request, *, max_sent: int, max_inflated: int, seconds: float = READ_SECONDS
) -> bytes:
    """Return the body's JSON text, not yet parsed. Raises ProblemError: 400, 408, 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProblemError(
            415,
            "media-type",
            "Content-Type must be application/json.",
            headers={"Accept": "application/json"},
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip"):
        raise ProblemError(
            415,
            "content-coding",
            "Content-Encoding must be gzip or absent.",
            headers={"Accept-Encoding": "gzip"},
        )
    try:
        async with asyncio.timeout(seconds):
            sent = await _read(request, max_sent)
    except ClientDisconnect:
        raise ProblemError(
            400, "body-cut-off", "The client closed the connection before the end of the body."
        ) from None
    except TimeoutError:
        raise ProblemError(
            408,
            "slow-body",
            f"The body did not arrive within {seconds:g} s.",
            headers={"Connection": "close"},
        ) from None
    return inflate(sent, max_inflated) if coding == "gzip" else sent


async def _read(request: Request, limit: int) -> bytes:
    """Return a body of at most `limit` bytes. Raises ProblemError.

    A larger body is read and discarded up to twice the limit: a client that is still sending would otherwise
    receive a reset instead of the answer with the reason.
    """
    announced = request.headers.get("content-length", "")
    too_large = ProblemError(413, "too-large", f"The body is larger than {limit} bytes.")
    cut_off = ProblemError(413, "too-large", too_large.detail, headers={"Connection": "close"})
    if announced.isdigit() and int(announced) > 2 * limit:
        raise cut_off
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > 2 * limit:
            raise cut_off
        if size <= limit:
            body += chunk
    if size > limit:
        raise too_large
    return bytes(body)


def inflate(sent: bytes, limit: int) -> bytes:
    """Gunzip one member of at most `limit` bytes. Raises ProblemError."""
    inflater = zlib.decompressobj(_GZIP)
    try:
        inflated = inflater.decompress(sent, limit + 1)
    except zlib.error:
        raise ProblemError(400, "bad-gzip", "The body is not valid gzip.") from None
    if len(inflated) > limit:
        raise ProblemError(413, "too-large", f"The body inflates to more than {limit} bytes.")
    if not inflater.eof:
        raise ProblemError(400, "bad-gzip", "The gzip body ends too early.")
    if inflater.unused_data:
        raise ProblemError(400, "bad-gzip", "The gzip body has bytes after its end.")
    return inflated
