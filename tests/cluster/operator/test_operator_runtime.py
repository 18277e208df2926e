"""An operator process against a real API server: rights, leadership, kills, an outage of the API server.

These tests have their own cluster, since they stop its API server and run operators beside each other. Each
operator runs as a ServiceAccount with exactly the rights of `kube.kinds`, in namespaces only.
"""

from __future__ import annotations

import json
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from support.faults.apiserver import Fault, Front, refusal
from support.operator.cluster import Place, domain, plan, record_name, until
from support.operator.process import LEASE, Operator, release, roles
from wsedge_devcluster.cluster.cluster import Cluster


def test_a_set_of_namespaces_needs_no_cluster_rights(place: Place, tmp_path: Path) -> None:
    """With Roles in its namespaces alone the operator works, and no request is forbidden."""
    with Operator(place, tmp_path, "one") as operator:
        operator.await_event("leading")
        place.apply(plan(), domain(host="a.example.com"))
        place.await_reason("wsd/chat", "Ready", "Serving")
        assert operator.ask("/readyz") == "ok\n"
        assert "wsedge_operator_leading 1.0" in operator.ask("/metrics")
        assert operator.stop() == 0
        assert not [line for line in operator.log() if "orbidden" in json.dumps(line)]


def test_a_missing_namespace_does_not_affect_the_others(place: Place, tmp_path: Path) -> None:
    """The operator is ready without one of the set, serves the others, and that one when it exists."""
    cluster, lost = place.cluster, f"{place.namespace}-lost"
    both = f"{place.namespace},{lost}"
    with Operator(place, tmp_path, "one", namespaces=both) as operator:
        operator.await_event("leading")
        assert operator.ask("/readyz") == "ok\n"
        assert f'wsedge_operator_missing_namespace{{namespace="{lost}"}} 1.0' in operator.ask("/metrics")
        told = operator.await_event("namespace not readable")
        assert told["served"] == lost
        place.apply(plan(), domain(host="f.example.com"))
        place.await_reason("wsd/chat", "Ready", "Serving")
        cluster.kubectl("create", "namespace", lost)
        elsewhere = Place(cluster, lost)
        elsewhere.apply(*roles(place.namespace), plan(), domain(host="g.example.com"))
        elsewhere.await_reason("wsd/chat", "Ready", "Serving")
        # Watched, not only listed.
        elsewhere.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": 9}}})
        elsewhere.kubectl(
            "wait", "wsd/chat", "--for=jsonpath={.status.observedGeneration}=2", "--timeout=60s"
        )
        place.apply(domain("second", host="h.example.com"))
        place.await_reason("wsd/second", "Ready", "Serving")
        cluster.kubectl("delete", "namespace", lost, "--timeout=120s")
        assert operator.process.poll() is None
        place.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": 9}}})
        place.kubectl("wait", "wsd/chat", "--for=jsonpath={.status.observedGeneration}=2", "--timeout=60s")


def test_the_next_operator_does_what_a_killed_one_missed(place: Place, tmp_path: Path) -> None:
    """The next operator does what an outage left undone, and repeats no write."""
    with Operator(place, tmp_path, "first", pod_name="same") as first:
        place.apply(plan(), domain(host="b.example.com"))
        place.await_reason("wsd/chat", "Ready", "Serving")
        first.process.kill()
        first.process.wait()
    place.kubectl("delete", "service/chat-relay")
    place.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": 9}}})
    # As after a restart of the container: the process owns the Lease already.
    with Operator(place, tmp_path, "second", pod_name="same") as second:
        place.await_created("service/chat-relay")
        place.kubectl("wait", "wsd/chat", "--for=jsonpath={.status.observedGeneration}=2", "--timeout=120s")
        place.await_reason("wsd/chat", "Ready", "Serving")
        applied = sorted(line["kind"] for line in second.log() if line["event"] == "applied")
        assert applied == ["ConfigMap", "Service"]


