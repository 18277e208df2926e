"""The application in memory: services over a naive ledger, and requests without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from support.statistics.build import directory_message, instant
from support.statistics.model import NaiveLedger
from support.statistics.process import Answer
from wsedge_statistics.app import Application
from wsedge_statistics.contract import Directory, UsageReport
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.identity.callers import Policy
from wsedge_statistics.ledger import Room, SeenKey, StoredStatement
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.services import Services
from wsedge_statistics.tenure import Tenures, follow

NOW = instant("2026-06-15T12:02:00Z")
BUCKET = instant("2026-06-15T12:00:00Z")
KEPT = timedelta(days=93)


@dataclass
class MemoryLedger(NaiveLedger):
    """A naive ledger behind the interface of a real ledger."""

    refused: tuple[int, ...] = ()
    error: Exception | None = None
    works: bool = True
    has_space: bool = True
    kept: Directory | None = None
    known: Tenures = field(default_factory=Tenures)
    rooms: list[Room | None] = field(default_factory=list)
    closed: list[StoredStatement] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def commit(
        self, report: UsageReport, keys: Mapping[str, str] | None = None, room: Room | None = None
    ) -> Future[tuple[int, ...]]:
        done: Future[tuple[int, ...]] = Future()
        self.rooms.append(room)
        if self.error is not None:
            done.set_exception(self.error)
            return done
        if not self.refused:
            self.add(report, keys)
        done.set_result(self.refused)
        return done

    def put_directory(self, directory: Directory) -> Future[Tenures | None]:
        done: Future[Tenures | None] = Future()
        if self.kept is not None and directory.writtenAt < self.kept.writtenAt:
            done.set_result(None)
            return done
        self.kept, self.known = directory, follow(self.known, directory, kept=KEPT)
        done.set_result(self.known)
        return done

    def tenures(self) -> Tenures:
        return self.known

    def directory(self) -> Directory | None:
        return self.kept

    def seen(self, account: str | None) -> list[SeenKey]:
        places = [(key, bucket) for (_, _, key, bucket, _) in self.largest]
        return [
            SeenKey(key, min(b for k, b in places if k == key), max(b for k, b in places if k == key))
            for key in dict.fromkeys(key for key, _ in places)
            if account in (None, key.account)
        ]

    def put_statement(self, statement: StoredStatement) -> Future[bool]:
        done: Future[bool] = Future()
        place = (statement.account, statement.period)
        done.set_result(place not in [(kept.account, kept.period) for kept in self.closed])
        if done.result():
            self.closed.append(statement)
        return done

    def statements(self, account: str) -> list[StoredStatement]:
        mine = [statement for statement in self.closed if statement.account == account]
        return sorted(mine, key=lambda statement: statement.period)

    def size(self) -> int:
        return len(self.largest)

    def backlog(self) -> int:
        return 0

    def alive(self) -> bool:
        return self.works

    def writable(self) -> bool:
        return self.works and self.has_space

    def close(self) -> None:
        self.works = False


def services_over(ledger: MemoryLedger, directory: Directory | None = None, **changes: Any) -> Services:
    """Services of a program at NOW; `changes` replace fields."""
    if directory is not None:
        ledger.put_directory(directory)
    fields: dict[str, Any] = {
        "ledger": ledger,
        "clock": lambda: NOW,
        "metrics": Metrics(),
        "policy": Policy(),
        "verifier": None,
        "directory": DirectoryView.of(directory),
        "tenures": ledger.tenures(),
        "room": Room(100, 1000, 1000),
        "default_zone": "UTC",
        "grace": timedelta(seconds=60),
        "max_body": 1 << 20,
        "max_inflated": 1 << 20,
    }
    return Services(**(fields | changes))


def two_accounts() -> Directory:
    return directory_message(domains={"chat.example.com": "team-a", "b.example": "team-b"})


async def request(
    app: Application,
    method: str,
    path: str,
    document: Any = None,
    *,
    token: str | None = None,
    headers: Any = None,
    **parameters: Any,
) -> Answer:
    """Send one request to the application; `document` is its JSON body."""
    head_sent = [(b"content-type", b"application/json")]
    head_sent += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    if token is not None:
        head_sent.append((b"authorization", f"Bearer {token}".encode()))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(parameters, doseq=True).encode(),
        "headers": head_sent,
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    sent: list[Any] = []

    received: list[None] = []

    async def receive() -> Any:
        if received:  # the client stays: it sends nothing more and does not disconnect
            await asyncio.Event().wait()
        received.append(None)
        return {"type": "http.request", "body": json.dumps(document).encode(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    head = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], head, b"".join(part.get("body", b"") for part in sent[1:]))
