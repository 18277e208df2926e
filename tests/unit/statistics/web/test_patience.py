"""The deadline of a request's reads, over an application and a client in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from wsedge_statistics.contract import USAGE_PATH
from wsedge_statistics.ledger.budget import READ_SECONDS, Stop, current
from wsedge_statistics.web.patience import Patience, wait_of

WAITS = {
    "none": ([], None),
    "a wait": (["wait=5"], 5.0),
    "a wait of nothing": (["wait=0"], 0.0),
    "with blanks and quotes": (['respond-async, wait = "7" '], 7.0),
    "in a second header": (["handling=lenient", "Wait=3"], 3.0),
    "of letters": (["wait=soon"], None),
    "negative": (["wait=-1"], None),
    "another preference": (["await=4"], None),
    "so many digits": (["wait=" + "9" * 400], None),
}


@pytest.mark.parametrize(("values", "seconds"), WAITS.values(), ids=WAITS.keys())
def test_a_client_names_how_long_it_waits(values: list[str], seconds: float | None) -> None:
    """Prefer: wait=… in seconds; anything else is ignored, as a preference may be."""
    headers = Headers(raw=[(b"prefer", value.encode()) for value in values])
    assert wait_of(headers) == seconds


class Client:
    """Sends a body in pieces, and hangs up when it is told to."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.hung_up = asyncio.Event()
        self.head: dict[str, str] = {}
        self.body = b""

    async def receive(self) -> Message:
        if self.pieces:
            body = self.pieces.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self.pieces)}
        await self.hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.head = {name.decode(): value.decode() for name, value in message["headers"]}
        self.body += message.get("body", b"")


def scope(path: str = "/v1/traffic", **headers: str) -> dict[str, Any]:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": path, "headers": raw, "query_string": b""}


class Reading:
    """An application that reads the body, and keeps the stop of its request."""

    def __init__(self) -> None:
        self.stop: Stop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        self.stop = await asyncio.to_thread(current)
        await PlainTextResponse(body)(scope, receive, send)


async def test_a_request_has_the_deadline_of_the_settings() -> None:
    """The application gets the whole body."""
    app, client = Reading(), Client(b"one ", b"two")
    await Patience(app, 9)(scope(), client.receive, client.send)
    assert app.stop is not None
    assert (app.stop.seconds, client.body) == (9, b"one two")
    assert "preference-applied" not in client.head


@pytest.mark.parametrize(("asked", "applied"), [("4", 4.0), ("60", 9.0)])
async def test_a_client_may_shorten_it_and_is_told(asked: str, applied: float) -> None:
    """It cannot lengthen it."""
    app, client = Reading(), Client(b"")
    await Patience(app, 9)(scope(prefer=f"wait={asked}"), client.receive, client.send)
    assert app.stop is not None
    assert app.stop.seconds == applied
    assert client.head["preference-applied"] == f"wait={applied:g}"


async def test_a_client_that_hangs_up_ends_its_reads() -> None:
    """The stop becomes due while the application still reads."""
    client, found = Client(b""), asyncio.Event()
    stops: list[Stop] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        stops.append(current())
        found.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    answering = asyncio.create_task(Patience(application, 9)(scope(), client.receive, client.send))
    await found.wait()
    assert not stops[0].due()
    client.hung_up.set()
    await answering
    assert stops[0].due()


async def test_reports_are_not_concerned() -> None:
    """Their bodies are read in pieces by their own route."""
    app, client = Reading(), Client(b"report")
    await Patience(app, 9)(scope(USAGE_PATH), client.receive, client.send)
    assert app.stop is not None
    assert app.stop.seconds == READ_SECONDS
