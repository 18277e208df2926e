"""The kubectl commands of docs/runbooks, typed on a cluster with the chart."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.chart import Helm, of_kind, render
from support.kubectl_plugin import administrator
from support.operator.cluster import Place, domain, plan
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster

PAGES = sorted((Path(__file__).parents[3] / "docs" / "runbooks").glob("*.md"))
# Inline commands that are words of a sentence and not a whole command.
WORDS = {"kubectl describe"}
# What only an installation with a price book has.
PRICES = "configmap wsedge-prices"


def commands(page: Path) -> Iterator[str]:
    """Yield what a page says to type, in its lines and in its sentences."""
    text = page.read_text("utf-8")
    yield from re.findall(r"^    (kubectl .*)$", text, re.MULTILINE)
    yield from (each for each in re.findall(r"`(kubectl [^`]+)`", text) if each not in WORDS)


@pytest.fixture(scope="module")
def place(installed: Cluster) -> Iterator[Place]:
    """Make an account with a relay that serves."""
    installed.kubectl("create", "namespace", "runbooks")
    place = Place(installed, "runbooks")
    place.apply(plan(), domain(host="runbooks.example.com"))
    place.await_reason("wsd/chat", "Ready", "Serving")
    yield place
    installed.kubectl("delete", "namespace", "runbooks", "--wait=false")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_runbook_work(page: Path, place: Place, helm: Helm) -> None:
    """Each is accepted, finds what it names, and what a selector selects."""
    (pod, *_) = place.items("pod", "app.kubernetes.io/name=wsedge-relay")
    names = {"NAMESPACE": place.namespace, "POD": pod["metadata"]["name"], "NAME": "chat"}
    for command in commands(page):
        typed = command.partition("  # ")[0]
        line = re.sub(r"\b(NAMESPACE|POD|NAME)\b", lambda found: names[found[0]], typed)
        # grep finds nothing where nothing is wrong: what matters is whether kubectl does.
        done = subprocess.run(
            ["bash", "-c", line + '; exit "${PIPESTATUS[0]}"'],
            env=administrator(place).environment,  # with kubectl wsedge
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "No resources found" not in done.stderr, (line, done)
        if PRICES in line:
            assert 'configmaps "wsedge-prices" not found' in done.stderr
            (book,) = of_kind(render(helm, "statistics.billing.priceBook.currency=CNY"), "ConfigMap")
            assert book["metadata"]["name"] == PRICES.split()[1]
        else:
            assert done.returncode == 0, (line, done)
        if "rollout restart" in line:
            place.cluster.kubectl("rollout", "status", line.split()[-1], f"--namespace={SYSTEM}")


def test_every_page_has_a_command_or_asks_prometheus() -> None:
    """A page of which nothing is typed is one about a metric alone."""
    silent = {page.stem for page in PAGES if not list(commands(page))}
    assert silent == {"WsedgeClocksDiffer", "WsedgeReportsLate"}
