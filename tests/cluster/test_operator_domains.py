"""Plans and domains in a cluster with the chart's rights."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from support.operator.cluster import Place, domain, plan, record_of, until
from support.operator.keys import certificate, secret, tls_secret
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster

CHILDREN = "configmap,deployment,service,serviceaccount,poddisruptionbudget,secret"
SELECTOR = "wsedge.io/domain-name=chat"


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Place:
    return Place(installed, namespace)


@pytest.fixture
def host(namespace: str) -> str:
    """Return a domain name of the test's own: a name has one owner in the cluster."""
    return f"{namespace}.example.com"


def kinds(place: Place) -> list[str]:
    return sorted(item["kind"] for item in place.items(CHILDREN, SELECTOR))


def test_a_plan_and_a_domain_become_relays_that_serve(place: Place, host: str) -> None:
    """All children exist with an owner reference, and every condition is true."""
    place.apply(plan(), domain(host=host, relay={"replicas": 2}))
    place.await_reason("wsd/chat", "Ready", "Serving")
    live = place.get("wsd/chat")
    assert live is not None
    answers = {entry["type"]: entry["status"] for entry in live["status"]["conditions"]}
    asked = ["Accepted", "PlanEffective", "ConfigurationCurrent", "Ready", "NameKept"]
    assert answers == dict.fromkeys(asked, "True")
    assert kinds(place) == [
        "ConfigMap",
        "Deployment",
        "PodDisruptionBudget",
        "Secret",
        "Secret",
        "Service",
        "ServiceAccount",
    ]
    owners = {item["metadata"]["ownerReferences"][0]["uid"] for item in place.items(CHILDREN, SELECTOR)}
    assert owners == {live["metadata"]["uid"]}
    assert live["status"]["address"]["httpPort"] == 80
    assert "ownerReferences" not in record_of(place)["metadata"]
    told = {(event["regarding"]["kind"], event["reason"]) for event in place.items("events.events.k8s.io")}
    assert {("BillingPlan", "Effective"), ("WebSocketDomain", "Serving")} <= told
    for resource in ("bp/plan", "wsd/chat"):
        live = place.get(resource)
        assert live is not None
        assert "finalizers" not in live["metadata"]
        assert not [key for key in live["metadata"].get("annotations", {}) if "kopf" in key]


def test_an_idle_cluster_sees_no_write(place: Place, host: str) -> None:
    """Once a domain is served, no object of its namespace changes, however often it is reconciled."""
    place.apply(plan(), domain(host=host, relay={"replicas": 2}))
    place.await_reason("wsd/chat", "Ready", "Serving")
    watched = f"{CHILDREN},billingplan,websocketdomain,pod,events.events.k8s.io"

    def versions() -> dict[str, str]:
        return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in place.items(watched)}

    def is_quiet() -> bool:
        earlier = versions()
        time.sleep(2)
        return versions() == earlier

    until("the last status of a pod is written", is_quiet)
    before = versions()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        time.sleep(1)
        assert versions() == before


def test_deleted_children_are_created_again(place: Place, host: str) -> None:
    """Deleted children are created again, and the domain is served again."""
    place.apply(plan(), domain(host=host, relay={"replicas": 2}))
    place.await_reason("wsd/chat", "Ready", "Serving")
    before = {item["kind"]: item["metadata"]["uid"] for item in place.items(CHILDREN, SELECTOR)}
    place.kubectl("delete", CHILDREN, f"--selector={SELECTOR}", "--wait=false")

    def are_new() -> bool:
        after = {item["kind"]: item["metadata"]["uid"] for item in place.items(CHILDREN, SELECTOR)}
        return after.keys() == before.keys() and not {*after.values()} & {*before.values()}

    until("all children are there anew", are_new)
    place.await_reason("wsd/chat", "Ready", "Serving")


def test_a_change_of_a_child_is_reverted(place: Place, host: str) -> None:
    """A manual edit of a field that the operator owns is reverted."""
    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "Ready", "Serving")
    place.patch("service/chat-relay", {"spec": {"selector": {"wsedge.io/domain-name": "other"}}})
    selector = "jsonpath={.spec.selector.wsedge\\.io/domain-name}=chat"
    place.kubectl("wait", "service/chat-relay", f"--for={selector}", "--timeout=120s")