def test_records_of_the_last_release_are_moved_with_their_terms(place: Place, tmp_path: Path) -> None:
    """Terms in force and a scheduled change continue; a record forged later is not read."""
    terms = {"billingCycle": "Monthly", "meteringMethod": "Month95Bandwidth", "timeZone": "UTC"}
    wanted = {**terms, "meteringMethod": "Traffic"}
    place.apply(plan(**wanted))
    live = place.get("bp/plan")
    assert live is not None
    asked, boundary = live["metadata"]["creationTimestamp"], _first_of_next_month()
    old = {
        "version": 1,
        "periods": [{"terms": terms, "start": "2026-01-01T00:00:00Z", "end": None}],
        "pending": {"terms": wanted, "requestTime": asked, "effectiveTime": boundary},
        "lastRequest": {"plan": live["metadata"]["uid"], "generation": 1, "time": asked},
        "waitingPlans": [],
    }
    copy = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wsedge-account"}}
    # Whatever its labels: a tenant that removes one must not become a new customer.
    place.apply({**copy, "data": {"account.json": json.dumps(old)}})
    with Operator(place, tmp_path, "first") as first:
        assert first.await_event("records moved")["number"] == 1
        pending = f"--for=jsonpath={{.status.pending.effectiveTime}}={boundary}"
        place.kubectl("wait", "bp/plan", pending, "--timeout=120s")
        live = place.get("bp/plan")
        assert live is not None
        assert live["status"]["current"] == terms
        assert live["status"]["effectiveTime"] == "2026-01-01T00:00:00Z"
        told = {
            (event["regarding"]["kind"], event["reason"]) for event in place.items("events.events.k8s.io")
        }
        assert ("ConfigMap", "RecordMoved") in told
    forged = {**old, "periods": [], "pending": None, "lastRequest": None}
    place.patch("configmap/wsedge-account", {"data": {"account.json": json.dumps(forged)}})
    with Operator(place, tmp_path, "second") as second:
        second.await_event("leading")

        def copy_is_right() -> bool:
            copied, kept = place.get("configmap/wsedge-account"), place.get(record_name(place))
            assert copied is not None
            assert kept is not None
            return bool(copied["data"]["account.json"] == kept["data"]["account.json"])

        until("the copy is as its record", copy_is_right)
        live = place.get("bp/plan")
        assert live is not None
        assert live["status"]["current"] == terms


def _first_of_next_month() -> str:
    now = datetime.now(UTC)
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    return f"{year}-{month:02}-01T00:00:00Z"


def test_a_standby_leads_when_the_leader_ends(place: Place, tmp_path: Path) -> None:
    """Of two ready operators one leads; SIGTERM hands over at once, SIGKILL when the Lease expires."""
    soon: dict[str, Any] = {"lease_seconds": 6}
    with Operator(place, tmp_path, "first", **soon) as first:
        first.await_event("leading")
        with Operator(place, tmp_path, "second", **soon) as second:
            until("the standby has read the cluster", second.is_ready)
            assert not [line for line in second.log() if line["event"] == "leading"]
            assert first.stop() == 0
            second.await_event("leading")
            with Operator(place, tmp_path, "third", **soon) as third:
                until("the standby has read the cluster", third.is_ready)
                second.process.kill()
                third.await_event("leading")
                place.apply(plan())
                place.await_reason("bp/plan", "Ready", "Effective")


def test_losing_the_lease_ends_the_process(place: Place, tmp_path: Path) -> None:
    """A leader that reads another holder in the Lease stops with an exit code of its own."""
    with Operator(place, tmp_path, "first") as first:
        first.await_event("leading")
        place.patch("lease/wsedge-operator", {"spec": {"holderIdentity": "somebody"}})
        assert first.process.wait(90) == 1
        assert "held by somebody" in first.await_event("operator failed")["error"]


