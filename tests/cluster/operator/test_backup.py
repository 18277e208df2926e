"""The accounts' records are saved and restored by the commands of docs/install.md."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.operator.cluster import Place, plan, record_name
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_operator.runtime.accounts import MARKER

DOCS = Path(__file__).parents[3] / "docs"
OPERATOR = "--selector=app.kubernetes.io/name=wsedge-operator"


def commands() -> list[str]:
    """Return the commands of the section, in order."""
    page = (DOCS / "install.md").read_text("utf-8")
    section = page.split("\n## Back up and restore\n")[1].split("\n## ")[0]
    return re.findall(r"^    (kubectl .*)$", section, re.MULTILINE)


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Iterator[Place]:
    yield Place(installed, namespace)
    installed.kubectl("scale", "deployment/wsedge-operator", f"--namespace={SYSTEM}", "--replicas=1")
    installed.kubectl("rollout", "status", "deployment/wsedge-operator", f"--namespace={SYSTEM}")


def substance(live: dict[str, Any] | None) -> dict[str, Any]:
    """Return what an operator reads of a record."""
    assert live is not None
    metadata = live["metadata"]
    return {
        "name": metadata["name"],
        "labels": metadata["labels"],
        "annotations": metadata.get("annotations"),
        "data": live["data"],
    }


def test_records_are_saved_and_restored(place: Place, tmp_path: Path) -> None:
    """The backup has record and note; after a loss, and under a new uid, they are the account's history."""
    save, stop, restore, start = commands()
    records, system = tmp_path / "records.yaml", Place(place.cluster, SYSTEM)

    def types(line: str) -> None:
        subprocess.run(["bash", "-c", line], env=place.cluster.environment(), cwd=tmp_path, check=True)

    place.apply(plan())
    place.await_reason("bp/plan", "Ready", "Effective")
    name, note = record_name(place), f"configmap/{MARKER}"
    before = [substance(system.get(each)) for each in (name, note)]
    types(save)
    saved = {one["metadata"]["name"]: one for one in yaml.safe_load(records.read_text())["items"]}
    assert [saved[one["name"]]["data"] for one in before] == [one["data"] for one in before]

    types(stop)
    system.kubectl("wait", "pod", OPERATOR, "--for=delete", "--timeout=120s")
    system.kubectl("delete", name, note)
    types(restore)
    types(restore)  # over what exists, too
    assert [substance(system.get(each)) for each in (name, note)] == before

    place.cluster.kubectl("delete", "namespace", place.namespace, "--timeout=180s")
    place.cluster.kubectl("create", "namespace", place.namespace)
    record = saved[name.removeprefix("configmap/")]
    new = record_name(place).removeprefix("configmap/")
    assert new != record["metadata"]["name"]
    uid = new.rpartition(".")[2]
    record["metadata"]["name"] = new
    record["metadata"]["labels"]["wsedge.io/account-uid"] = record["data"]["uid"] = uid
    records.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [record]}))
    types(restore)
    types(start)
    # A new customer's plan would take effect at once; this account has Traffic until its next boundary.
    place.apply(plan(meteringMethod="DailyPeakBandwidth"))
    waits = "--for=jsonpath={.status.pending.meteringMethod}=DailyPeakBandwidth"
    place.kubectl("wait", "bp/plan", waits, "--timeout=120s")
    live = place.get("bp/plan")
    assert live is not None
    assert live["status"]["current"]["meteringMethod"] == "Traffic"
