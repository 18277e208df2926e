"""The operator with 1,000 domains: CPU, memory and writes, on a devcluster with simulated relays.

    .venv/bin/python tests/bench/domains.py                    all sections, about ten minutes
    … --only apply,restart --domains 200                       some of them, smaller
    … --write docs/benchmarks.md                               the table between the marks of that page

The operator is a process of this machine with the administrator's rights. Its CPU is user and system time of
/proc/PID/stat, its peak VmHWM; both are its own, so other programs change them little. The two times (an
edit, a midnight) are wall-clock times and need a quiet machine.

    apply     domains with one relay each, in accounts of ten, are created; until all are Ready
    idle      nothing is written; CPU of `--idle` seconds, extrapolated to an hour
    edit      heartbeatSeconds of a domain; until its ConfigMap has the next generation; the median of nine
    restart   a second process, until five seconds after all domains are decided and its queue is empty
    midnight  as many accounts with a plan that begins at a midnight of one of four zones; the operator's
              clock is moved past the last one; until all are in force, and whether in order of their dates
    silent    another cluster, whose relays refuse connections; CPU once they have lagged for `--lag` s
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import aiohttp
from figures import markdown
from machine import describe_machine

from support.operator.cluster import domain, plan
from wsedge_devcluster.agent.api import Api
from wsedge_devcluster.agent.informer import Informer
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.machine.pki import Identity

ROOT: Final = Path(__file__).parents[2]
BEGIN, END = "<!-- begin: make bench-operator -->", "<!-- end: make bench-operator -->"
SECTIONS: Final = ("apply", "idle", "edit", "restart", "midnight", "silent")
PROGRAMS: Final = ("tests", "operator", "proxy", "statistics")
GROUP: Final = "/apis/wsedge.io/v1alpha1"
PER_ACCOUNT: Final = 10
EDITS: Final = 9
AT_ONCE: Final = 16  # creations by the bench
# Midnights of these are at different instants, in the order that the time of day gives.
ZONES: Final = ("Asia/Kathmandu", "Asia/Kolkata", "Asia/Karachi", "Asia/Kabul")
DEADLINE_SECONDS: Final = 1800.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure's name, its section, what it may be at most, and what it was in the release before."""

    section: str
    what: str
    most: float
    unit: str
    before: str


