"""The admin port: strict, bounded, and safe from hostile bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from support.relay_process.process import request
from wsedge_relay.server import admin as module
from wsedge_relay.server.admin import Admin, Call, Reply, json_reply, text_reply


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Serve GET /healthz, which repeats its query, and POST /drain."""

    async def healthz(call: Call) -> Reply:
        return json_reply(200, dict(call.query))

    async def drain(_call: Call) -> Reply:
        return text_reply(202, "draining")

    admin = Admin({("GET", "/healthz"): healthz, ("POST", "/drain"): drain})
    _, number = await admin.start("127.0.0.1", 0)
    yield number
    await admin.close()


CALLS = {
    "a GET": (b"GET /healthz?a=1 HTTP/1.1\r\nHost: x\r\n\r\n", 200, '{"a": "1"}\n'),
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", 200, "{}\n"),
    "a HEAD has no body": (b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, ""),
    "a POST": (b"POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 202, "draining\n"),
    "another method": (
        b"GET /drain HTTP/1.1\r\nHost: x\r\n\r\n",
        405,
        "This path does not support this method.\n",
    ),
    "another path": (b"GET /etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404, "This path does not exist.\n"),
    "a whole address": (b"GET http://x/healthz HTTP/1.1\r\n\r\n", 400, "This is not an HTTP/1.1 request.\n"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "This is not an HTTP/1.1 request.\n"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "This is not an HTTP/1.1 request.\n"),
    "a space in the target": (b"GET /a b HTTP/1.1\r\n\r\n", 400, "This is not an HTTP/1.1 request.\n"),
    "a zero byte": (b"GET /\x00 HTTP/1.1\r\n\r\n", 400, "This is not an HTTP/1.1 request.\n"),
    "a line feed": (b"GET / HTTP/1.1\nX: y\r\n\r\n", 400, "This is not an HTTP/1.1 request.\n"),
    "too many fields": (
        b"GET /?" + b"a=1&" * 99 + b" HTTP/1.1\r\n\r\n",
        400,
        "The query has too many fields.\n",
    ),
    "an endless head": (
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9000,
        431,
        "The request's head is too large.\n",
    ),
}


@pytest.mark.parametrize("case", CALLS)
async def test_call(port: int, case: str) -> None:
    """The answer of each request."""
    content, status, body = CALLS[case]
    answer = await request(port, content)
    # Bytes that were not read when the connection ended may cost the answer on its way.
    assert answer == (status, body) or (case == "an endless head" and answer == (0, ""))


async def test_a_caller_that_says_nothing_is_left(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent connection closes in a bounded time, and others are served meanwhile."""
    monkeypatch.setattr(module, "CALL_SECONDS", 1.5)
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /hea")
        assert (await request(port, b"GET /healthz HTTP/1.1\r\n\r\n"))[0] == 200
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.transport.abort()


async def test_too_many_callers_are_turned_away(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections cannot use up the relay's descriptors."""
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    assert await request(port, b"GET /healthz HTTP/1.1\r\n\r\n") == (0, "")
    for _, writer in idle:
        writer.transport.abort()