def test_a_record_without_its_label_still_counts(place: Place, host: str) -> None:
    """The watch selects by label; a record without it still counts, and gets the label again."""
    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "Ready", "Serving")
    before = record_of(place)
    system, name = Place(place.cluster, SYSTEM), f"configmap/{before['metadata']['name']}"
    system.patch(name, {"metadata": {"labels": None}})
    label = "jsonpath={.metadata.labels.app\\.kubernetes\\.io/managed-by}=wsedge"
    system.kubectl("wait", name, f"--for={label}", "--timeout=120s")
    assert record_of(place)["data"] == before["data"]
    assert place.condition("wsd/chat", "Ready")["reason"] == "Serving"


def test_no_child_exists_before_a_plan_is_in_force(place: Place, host: str) -> None:
    """Without a plan a domain waits; with a plan for later it is ready, has the date, and has no child."""
    place.apply(domain(host=host))
    assert place.await_reason("wsd/chat", "Ready", "NoPlan")["status"] == "False"
    assert place.condition("wsd/chat", "Stalled")["status"] == "False"
    place.apply(plan(existingCycle="Monthly"))
    ready = place.await_reason("wsd/chat", "Ready", "Scheduled")
    assert ready["status"] == "True"
    live = place.get("bp/plan")
    assert live is not None
    assert live["status"]["pending"]["effectiveTime"] in ready["message"]
    effective = place.condition("bp/plan", "Effective")
    assert (effective["status"], effective["reason"]) == ("False", "Scheduled")
    assert kinds(place) == []
    assert place.condition("wsd/chat", "Stalled") == {}


def test_the_oldest_plan_counts(place: Place) -> None:
    """A second plan is refused with the name of the first, and counts when that is deleted."""
    place.apply(plan("first"))
    place.await_reason("bp/first", "Ready", "Effective")
    time.sleep(1.1)  # creation times have whole seconds; the names must not decide which plan is older
    place.apply(plan("another", billingCycle="Monthly"))
    refused = place.await_reason("bp/another", "Accepted", "PlanConflict")
    assert '"first"' in refused["message"]
    place.kubectl("delete", "bp/first")
    place.await_reason("bp/another", "Ready", "Scheduled")
    assert place.condition("bp/another", "Accepted")["status"] == "True"


def test_an_unknown_time_zone_is_reported_by_field(place: Place) -> None:
    """A zone that only the zone data can refuse is a condition with the field's path; an edit heals it."""
    place.apply(plan(timeZone="Mars/Olympus"))
    refused = place.await_reason("bp/plan", "Accepted", "InvalidTimeZone")
    assert refused["message"].startswith("spec.timeZone: 'Mars/Olympus'")
    place.patch("bp/plan", {"spec": {"timeZone": "Europe/Berlin"}})
    place.await_reason("bp/plan", "Ready", "Effective")


def test_the_oldest_claim_on_a_domain_wins(place: Place, host: str) -> None:
    """A second claim is refused with the first's name, has no child, and succeeds when that is deleted."""
    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "Ready", "Serving")
    place.apply(domain("copy", host=host))
    refused = place.await_reason("wsd/copy", "Ready", "DomainConflict")
    assert '"chat"' in refused["message"]
    assert place.get("deployment/copy-relay") is None
    place.kubectl("delete", "wsd/chat")
    place.await_reason("wsd/copy", "Ready", "Serving")


def test_a_claim_blocks_no_other_until_it_is_served(place: Place, host: str) -> None:
    """An object without a plan loses the name to another tenant's, which keeps it while switched off."""
    squatter = Place(place.cluster, f"{place.namespace}-squatter")
    place.cluster.kubectl("create", "namespace", squatter.namespace)
    try:
        squatter.apply(domain("squat", host=host))
        squatter.await_reason("wsd/squat", "Ready", "NoPlan")
        place.apply(plan(), domain(host=host))
        place.await_reason("wsd/chat", "Ready", "Serving")
        refused = squatter.await_reason("wsd/squat", "Ready", "DomainConflict")
        seen = json.dumps(squatter.items("wsd,events.events.k8s.io"))
        assert place.namespace not in seen.replace(squatter.namespace, "").replace(host, "")
        assert "another namespace" in refused["message"]
        place.patch("wsd/chat", {"spec": {"websocket": {"enabled": False}}})
        place.await_reason("wsd/chat", "Ready", "Disabled")
        squatter.apply(plan())
        squatter.kubectl("wait", "bp/plan", "--for=condition=Ready", "--timeout=120s")
        squatter.await_reason("wsd/squat", "PlanEffective", "Effective")
        assert squatter.condition("wsd/squat", "Ready")["reason"] == "DomainConflict"
        place.kubectl("delete", "wsd/chat")
        squatter.await_reason("wsd/squat", "Ready", "Serving")
    finally:
        place.cluster.kubectl("delete", "namespace", squatter.namespace, "--wait=false")