GOALS: Final = (
    Goal("apply", "from apply to Ready", 40, "CPU-seconds", "94"),
    Goal("apply", "peak, from apply to Ready", 160, "MiB", "224"),
    Goal("idle", "an idle hour", 10, "CPU-seconds", "15.6"),
    Goal("idle", "writes while idle", 0, "writes", "0"),
    Goal("edit", "an edit to its ConfigMap", 0.5, "s", "0.12"),
    Goal("restart", "restart", 5, "CPU-seconds", "24.9"),
    Goal("restart", "peak, restart", 200, "MiB", "398"),
    Goal("midnight", "activations at one midnight", 30, "s", "218 (busy machine)"),
    Goal("midnight", "activations before one of an earlier date", 0, "of all", "0"),
    Goal("silent", "relays that do not answer", 5, "% of a core", "24"),
)


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--only", default=",".join(SECTIONS), metavar="SECTION[,SECTION]")
    parser.add_argument("--idle", type=float, default=300.0, metavar="SECONDS")
    parser.add_argument("--lag", type=float, default=300.0, metavar="SECONDS")
    parser.add_argument(
        "--profile", type=Path, metavar="FOLDER", help="cProfile of each operator, into FOLDER"
    )
    parser.add_argument("--write", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    arguments.only = arguments.only.split(",")
    if unknown := sorted(set(arguments.only) - set(SECTIONS)):
        parser.error(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    return arguments


class Operator:
    """An operator process, its clock, and its figures."""

    def __init__(self, cluster: Cluster, folder: Path, name: str, profile: Path | None) -> None:
        self.name, self._log, self._clock = name, folder / f"{name}.log", folder / f"{name}.clock"
        self._clock.write_text("0")
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "KUBECONFIG": str(cluster.kubeconfig),
            # Of this checkout, whichever one the environment has installed: two checkouts can be compared.
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in PROGRAMS),
            # An installed package is compiled; that of a checkout is so from the second operator on.
            "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
            "WSEDGE_OPERATOR_NAMESPACE": "wsedge-system",
            "WSEDGE_OPERATOR_POD_NAME": name,
            "WSEDGE_OPERATOR_LISTEN": "127.0.0.1:0",
            "WSEDGE_OPERATOR_LOG_FORMAT": "json",
            # A busy machine must not end the leader: what it does afterwards would be measured as less work.
            "WSEDGE_OPERATOR_LEASE_SECONDS": "120",
        }
        program = ["-m", "support.operator.skewed", str(self._clock)]
        if profile is not None:
            profile.mkdir(parents=True, exist_ok=True)
            program = ["-m", "cProfile", "-o", str(profile / f"{name}.prof"), *program]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program], env=environment, stdout=log, stderr=log
            )

    def cpu(self) -> float:
        """Return the CPU-seconds of the process, in user and system mode."""
        if self.process.poll() is not None:
            raise SystemExit(f"the operator has ended: {self._log.read_text()[-2000:]}")
        text = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(text[11]) + int(text[12])) / _TICKS

    def peak(self) -> float:
        """Return the highest resident size of the process so far, in MiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        return int(found[1]) / 1024 if found else 0.0

    def skew(self, seconds: float) -> None:
        """Set the operator's clock ahead by `seconds`."""
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.rename(self._clock)
        self.process.send_signal(signal.SIGUSR1)

    async def metrics(self) -> dict[str, float]:
        """Return the operator's metrics by name and labels; empty before it listens."""
        port = next((line["port"] for line in self._lines() if line["event"] == "listening"), None)
        if port is None:
            return {}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/metrics") as answer,
        ):
            lines = (await answer.text()).splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
        }

    async def writes(self) -> float:
        """Return the number of writes so far."""
        found = await self.metrics()
        return sum(value for name, value in found.items() if name.startswith("wsedge_operator_writes_total"))

    async def decided(self, domains: int) -> bool:
        """Return whether the operator leads, has reconciled this many domains, and has an empty queue."""
        self.cpu()  # while it runs
        found = await self.metrics()
        done = found.get('wsedge_operator_reconciles_total{kind="domain",result="done"}', 0.0)
        queued = found.get("wsedge_operator_queue_length", 1.0)
        return found.get("wsedge_operator_leading") == 1.0 and queued == 0.0 and done >= domains

    def _lines(self) -> Iterator[dict[str, Any]]:
        with self._log.open() as log:
            for line in log:
                if line.startswith("{") and line.endswith("}\n"):
                    yield json.loads(line)

    def stop(self) -> None:
        """End the operator in order."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass
class Stage:
    """A cluster, a client of it, its WebSocketDomains and BillingPlans as watched, and the figures."""

    cluster: Cluster
    api: Api
    folder: Path
    options: argparse.Namespace
    domains: Informer
    plans: Informer
    maps: Informer
    figures: dict[str, float] = field(default_factory=dict)

    def operator(self, name: str) -> Operator:
        """Start an operator process."""
        return Operator(self.cluster, self.folder, name, self.options.profile)

    async def create(self, path: str, *bodies: dict[str, Any]) -> None:
        """Create objects of a path, some at once."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(body: dict[str, Any]) -> None:
            async with gate:
                namespace = body["metadata"].get("namespace")
                where = path.format(namespace=namespace)
                await self.api.create(where, body)

        await asyncio.gather(*(one(body) for body in bodies))

    async def accounts(self, names: list[str], **spec: Any) -> None:
        """Create namespaces, each with a plan."""
        kind = {"apiVersion": "v1", "kind": "Namespace"}
        await self.create("/api/v1/namespaces", *({**kind, "metadata": {"name": name}} for name in names))
        plans = (in_namespace(plan(**spec), name) for name in names)
        await self.create(GROUP + "/namespaces/{namespace}/billingplans", *plans)

    def is_ready(self) -> bool:
        """Return whether all domains are Ready."""
        found = list(self.domains)
        return len(found) == self.options.domains and all(holds(live, "Ready") for live in found)


