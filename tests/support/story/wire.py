"""The network between relays and statistics: real TCP, which delivers reports as a story wants it."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from support.relay_process.process import DEADLINE
from support.story.books import Books, Place, Row, RowKey, Slot
from support.story.steps import Fault, Moment

_DELIVERED: Final = (Fault.NONE, Fault.TWICE, Fault.OLD_BEFORE)
_RETRY: Final = re.compile(rb"(?i)(retry-after: )\d+")


class Wire:
    """A server whose paths begin with the number of a run, so that a report is known to be of that run.

    It shortens Retry-After, since a story has no ten seconds for each full disk.
    """

    def __init__(self, books: Books, chance: random.Random) -> None:
        self.books = books
        self.upstream = 0
        self.kill_at: Moment | None = None
        self.kill: Callable[[], Awaitable[None]]
        self.weather: deque[Fault] = deque()
        self.seen: set[tuple[int, str, int]] = set()  # run, epoch and bucket of rows in reports
        self.taken: dict[RowKey, int] = {}  # sent bytes of rows that are committed
        self.port = 0
        self._chance = chance
        self._delivered: list[bytes] = []
        self._kept: list[bytes] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for call in self._calls:
            call.cancel()
        failed = await asyncio.gather(*self._calls, return_exceptions=True)
        await self._server.wait_closed()
        assert not [error for error in failed if isinstance(error, Exception)], failed

    async def repeat_everything(self) -> None:
        """Deliver every report that was ever under way once more, in any order."""
        everything = [*self._delivered, *self._kept]
        self._chance.shuffle(everything)
        for request in everything:
            answer = await self._forward(request)
            assert answer.startswith(b"HTTP/1.1 204 "), answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # an end of the connection, of which there are many here
        finally:
            writer.transport.abort()
            self._calls.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length
        body = await reader.readexactly(int(length[1]))
        method, path, rest = head.split(b" ", 2)
        _, number, target = path.decode().split("/", 2)
        run = self.books.runs[int(number)]
        request = b" ".join((method, b"/" + target.encode(), rest)) + body
        report = json.loads(gzip.decompress(body))
        self.books.owners.setdefault(report["source"]["epoch"], run)
        rows = list(_rows(report))
        self.seen |= {(run.number, key.epoch, key.slot.bucket) for key, _ in rows}
        answer = await self._deliver(request, rows)
        if answer.startswith(b"HTTP/1.1 204 "):
            self.taken |= {key: max(row["sentBytes"], self.taken.get(key, 0)) for key, row in rows}
        writer.write(_RETRY.sub(rb"\g<1>0", answer))
        await writer.drain()

    async def _deliver(self, request: bytes, rows: Sequence[tuple[RowKey, Row]]) -> bytes:
        """Return what arrives of the answer."""
        if self.kill_at is not None:
            self._note(request, rows)
            await self._kill_during(request)
            return b""
        fault = self.weather[0] if self.weather else Fault.NONE
        self.weather.rotate(-1)
        if fault is Fault.CUT:
            return b""
        if fault is Fault.HALF_REPORT:
            await self._send_part(request[: len(request) - len(request) // 4])
            return b""
        if fault is Fault.LATE:
            self._note(request, rows, kept=True)
            return b""
        for old in [*reversed(self._kept), *self._old(fault)]:
            await self._forward(old)
        self._kept.clear()
        self._note(request, rows)
        answer = await self._forward(request)
        if fault is Fault.TWICE:
            answer = await self._forward(request)
        if fault is Fault.HALF_ANSWER:
            return answer[: len(answer) // 3]
        return answer if fault in _DELIVERED else b""

    def _old(self, fault: Fault) -> list[bytes]:
        return [self._chance.choice(self._delivered)] if fault is Fault.OLD_BEFORE and self._delivered else []

    def _note(self, request: bytes, rows: Sequence[tuple[RowKey, Row]], *, kept: bool = False) -> None:
        self.books.deliver(rows)
        self._delivered.append(request)
        if kept:
            self._kept.append(request)

    async def _kill_during(self, request: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            writer.write(request)
            await writer.drain()
            if self.kill_at is Moment.ANSWERED:
                async with asyncio.timeout(DEADLINE):
                    await reader.readexactly(1)
            self.kill_at = None
            await self.kill()
        finally:
            writer.transport.abort()

    async def _send_part(self, part: bytes) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        writer.write(part)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _forward(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            writer.write(request)
            async with asyncio.timeout(DEADLINE):
                return await reader.read()
        finally:
            writer.transport.abort()


def _rows(report: Any) -> Iterator[tuple[RowKey, Row]]:
    for row in report["rows"]:
        bucket = int(datetime.fromisoformat(row["bucket"]).timestamp())
        place = Place(row["domain"], row["region"], row["isp"])
        codes = row["codes"]
        counts = {name: row[name] for name in ("sentBytes", "receivedBytes", "sentMessages")}
        counts |= {name: row[name] for name in ("receivedMessages", "openedConnections")}
        yield RowKey(report["source"]["epoch"], Slot(bucket, place)), {**counts, "101": codes.get("101", 0)}