def test_a_second_release_serves_nothing_beside_the_first(
    own_cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    """It is not ready and names the release in its way; it serves when that is gone.

    A Lease that a tenant forges to resemble a release's has no effect.
    """
    renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    forged = {"holderIdentity": "me", "leaseDurationSeconds": 600, "renewTime": renewed}
    metadata = {"name": LEASE, "annotations": {"wsedge.io/serves": "*"}}
    place.kubectl("create", "serviceaccount", LEASE)
    place.apply(
        {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": forged}
    )
    whole: dict[str, Any] = {"account": LEASE, "namespaces": "", "lease_seconds": "4"}
    with (
        release(own_cluster) as one,
        release(own_cluster) as two,
        Operator(one, tmp_path, "first", **whole) as first,
    ):
        first.await_event("leading")
        with Operator(two, tmp_path, "second", **whole) as second:
            told = second.await_event("another release serves the same namespaces")
            assert told["lease"] == f"{one.namespace}/{LEASE}"
            with pytest.raises(HTTPError) as answer:
                second.ask("/readyz")
            assert f"Lease {one.namespace}/{LEASE}" in answer.value.read().decode()
            place.apply(plan(), domain(host="i.example.com"))
            place.await_reason("wsd/chat", "Ready", "Serving")
            assert not [line for line in second.log() if line["event"] in {"leading", "applied"}]
            first.stop()
            own_cluster.kubectl("delete", "clusterrolebinding", one.namespace)
            second.await_event("leading")
            assert second.ask("/readyz") == "ok\n"
            assert not [line for line in second.log() if line["event"] == "applied"]


def test_only_selected_namespaces_are_served(own_cluster: Cluster, place: Place, tmp_path: Path) -> None:
    """Without the labels nothing new is created, and a served domain stays until it is off."""
    whole: dict[str, Any] = {"account": LEASE, "namespaces": "", "namespace_selector": "edge=on"}
    edge = ("label", "namespace", place.namespace)
    with release(own_cluster) as one, Operator(one, tmp_path, "first", **whole) as operator:
        operator.await_event("leading")
        place.apply(plan(), domain(host="j.example.com"))
        for resource in ("bp/plan", "wsd/chat"):
            place.await_reason(resource, "Ready", "NamespaceNotSelected")
            assert place.condition(resource, "Accepted")["status"] == "False"
        assert place.items("deployments,services,secrets,configmaps", "app.kubernetes.io/managed-by") == []

        own_cluster.kubectl(*edge, "edge=on")
        place.await_reason("wsd/chat", "Ready", "Serving")
        (relay,) = place.items("pod", "wsedge.io/domain-name=chat")

        own_cluster.kubectl(*edge, "edge-")
        place.await_reason("wsd/chat", "Ready", "NamespaceNotSelected")
        place.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": 9}}})
        place.kubectl("wait", "wsd/chat", "--for=jsonpath={.status.observedGeneration}=2", "--timeout=60s")
        place.apply(domain("second", host="k.example.com"))
        place.await_reason("wsd/second", "Ready", "NamespaceNotSelected")
        assert place.get("deployment/second-relay") is None
        assert place.config("chat")["domains"][0]["heartbeatSeconds"] == 60
        assert place.condition("bp/plan", "Effective")["status"] == "True"
        (after,) = place.items("pod", "wsedge.io/domain-name=chat")
        assert after["metadata"]["uid"] == relay["metadata"]["uid"]
        assert place.condition("wsd/chat", "ConfigurationCurrent")["status"] == "True"

        place.patch("wsd/chat", {"spec": {"websocket": {"enabled": False}}})
        place.await_gone("deployment/chat-relay")


def test_a_relay_that_cannot_start_is_reported(place: Place, tmp_path: Path) -> None:
    """Ready has Kubernetes' own reason and the pod's message; a valid image heals it."""
    bad = "registry.example.com/nobody/nothing:1"
    with Operator(place, tmp_path, "one", relay_image=bad) as operator:
        place.apply(plan(), domain(host="d.example.com"))
        told = place.await_reason("wsd/chat", "Ready", "ImagePullBackOff")
        assert "chat-relay-" in told["message"]
        operator.stop()
    with Operator(place, tmp_path, "two"):
        place.await_reason("wsd/chat", "Ready", "Serving")


def test_a_damaged_record_changes_nothing(place: Place, tmp_path: Path) -> None:
    """With an unreadable history the plan reports it, the record stays unchanged, and relays serve."""
    with Operator(place, tmp_path, "one"):
        place.apply(plan(), domain(host="e.example.com"))
        place.await_reason("wsd/chat", "Ready", "Serving")
        name = record_name(place)
        good = place.get(name)
        assert good is not None
        place.patch(name, {"data": {"account.json": "{"}})
        place.await_reason("bp/plan", "Ready", "AccountDamaged")
        place.await_reason("wsd/chat", "PlanEffective", "AccountDamaged")
        live = place.get(name)
        assert live is not None
        assert live["data"]["account.json"] == "{"
        assert place.get("deployment/chat-relay") is not None
        place.patch(name, {"data": good["data"]})
        place.await_reason("bp/plan", "Ready", "Effective")


# Last in this file: for a while after an outage the control plane is slow to start a new pod.
def test_an_outage_of_the_api_server_breaks_nothing(place: Place, tmp_path: Path) -> None:
    """Relays serve while the API server is down, and the operator reconciles again once it runs."""
    cluster = place.cluster
    with Operator(place, tmp_path, "one", lease_seconds="600") as operator:
        place.apply(plan(), domain(host="c.example.com"))
        place.await_reason("wsd/chat", "Ready", "Serving")
        (pod,) = place.items("pod", "wsedge.io/domain-name=chat")
        admin = f"http://{pod['status']['podIP']}:9090/readyz"
        cluster.stop_apiserver()
        try:
            deadline = time.monotonic() + 12
            while time.monotonic() < deadline:
                with urllib.request.urlopen(admin, timeout=20) as answer:
                    assert answer.status == 200
                assert operator.process.poll() is None
                time.sleep(0.5)
        finally:
            cluster.start_apiserver()
        place.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": 8}}})
        place.kubectl("wait", "wsd/chat", "--for=jsonpath={.status.observedGeneration}=2", "--timeout=120s")
        place.await_reason("wsd/chat", "Ready", "Serving")
        assert place.config("chat")["domains"][0]["heartbeatSeconds"] == 8
        (after,) = place.items("pod", "wsedge.io/domain-name=chat")
        assert after["metadata"]["uid"] == pod["metadata"]["uid"]
        assert operator.process.poll() is None


def test_an_api_server_that_just_started_is_waited_for(place: Place, tmp_path: Path) -> None:
    """It refuses (403) until it has read the roles: no namespace is missing, and nothing is listed again."""
    place.apply(plan(), domain(host="started.example.com", enabled=False))
    with (
        Front(place.cluster.server, place.cluster.ca_file) as front,
        Operator(place, tmp_path, "one", server=front.url, lease_seconds=60) as operator,
    ):
        operator.await_event("leading")
        place.await_reason("wsd/chat", "Ready", "Disabled")
        watched = {call.path for call in front.since(0) if call.is_watch}
        begun = time.monotonic()
        with front.fault(Fault(answer=refusal(403, "Forbidden"), leases=False)):
            with front.away():
                pass  # every watch has ended

            def refused() -> set[str]:
                return {call.path for call in front.since(begun) if call.is_watch and call.status == 403}

            until("each watch is refused", lambda: refused() >= watched)
        place.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": 9}}})
        place.kubectl("wait", "wsd/chat", "--for=jsonpath={.status.observedGeneration}=2", "--timeout=60s")
        assert [str(call) for call in front.since(begun) if "limit=100" in call.query] == []
        assert "namespace not readable" not in {line["event"] for line in operator.log()}
        assert operator.process.poll() is None
