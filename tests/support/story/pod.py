"""One pod of a relay: its disk, its clock, the process that runs in it, and the clients that visit it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from support.faults.clock import StepClock
from support.relay_process import config, domain, write
from support.relay_process.process import RelayProcess, eventually
from support.relay_process.traffic import Client
from support.story.books import Place, Row, RowKey, Run, Slot
from support.story.wire import Wire
from wsedge_relay.metering.spool import decode

BUCKET: Final = 300
PLACES: Final = {
    "127.0.0.2": ("guangdong", "telecom"),
    "127.0.0.3": ("beijing", "unicom"),
}
DOMAINS: Final = ("chat.example.com", "game.example.com")
_NO_SPACE: Final = 16  # bytes that a file may have
_FAST: Final = ("--report-seconds", "0.2", "--final-report-seconds", "30")


@dataclass(frozen=True)
class Setting:
    """What all pods of a story share."""

    folder: Path
    library: Path
    geo: Path
    origin: int
    wire: Wire


@dataclass
class Visitor:
    """A client that stays, and what of its bytes is in the books already."""

    number: int
    client: Client
    place: Place
    sent: int = 0
    received: int = 0
    messages: int = 0


class Pod:
    """A pod that holds one process at a time. `error` is that of its clock."""

    def __init__(self, number: int, setting: Setting, ahead: timedelta) -> None:
        self.uid = f"pod-{number}"
        self.error = timedelta(0)
        self.disk_full = False
        self.visitors: list[Visitor] = []
        self.run: Run
        self._setting = setting
        self._folder = setting.folder / self.uid
        self._folder.mkdir()
        self.clock = StepClock(self._folder, ahead, library=setting.library)
        self._process: RelayProcess
        self._stack = AsyncExitStack()

    @property
    def spool(self) -> Path:
        return self._folder / "spool"

    @property
    def bucket(self) -> int:
        """The bucket of the pod's own clock."""
        now = int(self.clock.now().timestamp())
        return now - now % BUCKET

    async def start(self) -> None:
        """Start a process, and let a first client visit it."""
        books = self._setting.wire.books
        self.disk_full = False
        self.run = books.begin(self.uid, self.bucket)
        url = f"http://127.0.0.1:{self._setting.wire.port}/{self.run.number}"
        origins = [{"host": "127.0.0.1", "httpPort": self._setting.origin}]
        usual = {"lifecycle": {"drainSeconds": 0}, "heartbeatSeconds": 300, "origins": origins}
        domains = [domain(domain=name, **usual) for name in DOMAINS]
        document = config(*domains, statistics={"url": url}, deniedNetworks=[])
        arguments: tuple[str | Path, ...] = (
            *("--config", write(self._folder / "relay.json", document)),
            *("--spool-dir", self.spool, "--geo-ip2region", self._setting.geo),
            *("--pod-name", f"team-a/{self.uid}", "--pod-uid", self.uid),
        )
        self._process = RelayProcess(*arguments, *_FAST, variables=self.clock.variables)
        await self._stack.enter_async_context(self._process)
        await self._process.port("http")
        await self.join(0)

    # -- clients

    async def join(self, number: int) -> None:
        """Let a client visit a domain from a place, by number."""
        address = sorted(PLACES)[number % 2]
        place = Place(DOMAINS[number // 2 % 2], *PLACES[address])
        client = await Client().open(await self._process.port("http"), host=place.domain, address=address)
        visitor = Visitor(number, client, place)
        self.visitors.append(visitor)
        self._setting.wire.books.opened(self.run, Slot(self.bucket, place))
        self._count(visitor, openedConnections=1, **{"101": 1})

    async def talk(self, visitor: Visitor, size: int) -> None:
        await visitor.client.echo(b"x" * size)
        self._count(visitor)

    async def leave(self, visitor: Visitor) -> None:
        """Let a client close its connection; the relay has counted its end on return."""
        await visitor.client.leave()
        self._forget(visitor)
        await self._closed(visitor.place.domain)

    def visitor(self, number: int) -> Visitor:
        return self.visitors[number % len(self.visitors)]

    def _count(self, visitor: Visitor, **more: int) -> None:
        client = visitor.client
        self._setting.wire.books.count(
            self.run,
            Slot(self.bucket, visitor.place),
            sentBytes=client.received - visitor.received,
            receivedBytes=client.sent - visitor.sent,
            sentMessages=client.messages - visitor.messages,
            receivedMessages=client.messages - visitor.messages,
            **more,
        )
        visitor.sent, visitor.received, visitor.messages = client.sent, client.received, client.messages

    def _forget(self, visitor: Visitor) -> None:
        self._count(visitor)
        self.visitors.remove(visitor)
        self._setting.wire.books.closed(self.run, visitor.place)

    async def _closed(self, name: str) -> None:
        left = sum(each.place.domain == name for each in self.visitors)
        async with asyncio.timeout(40):
            metric = f'wsedge_relay_open_connections{{domain="{name}"}}'
            while (await self._process.metrics())[metric] != left:
                pass

    # -- clock and disk

    async def set_clock(self, ahead: timedelta) -> None:
        """Step the clock, and wait until the relay has entered its bucket, which is another one."""
        await self._counted()
        before = set(self._seen())
        self.clock.step(ahead)
        bucket = self.bucket
        await eventually(lambda: any(found[1] == bucket for found in set(self._seen()) - before))
        self._setting.wire.books.enter(self.run, bucket)

    async def _counted(self) -> None:
        """Have the relay sweep: what its clients count is in the present bucket."""
        await self._process.metrics()

    def _seen(self) -> Iterator[tuple[str, int]]:
        """Return epoch and bucket of all rows of this run in its reports and on its disk."""
        yield from (
            (epoch, bucket) for run, epoch, bucket in self._setting.wire.seen if run == self.run.number
        )
        yield from ((key.epoch, key.slot.bucket) for key, _ in self.journalled())

    def set_disk(self, *, full: bool) -> None:
        self.disk_full = full
        limit = _NO_SPACE if full else resource.RLIM_INFINITY
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def journalled(self) -> list[tuple[RowKey, Row]]:
        """Return the rows of all journals on the disk."""
        found: list[tuple[RowKey, Row]] = []
        for file in self.spool.glob("*.journal"):
            try:
                content = file.read_bytes()
            except FileNotFoundError:
                continue  # acknowledged meanwhile
            for row in decode(content)[2]:
                place = Place(row.key.domain, row.key.region, row.key.isp)
                counts = {
                    "sentBytes": row.sent_bytes,
                    "receivedBytes": row.received_bytes,
                    "sentMessages": row.sent_messages,
                    "receivedMessages": row.received_messages,
                    "openedConnections": row.opened_connections,
                    "101": dict(row.codes).get(101, 0),
                }
                found.append((RowKey(row.epoch, Slot(row.bucket, place)), counts))
        return found

    async def spooled(self) -> None:
        """Wait until disk and ledger have every byte that the clients of this run counted."""
        await eventually(lambda: self._known(journal=True) == self._owed())

    async def acknowledged(self) -> None:
        """Wait until the ledger has every byte of this pod."""
        await eventually(lambda: self._known(journal=False) == self._owed())
        await eventually(lambda: not any(run is not self.run for run in self._waiting()))

    def _waiting(self) -> Iterator[Run]:
        """Return the runs of this pod whose rows are on its disk."""
        for key, _ in self.journalled():
            yield self._setting.wire.books.owners.get(key.epoch, self.run)

    def _owed(self) -> int:
        return sum(counts["sentBytes"] for counts in self.run.counted.values())

    def _known(self, *, journal: bool) -> int:
        wire = self._setting.wire
        sent = {key: n for key, n in wire.taken.items() if wire.books.owners[key.epoch] is self.run}
        for key, row in self.journalled() if journal else ():
            if wire.books.owners.get(key.epoch, self.run) is self.run:
                sent[key] = max(row["sentBytes"], sent.get(key, 0))
        return sum(sent.values())

    # -- ends

    async def kill(self, *, at_work: bool) -> None:
        """SIGKILL; the disk stays. `at_work` is whether there may be counts that the disk does not have."""
        self._process.signal(signal.SIGKILL)
        assert await self._process.ended() == -signal.SIGKILL
        for visitor in list(self.visitors):
            await visitor.client.lose()
            self._forget(visitor)
        self.run.may_lose = at_work
        await self._ended()
        self._forget_peaks()

    def _forget_peaks(self) -> None:
        """Note it when the next process cannot know this one's peaks: the journal does not have them.

        They may have been reported within the second before the kill, or while the disk was full.
        """
        books = self._setting.wire.books
        opened: Counter[Slot] = Counter()
        for key, row in self.journalled():
            if books.owners.get(key.epoch, self.run) is self.run:
                opened[key.slot] += row["openedConnections"]
        for slot in list(self.run.peaks):
            counted = self.run.counted[slot]["openedConnections"]
            if slot.bucket == self.bucket and (slot not in opened or opened[slot] != counted):
                books.unknown.add((self.uid, slot.bucket))

    async def stop(self, *, hurry: bool = False) -> bool:
        """SIGTERM: the relay drains and ends; return whether it has reported all.

        A second signal hurries it: what it cannot report at once stays on its disk.
        """
        await self._counted()
        self._process.signal(signal.SIGTERM)
        if hurry:
            await self._process.event("drain started")
            self._process.signal(signal.SIGTERM)
        for visitor in list(self.visitors):
            await visitor.client.answer_close()
            self._forget(visitor)
        assert await self._process.ended() == 0
        await self._ended()
        return self._process.events[-1]["all_usage_reported"] is True

    def lose_disk(self) -> None:
        """Have the pod's disk go with it."""
        self.spool.rename(self.spool.with_name("lost"))
        self._setting.wire.books.lose_disk(self.uid)

    async def close(self) -> None:
        await self._stack.aclose()
        for visitor in self.visitors:
            visitor.client.close()

    async def _ended(self) -> None:
        await self._stack.aclose()
        now = self.clock.now().timestamp()
        for file in self.spool.glob(
            "*"
        ):  # the machine's clock, by which files have their times, is the pod's
            os.utime(file, (now, now))

    def claim(self) -> None:
        """Note what the disk of a pod that has ended will deliver."""
        self._setting.wire.books.spool(self.journalled(), self.run)

    @property
    def left(self) -> bool:
        """Whether counts wait on the disk."""
        return any(self.spool.glob("*.journal"))
