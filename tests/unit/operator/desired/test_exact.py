"""The exact parts of children: what another client may add to them, and what is removed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from support.operator.children import Live, pod_spec, relay, template
from support.operator.snapshots import live_domain, served
from wsedge_operator.desired.exact import differences, differences_from_admitted, parts, replacements


def test_a_service_selects_only_relays() -> None:
    """Added selectors and ports are removed; further fields of a desired port are retained."""
    good = served().children["Service"]

    def change(live: Live) -> None:
        live["spec"]["selector"]["app"] = "x"
        live["spec"]["ports"][0]["appProtocol"] = "ws"
        live["spec"]["ports"].append({"name": "side", "port": 9090})
        live["spec"]["externalIPs"] = ["192.0.2.1"]

    live = copy.deepcopy(dict(good))
    change(live)
    assert differences(live, good) == (
        "spec.selector.app",
        "spec.ports[side]",
        "spec.externalIPs",
    )
    restored = dict(replacements(live, good))
    assert restored["spec.externalIPs"] is None
    assert restored["spec.selector"] == good["spec"]["selector"]
    assert [port.get("appProtocol") for port in restored["spec.ports"]] == ["ws"]


def test_a_budget_of_another_selector_is_replaced() -> None:
    """With an added label in its selector it protects no relay."""
    before = served(live=live_domain(relay={"replicas": 2}))
    good = before.children["PodDisruptionBudget"]
    live = copy.deepcopy(dict(good))
    live["spec"]["selector"]["matchLabels"]["app"] = "x"
    assert differences(live, good) == ("spec.selector.matchLabels.app",)


LIMITED = {"resources": {"limits": {"cpu": "0.5", "memory": "1Gi"}}}
LIMITS = "spec.template.spec.containers[relay].resources.limits"


def limits(live: Live) -> Live:
    found: Live = relay(live)["resources"]["limits"]
    return found


EQUAL: dict[str, Callable[[Live], object]] = {
    "a quantity in canonical form": lambda live: limits(live).update(cpu="500m", memory="1024Mi"),
    "the size of the spool in another unit": lambda live: pod_spec(live)["volumes"][3]["emptyDir"].update(
        sizeLimit="65536Ki"
    ),
    "an empty list that is stored": lambda live: pod_spec(live).update(initContainers=[]),
    "an empty map that is stored": lambda live: pod_spec(live).update(nodeSelector={}),
}


@pytest.mark.parametrize("change", EQUAL.values(), ids=EQUAL.keys())
def test_other_forms_of_a_value_are_no_difference(change: Callable[[Live], object]) -> None:
    """The API server and webhooks write quantities and empty values in forms of their own."""
    good = served(live=live_domain(relay=LIMITED)).children["Deployment"]
    live = copy.deepcopy(dict(good))
    change(live)
    assert live != good
    assert differences(live, good) == ()


UNEQUAL: dict[str, tuple[Callable[[Live], object], str]] = {
    "another limit": (lambda live: limits(live).update(cpu="501m"), f"{LIMITS}.cpu"),
    "a limit that was removed": (lambda live: limits(live).pop("memory"), f"{LIMITS}.memory"),
    "a limit that was added": (lambda live: limits(live).update({"x.io/gpu": "1"}), f"{LIMITS}.x.io/gpu"),
    "a longer command": (
        lambda live: relay(live)["command"].append("--x"),
        "spec.template.spec.containers[relay].command",
    ),
    "all annotations removed": (
        lambda live: template(live)["metadata"].pop("annotations"),
        "spec.template.metadata.annotations",
    ),
    "text in place of a list": (
        lambda live: relay(live).update(command="sh"),
        "spec.template.spec.containers[relay].command",
    ),
}


@pytest.mark.parametrize(("change", "path"), UNEQUAL.values(), ids=UNEQUAL.keys())
def test_a_difference_is_named_by_its_path(change: Callable[[Live], object], path: str) -> None:
    """The Event names the field that another client changed."""
    good = served(live=live_domain(relay=LIMITED)).children["Deployment"]
    live = copy.deepcopy(dict(good))
    change(live)
    assert differences(live, good) == (path,)


def test_a_known_default_counts_after_a_dry_run() -> None:
    """The API server's answer has its defaults: a default that the live object lacks is a difference then."""
    good = served().children["Deployment"]
    admitted = copy.deepcopy(dict(good))
    pod_spec(admitted)["dnsPolicy"] = "ClusterFirst"
    assert differences(admitted, good) == ()
    assert differences_from_admitted(good, parts(admitted)) == ("spec.template.spec.dnsPolicy",)
    assert differences_from_admitted(admitted, parts(admitted)) == ()
