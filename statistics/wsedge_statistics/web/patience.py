"""How long a request's reads of the ledger may take: a deadline, less if the client waits no longer.

    Prefer: wait=5    shortens the deadline (RFC 7240 section 4.3), and is answered by Preference-Applied

A client that hangs up ends its reads: otherwise questions that are repeated after a client's own timeout
would add up.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wsedge_statistics.contract import DIRECTORY_PATH, USAGE_PATH
from wsedge_statistics.ledger.budget import Stop, begin

_WAIT: Final = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])', re.IGNORECASE)


class Patience:
    """An ASGI application whose reads end after `seconds`, or when the client hangs up."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI). Reports and Directories are read by their own routes, and in pieces."""
        if scope["type"] != "http" or scope["path"] in (USAGE_PATH, DIRECTORY_PATH):
            await self._app(scope, receive, send)
            return
        asked = wait_of(Headers(scope=scope))
        seconds = self._seconds if asked is None else min(asked, self._seconds)
        stop = Stop(seconds)
        messages: asyncio.Queue[Message] = asyncio.Queue(1)
        listening = asyncio.create_task(_listen(receive, messages, stop))
        try:
            with begin(stop):
                await self._app(scope, messages.get, _applied(send, asked, seconds))
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


async def _listen(receive: Receive, messages: asyncio.Queue[Message], stop: Stop) -> None:
    """Hand on what the client sends, one message ahead, and notice when it hangs up."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            stop.cancel()
        await messages.put(message)
        if message["type"] == "http.disconnect":
            return


def wait_of(headers: Headers) -> float | None:
    """Return the seconds of `Prefer: wait=…`; None without it, and for anything else in its place."""
    for value in headers.getlist("prefer"):
        if found := _WAIT.search(value):
            return float(found[1])
    return None


def _applied(send: Send, asked: float | None, seconds: float) -> Send:
    """Say in the answer which wait was applied; `send` as it is if the client named none."""
    if asked is None:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Preference-Applied"] = f"wait={seconds:g}"
        await send(message)

    return sending
