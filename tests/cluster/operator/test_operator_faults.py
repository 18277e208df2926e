"""An operator process and the faults of its API server, its machine and its neighbours.

Each operator has a way of its own to the API server, through `Front`, which plays faults and counts calls.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from support.faults.apiserver import Call, Fault, Front, most_per_second, refusal
from support.faults.clock import StepClock
from support.operator.cluster import Place, domain, plan, record_name, until
from support.operator.process import LEASE, Operator, operator_place, release
from wsedge_devcluster.cluster.cluster import Cluster

# The default Lease, whose takeover docs/install.md promises.
LEASE_SECONDS = 15.0


def writes(front: Front, since: float) -> list[Call]:
    """Return the writes from an instant on, but those of the Lease."""
    return [call for call in front.since(since) if call.is_write and not call.is_of_lease]


def served(place: Place, name: str = "chat", **spec: Any) -> dict[str, Any]:
    """Return a domain of a name that no other test has."""
    return domain(name, host=f"{name}.{place.namespace}.example.com", **spec)


def test_a_standby_writes_20_s_after_the_kill_of_the_leader(place: Place, tmp_path: Path) -> None:
    """With the default Lease: at once after SIGTERM, which releases it, and at its expiry after SIGKILL."""
    place.apply(plan(), served(place, enabled=False))
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
    place.apply(plan(), *(served(place, name, enabled=False) for name in names))
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
    place.apply(plan(), served(place, enabled=False))
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
    place.apply(plan(), served(place, enabled=False))
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
        assert most_per_second(call.at for call in front.since(begun)) <= 10


# By answer: the most calls within the seconds of a storm, without those of the Lease and of watches.
STORM_SECONDS = 6.0
STORMS = (
    (refusal(429, "TooManyRequests", Retry_After="3"), 5),
    (refusal(500, "InternalError"), 15),
    (refusal(503, "ServiceUnavailable"), 15),
)


def test_a_storm_of_refusals_is_no_flood_of_calls(place: Place, front: Front, tmp_path: Path) -> None:
    """Sixty edited objects cause a few calls, as Retry-After asks; after the storm all apply at once."""
    names = [f"chat-{number}" for number in range(60)]

    def spec(drain_seconds: int) -> list[dict[str, Any]]:
        lifecycle = {"drainSeconds": drain_seconds}
        return [served(place, name, enabled=False, lifecycle=lifecycle) for name in names]

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


@dataclass(frozen=True)
class Beside:
    """A place with an operator of its own, and a fault that began at `since`."""

    place: Place
    front: Front
    operator: Operator
    since: float
    clock: StepClock
    midnight: str = ""


@contextmanager
def beside(cluster: Cluster, folder: Path, zone: str = "UTC") -> Iterator[Beside]:
    """Run an operator with a plan in force and a domain that is switched off."""
    with operator_place(cluster) as place, Front(cluster.server, cluster.ca_file) as front:
        clock = StepClock(folder)
        place.apply(plan(timeZone=zone), served(place, enabled=False))
        # Another test restarts the API server, for longer than the default Lease on a busy machine.
        settings: dict[str, Any] = {"server": front.url, "clock": clock, "lease_seconds": 600}
        with Operator(place, folder, "one", **settings) as operator:
            operator.await_event("leading")
            place.await_reason("wsd/chat", "Ready", "Disabled")
            place.await_reason("bp/plan", "Ready", "Effective")
            yield Beside(place, front, operator, time.monotonic(), clock)


# These two faults take a minute to be noticed, and are begun beside the outage, which takes as long.
@pytest.fixture(scope="module")
def silent(own_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """Silence the watches of an operator."""
    with beside(own_cluster, tmp_path_factory.mktemp("silent")) as made:
        made.front.silence()
        yield made


@pytest.fixture(scope="module")
def stepped(own_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """Step the clock of an operator by two hours, over a midnight at which a plan changes."""
    with beside(own_cluster, tmp_path_factory.mktemp("stepped"), zone_before_midnight()) as made:
        made.place.patch("bp/plan", {"spec": {"meteringMethod": "DailyPeakBandwidth"}})
        made.place.await_reason("bp/plan", "Ready", "Scheduled")
        midnight = (made.place.get("bp/plan") or {})["status"]["pending"]["effectiveTime"]
        made.clock.step(timedelta(hours=2))
        yield replace(made, midnight=midnight)


def zone_before_midnight() -> str:
    """Return a zone whose next midnight is ten to seventy minutes away."""
    now = datetime.now(UTC)
    ahead = (23 if now.minute < 50 else 22) - now.hour
    ahead += 24 if ahead < -11 else -24 if ahead > 14 else 0  # zones are from -12 to +14
    return f"Etc/GMT{-ahead:+d}"  # POSIX signs: Etc/GMT-3 is three hours ahead


@contextmanager
def echo() -> Iterator[int]:
    """Serve an origin that echoes; gives its port."""

    def answer(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(answer, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, name="echo")
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join()


def is_echoed(client: ClientConnection) -> bool:
    client.send("ping")
    return client.recv(timeout=20) == "ping"


@pytest.mark.usefixtures("silent", "stepped")
def test_relays_serve_and_the_operator_waits_while_the_api_server_is_away(
    own_cluster: Cluster, place: Place, front: Front, tmp_path: Path
) -> None:
    """The leader ends once, in order; the next process waits, with few attempts; then the edit applies.

    An outage of ten minutes is played by one of 40 s, which is longer than the Lease, the pauses of the
    watches and those of the calls; after these, an outage of any length goes on in the same way.
    """
    settings: dict[str, Any] = {"server": front.url, "pod_name": "one", "denied_origin_networks": "none"}
    with echo() as origin, Operator(place, tmp_path, "one", **settings) as leader:
        origins = [{"host": "127.0.0.1", "httpPort": origin}]
        host = f"chat.{place.namespace}.example.com"
        place.apply(plan(), domain(host=host, origins=origins))
        place.await_reason("wsd/chat", "Ready", "Serving")
        address = own_cluster.service_address(place.namespace, "chat-relay")
        with connect(f"ws://{host}/", sock=socket.create_connection(address)) as client:
            assert is_echoed(client)
            with front.away():
                begun = time.monotonic()
                edit(place, "wsd/chat", 9)
                assert leader.process.wait(LEASE_SECONDS) == 1
                assert "could not be renewed" in leader.await_event("operator failed")["error"]
                # As a kubelet restarts a container that has ended.
                with Operator(place, tmp_path, "again", **settings) as again:
                    while time.monotonic() < begun + 40:
                        assert is_echoed(client)
                        with connect(f"ws://{host}/", sock=socket.create_connection(address)) as new:
                            assert is_echoed(new)
                        assert again.process.poll() is None
                        last(1)
                    assert again.process.poll() is None
                    assert_no_flood(front, begun)
                    again.stop()
            with Operator(place, tmp_path, "third", **settings) as third:
                await_observed(place, "wsd/chat", 2, 30)
                assert third.process.poll() is None
            assert is_echoed(client)


def test_a_leader_with_a_longer_lease_leads_on_after_an_outage(
    place: Place, front: Front, tmp_path: Path
) -> None:
    """Its watches and calls pause, an edit of the outage applies in seconds, and nothing is written twice."""
    place.apply(plan(), served(place, enabled=False))
    with Operator(place, tmp_path, "one", server=front.url, lease_seconds=600) as operator:
        operator.await_event("leading")
        place.await_reason("wsd/chat", "Ready", "Disabled")
        with front.away():
            begun = time.monotonic()
            edit(place, "wsd/chat", 9)
            last(20)
        assert_no_flood(front, begun)
        await_observed(place, "wsd/chat", 2, 30)
        assert [call.path for call in writes(front, begun)] == [status_path(place)]
        assert operator.process.poll() is None


def assert_no_flood(front: Front, begun: float) -> None:
    """Assert that few connections were tried: the watches try at once, and then every few seconds.

    Pauses double from 0.1 to 0.2 s on: a watch tries four times in the first second at most. Each of its
    calls is two attempts, since the client repeats a GET whose connection was reset.
    """
    attempts = [at - begun for at in front.attempts if at >= begun]
    watches = len({call.path for call in front.calls if call.is_watch})
    assert attempts
    assert most_per_second(attempts) <= 2 * 4 * watches, (watches, attempts)
    assert most_per_second(at for at in attempts if at > 5) <= 40, attempts
    assert len(attempts) <= 8 * (time.monotonic() - begun) + 150, attempts


def status_path(place: Place, name: str = "chat") -> str:
    return f"/apis/wsedge.io/v1alpha1/namespaces/{place.namespace}/websocketdomains/{name}/status"


def test_what_happened_before_the_oldest_version_is_found_by_a_list(
    own_cluster: Cluster, place: Place, front: Front, tmp_path: Path
) -> None:
    """The API server restarts while the watches are cut, and then answers them with 410: a list follows."""
    place.apply(plan(), *(served(place, name, enabled=False) for name in ("chat", "other")))
    with Operator(place, tmp_path, "one", server=front.url, lease_seconds=600) as operator:
        operator.await_event("leading")
        for name in ("chat", "other"):
            place.await_reason(f"wsd/{name}", "Ready", "Disabled")
        with front.away():
            begun = time.monotonic()
            place.kubectl("delete", "wsd/other")
            edit(place, "wsd/chat", 9)
            own_cluster.stop_apiserver()
            own_cluster.start_apiserver()
            edit(place, "wsd/chat", 10)
        await_observed(place, "wsd/chat", 3, 30)
        until("410 was answered", lambda: any(call.is_gone for call in front.since(begun)), 30)
        until(
            "the deleted object is gone",
            lambda: 'cached_objects{kind="WebSocketDomain"} 1.0' in operator.ask("/metrics"),
            30,
        )


def test_a_namespace_that_does_not_end_causes_few_writes(
    own_cluster: Cluster, front: Front, tmp_path: Path
) -> None:
    """Its domain serves and has another program's finalizer: at most a few writes are made, at once."""
    name = f"test-ends-{uuid.uuid4().hex[:8]}"
    own_cluster.kubectl("create", "namespace", name)
    ends = Place(own_cluster, name)
    ends.apply(plan(), served(ends))
    ends.patch("wsd/chat", {"metadata": {"finalizers": ["example.com/hold"]}})
    with (
        release(own_cluster) as place,
        Operator(place, tmp_path, "one", account=LEASE, server=front.url, namespaces=name) as operator,
    ):
        ends.await_reason("wsd/chat", "Ready", "Serving")
        own_cluster.kubectl("delete", "namespace", name, "--wait=false")
        begun = time.monotonic()
        ends.await_gone("deployment/chat-relay", "service/chat-relay", "bp/plan")
        last(8)
        made = [call for call in writes(front, begun) if f"/{name}/" in call.path]
        assert len(made) <= 5, [str(call) for call in made]
        assert [str(call) for call in made if call.at > time.monotonic() - 5] == []
        assert operator.process.poll() is None
        live = ends.get("wsd/chat")
        assert live is not None
        assert live["metadata"]["finalizers"] == ["example.com/hold"]
        ends.patch("wsd/chat", {"metadata": {"finalizers": None}})
        own_cluster.kubectl("wait", f"namespace/{name}", "--for=delete", "--timeout=60s")


