"""The time of a request, as the calendar reads it from the metadata that the API server stores."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from support.operator.crds import ensure_crds
from support.operator.manifests.manifest import PLAN
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_operator.api.billing_plan import BillingPlan
from wsedge_operator.billing.activation import Claim, claim_of

SECOND = timedelta(seconds=1)


@pytest.fixture
def plan(cluster: Cluster, namespace: str) -> str:
    """Create a plan in an earlier second than the present one; return its namespace."""
    ensure_crds(cluster)
    cluster.kubectl("apply", f"--namespace={namespace}", "--filename=-", input=json.dumps(PLAN))
    created = claim(cluster, namespace).created
    while datetime.now(UTC) < created + 2 * SECOND:
        time.sleep(0.05)  # times of the API server have whole seconds
    return namespace


def claim(cluster: Cluster, namespace: str) -> Claim:
    """Return the plan as the calendar reads it."""
    text = cluster.kubectl(
        "get", "billingplan/plan", f"--namespace={namespace}", "--output=json", "--show-managed-fields"
    )
    return claim_of(BillingPlan.model_validate_json(text), default_zone="UTC", now=datetime.now(UTC))


def test_creation(cluster: Cluster, plan: str) -> None:
    """A plan that was never edited has the time of its creation."""
    made = claim(cluster, plan)
    assert made.edited is not None
    assert made.created <= made.edited <= made.created + SECOND
    assert made.generation == 1


@pytest.mark.parametrize(
    "edit",
    [
        ("patch", "billingplan/plan", "--type=merge", '--patch={"spec":{"timeZone":"UTC"}}'),
        ("patch", "billingplan/plan", "--type=json", '--patch=[{"op":"remove","path":"/spec/timeZone"}]'),
    ],
    ids=["a field is set", "a field is taken away"],
)
def test_edit(cluster: Cluster, plan: str, edit: tuple[str, ...]) -> None:
    """An edit that sets or removes a field of the spec updates the time."""
    if "--type=json" in edit:
        document = json.dumps({**PLAN, "spec": {**PLAN["spec"], "timeZone": "UTC"}})
        cluster.kubectl("apply", f"--namespace={plan}", "--filename=-", input=document)
    before = claim(cluster, plan)
    cluster.kubectl(*edit, f"--namespace={plan}", "--field-manager=kubectl-client-side-apply")
    after = claim(cluster, plan)
    assert after.generation == before.generation + 1
    assert after.edited is not None
    assert after.edited > before.created


def test_edit_by_server_side_apply(cluster: Cluster, plan: str) -> None:
    """An edit by another manager's server-side apply updates the time too."""
    document = json.dumps({**PLAN, "spec": {**PLAN["spec"], "meteringMethod": "Traffic"}})
    cluster.kubectl(
        "apply", f"--namespace={plan}", "--server-side", "--field-manager=argocd", "--force-conflicts",
        "--filename=-", input=document,
    )  # fmt: skip
    after = claim(cluster, plan)
    assert after.edited is not None
    assert after.edited > after.created


@pytest.mark.parametrize(
    "touch",
    [
        ("label", "billingplan/plan", "team=a"),
        (
            "patch",
            "billingplan/plan",
            "--subresource=status",
            "--type=merge",
            '--patch={"status":{"observedGeneration":1}}',
        ),
    ],
    ids=["a label", "the status"],
)
def test_touch(cluster: Cluster, plan: str, touch: tuple[str, ...]) -> None:
    """A write outside of the spec does not change the time."""
    before = claim(cluster, plan)
    cluster.kubectl(*touch, f"--namespace={plan}")
    after = claim(cluster, plan)
    assert (after.edited, after.generation) == (before.edited, before.generation)
