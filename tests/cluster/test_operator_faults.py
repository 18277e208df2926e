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

from support.faults.apiserver import Call, Fault, Front, most_per_second, refusal
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


OBSERVED = "--for=jsonpath={.status.observedGeneration}="


def last(seconds: float) -> None:
    """Return after `seconds`: the duration of a fault is under test."""
    time.sleep(max(0.0, seconds))


def edit(place: Place, resource: str, seconds: int) -> None:
    place.patch(resource, {"spec": {"websocket": {"heartbeatSeconds": seconds}}})


def await_observed(place: Place, resource: str, generation: int, seconds: float) -> None:
    place.kubectl("wait", resource, f"{OBSERVED}{generation}", f"--timeout={seconds:.0f}s")


def test_an_api_server_with_5_s_per_call_is_slow_and_no_more(
    place: Place, front: Front, tmp_path: Path
) -> None:
    """With the default Lease the leader leads on, and edits apply, each call in its turn."""
    place.apply(plan(), simulated(place, enabled=False))
    with Operator(place, tmp_path, "one", server=front.url) as operator:
        operator.await_event("leading")
        place.await_reason("wsd/chat", "Ready", "Disabled")
        with front.fault(Fault(delay=5.0, watches=False)):
            begun = time.monotonic()
            for generation in (2, 3, 4):
                edit(place, "wsd/chat", generation)
                await_observed(place, "wsd/chat", generation, 40)
            # Longer than the Lease and the end of a process, so that it was renewed by slow calls alone.
            last(begun + LEASE_SECONDS + 10 - time.monotonic())
        assert operator.process.poll() is None
        lease = place.get("lease/wsedge-operator")
        assert lease is not None
        assert lease["spec"]["leaseTransitions"] == 0
        assert most_per_second(front.since(begun)) <= 10


# By answer: the most calls within the seconds of a storm, without those of the Lease and of watches.
STORM_SECONDS = 8.0
STORMS = (
    (refusal(429, "TooManyRequests", Retry_After="3"), 5),
    (refusal(500, "InternalError"), 15),
    (refusal(503, "ServiceUnavailable"), 15),
)


def test_a_storm_of_refusals_is_no_flood_of_calls(place: Place, front: Front, tmp_path: Path) -> None:
    """A hundred edited objects cause a few calls, as Retry-After asks; after the storm all apply at once."""
    names = [f"chat-{number}" for number in range(100)]

    def spec(drain_seconds: int) -> list[dict[str, Any]]:
        lifecycle = {"drainSeconds": drain_seconds}
        return [simulated(place, name, enabled=False, lifecycle=lifecycle) for name in names]

    place.apply(plan(), *spec(1))
    with Operator(place, tmp_path, "one", server=front.url, lease_seconds=60) as operator:
        operator.await_event("leading")
        place.kubectl("wait", "wsd", "--all", f"{OBSERVED}1", "--timeout=120s")
        for generation, (answer, most) in enumerate(STORMS, 2):
            with front.fault(Fault(answer=answer, watches=False)):
                place.apply(*spec(generation))
                begun = time.monotonic()
                last(STORM_SECONDS)
                storm = [call for call in front.since(begun) if not call.is_of_lease and not call.is_watch]
            assert 1 <= len(storm) <= most, [str(call) for call in storm]
            place.kubectl("wait", "wsd", "--all", f"{OBSERVED}{generation}", "--timeout=30s")
        assert operator.process.poll() is None