def test_a_controller_that_reverts_each_write_is_reported_and_not_fought(
    place: Place, front: Front, tmp_path: Path
) -> None:
    """The pauses between the operator's writes grow, the condition says why, and it heals afterwards."""
    place.apply(plan(), served(place))
    with Operator(place, tmp_path, "one", server=front.url) as operator:
        place.await_created("service/chat-relay")
        operator.await_event("leading")
        stop = threading.Event()

        def fight() -> None:
            change = {"spec": {"selector": {"app": "mine"}}}
            while not stop.is_set():
                place.patch("service/chat-relay", change)

        thread = threading.Thread(target=fight, name="foreign controller")
        begun = time.monotonic()
        thread.start()
        try:
            place.await_reason("wsd/chat", "Ready", "WritesDoNotLast")
            last(begun + 15 - time.monotonic())
        finally:
            stop.set()
            thread.join()
        reverts = [call for call in writes(front, begun) if "/services/" in call.path]
        assert 4 <= len(reverts) <= 12, [str(call) for call in reverts]
        assert "Service" in place.condition("wsd/chat", "Ready")["message"]
        until("the operator's value is back", lambda: "app" not in selector(place), 60)


def selector(place: Place) -> dict[str, str]:
    live = place.get("service/chat-relay")
    assert live is not None
    return dict(live["spec"]["selector"])


