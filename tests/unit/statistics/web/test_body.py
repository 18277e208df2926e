"""A request's body: bounds of size and time."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import Request

from wsedge_statistics.web.body import inflate, read_json
from wsedge_statistics.web.problems import ProblemError


def request(receive: Callable[[], Awaitable[Any]], **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "headers": [(b"content-type", b"application/json"), *raw]}
    return Request(scope, receive)


def chunks(*parts: bytes) -> Callable[[], Awaitable[Any]]:
    waiting = list(parts)

    async def receive() -> Any:
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    return receive


async def status_of(received: Request, **options: Any) -> tuple[int, dict[str, str]]:
    with pytest.raises(ProblemError) as refused:
        await read_json(received, **({"max_sent": 8, "max_inflated": 8} | options))
    return refused.value.status, dict(refused.value.headers or {})


async def test_a_body_of_just_the_limit_is_read() -> None:
    """The limit itself is allowed, in any number of pieces."""
    assert await read_json(request(chunks(b"1234", b"5678")), max_sent=8, max_inflated=8) == b"12345678"


async def test_a_body_that_does_not_arrive_is_408() -> None:
    """The connection closes."""
    never = asyncio.Event()

    async def receive() -> Any:
        await never.wait()

    assert await status_of(request(receive), seconds=0.01) == (408, {"Connection": "close"})


async def test_a_client_that_closes_within_its_body_is_400() -> None:
    """A relay that is killed while it sends causes a refused message, not a traceback."""

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    assert await status_of(request(receive)) == (400, {})


async def test_a_body_a_little_too_large_is_read_to_its_end() -> None:
    """The client receives the 413, and the connection stays open."""
    assert await status_of(request(chunks(b"12345678", b"9"))) == (413, {})


async def test_a_body_far_too_large_is_cut_off() -> None:
    """At most twice the limit is read, whether the size is announced or not."""
    endless = chunks(*[b"12345678"] * 99)
    assert await status_of(request(endless)) == (413, {"Connection": "close"})
    assert await status_of(request(endless, content_length="17")) == (413, {"Connection": "close"})


async def test_only_json_in_a_known_coding_is_read() -> None:
    """415 has the accepted form in a header."""
    forms = {
        "form": ({"content-type": "text/plain"}, {"Accept": "application/json"}),
        "br": ({"content-type": "application/json", "content-encoding": "br"}, {"Accept-Encoding": "gzip"}),
    }
    for headers, expected in forms.values():
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        received = Request({"type": "http", "headers": raw}, chunks(b"{}"))
        assert await status_of(received) == (415, expected)


async def test_a_compressed_body_is_inflated() -> None:
    """Both bounds apply: the size as sent, and the inflated size."""
    packed = gzip.compress(b"12345678")
    received = request(chunks(packed), content_encoding="GZIP")
    assert await read_json(received, max_sent=len(packed), max_inflated=8) == b"12345678"
    assert await status_of(request(chunks(packed), content_encoding="gzip"), max_sent=len(packed) - 1) == (
        413,
        {},
    )


BROKEN = {
    "not gzip": (b"hello", "The body is not valid gzip."),
    "cut short": (gzip.compress(b"1234")[:-1], "The gzip body ends too early."),
    "two members": (gzip.compress(b"1") * 2, "The gzip body has bytes after its end."),
}


@pytest.mark.parametrize(("sent", "text"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_gzip_is_400(sent: bytes, text: str) -> None:
    """The problem names the fault."""
    with pytest.raises(ProblemError) as refused:
        inflate(sent, 100)
    assert (refused.value.status, refused.value.kind, refused.value.detail) == (400, "bad-gzip", text)


def test_inflating_stops_at_the_limit() -> None:
    """The limit itself is allowed, a byte more is 413."""
    assert inflate(gzip.compress(b"12345678"), 8) == b"12345678"
    with pytest.raises(ProblemError, match="inflates to more than 8"):
        inflate(gzip.compress(b"123456789"), 8)
