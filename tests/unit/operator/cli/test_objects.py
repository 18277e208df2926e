"""Which pods are relays of a domain: those alone get the token."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

import pytest

from support.fake_api import FakeApi
from wsedge_operator.cli.objects import Owners, Pods, key_of, pods_of

Object = dict[str, Any]


def served() -> dict[str, Object]:
    api = FakeApi()
    api.serve("chat")
    return {plural: next(iter(found.values())) for plural, found in api.objects.items()}


def owner(found: Object) -> Object:
    reference: Object = found["metadata"]["ownerReferences"][0]
    return reference


CHANGES: Final[dict[str, tuple[bool, Callable[[dict[str, Object]], object]]]] = {
    "a relay": (True, lambda _: None),
    "a relay with another owner beside": (
        True,
        lambda found: found["pods"]["metadata"]["ownerReferences"].insert(0, {"kind": "X", "uid": "x"}),
    ),
    "a relay that ends": (
        True,
        lambda found: found["pods"]["metadata"].update(deletionTimestamp="2026-11-22T09:00:00Z"),
    ),
    "labels alone": (False, lambda found: found["pods"]["metadata"].pop("ownerReferences")),
    "a ReplicaSet that does not exist": (False, lambda found: owner(found["pods"]).update(name="x")),
    "a ReplicaSet of another uid": (False, lambda found: owner(found["pods"]).update(uid="x")),
    "an owner that controls nothing": (False, lambda found: owner(found["pods"]).update(controller=False)),
    "an owner of another kind": (False, lambda found: owner(found["pods"]).update(kind="Job")),
    "the network of its node": (False, lambda found: found["pods"]["spec"].update(hostNetwork=True)),
    "a ReplicaSet of another Deployment": (False, lambda found: owner(found["replicasets"]).update(uid="x")),
    "a ReplicaSet of nobody": (
        False,
        lambda found: found["replicasets"]["metadata"].pop("ownerReferences"),
    ),
    "a Deployment of another domain": (False, lambda found: owner(found["deployments"]).update(uid="x")),
    "no Deployment": (False, lambda found: found["deployments"]["metadata"].update(name="other")),
}


@pytest.mark.parametrize(("is_relay", "change"), CHANGES.values(), ids=CHANGES)
def test_a_relay_belongs_to_the_deployment_of_its_domain(
    is_relay: bool, change: Callable[[dict[str, Object]], object]
) -> None:
    """By uids, which nobody can choose; a Deployment by the name that the operator gives it."""
    found = copy.deepcopy(served())
    change(found)
    deployments, sets = ({key_of(found[plural]): found[plural]} for plural in ("deployments", "replicasets"))
    assert Owners(deployments, sets).have(found["websocketdomains"], found["pods"]) is is_relay


def test_pods_are_relays_ends_or_strangers() -> None:
    """In a sentence, the first five strangers have names."""
    live = served()["websocketdomains"]
    pods: list[Object] = [{"metadata": {"name": f"\x1b[2J{number}"}} for number in range(7)]
    pods[0]["metadata"]["deletionTimestamp"] = "2026-11-22T09:00:00Z"
    found = pods_of(live, pods, Owners())
    assert (found.relays, found.ending, len(found.strangers)) == ((), (pods[0],), 6)
    assert found.warning().endswith("are not asked: ?[2J1, ?[2J2, ?[2J3, ?[2J4, ?[2J5 and 1 more.")
    assert Pods().warning() == ""
