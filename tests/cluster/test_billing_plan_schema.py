"""The API server's answers to valid and invalid BillingPlans, as a user reads them."""

from __future__ import annotations

import json

import pytest

from support.operator.crds import answers, ensure_crds
from support.operator.manifests.billing_plans import INVALID_PLANS, VALID_PLANS
from support.operator.manifests.manifest import PLAN, Invalid, changed
from wsedge_devcluster.cluster.cluster import Cluster

TABLE = {name: invalid.changes for name, invalid in INVALID_PLANS.items()} | VALID_PLANS
EFFECTIVE = {
    "type": "Effective",
    "status": "True",
    "observedGeneration": 1,
    "reason": "InForce",
    "message": "Since the plan's creation.",
    "lastTransitionTime": "2026-11-22T04:00:00Z",
}


@pytest.fixture(scope="module")
def said(cluster: Cluster) -> dict[str, str]:
    """Return the API server's answer to each manifest of the tables."""
    ensure_crds(cluster)
    return answers(cluster, "default", {name: changed(PLAN, changes) for name, changes in TABLE.items()})


@pytest.mark.parametrize("sentence", VALID_PLANS)
def test_valid_plan(said: dict[str, str], sentence: str) -> None:
    """The API server accepts a valid plan."""
    assert said[sentence] == "billingplan.wsedge.io/plan created (server dry run)\n"


@pytest.mark.parametrize(("sentence", "invalid"), INVALID_PLANS.items(), ids=INVALID_PLANS.keys())
def test_invalid_plan(said: dict[str, str], sentence: str, invalid: Invalid) -> None:
    """The API server refuses an invalid plan with the rule in words."""
    assert invalid.text in said[sentence]
    assert all(text in said[sentence] for text in invalid.also)


def test_a_plan_in_kubectl(cluster: Cluster, said: dict[str, str], namespace: str) -> None:
    """`kubectl get wsedge` finds the plan, and shows the terms in force, not those that are asked for."""
    del said  # the CRDs are established
    cluster.kubectl("create", f"--namespace={namespace}", "--filename=-", input=json.dumps(PLAN))
    in_force = {"billingCycle": "Daily", "meteringMethod": "Traffic", "timeZone": "UTC"}
    asked = {"billingCycle": "Monthly", "meteringMethod": "Month95Bandwidth", "timeZone": "UTC"}
    times = {"requestTime": "2026-11-23T04:00:00Z", "effectiveTime": "2026-12-01T00:00:00Z"}
    status = {
        "effectiveTime": "2026-11-22T04:00:00Z",
        "current": in_force,
        "pending": {**asked, **times},
        "conditions": [EFFECTIVE],
    }
    cluster.kubectl(
        "patch", "bp/plan", f"--namespace={namespace}", "--subresource=status", "--type=merge",
        "--patch", json.dumps({"status": status}),
    )  # fmt: skip
    wide = cluster.kubectl("get", "wsedge", f"--namespace={namespace}", "--output=wide")
    head, row = wide.strip().splitlines()
    columns = ["NAME", "CYCLE", "METERING", "EFFECTIVE", "SINCE", "NEXT-CHANGE"]
    assert head.split() == [*columns, "NEXT-CYCLE", "NEXT-METERING", "AGE"]
    shown = ["billingplan.wsedge.io/plan", "Daily", "Traffic", "True"]
    instants = ["2026-11-22T04:00:00Z", "2026-12-01T00:00:00Z"]
    assert row.split()[:-1] == [*shown, *instants, "Monthly", "Month95Bandwidth"]
    narrow = cluster.kubectl("get", "wsedge", f"--namespace={namespace}")
    assert narrow.splitlines()[0].split() == [*columns, "AGE"]


def test_a_whole_status_can_be_written(cluster: Cluster, said: dict[str, str], namespace: str) -> None:
    """The API server stores every field of a status; it would prune a field that the schema lacks."""
    del said
    cluster.kubectl("create", f"--namespace={namespace}", "--filename=-", input=json.dumps(PLAN))
    terms = {"billingCycle": "Daily", "meteringMethod": "Traffic", "timeZone": "UTC"}
    times = {"requestTime": "2026-11-23T04:00:00Z", "effectiveTime": "2026-12-01T00:00:00Z"}
    status = {
        "observedGeneration": 1,
        "conditions": [EFFECTIVE],
        "effectiveTime": "2026-11-22T04:00:00Z",
        "current": terms,
        "pending": {**terms, **times},
    }
    text = cluster.kubectl(
        "patch", "bp/plan", f"--namespace={namespace}", "--subresource=status", "--type=merge",
        "--dry-run=server", "--output=json", "--patch", json.dumps({"status": status}),
    )  # fmt: skip
    assert json.loads(text)["status"] == status


def test_explain_a_plan(cluster: Cluster, said: dict[str, str]) -> None:
    """`kubectl explain` shows the purpose of a field."""
    del said
    text = " ".join(cluster.kubectl("explain", "billingplan.spec.existingCycle").split())
    assert "an account that an earlier system billed" in text
