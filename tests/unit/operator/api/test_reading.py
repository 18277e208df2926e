"""Stored objects of another version: what is parsed, ignored and refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from support.operator.manifests.billing_plans import VALID_PLANS
from support.operator.manifests.domains import VALID_DOMAINS
from support.operator.manifests.manifest import DOMAIN, PLAN, Manifest, changed
from wsedge_operator.api.billing_plan import BillingCycle, BillingPlan, BillingPlanStatus
from wsedge_operator.api.reading import part_at, read, refused, unknown_fields
from wsedge_operator.api.websocket_domain import WebSocketDomain
from wsedge_operator.errors import UnreadableError


def test_a_status_of_another_version_is_not_parsed() -> None:
    """The operator writes the status, so a stored one that it cannot parse does not matter."""
    plan = read(BillingPlan, {**PLAN, "status": {"conditions": "of another version"}})
    assert plan.status == BillingPlanStatus()
    assert plan.spec.billingCycle is BillingCycle(PLAN["spec"]["billingCycle"])


def test_a_value_of_another_version_is_unreadable() -> None:
    """Each field that cannot be parsed is named with the reason."""
    newer = changed(PLAN, {"spec.billingCycle": "Hourly", "spec.meteringMethod": "Requests"})
    with pytest.raises(UnreadableError) as failed:
        read(BillingPlan, newer)
    assert [problem.partition(":")[0] for problem in failed.value.problems] == [
        "spec.billingCycle",
        "spec.meteringMethod",
    ]
    assert "'Daily' or 'Monthly'" in failed.value.problems[0]


def test_unknown_fields_are_named_apart_from_values_that_cannot_be_parsed() -> None:
    """A field of a newer version is named, also beside a value that is refused."""
    newer = changed(DOMAIN, {"spec.websocket.heartbeatSeconds": "soon", "spec.websocket.turbo": True})
    assert unknown_fields(WebSocketDomain, newer) == ("spec.websocket.turbo",)
    assert unknown_fields(WebSocketDomain, {"metadata": {"name": "without-a-spec"}}) == ()


def test_a_manifest_is_refused_for_both() -> None:
    """A file is checked as the API server would check it: no conversion of types, no unknown field."""
    newer = changed(DOMAIN, {"spec.websocket.heartbeatSeconds": "60", "spec.websocket.turbo": True})
    assert refused(WebSocketDomain, newer) == [
        "spec.websocket.heartbeatSeconds: Input should be a valid integer",
        "spec.websocket.turbo: unknown field",
    ]
    assert refused(WebSocketDomain, DOMAIN) == []


@pytest.mark.parametrize(
    ("live", "path", "value"),
    [
        ({"spec": {"relay": {"replicas": 2}}}, ("spec", "relay", "replicas"), 2),
        ({"spec": {}}, ("spec", "relay", "replicas"), None),
        ({"spec": {"relay": None}}, ("spec", "relay", "replicas"), None),
        ({"spec": ["relay"]}, ("spec", "relay"), None),
        ("no object", ("spec",), None),
        ({"spec": 1}, (), {"spec": 1}),
    ],
    ids=["a value", "an absent step", "a null", "a list", "no object", "an empty path"],
)
def test_the_value_at_a_path(live: Any, path: tuple[str, ...], value: Any) -> None:
    """Unchecked JSON may have anything at any step; then there is no value."""
    assert part_at(live, *path) == value


VALID: dict[str, tuple[type[BillingPlan] | type[WebSocketDomain], Manifest]] = {
    **{f"plan: {name}": (BillingPlan, changed(PLAN, changes)) for name, changes in VALID_PLANS.items()},
    **{
        f"domain: {name}": (WebSocketDomain, changed(DOMAIN, changes))
        for name, changes in VALID_DOMAINS.items()
    },
}


@pytest.mark.parametrize(("model", "manifest"), VALID.values(), ids=VALID.keys())
def test_a_valid_manifest_with_fields_of_a_newer_version_is_read(
    model: type[BillingPlan] | type[WebSocketDomain], manifest: Manifest
) -> None:
    """An unknown field of any object in the spec is ignored and named."""
    newer = copy.deepcopy(manifest)
    paths = with_unknown_fields(newer["spec"], "spec")
    # `explain` reports for a file what the API server would refuse; a stored object is read all the same.
    assert all(f"{path}: unknown field" in refused(model, newer) for path in paths)
    assert read(model, newer) == read(model, manifest)
    assert sorted(unknown_fields(model, newer)) == sorted(paths)
    assert unknown_fields(model, manifest) == ()


def with_unknown_fields(part: Any, path: str) -> list[str]:
    """Add an unknown field to each object of a spec, except to maps with free keys; return the paths."""
    if isinstance(part, list):
        return [
            new for index, item in enumerate(part) for new in with_unknown_fields(item, f"{path}[{index}]")
        ]
    if not isinstance(part, dict) or (path.endswith((".requests", ".limits")) and "resources" in path):
        return []
    if path.endswith((".nodeSelector", ".annotations", ".labels", ".matchLabels")):
        return []
    inner = [new for key, value in list(part.items()) for new in with_unknown_fields(value, f"{path}.{key}")]
    part["ofANewerVersion"] = {"any": ["thing"]}
    return [*inner, f"{path}.ofANewerVersion"]
