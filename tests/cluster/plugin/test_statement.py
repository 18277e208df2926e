"""`kubectl wsedge statement`: the statistics' answer through the API server, by a right on one pod."""

from __future__ import annotations

from pathlib import Path

from support.kubectl_plugin import User, grant, may_not, stranger
from support.operator.cluster import Place, until
from wsedge_devcluster.cluster.chart import SYSTEM


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
    assert elsewhere.code == 4
    assert user.wsedge("statement", "--statistics", "nothing").code == 2
    for verb, resource in (("get", "pods/proxy"), ("list", "secrets"), ("list", "pods")):
        may_not(place, "payer", verb, resource)
        may_not(Place(place.cluster, SYSTEM), "payer", verb, resource)
    for name in ("role", "rolebinding"):
        found = "kubectl-wsedge-statement" if name == "role" else "payer"
        place.cluster.kubectl("delete", name, found, f"--namespace={SYSTEM}")