def in_namespace(manifest: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return a manifest in a namespace."""
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


def holds(live: dict[str, Any], question: str, reason: str = "") -> bool:
    """Return whether a condition is true, with a reason if one is given."""
    return any(
        entry["type"] == question and entry["status"] == "True" and reason in ("", entry["reason"])
        for entry in (live.get("status") or {}).get("conditions") or ()
    )


async def until(what: str, question: Callable[[], Awaitable[bool] | bool], pause: float = 0.5) -> None:
    """Wait until a question is true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        answer = question()
        if answer if isinstance(answer, bool) else await answer:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {DEADLINE_SECONDS:.0f} s: {what}")
        await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def staged(arguments: argparse.Namespace, *, answering: bool) -> AsyncIterator[Stage]:
    """Run a cluster with simulated relays."""
    say(f"starting a cluster whose relays {'answer' if answering else 'do not answer'}")
    nodes = 1 + arguments.domains // 4000
    async with Cluster(nodes=0, simulated_nodes=nodes, relays_answer=answering) as cluster:
        cluster.kubectl("apply", "--server-side", "--filename", str(ROOT / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
        cluster.kubectl("create", "namespace", "wsedge-system")
        pki = cluster.directory / "pki"
        api = Api(cluster.server, cluster.ca_file, Identity(pki / "node-agent.crt", pki / "node-agent.key"))
        domains = Informer(api, f"{GROUP}/websocketdomains")
        plans = Informer(api, f"{GROUP}/billingplans")
        ours = {"labelSelector": "app.kubernetes.io/managed-by=wsedge"}
        maps = Informer(api, "/api/v1/configmaps", ours)
        tasks = [asyncio.create_task(informer.run()) for informer in (domains, plans, maps)]
        with tempfile.TemporaryDirectory() as folder:
            try:
                yield Stage(cluster, api, Path(folder), arguments, domains, plans, maps)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await api.close()


async def create_domains(stage: Stage) -> None:
    """Create all domains, in accounts that exist."""
    made = (
        in_namespace(
            domain(f"chat-{number % PER_ACCOUNT}", host=f"d{number}.example.com"),
            f"account-{number // PER_ACCOUNT}",
        )
        for number in range(stage.options.domains)
    )
    await stage.create(GROUP + "/namespaces/{namespace}/websocketdomains", *made)


async def create_accounts(stage: Stage) -> None:
    """Create the accounts of the domains, and wait for their plans."""
    await stage.accounts([f"account-{n}" for n in range(-(-stage.options.domains // PER_ACCOUNT))])
    await until("plans in force", lambda: all(holds(live, "Effective") for live in stage.plans))


async def apply(stage: Stage, operator: Operator) -> None:
    """Measure an operator from the creation of all domains until they are Ready."""
    await create_accounts(stage)
    await until("an operator at rest", lambda: operator.decided(0))
    before, begun = operator.cpu(), time.monotonic()
    await create_domains(stage)
    await until("all domains ready", lambda: operator.cpu() > before and stage.is_ready(), pause=1)
    stage.figures["from apply to Ready"] = operator.cpu() - before
    stage.figures["peak, from apply to Ready"] = operator.peak()
    say(f"{stage.options.domains} domains were ready after {time.monotonic() - begun:.0f} s")
    await until("an operator at rest", lambda: operator.decided(0))


async def idle(stage: Stage, operator: Operator) -> None:
    """Measure an operator that has nothing to do."""
    await asyncio.sleep(15)  # the last polls and Events of the domains
    before, writes, begun = operator.cpu(), await operator.writes(), time.monotonic()
    await asyncio.sleep(stage.options.idle)
    used, length = operator.cpu() - before, time.monotonic() - begun
    stage.figures["an idle hour"] = used * 3600 / length
    stage.figures["writes while idle"] = await operator.writes() - writes


async def edit(stage: Stage) -> None:
    """Measure edits of a domain until the ConfigMap of its relays has them."""
    times = []
    for number in range(EDITS):
        name = f"chat-{number % min(PER_ACCOUNT, stage.options.domains)}"
        path = f"{GROUP}/namespaces/account-0/websocketdomains/{name}"
        change = {"spec": {"websocket": {"heartbeatSeconds": 61 + number}}}
        begun = time.monotonic()
        await stage.api.patch(path, change)
        await until("the ConfigMap", partial(_has, stage, name, 61 + number), pause=0.005)
        times.append(time.monotonic() - begun)
        await until("the domain is ready", stage.is_ready)
    stage.figures["an edit to its ConfigMap"] = statistics.median(times)


def _has(stage: Stage, name: str, seconds: int) -> bool:
    live = stage.maps.get(f"account-0/{name}-relay")
    return live is not None and f'"heartbeatSeconds": {seconds}' in live["data"]["relay.json"]


async def restart(stage: Stage, operator: Operator) -> Operator:
    """Measure another operator, from its start until it has decided about all domains."""
    operator.stop()
    fresh = stage.operator("restarted")
    # Each question costs the operator some milliseconds for its metrics.
    await until("all domains decided", lambda: fresh.decided(stage.options.domains), pause=1)
    say(f"restarted: {fresh.cpu():.1f} CPU-seconds until all domains are decided")
    # Whatever the process does besides: a peak counts whenever it is.
    await asyncio.sleep(5)
    stage.figures["restart"] = fresh.cpu()
    stage.figures["peak, restart"] = fresh.peak()
    return fresh


async def midnight(stage: Stage, operator: Operator) -> None:
    """Measure the activations at midnights of four zones that pass at once."""
    now = datetime.now(UTC)
    number = stage.options.domains
    names = [f"customer-{n}" for n in range(number)]
    for index, zone in enumerate(ZONES):
        await stage.accounts(names[index :: len(ZONES)], existingCycle="Daily", timeZone=zone)
    waiting = [f"{name}/plan" for name in names]
    await until("plans scheduled", lambda: all(_is_scheduled(stage.plans.get(key)) for key in waiting))
    await until("an operator at rest", lambda: operator.decided(0))
    dates = {name: _midnight(ZONES[i % len(ZONES)], now) for i, name in enumerate(names)}
    active: list[str] = []
    seen: set[str] = set()

    def note(_old: Any, live: Any) -> None:
        name = live["metadata"]["namespace"] if live is not None else ""
        if name in dates and name not in seen and holds(live, "Effective"):
            seen.add(name)
            active.append(name)

    stage.plans.on_change(note)
    before, begun = operator.cpu(), time.monotonic()
    operator.skew((max(dates.values()) - datetime.now(UTC)).total_seconds() + 1)
    await until("all plans in force", lambda: len(active) == number, pause=0.05)
    stage.figures["activations at one midnight"] = time.monotonic() - begun
    # Workers finish in another order than they begin: a plan counts only if it is behind by more than these.
    latest, late = min(dates.values()), 0
    for earlier, name in zip(active, active[AT_ONCE:], strict=False):
        latest = max(latest, dates[earlier])
        late += dates[name] < latest
    stage.figures["activations before one of an earlier date"] = late
    say(f"midnight: {operator.cpu() - before:.1f} CPU-seconds")


def _is_scheduled(live: dict[str, Any] | None) -> bool:
    return live is not None and holds(live, "Ready") and not holds(live, "Effective")


def _midnight(zone: str, now: datetime) -> datetime:
    local = now.astimezone(ZoneInfo(zone))
    following = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return following.astimezone(UTC)


async def silent(stage: Stage) -> None:
    """Measure an operator whose relays refuse connections to their admin port."""
    operator = stage.operator("unanswered")
    try:
        await create_accounts(stage)
        await create_domains(stage)
        number = stage.options.domains
        await until(
            "all relays running", lambda: len([*stage.domains]) == number and all(map(_lags, stage.domains))
        )
        say(f"all relays lag; waiting {stage.options.lag:.0f} s")
        await asyncio.sleep(stage.options.lag)
        before, begun = operator.cpu(), time.monotonic()
        await asyncio.sleep(120)
        share = (operator.cpu() - before) / (time.monotonic() - begun)
        stage.figures["relays that do not answer"] = 100 * share
    finally:
        operator.stop()


def _lags(live: dict[str, Any]) -> bool:
    return any(
        entry["reason"] == "RollingOut" and "does not answer" in entry["message"]
        for entry in (live.get("status") or {}).get("conditions") or ()
    )


async def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Return the figures of the sections that were asked for."""
    figures: dict[str, float] = {}
    if set(arguments.only) - {"silent"}:
        async with staged(arguments, answering=True) as stage:
            operator = stage.operator("first")
            try:
                await apply(stage, operator)
                if "idle" in arguments.only:
                    await idle(stage, operator)
                if "edit" in arguments.only:
                    await edit(stage)
                if "restart" in arguments.only:
                    operator = await restart(stage, operator)
                if "midnight" in arguments.only:
                    await midnight(stage, operator)
            finally:
                operator.stop()
            figures |= stage.figures
    if "silent" in arguments.only:
        async with staged(arguments, answering=False) as stage:
            await silent(stage)
            figures |= stage.figures
    return figures


def table(figures: dict[str, float]) -> str:
    """Return the goals that have figures, as a Markdown table."""
    rows = [
        [
            goal.what,
            goal.before,
            f"{goal.most:g} {goal.unit}",
            f"{figures[goal.what]:.2f}",
            "met" if figures[goal.what] <= goal.most else "**not met**",
        ]
        for goal in GOALS
        if goal.what in figures
    ]
    return markdown(["figure", "before", "goal, at most", "measured", "result"], rows)


def say(text: str) -> None:
    """Report progress."""
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")
    sys.stderr.flush()


def main() -> None:
    """Measure; print or write the table."""
    arguments = options()
    figures = asyncio.run(measure(arguments))
    heading = (
        f"{datetime.now(UTC):%Y-%m-%d}, {arguments.domains:,} domains, {describe_machine()}, "
        f"Python {platform.python_version()}."
    )
    text = f"{heading}\n\n{table(figures)}"
    if arguments.write is None:
        sys.stdout.write(text + "\n")
        return
    page = arguments.write.read_text()
    before, rest = page.split(BEGIN)
    arguments.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
