"""The product on this machine: control plane, chart, examples/quickstart, and clients that count their bytes.

`make run` starts it. The README has the same steps as commands.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import aiohttp
from websockets.exceptions import InvalidHandshake

from wsedge_devcluster.cluster.chart import CRDS, SYSTEM, checkout, install_chart
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.comparison.counts import REPORT_SECONDS, Answer, agree
from wsedge_devcluster.comparison.statistics import AnswerError, Statistics
from wsedge_devcluster.errors import CommandFailed, DevclusterError
from wsedge_devcluster.quickstart.liveview import Places, Snapshot, Workload, hints, line, page, table
from wsedge_devcluster.quickstart.viewers import Audience
from wsedge_devcluster.terminal import ProgressPrinter

NAMESPACE: Final = "quickstart"
DOMAIN: Final = "chat.example.com"
VIEWERS: Final = 5
COMMENTS: Final = 40
_REFRESH_SECONDS: Final = 2.0
_LINE_SECONDS: Final = 10.0
_CHAT_PAUSE: Final = 0.5

Say = Callable[[str], None]


class QuickstartError(DevclusterError):
    """A step of the quickstart failed: its name, the reason, and what kubectl reports."""

    def __init__(self, step: str, reason: str, findings: str = "") -> None:
        self.step, self.reason, self.findings = step, reason, findings
        super().__init__(step, reason, findings)

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}" + (f"\n{self.findings}" if self.findings else "")


@dataclass(frozen=True, slots=True)
class Wait:
    """A condition to wait for: its name for people, and the kubectl command that returns once it is true."""

    text: str
    command: tuple[str, ...]


WAITS: Final = (
    Wait("the statistics", ("-n", SYSTEM, "rollout", "status", "statefulset/wsedge-statistics")),
    Wait("the operator", ("-n", SYSTEM, "rollout", "status", "deployment/wsedge-operator")),
    Wait(
        "the plan to be effective", ("-n", NAMESPACE, "wait", "--for=condition=Effective", "billingplan/plan")
    ),
    Wait("the room, which is the origin", ("-n", NAMESPACE, "rollout", "status", "deployment/room")),
    Wait("the domain's relays", ("-n", NAMESPACE, "wait", "--for=condition=Ready", "websocketdomain/chat")),
)


def main(*, once: bool) -> int:
    """Run the quickstart until Ctrl-C or SIGTERM, or `once`; return the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    # A shell without job control starts background commands with SIGINT ignored, and Python inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    progress = ProgressPrinter()
    with Cluster(progress=progress) as cluster:
        install(cluster, progress)
        places = find_places(cluster)
        try:
            return asyncio.run(_with_clients(cluster, places, progress, once=once))
        except (KeyboardInterrupt, asyncio.CancelledError):
            if once:
                raise KeyboardInterrupt from None
            progress("ending everything")
            return 0


def install(cluster: Cluster, say: Say, *, seconds: int = 90) -> None:
    """Install the chart, apply examples/quickstart, wait until all of it runs. Raises QuickstartError."""
    root = checkout()
    say("helm install wsedge charts/wsedge")
    _step(cluster, "helm install", lambda: install_chart(cluster))
    _kubectl(cluster, "the CRDs", "wait", "--for=condition=Established", *CRDS, "--timeout=20s")
    say("kubectl apply -f examples/quickstart")
    _kubectl(cluster, "kubectl apply", "apply", "-f", str(root / "examples" / "quickstart"))
    for each in WAITS:
        say(f"waiting for {each.text}")
        _kubectl(cluster, f"waiting for {each.text}", *each.command, f"--timeout={seconds}s")


def find_places(cluster: Cluster) -> Places:
    """Return the addresses of relay and statistics, and the folders of files."""
    relay = cluster.service_address(NAMESPACE, "chat-relay", "http")
    statistics = cluster.service_address(SYSTEM, "wsedge-statistics", "http")
    kubectl = shutil.which("kubectl", path=cluster.environment()["PATH"])
    assert kubectl is not None  # noqa: S101  the cluster has just run it
    return Places(
        kubeconfig=cluster.kubeconfig,
        tools=Path(kubectl).parent,
        logs=cluster.logs_dir,
        relay=f"{relay[0]}:{relay[1]}",
        statistics=f"http://{statistics[0]}:{statistics[1]}",
    )


def find_workloads(cluster: Cluster) -> tuple[Workload, ...]:
    """Return every Deployment and StatefulSet, and how many of its pods are ready."""
    found = _json(cluster, "get", "deployments,statefulsets", "--all-namespaces")["items"]
    return tuple(
        Workload(
            namespace=each["metadata"]["namespace"],
            name=each["metadata"]["name"],
            ready=each["status"].get("readyReplicas", 0),
            wanted=each["spec"]["replicas"],
        )
        for each in sorted(found, key=lambda each: (each["metadata"]["namespace"], each["metadata"]["name"]))
    )


def token(cluster: Cluster) -> str:
    """Return a token that may read the statistics of the quickstart's account."""
    return cluster.kubectl(
        "create",
        "token",
        "default",
        "--namespace",
        NAMESPACE,
        "--audience",
        "wsedge-statistics",
        "--duration=24h",
    ).strip()


