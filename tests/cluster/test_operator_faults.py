"""An operator process and the faults of its API server, its machine and its neighbours.

Each operator has a way of its own to the API server, through `Front`, which plays faults and counts calls.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.faults.apiserver import Call, Front
from support.operator.cluster import Place, domain, plan, until
from support.operator.process import Operator, bare_cluster, operator_place
from wsedge_devcluster.cluster.cluster import Cluster

# The default Lease, whose takeover docs/install.md promises.
LEASE_SECONDS = 15.0


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    with bare_cluster(simulated_nodes=1) as cluster:
        yield cluster


@pytest.fixture
def place(own_cluster: Cluster) -> Iterator[Place]:
    with operator_place(own_cluster) as place:
        yield place


@pytest.fixture
def front(own_cluster: Cluster) -> Iterator[Front]:
    with Front(own_cluster.server, own_cluster.ca_file) as front:
        yield front


def writes(front: Front, since: float) -> list[Call]:
    """Return the writes from an instant on, but those of the Lease."""
    return [call for call in front.since(since) if call.is_write and not call.is_of_lease]


def simulated(place: Place, name: str = "chat", **spec: Any) -> dict[str, Any]:
    """Return a domain; the relays of the place run on a simulated node."""
    return domain(name, host=f"{name}.{place.namespace}.example.com", **spec)


def test_a_standby_writes_20_s_after_the_kill_of_the_leader(place: Place, tmp_path: Path) -> None:
    """With the default Lease: at once after SIGTERM, which releases it, and at its expiry after SIGKILL."""
    place.apply(plan(), simulated(place, enabled=False))
    with Operator(place, tmp_path, "first") as first:
        first.await_event("leading")
        place.await_reason("wsd/chat", "Ready", "Disabled")
        with Operator(place, tmp_path, "second") as second:
            until("the standby has read the cluster", second.is_ready)
            first.process.send_signal(signal.SIGTERM)
            second.await_event("leading", 3)
            assert first.process.wait(10) == 0
            with Operator(place, tmp_path, "third") as third:
                until("the standby has read the cluster", third.is_ready)
                second.process.kill()
                killed = time.monotonic()
                place.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": 9}}})
                observed = "--for=jsonpath={.status.observedGeneration}=2"
                place.kubectl("wait", "wsd/chat", observed, "--timeout=20s")
                third.await_event("leading", max(0.0, killed + 20 - time.monotonic()))


def test_a_leader_that_is_paused_writes_nothing_after_its_lease(
    place: Place, front: Front, tmp_path: Path
) -> None:
    """It is stopped before several writes, and wakes when another leads: it sends none and ends."""
    names = [f"chat-{number}" for number in range(8)]
    place.apply(plan(), *(simulated(place, name, enabled=False) for name in names))
    with Operator(place, tmp_path, "paused", server=front.url, lease_seconds=4, call_seconds=120) as paused:
        paused.await_event("leading")
        for name in names:
            place.await_reason(f"wsd/{name}", "Ready", "Disabled")
        # Each application of a child begins with a read of it, whose answer arrives during the pause.
        with front.hold(methods=frozenset({"GET"}), path="/configmaps/chat-") as held:
            for name in names:
                place.patch(f"wsd/{name}", {"spec": {"websocket": {"enabled": True}}})
            until("a write is due for each", lambda: len(reads(front)) >= len(names))
            paused.process.send_signal(signal.SIGSTOP)
            with Operator(place, tmp_path, "next", lease_seconds=4) as standby:
                standby.await_event("leading")
                front.release(held)
                until("the answers are in its sockets", lambda: all(call.ended for call in reads(front)))
                woken = time.monotonic()
                paused.process.send_signal(signal.SIGCONT)
                assert paused.process.wait(10) == 1
                assert [str(call) for call in writes(front, woken)] == []
                assert "could not be renewed" in paused.await_event("operator failed")["error"]
                assert standby.process.poll() is None


def test_an_operator_that_is_paused_while_it_acquires_does_not_lead(
    place: Place, front: Front, tmp_path: Path
) -> None:
    """Its Lease is another's when it reads the answer: it writes nothing and is a standby again."""
    place.apply(plan(), simulated(place, enabled=False))
    with (
        front.hold(methods=frozenset({"POST"}), path="/leases") as held,
        Operator(place, tmp_path, "paused", server=front.url, lease_seconds=4, call_seconds=120) as paused,
    ):
        until("its Lease is stored", lambda: place.get("lease/wsedge-operator") is not None)
        paused.process.send_signal(signal.SIGSTOP)
        with Operator(place, tmp_path, "next", lease_seconds=4) as leader:
            leader.await_event("leading")
            place.await_reason("wsd/chat", "Ready", "Disabled")
            place.patch("wsd/chat", {"spec": {"websocket": {"enabled": True}}})
            front.release(held)
            until("the answer is in its socket", lambda: acquired(front).ended)
            woken = time.monotonic()
            paused.process.send_signal(signal.SIGCONT)
            until("it has tried to renew", lambda: renewals(front, woken) >= 3)
            assert [str(call) for call in writes(front, woken)] == []
            assert leader.process.poll() is None
            assert leader.stop() == 0
            paused.await_event("leading")


def acquired(front: Front) -> Call:
    return next(call for call in front.since(0) if call.method == "POST" and call.is_of_lease)


def renewals(front: Front, since: float) -> int:
    """Return how often the Lease was read or written since an instant."""
    return sum(call.is_of_lease for call in front.since(since))


def reads(front: Front) -> list[Call]:
    return [call for call in front.since(0) if call.method == "GET" and "/configmaps/chat-" in call.path]