def test_an_edit_reaches_the_relays_and_leaves_the_pods(place: Place, host: str) -> None:
    """A new heartbeat is a new generation that every relay runs; no pod is replaced or restarted."""
    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "Ready", "Serving")
    before = [pod["metadata"]["uid"] for pod in place.items("pod", SELECTOR)]
    generation = place.config("chat")["generation"]
    place.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": 7}}})
    place.kubectl("wait", "wsd/chat", "--for=jsonpath={.status.observedGeneration}=2", "--timeout=120s")
    place.await_reason("wsd/chat", "Ready", "Serving")
    config = place.config("chat")
    assert config["domains"][0]["heartbeatSeconds"] == 7
    assert config["generation"] != generation
    assert place.condition("wsd/chat", "ConfigurationCurrent")["message"].endswith(config["generation"])
    pods = place.items("pod", SELECTOR)
    assert [pod["metadata"]["uid"] for pod in pods] == before
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods] == [0]


def test_kubectl_scale_sets_the_relays(place: Place, host: str) -> None:
    """The scale subresource works; the second relay has a disruption budget, which its removal deletes."""
    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "Ready", "Serving")
    assert "PodDisruptionBudget" not in kinds(place)
    place.kubectl("scale", "wsd/chat", "--replicas=2")
    place.kubectl("wait", "wsd/chat", "--for=jsonpath={.status.replicas}=2", "--timeout=120s")
    place.await_created("pdb/chat-relay")
    place.kubectl("scale", "wsd/chat", "--replicas=1")
    place.await_gone("pdb/chat-relay")


def test_switching_off_removes_and_on_brings_back(place: Place, host: str) -> None:
    """Off: relays drain, then only the Service remains, whose address and annotations survive until on."""
    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "Ready", "Serving")
    place.kubectl("annotate", "service/chat-relay", "team.example/owner=chat")
    before = place.get("service/chat-relay")
    assert before is not None
    place.patch("wsd/chat", {"spec": {"websocket": {"enabled": False}}})
    assert place.await_reason("wsd/chat", "Ready", "Disabled")["status"] == "True"
    assert kinds(place) == ["Service"]
    assert place.items("pod", SELECTOR) == []
    slices = place.items("endpointslices", "kubernetes.io/service-name=chat-relay")
    assert [endpoint for each in slices for endpoint in each["endpoints"] or ()] == []
    place.patch("wsd/chat", {"spec": {"websocket": {"enabled": True}}})
    place.await_reason("wsd/chat", "Ready", "Serving")
    after = place.get("service/chat-relay")
    assert after is not None
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["annotations"]["team.example/owner"] == "chat"


def test_deleting_a_domain_deletes_its_children(place: Place, host: str) -> None:
    """The garbage collector deletes children of a deleted domain; the account's record stays."""
    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "Ready", "Serving")
    place.kubectl("delete", "wsd/chat", "--cascade=foreground")
    assert kinds(place) == []
    assert record_of(place)["data"]


def test_a_missing_secret_is_reported_and_heals(place: Place, host: str) -> None:
    """The condition names field and Secret; ws continues; the Secret alone starts wss."""
    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "Ready", "Serving")
    last_good = place.config("chat")
    place.patch("wsd/chat", {"spec": {"tls": {"secretName": "chat-tls"}}})
    told = place.await_reason("wsd/chat", "Ready", "SecretNotFound")
    assert told["message"] == 'spec.tls.secretName: Secret "chat-tls" not found'
    assert place.condition("wsd/chat", "ConfigurationCurrent")["reason"] == "SecretNotFound"
    assert place.config("chat") == last_good
    place.apply(tls_secret("chat-tls", host))
    place.await_reason("wsd/chat", "Ready", "Serving")
    assert place.config("chat")["domains"][0]["tls"]["certificateFile"] == "tls.crt"
    assert place.condition("wsd/chat", "ConfigurationCurrent")["status"] == "True"


