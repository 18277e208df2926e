"""A story's programs, each step of it carried out, and the comparison of ledger and books at its end."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from support.faults.clock import StepClock, compiled
from support.relay.geo_files import xdb
from support.relay_process.process import DEADLINE
from support.relay_process.traffic import echo_origin
from support.statistics.clickhouse import engine_process
from support.statistics.process import Statistics
from support.story import steps
from support.story.books import MEASURES, Books, Place, Slot
from support.story.pod import BUCKET, Pod, Setting
from support.story.steps import Death, Moment, Step
from support.story.wire import Wire

_SPAN: Final = 3 * 24 * 3600  # of a question at five minutes
_ANCHOR: Final = 20  # seconds into a bucket at which a story's clock is set
_LATE: Final = 200  # and at which it is set back: no bucket ends but by a step
_GEO: Final = {
    "127.0.0.2-127.0.0.2": "中国|广东省|广州市|电信|CN",
    "127.0.0.3-127.0.0.3": "中国|北京市|北京市|联通|CN",
}


class World:
    """All programs of one story. `true` is how far the right time is ahead of the machine's."""

    def __init__(self, setting: Setting, clock: StepClock, arguments: Sequence[str]) -> None:
        self.setting = setting
        self.wire, self.books = setting.wire, setting.wire.books
        self.true = timedelta(0)
        self.pods: list[Pod] = []
        self._pods = 0
        self._clock, self._arguments = clock, arguments
        self._clock_error = timedelta(0)
        self._killed = asyncio.Event()
        self.statistics: Statistics
        self.wire.kill = self._kill_statistics
        self._anchor()

    # -- programs

    async def begin(self) -> None:
        await self.start_statistics()
        for _ in range(2):
            await self.add_pod()

    async def start_statistics(self) -> None:
        variables = (f"{name}={value}" for name, value in self._clock.variables.items())
        data = self.setting.folder / "data"
        self.statistics = Statistics(data, *self._arguments, prefix=("env", *variables))
        await asyncio.to_thread(self.statistics.listening)
        self.wire.upstream = self.statistics.port

    async def _kill_statistics(self) -> None:
        await asyncio.to_thread(self.statistics.stop, signal.SIGKILL)
        self._killed.set()

    async def add_pod(self) -> Pod:
        pod = Pod(self._pods, self.setting, self.true)
        self._pods += 1
        self.pods.append(pod)
        await pod.start()
        return pod

    async def close(self) -> None:
        for pod in self.pods:
            await pod.close()
        if self.statistics.process.poll() is None:
            self.statistics.process.kill()
        await asyncio.to_thread(self.statistics.wait)

    # -- time

    def _anchor(self) -> bool:
        """Keep the right time off a bucket's end; return whether it was moved (within its bucket)."""
        into = (datetime.now(UTC) + self.true).timestamp() % BUCKET
        if _ANCHOR <= into <= _LATE:
            return False
        self.true += timedelta(seconds=_ANCHOR - into)
        self._clock.step(self.true + self._clock_error)
        for pod in self.pods:
            pod.clock.step(self.true + pod.error)
        return True

    async def _advance(self, buckets: int) -> None:
        self.true += timedelta(seconds=BUCKET * buckets)
        self._clock.step(self.true + self._clock_error)
        await asyncio.gather(*(pod.set_clock(self.true + pod.error) for pod in self.pods))
        self._note_true_peaks()

    def _note_true_peaks(self) -> None:
        """Add up, over all pods that are in a bucket now, what is open now."""
        now: Counter[Slot] = Counter()
        for pod in self.pods:
            for place, number in pod.run.open_now.items():
                now[Slot(pod.bucket, place)] += number
        self.books.true_peaks |= now

    # -- steps

    async def carry_out(self, step: Step) -> None:
        """Carry out one step; what it has to bring about has happened on return."""
        self._anchor()
        match step:
            case steps.Talk(number, visitor, size, times):
                pod = self._pod(number)
                for _ in range(times):
                    await pod.talk(pod.visitor(visitor), size)
            case steps.Join(number, place, size):
                pod = self._pod(number)
                await pod.join(place)
                await pod.talk(pod.visitors[-1], size)
            case steps.Leave(number, visitor):
                pod = self._pod(number)
                if visitor % len(pod.visitors):  # the first one stays: it shows which bucket the relay is in
                    await pod.leave(pod.visitor(visitor))
            case steps.NextBucket(buckets):
                await self._advance(buckets)
            case steps.Weather(faults):
                self.wire.weather.clear()
                self.wire.weather.extend(faults)
            case steps.CatchUp():
                await self._clear_up()
                await self._acknowledged()
            case _:
                await self._fail(step)
        self._note_true_peaks()

    async def _fail(self, step: Step) -> None:
        match step:
            case steps.Kill(number, death, size):
                await self._kill(self._pod(number), death, size)
            case steps.Restart(number):
                pod = self._pod(number)
                if not await pod.stop(hurry=True) and pod.disk_full:
                    pod.run.may_lose = True
                pod.claim()
                await pod.start()
            case steps.Roll(number):
                await self._clear_up()
                leaving = self._pod(number)
                await self._end(leaving, to=await self.add_pod())
            case steps.Scale(up, number):
                await self._clear_up()
                if up and len(self.pods) < 4:
                    await self.add_pod()
                elif len(self.pods) > 1:
                    leaving = self._pod(number)
                    await self._end(leaving, to=next(pod for pod in self.pods if pod is not leaving))
            case steps.RelayClock(number, buckets):
                await self._set_clock(self._pod(number), timedelta(seconds=BUCKET * buckets))
            case steps.StatisticsClock(buckets):
                self._clock_error = timedelta(seconds=BUCKET * buckets)
                self._clock.step(self.true + self._clock_error)
            case steps.KillStatistics(moment):
                await self._kill_between(moment)
            case steps.StatisticsDisk(full):
                self._set_statistics_disk(full=full)
            case steps.RelayDisk(number, full):
                self._pod(number).set_disk(full=full)

    def _pod(self, number: int) -> Pod:
        return self.pods[number % len(self.pods)]

    @property
    def _now(self) -> float:
        return (datetime.now(UTC) + self.true).timestamp()

    async def _acknowledged(self) -> None:
        await asyncio.gather(*(pod.acknowledged() for pod in self.pods))

    async def _kill(self, pod: Pod, death: Death, size: int) -> None:
        if death is Death.SPOOLED:
            pod.set_disk(full=False)
            await pod.spooled()
        else:
            await pod.talk(pod.visitor(0), size)
        await pod.kill(at_work=death is not Death.SPOOLED)
        pod.claim()
        if death is Death.WITH_DISK:
            self.pods.remove(pod)
            pod.lose_disk()
            await self.add_pod()
        else:
            await pod.start()

    async def _end(self, pod: Pod, *, to: Pod) -> None:
        """End a pod as a rollout does, its disk too; its clients connect to another one."""
        visitors = list(pod.visitors)
        await pod.acknowledged()
        assert await pod.stop(), "a relay that drained has not reported all"
        pod.claim()
        assert not pod.left
        self.pods.remove(pod)
        for visitor in visitors:
            await to.join(visitor.number)

    async def _set_clock(self, pod: Pod, error: timedelta) -> None:
        if abs(error - pod.error) < timedelta(seconds=2 * BUCKET):
            return  # within one bucket nothing is to be seen of it
        pod.error = error
        await pod.set_clock(self.true + error)

    async def _kill_between(self, moment: Moment) -> None:
        self._set_statistics_disk(full=False)
        self._killed.clear()
        self.wire.kill_at = moment
        pod = self._pod(0)
        await pod.talk(pod.visitor(0), 1)
        async with asyncio.timeout(40):
            await self._killed.wait()
        await self.start_statistics()

    def _set_statistics_disk(self, *, full: bool) -> None:
        limits = (1 if full else resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        for process in (self.statistics.process.pid, engine_process()):
            if process is not None:
                resource.prlimit(process, resource.RLIMIT_FSIZE, limits)

    async def _clear_up(self) -> None:
        """End every failure: clocks are right, disks have space, reports arrive."""
        self.wire.weather.clear()
        self._set_statistics_disk(full=False)
        self._clock_error = timedelta(0)
        self._clock.step(self.true)
        for pod in self.pods:
            pod.set_disk(full=False)
            await self._set_clock(pod, timedelta(0))

    # -- the end

    async def end(self) -> None:
        """Let the latest time come that any clock has shown, end every relay, and repeat all reports."""
        await self._clear_up()
        latest = max(bucket for run in self.books.runs for bucket in run.way)
        await self._advance(2 + max(0, round((latest - self._now) / BUCKET)))
        await self._acknowledged()
        for pod in self.pods:
            await pod.stop()
            pod.claim()
            while pod.left:  # the next process of a pod delivers what the last one left
                await pod.start()
                await pod.acknowledged()
                await pod.stop()
                pod.claim()
        await self.wire.repeat_everything()

    async def compare(self) -> None:
        """Compare ledger and books: every count per bucket and key, and that there is nothing else."""
        expected = self.books.expected()
        found, peaks = await self._ledger({slot.bucket for slot in expected})
        slots = expected.keys() | found.keys()
        pairs = {slot: (expected.get(slot), found.get(slot)) for slot in slots}
        differences = {slot: pair for slot, pair in pairs.items() if pair[0] != pair[1]}
        assert not differences, f"expected and found: {differences}"
        wrong = {}
        for slot, peak in peaks.items():
            least, most = self.books.bounds_of_peak(slot)
            if not least <= peak <= most or peak < min(least, self.books.true_peaks[slot]):
                wrong[slot] = (least, peak, most)
        assert not wrong, f"least, stated and most peak: {wrong}"
        days = [self._now - 62 * 86400, self._now + 86400]
        total = (await self._ask("/v1/traffic", *days, granularity="1d", totals="only"))["total"]
        sums: Counter[str] = Counter()
        for counts in expected.values():
            sums.update(counts)
        assert {name: total[name] for name in MEASURES[:-1]} == {name: sums[name] for name in MEASURES[:-1]}

    async def _ledger(self, buckets: Iterable[int]) -> tuple[dict[Slot, Counter[str]], dict[Slot, int]]:
        found: dict[Slot, Counter[str]] = defaultdict(Counter)
        peaks: dict[Slot, int] = {}
        end = 0
        for bucket in sorted(buckets):
            if bucket < end:
                continue
            start, end = bucket, bucket + _SPAN
            options = {"granularity": "5m", "groupBy": ["domain", "region", "isp"], "limit": 100}
            for group in (await self._ask("/v1/traffic", start, end, **options))["groups"]:
                for point in group["points"]:
                    slot = _slot(group, point)
                    if counts := {name: point[name] for name in MEASURES[:-1] if point[name]}:
                        found[slot].update(counts)
                    if point["peakConnections"]:
                        peaks[slot] = point["peakConnections"]
            for group in (await self._ask("/v1/codes", start, end, **options))["groups"]:
                for point in group["points"]:
                    for share in point["codes"]:
                        found[_slot(group, point)][str(share["code"])] += share["count"]
        return dict(found), peaks

    async def _ask(self, path: str, start: float, end: float, **options: Any) -> Any:
        span = {"start": _instant(start), "end": _instant(end)}
        async with asyncio.timeout(DEADLINE):
            while True:
                answer = await asyncio.to_thread(self.statistics.get, path, **span, **options)
                if answer.status != 503:  # by which a ledger that was full, or is busy, asks for another try
                    break
        assert answer.status == 200, (answer.text, self.statistics.lines[-5:])
        return answer.json


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _slot(group: Any, point: Any) -> Slot:
    by = group["by"]
    bucket = int(datetime.fromisoformat(point["start"]).timestamp())
    return Slot(bucket, Place(by["domain"], by["region"], by["isp"]))


@asynccontextmanager
async def world(folder: Path, arguments: Sequence[str], *, seed: int) -> AsyncIterator[World]:
    """Start the programs of a story in a folder; `seed` is of the choices of the network."""
    library, geo = compiled(folder), folder / "geo.xdb"
    geo.write_bytes(xdb(_GEO))
    async with echo_origin(pings=False) as origin, Wire(Books(), random.Random(seed)) as wire:
        setting = Setting(folder, library, geo, origin, wire)
        told = World(setting, StepClock(folder, library=library), arguments)
        try:
            await told.begin()
            yield told
        finally:
            await told.close()
