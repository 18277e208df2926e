"""A statistics service at the protocol's boundary: accepts reports over real HTTP, and fails on demand."""

from __future__ import annotations

import asyncio
import gzip
from collections import deque
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Any

from wsedge_statistics.contract import USAGE_PATH, UsageReport

DEADLINE = 40.0
COUNTS = (
    "sentBytes",
    "receivedBytes",
    "sentMessages",
    "receivedMessages",
    "openedConnections",
    "peakConnections",
)


class Statistics:
    """Merges accepted rows by max(), as the ledger does.

    Each report uses one of `answers`, and the last one repeats: an HTTP status, (status, headers, body),
    "close" (no answer), "lost" (accepted without an answer), "slow" (neither accepted nor answered). `judge`
    answers instead, where it is set, and `take`s what it accepts.
    """

    def __init__(self) -> None:
        self.answers: deque[Any] = deque([204])
        self.rows: dict[tuple[str, ...], dict[str, Any]] = {}
        self.reports: list[UsageReport] = []
        self.heads: list[str] = []
        self.times: list[float] = []
        self.url = ""
        self.judge: Callable[[UsageReport], Any] | None = None
        self._changed = asyncio.Condition()
        self._calls: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Statistics:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._server.wait_closed()

    def total(self, name: str) -> int:
        """Return the sum of a count over all rows of the ledger."""
        return sum(row[name] for row in self.rows.values())

    def codes(self) -> dict[str, int]:
        """Return the sum of each HTTP code."""
        codes: dict[str, int] = {}
        for row in self.rows.values():
            for code, times in row["codes"].items():
                codes[code] = codes.get(code, 0) + times
        return codes

    async def until(self, condition: Any) -> None:
        """Wait until `condition()` is true after a report."""
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(condition)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            self._calls.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        assert head.startswith(f"POST {USAGE_PATH} HTTP/1.1\r\n"), head
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(fields["Content-Length"]))
        report = UsageReport.model_validate_json(gzip.decompress(body))
        if self.judge is not None:
            answer = self.judge(report)
        else:
            answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        status, headers, content = answer if isinstance(answer, tuple) else (answer, {}, b"")
        if status in ("lost", 204):
            self.take(report)
        async with self._changed:
            self.heads.append(head)
            self.reports.append(report)
            self.times.append(asyncio.get_running_loop().time())
            self._changed.notify_all()
        if status == "slow":
            await asyncio.sleep(3600)
        if isinstance(status, int):
            fixed = {"Content-Length": str(len(content)), "Date": formatdate(usegmt=True)}
            lines = [f"HTTP/1.1 {status} x"]
            lines += [f"{name}: {value}" for name, value in {**fixed, **headers}.items()]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
            await writer.drain()

    def take(self, report: UsageReport) -> None:
        """Merge a report into `rows`."""
        source = report.source
        for row in report.rows:
            key = (
                source.uid,
                source.epoch,
                row.bucket.isoformat(),
                row.domain,
                row.region,
                row.isp,
                row.area,
            )
            old = self.rows.get(key)
            new = row.model_dump()
            self.rows[key] = new if old is None else _merged(old, new)


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = {**new, **{name: max(old[name], new[name]) for name in COUNTS}}
    codes: Iterable[str] = {*old["codes"], *new["codes"]}
    merged["codes"] = {code: max(old["codes"].get(code, 0), new["codes"].get(code, 0)) for code in codes}
    return merged