def test_a_key_of_another_certificate_is_reported_and_heals(place: Place, host: str) -> None:
    """A mismatched pair never reaches the relays; the right one does, as a new generation."""
    place.apply(tls_secret("chat-tls", host), plan(), domain(host=host, tls={"secretName": "chat-tls"}))
    place.await_reason("wsd/chat", "Ready", "Serving")
    last_good = place.config("chat")
    (chain, _), (_, other_key) = certificate(host), certificate(host)
    mixed = secret("chat-tls", {"tls.crt": chain, "tls.key": other_key}, "kubernetes.io/tls")
    place.patch("secret/chat-tls", {"data": mixed["data"]})
    told = place.await_reason("wsd/chat", "Ready", "CertificateMismatch")
    assert told["message"].startswith('spec.tls.secretName: Secret "chat-tls"')
    assert place.config("chat") == last_good
    place.patch("secret/chat-tls", {"data": tls_secret("chat-tls", host)["data"]})
    place.await_reason("wsd/chat", "Ready", "Serving")
    rotated = place.config("chat")
    assert rotated["domains"][0]["tls"]["fingerprint"] != last_good["domains"][0]["tls"]["fingerprint"]


def test_an_expired_certificate_is_served_and_reported(place: Place, host: str) -> None:
    """Clients may accept an expired certificate, so it is served, and the condition warns."""
    chain, key = certificate(host, begins=datetime(2020, 1, 1, tzinfo=UTC))
    expired = secret("chat-tls", {"tls.crt": chain, "tls.key": key}, "kubernetes.io/tls")
    place.apply(expired, plan(), domain(host=host, tls={"secretName": "chat-tls"}))
    place.await_reason("wsd/chat", "ConfigurationCurrent", "CertificateExpired")
    assert place.await_reason("wsd/chat", "Ready", "Serving")["status"] == "True"


def test_a_service_is_an_origin_at_its_cluster_ip(place: Place, host: str) -> None:
    """A missing Service or port is reported with the field; then the Service's address is used."""
    origins: list[dict[str, Any]] = [{"service": {"name": "room", "port": 80}}]
    place.apply(plan(), domain(host=host, origins=origins))
    told = place.await_reason("wsd/chat", "Ready", "ServiceNotFound")
    assert told["message"] == 'spec.origins[0].service.name: Service "room" not found'
    assert kinds(place) == []
    place.kubectl("create", "service", "clusterip", "room", "--tcp=8000:8000")
    told = place.await_reason("wsd/chat", "Ready", "ServicePortNotFound")
    assert told["message"] == 'spec.origins[0].service.port: Service "room" has no port 80 (it has 8000)'
    port = {"name": "web", "port": 80, "targetPort": 8000}
    place.kubectl(
        "patch",
        "service/room",
        "--type=json",
        f'--patch=[{{"op":"add","path":"/spec/ports/-","value":{json.dumps(port)}}}]',
    )
    place.await_reason("wsd/chat", "Ready", "Serving")
    service = place.get("service/room")
    assert service is not None
    assert place.config("chat")["domains"][0]["origins"][0]["host"] == service["spec"]["clusterIP"]


def test_a_refused_child_is_reported_and_heals(place: Place, host: str) -> None:
    """When the API server refuses a write, the status has the reason, and it heals."""
    place.kubectl("create", "quota", "none", "--hard=count/deployments.apps=0")
    place.apply(plan(), domain(host=host))
    told = place.await_reason("wsd/chat", "Ready", "ApplyFailed")
    assert "exceeded quota" in told["message"]
    place.kubectl("delete", "quota", "none")
    place.await_reason("wsd/chat", "Ready", "Serving")


def test_an_object_of_another_owner_stays_unchanged(place: Place, host: str) -> None:
    """A child's name in use is reported; the foreign object stays unchanged, and its deletion heals."""
    place.kubectl("create", "service", "clusterip", "chat-relay", "--tcp=5000:5000")
    place.apply(plan(), domain(host=host))
    told = place.await_reason("wsd/chat", "Ready", "ApplyFailed")
    assert 'Service "chat-relay" exists already and belongs to another owner' in told["message"]
    theirs = place.get("service/chat-relay")
    assert theirs is not None
    assert [port["port"] for port in theirs["spec"]["ports"]] == [5000]
    place.kubectl("delete", "service/chat-relay")
    place.await_reason("wsd/chat", "Ready", "Serving")
