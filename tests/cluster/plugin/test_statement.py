"""`kubectl wsedge statement`: the statistics' answer through the API server, by a right on one pod."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.chart import Helm, of_kind, render
from support.devcluster import pod, python
from support.kubectl_plugin import User, grant, may_not, stranger
from support.operator.cluster import Place, until
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_operator.cli.rights import STATISTICS_POD


def test_a_namespace_reads_its_statements_and_no_other_pod(place: Place, user: User, tmp_path: Path) -> None:
    """The list and the running period, as text and as JSON, with the Roles that `rbac` prints."""
    reader = stranger(place, tmp_path, "payer")
    refused = reader.wsedge("statement")
    assert refused.code == 3
    assert "create serviceaccounts/token (default)" in refused.err
    grant(place, "payer", user.wsedge("rbac", "statement").out)
    until("the statistics know the account", lambda: reader.wsedge("statement", "current").code == 0)
    shown = reader.wsedge("statement", "current", "--output=json").json()
    assert (shown["account"], shown["state"]) == (place.namespace, "Open")
    text = reader.wsedge("statement", "current").out
    assert text.startswith(f"{place.namespace}, {shown['period']}: Open, {shown['start']} to ")
    listed = reader.wsedge("statement")
    assert listed.out.splitlines()[0].startswith("PERIOD"), listed
    assert shown["period"] in listed.out
    wrong = reader.wsedge("statement", "2026-13")
    assert (wrong.code, wrong.out) == (4, "")
    assert wrong.err.startswith("kubectl-wsedge: The statistics answered 4")
    elsewhere = user.wsedge("statement", "--statistics", f"{SYSTEM}/nothing-0:8080")
    assert (elsewhere.code, elsewhere.err.count("\n")) == (4, 1)
    assert elsewhere.err.startswith(f"kubectl-wsedge: There is no pod {SYSTEM}/nothing-0 of statistics")
    assert user.wsedge("statement", "--statistics", "a/b:c").code == 2
    assert user.wsedge("statement", "current").code == 0
    for verb, resource in (("get", "pods/proxy"), ("list", "secrets"), ("list", "pods")):
        may_not(place, "payer", verb, resource)
        may_not(Place(place.cluster, SYSTEM), "payer", verb, resource)
    for name in ("role", "rolebinding"):
        found = "kubectl-wsedge-statement" if name == "role" else "payer"
        place.cluster.kubectl("delete", name, found, f"--namespace={SYSTEM}")


LABELS = {"app.kubernetes.io/name": "wsedge-statistics"}
TELLS = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"statements": [{"period": os.environ["POD_IP"], "state": "Closed"}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        print("token", self.headers["Wsedge-Token"], flush=True)
print("serving", flush=True)
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


def false_statistics(name: str, program: str) -> dict[str, Any]:
    container = python("statistics", program)
    container["ports"] = [{"name": "http", "containerPort": 8080}]
    container["readinessProbe"] = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}
    return pod(name, container, labels=LABELS)


def test_pods_under_other_names_are_found_ready_ones_alone(place: Place, user: User) -> None:
    """By the label, in the namespace that was named; those of other namespaces get no token."""
    nowhere = user.wsedge("statement", f"--statistics={place.namespace}")
    assert nowhere.code == 4
    assert f"There are no statistics in namespace {place.namespace}" in nowhere.err
    assert nowhere.err.endswith(f"Pods with their label are in {SYSTEM}.\n")
    place.apply(false_statistics("a-silent", "import signal; signal.pause()"))
    silent = user.wsedge("statement", f"--statistics={place.namespace}")
    assert (silent.code, silent.err) == (
        4,
        f"kubectl-wsedge: The statistics in namespace {place.namespace} have no ready pod: kubectl get pods"
        f" --namespace {place.namespace} --selector app.kubernetes.io/name=wsedge-statistics\n",
    )
    place.apply(false_statistics("edge-wsedge-statistics-5d4f-x2x", TELLS))
    place.kubectl("wait", "pod/edge-wsedge-statistics-5d4f-x2x", "--for=condition=Ready", "--timeout=90s")
    address = place.kubectl("get", "pod/edge-wsedge-statistics-5d4f-x2x", "--output=jsonpath={.status.podIP}")
    until("it is asked", lambda: user.wsedge("statement", f"--statistics={place.namespace}").code == 0)
    listed = user.wsedge("statement", f"--statistics={place.namespace}")
    assert address in listed.out
    before = place.kubectl("logs", "edge-wsedge-statistics-5d4f-x2x").count("token ey")
    assert before >= 2
    assert user.wsedge("statement").code == 0
    assert place.kubectl("logs", "edge-wsedge-statistics-5d4f-x2x").count("token ey") == before
    place.kubectl("delete", "pods", "--selector=app.kubernetes.io/name=wsedge-statistics", "--wait=false")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("StatefulSet", ()),
        (
            "Deployment",
            (
                "statistics.replicas=2",
                "statistics.ledger.kind=clickhouse",
                "statistics.ledger.clickhouse.url=https://clickhouse.example:8443",
            ),
        ),
    ],
    ids=["a ledger of its own", "ClickHouse"],
)
def test_the_pods_of_each_ledger_have_the_label_and_the_port(
    helm: Helm, kind: str, values: tuple[str, ...]
) -> None:
    """By which the plugin finds them; those of a StatefulSet have the name that its Role has."""
    objects = render(helm, *values)
    (workload,) = (one for one in of_kind(objects, kind) if "statistics" in one["metadata"]["name"])
    pods = workload["spec"]["template"]
    assert LABELS.items() <= pods["metadata"]["labels"].items()
    ports = {each["name"]: each["containerPort"] for each in pods["spec"]["containers"][0]["ports"]}
    assert f"{workload['metadata']['name']}-0:{ports['http']}" == STATISTICS_POD