def findings(cluster: Cluster) -> str:
    """Return pods, their logs and recent Events, which show why a program does not start."""
    questions = (
        ("get", "pods", "--all-namespaces", "-o", "wide"),
        ("get", "wsedge", "--all-namespaces", "-o", "wide"),
        ("-n", NAMESPACE, "describe", "websocketdomain/chat"),
        ("get", "events", "--all-namespaces", "--field-selector=type=Warning"),
        ("-n", SYSTEM, "logs", "deployment/wsedge-operator", "--tail=15"),
        ("-n", SYSTEM, "logs", "statefulset/wsedge-statistics", "--tail=15"),
        ("-n", NAMESPACE, "logs", "--selector=app.kubernetes.io/name=wsedge-relay", "--tail=15", "--prefix"),
    )
    return "\n".join(_ask(cluster, question) for question in questions)


async def _with_clients(cluster: Cluster, places: Places, say: Say, *, once: bool) -> int:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _cancel, asyncio.current_task())
    host, _, port = places.relay.rpartition(":")
    audience = Audience((host, int(port)), DOMAIN, viewers=VIEWERS)
    say(f"{VIEWERS} WebSocket clients connect to {DOMAIN} at {places.relay}")
    bearer = await asyncio.to_thread(token, cluster)
    try:
        async with Statistics(places.statistics, bearer, domain=DOMAIN) as statistics:
            if once:
                return await _once(cluster, audience, statistics, say)
            async with audience:
                await _live(cluster, places, audience, statistics)
    except (InvalidHandshake, OSError) as error:
        problem = "no answer in time" if isinstance(error, TimeoutError) else repr(error)
        raise QuickstartError(
            f"clients of {places.relay}", problem, await asyncio.to_thread(findings, cluster)
        ) from error
    return 0


async def _once(cluster: Cluster, audience: Audience, statistics: Statistics, say: Say) -> int:
    """Chat, disconnect, and compare once the statistics have every byte, or at the deadline."""
    async with asyncio.timeout(30), audience:
        await audience.chat_until_everybody_saw(COMMENTS)
    say(f"{COMMENTS} comments reached all {VIEWERS} clients, and they left; waiting for the relays' reports")
    answer = await statistics.wait_for(lambda answer: agree(audience.counts, answer), seconds=REPORT_SECONDS)
    sys.stdout.write("\n".join(["", *table(audience.counts, answer), ""]) + "\n")
    if agree(audience.counts, answer):
        say("the statistics have every byte that the clients counted")
        return 0
    say(await asyncio.to_thread(findings, cluster))
    say(f"the statistics differ from what the clients counted, {REPORT_SECONDS} seconds after the last byte")
    return 1


async def _live(cluster: Cluster, places: Places, audience: Audience, statistics: Statistics) -> None:
    """Let the clients chat, and draw the page, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(audience.chat(pause=_CHAT_PAUSE))
        tasks.create_task(_show(cluster, places, audience, statistics))


async def _show(cluster: Cluster, places: Places, audience: Audience, statistics: Statistics) -> None:
    on_terminal = sys.stdout.isatty()
    sys.stdout.write("\n".join(["", *hints(places), "", ""]))
    drawn = 0
    while True:
        snapshot = await _snapshot(cluster, audience, statistics)
        if on_terminal:
            size = shutil.get_terminal_size()
            lines = page(snapshot, width=size.columns)[: size.lines - 1]
            # Move to the first line, clear each line to its end, then all below: redraws without flicker.
            back = f"\033[{drawn}F" if drawn else ""
            sys.stdout.write(back + "".join(f"{each}\033[K\n" for each in lines) + "\033[J")
            drawn = len(lines)
        else:
            sys.stdout.write(line(snapshot) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(_REFRESH_SECONDS if on_terminal else _LINE_SECONDS)


async def _snapshot(cluster: Cluster, audience: Audience, statistics: Statistics) -> Snapshot:
    try:
        workloads = await asyncio.to_thread(find_workloads, cluster)
    except (CommandFailed, subprocess.TimeoutExpired):
        workloads = ()  # the API server is down; the other numbers are still shown
    return Snapshot(
        at=datetime.now(UTC),
        workloads=workloads,
        clients=audience.counts,
        comments=tuple(audience.comments),
        answer=await _answer(statistics),
    )


async def _answer(statistics: Statistics) -> Answer | str:
    try:
        return await statistics.ask()
    except (AnswerError, aiohttp.ClientError, TimeoutError) as error:
        return f"no answer: {error}"


def _step(cluster: Cluster, step: str, act: Callable[[], object]) -> None:
    try:
        act()
    except (CommandFailed, subprocess.TimeoutExpired) as error:
        raise QuickstartError(step, str(error), findings(cluster)) from error


def _kubectl(cluster: Cluster, step: str, *arguments: str) -> None:
    _step(cluster, step, lambda: cluster.kubectl(*arguments))


def _ask(cluster: Cluster, question: tuple[str, ...]) -> str:
    try:
        return f"$ kubectl {' '.join(question)}\n{cluster.kubectl(*question, timeout=20)}"
    except (CommandFailed, subprocess.TimeoutExpired) as error:
        return f"$ {error}\n"


def _json(cluster: Cluster, *question: str) -> Any:
    return json.loads(cluster.kubectl(*question, "-o", "json"))


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _cancel(task: asyncio.Task[Any] | None) -> None:
    if task is not None:
        task.cancel()
