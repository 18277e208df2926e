"""An operator with 500 domains, and two that it cannot write.

100 of the domains are served by simulated relays; the others are switched off, which needs no pods.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.faults.apiserver import Front
from support.operator.cluster import Place, domain, plan
from support.operator.process import Operator, bare_cluster, operator_place
from support.operator.webhook import webhook

SERVED = [f"served-{number}" for number in range(100)]
OFF = [f"off-{number}" for number in range(400)]
EDITED = SERVED[::5]
BROKEN = ["refused", "hanging"]
OBSERVED = "--for=jsonpath={.status.observedGeneration}="


@pytest.fixture
def place() -> Iterator[Place]:
    cluster = bare_cluster(nodes=0, simulated_nodes=1, relays_answer=True)
    with cluster as running, operator_place(running) as place:
        yield place


def create(place: Place, names: list[str], *, enabled: bool) -> None:
    for begin in range(0, len(names), 50):
        items = [
            domain(name, host=f"{name}.{place.namespace}.example.com", enabled=enabled)
            for name in names[begin : begin + 50]
        ]
        document = {"apiVersion": "v1", "kind": "List", "items": items}
        place.kubectl("create", "--filename=-", text=json.dumps(document))


def await_all(place: Place, resources: list[str], what: str) -> None:
    where = f"--namespace={place.namespace}"
    place.cluster.kubectl("wait", *resources, what, "--timeout=300s", where, timeout=330)


def edit(place: Place, *names: str) -> None:
    change = json.dumps({"spec": {"websocket": {"heartbeatSeconds": 9}}})
    place.kubectl("patch", "wsd", *names, "--type=merge", "--patch", change)


def await_observed(place: Place, names: list[str], generation: int, seconds: float) -> None:
    resources = [f"wsd/{name}" for name in names]
    place.kubectl("wait", *resources, f"{OBSERVED}{generation}", f"--timeout={seconds:.0f}s")


def test_objects_that_cannot_be_written_delay_only_themselves(place: Place, tmp_path: Path) -> None:
    """One is refused with 500, one gets no answer: edits of others apply in seconds, others are left."""
    hangs = threading.Event()

    def mutation(request: dict[str, Any]) -> list[dict[str, Any]] | None:
        name = request["object"]["metadata"]["name"]
        if name == "hanging-relay":
            hangs.wait(30)
        return None if name == "refused-relay" else []

    cluster = place.cluster
    with (
        Front(cluster.server, cluster.ca_file) as front,
        Operator(place, tmp_path, "one", server=front.url) as operator,
    ):
        operator.await_event("leading")
        place.apply(plan())
        create(place, [*SERVED, *BROKEN], enabled=True)
        create(place, OFF, enabled=False)
        ready = "--for=condition=Ready"
        await_all(place, [f"wsd/{name}" for name in (*SERVED, *BROKEN)], ready)
        await_all(place, ["wsd", "--all"], f"{OBSERVED}1")
        with webhook(cluster, place.namespace, tmp_path, mutation, "/configmaps"):
            edit(place, *BROKEN)
            place.await_reason("wsd/refused", "Ready", "ApplyFailed")
            begun = time.monotonic()
            edit(place, *EDITED)
            await_observed(place, EDITED, 2, 10)
            names = [call.path.rpartition("/configmaps/")[2] for call in front.since(begun) if call.is_write]
            changed = {name.removesuffix("-relay") for name in names if name.endswith("-relay")}
            assert {*EDITED} <= changed <= {*EDITED, *BROKEN}
            assert "wsedge_operator_failing_objects 2.0" in operator.ask("/metrics")
            hangs.set()
        await_observed(place, BROKEN, 2, 75)
        place.kubectl("wait", *(f"wsd/{name}" for name in BROKEN), ready, "--timeout=30s")
        assert operator.process.poll() is None
