"""The quickstart: typed by hand from the README, and as `make run` runs it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsedge_devcluster.answers import Statistics
from wsedge_devcluster.children import MARK, marked_processes
from wsedge_devcluster.cluster import Cluster
from wsedge_devcluster.liveview import agree
from wsedge_devcluster.quickstart import DOMAIN, NAMESPACE, REPORT_SECONDS, find_places, token
from wsedge_devcluster.viewers import Audience

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = str(ROOT / "examples" / "quickstart")
PROGRAMS = Path(sys.executable).parent


def commands(page: str, heading: str) -> list[str]:
    r"""The indented commands under a heading of a Markdown page; a line that ends with \ goes on."""
    text = (ROOT / page).read_text()
    section = re.split(r"^## ", text.partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    return lines.replace("\\\n", " ").splitlines()


def type_by_hand(cluster: Cluster, *lines: str) -> str:
    """Run lines in a shell in the checkout, as a person would; stops at the first that fails."""
    script = "\n".join(["set -euo pipefail", *lines]).replace(".venv/bin/", f"{PROGRAMS}/")
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=cluster.environment(),
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def by_hand(installed: Cluster) -> Iterator[Cluster]:
    """The cluster after the README's commands up to the point where the domain is ready."""
    lines = commands("README.md", "By hand")
    start = next(index for index, line in enumerate(lines) if line.startswith("helm install"))
    assert lines[start].startswith("helm install wsedge charts/wsedge --namespace wsedge-system")
    end = next(index for index, line in enumerate(lines) if line.startswith("RELAY="))
    type_by_hand(installed, *lines[start + 1 : end])  # the fixture has installed the chart
    yield installed
    installed.kubectl("delete", "-f", EXAMPLES, "--wait=false")


async def test_by_hand_the_statistics_have_every_byte_of_the_clients(by_hand: Cluster) -> None:
    """Clients through the relay's Service and the statistics count the same bytes and connections."""
    places = find_places(by_hand)
    host, _, port = places.relay.rpartition(":")
    audience = Audience((host, int(port)), DOMAIN, viewers=3)
    async with asyncio.timeout(30), audience:
        await audience.chat_until_everybody_saw(20)
    async with Statistics(places.statistics, token(by_hand), domain=DOMAIN) as statistics:
        answer = await statistics.wait_for(lambda one: agree(audience.counts, one), seconds=REPORT_SECONDS)
    assert agree(audience.counts, answer), (audience.counts, answer)


def test_by_hand_client_and_curl_work_as_the_readme_says(by_hand: Cluster) -> None:
    """The README's client gets its comments back, and its curl gets the account's traffic."""
    lines = commands("README.md", "By hand")
    start = next(index for index, line in enumerate(lines) if line.startswith("RELAY="))
    end = next(index for index, line in enumerate(lines) if line.startswith("curl"))
    said = type_by_hand(by_hand, *lines[start : end + 1])
    comments, _, answer = said.partition("{")
    assert comments.count("what a launch!") == 5
    assert json.loads("{" + answer)["account"] == NAMESPACE


def test_the_heartbeat_can_be_changed_as_the_docs_say(by_hand: Cluster) -> None:
    """The patch of docs/quickstart.md is taken, and every relay runs it; no relay pod is replaced."""
    relays = ("get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=wsedge-relay", "-o", "name")
    before = sorted(by_hand.kubectl(*relays).split())
    type_by_hand(by_hand, *commands("docs/quickstart.md", "Change the heartbeat under open connections"))
    assert len(before) == 2
    assert sorted(by_hand.kubectl(*relays).split()) == before


def test_every_command_of_the_docs_that_asks_is_answered(by_hand: Cluster) -> None:
    """What docs/quickstart.md asks of kubectl and of the statistics is answered."""
    readme = commands("README.md", "By hand")
    known = [line for line in readme if line.startswith(("TOKEN=", "STATISTICS="))]
    said = type_by_hand(
        by_hand,
        *commands("docs/quickstart.md", "See why something is as it is"),
        *known,
        *(
            line.replace("curl", "curl --fail")
            for line in commands("docs/quickstart.md", "Ask more of the statistics")
        ),
    )
    for part in ("billingplan.wsedge.io/plan", "ConfigurationCurrent", "heartbeatSeconds", '"unit":"bit/s"'):
        assert part in said


def start_quickstart(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "wsedge_devcluster.main", "quickstart", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
    )


def marks_of(process: subprocess.Popen[str]) -> set[str]:
    """The marks of the devclusters that a process has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    environments = (Path(f"/proc/{child}/environ").read_bytes().split(b"\0") for child in children)
    prefix = f"{MARK}=".encode()
    return {
        variable.removeprefix(prefix).decode()
        for environment in environments
        for variable in environment
        if variable.startswith(prefix)
    }


def test_once_compares_the_numbers_and_ends_with_nothing_left() -> None:
    """`make run ONCE=1` prints a table in which every row is equal, and ends with 0."""
    process = start_quickstart("--once")
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    rows = [line for line in output.splitlines() if line.startswith(("bytes", "connections", "handshakes"))]
    assert len(rows) == 4
    assert all(row.endswith("equal") for row in rows)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_ends_the_live_view_and_everything_behind_it(number: signal.Signals) -> None:
    """Without a terminal the view is lines; a signal ends it with 0 and leaves no process."""
    process = start_quickstart()
    assert process.stdout is not None
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if "clients; they counted" in line:
            break
    (mark,) = marks_of(process)
    assert marked_processes(mark)
    os.kill(process.pid, number)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, "".join(seen) + rest
    assert marked_processes(mark) == []