def test_silent_watches_are_begun_again(silent: Beside) -> None:
    """Streams that bring nothing, and do not end, are replaced after 130 s; edits apply."""
    silenced = {call.path for call in silent.front.since(0) if call.is_watch and call.at < silent.since}

    def not_replaced() -> set[str]:
        since = silent.front.since(silent.since)
        return silenced - {call.path for call in since if call.is_watch and call.status == 200}

    # Another test restarts the API server, which then refuses for some seconds, at any time of these. Without
    # the operator a watch would last its 600 s.
    limit = silent.since + 300 - time.monotonic()
    try:
        until("each watch is begun again", lambda: not not_replaced(), limit)
    except AssertionError:
        later = [f"{call}" for call in silent.front.since(silent.since + 100)]
        raise AssertionError(f"silent still: {sorted(not_replaced())}; last calls: {later[-60:]}") from None
    edit(silent.place, "wsd/chat", 9)
    await_observed(silent.place, "wsd/chat", 2, 10)
    assert silent.operator.process.poll() is None


def test_a_clock_that_steps_two_hours_changes_no_bill_but_at_its_date(stepped: Beside) -> None:
    """Ahead: the plan changes at its midnight, once. Back: that stays, and edits apply."""
    place = stepped.place
    wanted = "--for=jsonpath={.status.current.meteringMethod}=DailyPeakBandwidth"
    place.kubectl("wait", "bp/plan", wanted, "--timeout=75s")
    live = place.get("bp/plan")
    assert live is not None
    assert live["status"]["effectiveTime"] == stepped.midnight
    record = json.loads((place.get(record_name(place)) or {})["data"]["account.json"])
    assert [period["end"] for period in record["periods"]] == [stepped.midnight, None]
    for generation, hours in enumerate((-2, 2, 0), 2):
        stepped.clock.step(timedelta(hours=hours))
        edit(place, "wsd/chat", generation)
        await_observed(place, "wsd/chat", generation, 10)
        place.patch("wsd/chat", {"metadata": {"labels": {"step": f"{generation}"}}})
    assert json.loads((place.get(record_name(place)) or {})["data"]["account.json"]) == record
    assert (place.get("bp/plan") or {})["status"] == live["status"]
    lease = place.get("lease/wsedge-operator")
    assert lease is not None
    assert lease["spec"]["leaseTransitions"] == 0
    assert stepped.operator.process.poll() is None
