"""The operator with CustomResourceDefinitions of other versions, under open connections.

The last release's operator cannot be changed any more; the pairs here are this operator with a definition of
a newer version, with that of the last release, and with its own.
"""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import last_release
from support.faults.edge import Site, account, aside, identities, site_of_a_local_room
from support.operator.cluster import Place, until
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster

Definition = dict[str, Any]
PLANS, DOMAINS = "billingplans.wsedge.io", "websocketdomains.wsedge.io"
OPERATOR = "deployment/wsedge-operator"


@pytest.fixture(scope="module")
def place(installed: Cluster) -> Iterator[Place]:
    with account(installed) as place:
        yield place


@pytest.fixture
async def site(place: Place) -> AsyncIterator[Site]:
    """Serve a domain with one relay, in front of a room of this process."""
    async with site_of_a_local_room(place) as site:
        yield site


@pytest.fixture
def own(installed: Cluster) -> Iterator[dict[str, Definition]]:
    """Return the definitions as the chart has installed them, and restore them at the end."""
    found = json.loads(installed.kubectl("get", "crd", PLANS, DOMAINS, "--output=json"))["items"]
    definitions = {each["metadata"]["name"]: installable(each) for each in found}
    yield definitions
    install(installed, definitions)


def installable(definition: Definition) -> Definition:
    """Return a definition as it was applied."""
    kept = {key: definition["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
    return {**{key: definition[key] for key in ("apiVersion", "kind", "spec")}, "metadata": kept}


def install(cluster: Cluster, definitions: dict[str, Definition]) -> None:
    """Replace the definitions as Helm does."""
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(definitions.values())})
    options = ("--server-side", "--field-manager=helm", "--force-conflicts", "--filename=-")
    cluster.kubectl("apply", *options, input=document)


def spec_of(definition: Definition) -> dict[str, Any]:
    (version,) = definition["spec"]["versions"]
    properties: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return properties


def newer(own: dict[str, Definition]) -> dict[str, Definition]:
    """Return definitions of a newer version: fields with defaults, and values unknown to this version."""
    made = copy.deepcopy(own)
    plan, websocket = spec_of(made[PLANS]), spec_of(made[DOMAINS])["websocket"]["properties"]
    plan["currency"] = {"type": "string", "default": "EUR"}
    plan["meteringMethod"]["enum"].append("Month99Bandwidth")
    websocket["acceleration"] = {"type": "string", "default": "Both"}
    websocket["originProtocol"]["enum"].append("QUIC")
    return made


def of_the_last_release(own: dict[str, Definition]) -> dict[str, Definition]:
    """Return its definitions with the labels that Helm checks."""
    folder = Path(last_release.__file__).parent / "crds"
    read = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    return {
        each["metadata"]["name"]: {**each, "metadata": own[each["metadata"]["name"]]["metadata"]}
        for each in read
    }


def restart_operator(cluster: Cluster) -> None:
    """Start an operator without a cache."""
    system = Place(cluster, SYSTEM)
    system.kubectl("rollout", "restart", OPERATOR)
    system.kubectl("rollout", "status", OPERATOR, "--timeout=120s")


async def test_no_definition_ends_a_connection(
    site: Site, place: Place, installed: Cluster, own: dict[str, Definition]
) -> None:
    """Newer, unreadable, reverted, older: pods, Service and connections stay, and readable edits apply."""
    await site.crowd.enter(site.door(), number=2)
    relays, service = identities(await aside(site.pods)), f"service/{site.name}-relay"
    address = await aside(place.get, service)
    assert address is not None

    def has(resource: str, field: str, value: Any) -> Callable[[], bool]:
        def holds() -> bool:
            live = place.get(resource) or {}
            for step in field.split("."):
                live = live.get(step, {})
            return live == value

        return holds

    async def goes_on() -> None:
        await site.crowd.talk()
        assert site.crowd.counts.open == 2
        assert identities(await aside(site.pods)) == relays
        live = await aside(place.get, service)
        assert live is not None
        assert live["metadata"]["uid"] == address["metadata"]["uid"]

    # A new field with a default and then a new operator once removed every relay.
    await aside(install, installed, newer(own))
    await aside(until, "defaults", has(site.resource, "spec.websocket.acceleration", "Both"))
    await aside(until, "defaults", has("bp/plan", "spec.currency", "EUR"))
    await aside(restart_operator, installed)
    told = await aside(place.await_reason, site.resource, "Accepted", "UnknownFields")
    assert "spec.websocket.acceleration" in told["message"]
    told = await aside(place.await_reason, "bp/plan", "Accepted", "UnknownFields")
    assert "spec.currency" in told["message"]
    await aside(lambda: site.patch(websocket={"heartbeatSeconds": 30}))
    await aside(site.await_serving)
    await goes_on()

    # Values of the newer version, as if it were installed.
    await aside(lambda: site.patch(websocket={"originProtocol": "QUIC"}))
    terms = {"billingCycle": "Monthly", "meteringMethod": "Month99Bandwidth"}
    await aside(place.patch, "bp/plan", {"spec": terms})
    await aside(restart_operator, installed)
    told = await aside(place.await_reason, site.resource, "Ready", "Unreadable")
    assert "spec.websocket.originProtocol" in told["message"]
    await aside(place.await_reason, "bp/plan", "Accepted", "Unreadable")
    assert (await aside(place.condition, site.resource, "PlanEffective"))["status"] == "True"
    await goes_on()
    await aside(lambda: site.patch(websocket={"originProtocol": "HTTP"}))
    await aside(place.patch, "bp/plan", {"spec": {"billingCycle": "Daily", "meteringMethod": "Traffic"}})
    await aside(site.await_serving)

    # Reverted: the objects change without a write, and this operator notices.
    await aside(install, installed, own)
    await aside(place.await_reason, site.resource, "Accepted", "Accepted")
    await aside(place.await_reason, "bp/plan", "Accepted", "Accepted")
    await goes_on()

    # Rolled back to the last release's definitions, and this operator again.
    await aside(install, installed, of_the_last_release(own))
    await aside(restart_operator, installed)
    await aside(lambda: site.patch(websocket={"heartbeatSeconds": 20}))
    await aside(site.await_serving)
    await goes_on()
    await aside(install, installed, own)
    await aside(lambda: site.patch(websocket={"heartbeatSeconds": 60}))
    await aside(site.await_serving)
    await goes_on()
    await site.settle()
