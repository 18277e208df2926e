"""Records and ledger are saved and restored by the commands of docs/install.md and docs/operations.md."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.operator.cluster import Place, domain, plan, record_name, until
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_operator.runtime.accounts import MARKER
from wsedge_statistics.contract import TOKEN_AUDIENCE

DOCS = Path(__file__).parents[3] / "docs"
OPERATOR = "--selector=app.kubernetes.io/name=wsedge-operator"
STATISTICS = "wsedge-statistics-0"


def section(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next of the same level or above."""
    text = (DOCS / page).read_text("utf-8")
    level = len(heading.split()[0])
    return re.split(rf"^#{{2,{level}}} ", text.partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[
        0
    ]


def commands(text: str) -> list[str]:
    """Return the commands of a text, in order."""
    return re.findall(r"^    (kubectl (?:[^\n]*\\\n)*[^\n]*)$", text, re.MULTILINE)


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Iterator[Place]:
    yield Place(installed, namespace)
    for workload in ("deployment/wsedge-operator", "statefulset/wsedge-statistics"):
        installed.kubectl("scale", workload, f"--namespace={SYSTEM}", "--replicas=1")
        installed.kubectl("rollout", "status", workload, f"--namespace={SYSTEM}", timeout=180)


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
    save, stop, restore, start = commands(section("install.md", "## Back up and restore"))
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


def sent_bytes(place: Place) -> int:
    """Return what the statistics say that the account's relays sent to clients."""
    token = place.kubectl("create", "token", "default", "--audience", TOKEN_AUDIENCE).strip()
    host, port = place.cluster.service_address(SYSTEM, "wsedge-statistics")
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://{host}:{port}/v1/traffic?totals=only", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(json.load(answer)["total"]["sentBytes"])


def test_the_ledger_is_saved_and_restored(place: Place, namespace: str, tmp_path: Path) -> None:
    """After the ledger was moved away, its counts are those of the backup, and newer ones are added."""
    system, host = Place(place.cluster, SYSTEM), f"{namespace}.example.com"

    def types(line: str) -> None:
        environment = place.cluster.environment()
        subprocess.run(["bash", "-c", line], env=environment, cwd=tmp_path, check=True, timeout=180)

    def visit() -> None:
        address, port = place.cluster.service_address(namespace, "chat-relay")
        with closing(HTTPConnection(address, port, timeout=30)) as client:
            client.request("GET", "/", headers={"Host": host})
            assert client.getresponse().status == 426  # its bytes count

    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "Ready", "Serving")
    visit()
    until("the visit is counted", lambda: sent_bytes(place) > 0)
    counted = sent_bytes(place)
    for line in commands(section("operations.md", "## What to back up")):
        types(line)
    assert (tmp_path / "backup.sqlite3").read_bytes().startswith(b"SQLite format 3")

    ledger = section("operations.md", "### The ledger")
    (manifest,) = re.findall(r"^```yaml\n(.*?)^```$", ledger, re.MULTILINE | re.DOTALL)
    (tmp_path / "restore.yaml").write_text(manifest)
    visit()  # reported before the statistics stop, and lost by the restore; or not yet, and reported later
    for line in commands(ledger):
        types(line)
    system.kubectl("rollout", "status", "statefulset/wsedge-statistics", "--timeout=120s")
    until("the statistics answer", lambda: sent_bytes(place) >= counted)
    visit()
    until("counts go on", lambda: sent_bytes(place) >= 2 * counted)
    assert sent_bytes(place) <= 3 * counted
