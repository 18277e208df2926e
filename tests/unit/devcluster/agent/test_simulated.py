"""Which simulated pods are relays, and what they answer."""

from __future__ import annotations

import json

import pytest

from support.operator.snapshots import NOW, snapshot
from wsedge_devcluster.agent.simulated import Identity, identity_of, state_of
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_relay.contract import RelayState

MADE = {made["kind"]: made for made in decide(snapshot(), NOW).apply}
RELAY = {"metadata": {"name": "relay"}, **MADE["Deployment"]["spec"]["template"]}


def test_a_pod_of_the_operator_is_a_relay() -> None:
    """Its admin port and its ConfigMap are those of the operator's Deployment."""
    assert identity_of(RELAY) == Identity(9090, "chat-relay", "relay.json")


@pytest.mark.parametrize(
    "container",
    [
        {"name": "web"},
        {"name": "web", "ports": [{"name": "admin", "containerPort": 9090}]},
        {
            "name": "web",
            "ports": [{"name": "admin", "containerPort": 9090}],
            "env": [{"name": "WSEDGE_RELAY_CONFIG", "value": "/etc/relay.json"}],
        },
    ],
    ids=["no port", "no configuration", "no ConfigMap"],
)
def test_another_pod_is_none(container: dict[str, object]) -> None:
    """Without an admin port or a mounted configuration nothing answers."""
    assert identity_of({"spec": {"containers": [container]}}) is None


def test_the_answer_is_that_of_a_relay() -> None:
    """It runs the generation of the configuration, and drains when each domain is switched off."""
    config = json.loads(MADE["ConfigMap"]["data"]["relay.json"])
    state = RelayState.model_validate(state_of(config))
    assert (state.generation, state.draining, state.openConnections) == (config["generation"], False, 0)
    config["domains"][0]["enabled"] = False
    assert state_of(config)["draining"] is True
