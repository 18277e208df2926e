"""The quickstart: the README's commands in a shell, and `make run`."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.documented import ROOT, commands, type_by_hand
from support.faults.edge import environment_of
from wsedge_devcluster.cluster.cluster import Cluster, quiet
from wsedge_devcluster.comparison.counts import REPORT_SECONDS, agree
from wsedge_devcluster.comparison.statistics import Statistics
from wsedge_devcluster.machine.children import MARK, marked_processes
from wsedge_devcluster.machine.ranges import reachable_port
from wsedge_devcluster.quickstart.quickstart import (
    DOMAIN,
    NAMESPACE,
    QuickstartError,
    find_places,
    install,
    token,
)
from wsedge_devcluster.quickstart.viewers import Audience

EXAMPLES = str(ROOT / "examples" / "quickstart")
VIEWERS = 3


@pytest.fixture(scope="module")
def by_hand(installed: Cluster) -> Iterator[Cluster]:
    """Run the README's commands up to a ready domain; return the cluster."""
    lines = commands("README.md", "By hand")
    start = next(index for index, line in enumerate(lines) if line.startswith("helm install"))
    assert lines[start].startswith("helm install wsedge charts/wsedge --namespace wsedge-system")
    end = next(index for index, line in enumerate(lines) if line.startswith("RELAY="))
    type_by_hand(installed, *lines[start + 1 : end])  # the fixture has installed the chart
    yield installed
    installed.kubectl("delete", "-f", EXAMPLES, "--wait=false")


def audience_of(cluster: Cluster) -> Audience:
    """Return clients of the room, through the relay's Service."""
    host, _, port = find_places(cluster).relay.rpartition(":")
    return Audience((host, int(port)), DOMAIN, viewers=VIEWERS)


async def test_by_hand_the_statistics_have_every_byte_of_the_clients(by_hand: Cluster) -> None:
    """Clients through the relay's Service and the statistics count the same bytes and connections."""
    audience = audience_of(by_hand)
    async with asyncio.timeout(60), audience:
        await audience.chat_until_everybody_saw(20)
    url = find_places(by_hand).statistics
    async with Statistics(url, token(by_hand), domain=DOMAIN) as statistics:
        answer = await statistics.wait_for(lambda one: agree(audience.counts, one), seconds=REPORT_SECONDS)
    assert agree(audience.counts, answer), (audience.counts, answer)


def test_by_hand_client_and_curl_work_as_the_readme_says(by_hand: Cluster) -> None:
    """The README's client receives its comments, and its curl the account's traffic."""
    lines = commands("README.md", "By hand")
    start = next(index for index, line in enumerate(lines) if line.startswith("RELAY="))
    end = next(index for index, line in enumerate(lines) if line.startswith("curl"))
    # As the README's comment beside the client's command says.
    told = [line.replace('"$RELAY" ', f'"$RELAY:{reachable_port(80)}" ') for line in lines[start : end + 1]]
    said = type_by_hand(by_hand, *told)
    comments, _, answer = said.partition("{")
    assert comments.count("what a launch!") == 5
    assert json.loads("{" + answer)["account"] == NAMESPACE


async def test_the_heartbeat_can_be_changed_under_open_connections_as_the_docs_say(by_hand: Cluster) -> None:
    """The patch of docs/quickstart.md closes no connection, replaces no pod, and takes effect in seconds."""
    relays = ("get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=wsedge-relay", "-o", "name")
    pods = sorted(by_hand.kubectl(*relays).split())
    heading = "Change the heartbeat under open connections"
    async with audience_of(by_hand) as audience:
        await asyncio.to_thread(type_by_hand, by_hand, *commands("docs/quickstart.md", heading))
        silent = audience.counts
        for _ in range(300):  # the new heartbeat is 5 s; the old one of 60 s sends nothing in 30 s
            await asyncio.sleep(0.1)
            if audience.counts.received >= silent.received + 2 * VIEWERS:  # a ping's header has two bytes
                break
        pinged = audience.counts
        assert pinged.received >= silent.received + 2 * VIEWERS
        assert (pinged.opened, pinged.open) == (VIEWERS, VIEWERS)
    assert len(pods) == 2
    assert sorted(by_hand.kubectl(*relays).split()) == pods


def test_every_query_of_the_docs_succeeds(by_hand: Cluster) -> None:
    """The queries of docs/quickstart.md to kubectl and to the statistics succeed."""
    readme = commands("README.md", "By hand")
    known = [line for line in readme if line.startswith(("TOKEN=", "STATISTICS="))]
    said = type_by_hand(
        by_hand,
        *commands("docs/quickstart.md", "See conditions and their reasons"),
        *known,
        *(
            line.replace("curl", "curl --fail")
            for line in commands("docs/quickstart.md", "Query the statistics")
        ),
    )
    for part in ("billingplan.wsedge.io/plan", "ConfigurationCurrent", "heartbeatSeconds", '"unit":"bit/s"'):
        assert part in said


def test_a_failed_step_is_reported_with_the_state_of_the_cluster(installed: Cluster) -> None:
    """The error has the cause, the pods and the events."""
    with pytest.raises(QuickstartError, match=r"^helm install: [\s\S]*cannot reuse a name") as failed:
        install(installed, quiet)
    for part in ("$ kubectl get pods --all-namespaces", "wsedge-operator-", "$ kubectl get events"):
        assert part in str(failed.value)


def start_quickstart(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "wsedge_devcluster.main", "quickstart", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
    )


def rest_of(process: subprocess.Popen[str], seconds: float = 120) -> str:
    """Return a process' output until its end; kill it at the deadline."""
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def marks_of(process: subprocess.Popen[str]) -> set[str]:
    """Return the marks of the devclusters that a process has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    prefix = f"{MARK}=".encode()
    return {
        variable.removeprefix(prefix).decode()
        for child in children
        for variable in environment_of(int(child))
        if variable.startswith(prefix)
    }


def test_once_compares_the_numbers_and_leaves_nothing() -> None:
    """`make run ONCE=1` prints a table in which every row is equal, and ends with 0."""
    process = start_quickstart("--once")
    output = rest_of(process, 400)
    assert process.returncode == 0, output
    rows = [line for line in output.splitlines() if line.startswith(("bytes", "connections", "handshakes"))]
    assert len(rows) == 4
    assert all(row.endswith("equal") for row in rows)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read a process' output up to a line with `text`, or to its end."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            break
    return "".join(seen)


def test_sigterm_ends_the_live_view_and_everything_behind_it() -> None:
    """Without a terminal the view is lines; SIGTERM ends it with 0 and leaves no process."""
    process = start_quickstart()
    seen = read_until(process, "clients; they counted")
    assert "export KUBECONFIG=" in seen
    (mark,) = marks_of(process)
    assert marked_processes(mark)
    process.terminate()
    rest = rest_of(process)
    assert process.returncode == 0, seen + rest
    assert marked_processes(mark) == []


def test_ctrl_c_during_the_start_leaves_nothing() -> None:
    """Interrupted before the cluster runs, it ends with 130 as other commands do, and leaves no process."""
    process = start_quickstart()
    seen = read_until(process, "starting etcd")
    (mark,) = marks_of(process)
    process.send_signal(signal.SIGINT)
    rest = rest_of(process)
    assert process.returncode == 130, seen + rest
    assert marked_processes(mark) == []
