"""Two tenants, one hostile: no access to records, no rows for the other, a namespace created again."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest

from support.operator.cluster import Place, domain, plan, record_of, until
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed
from wsedge_statistics.contract import TOKEN_AUDIENCE, USAGE_PATH, bucket_of


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Place:
    return Place(installed, namespace)


def statistics(cluster: Cluster) -> str:
    service = Place(cluster, SYSTEM).get("service/wsedge-statistics")
    assert service is not None
    return f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"


def ask(place: Place, path: str, token: str, document: Any = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(statistics(place.cluster) + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def reader(place: Place) -> str:
    return place.kubectl("create", "token", "default", "--audience", TOKEN_AUDIENCE).strip()


def report(place: Place, pod: dict[str, Any], host: str, sent: int) -> tuple[int, Any]:
    """Report with the token of a tenant's own pod, with any content; return status and answer."""
    metadata = pod["metadata"]
    token = place.kubectl(
        "create",
        "token",
        pod["spec"]["serviceAccountName"],
        f"--audience={TOKEN_AUDIENCE}",
        "--bound-object-kind=Pod",
        f"--bound-object-name={metadata['name']}",
    ).strip()
    bucket = f"{bucket_of(datetime.now(UTC)):%Y-%m-%dT%H:%M:%SZ}"
    row = {"bucket": bucket, "domain": host, "account": place.namespace, "sentBytes": sent}
    source = {"pod": f"{place.namespace}/{metadata['name']}", "uid": metadata["uid"], "epoch": "0123456789"}
    return ask(place, USAGE_PATH, token, {"version": 1, "source": source, "rows": [row]})


def test_a_tenant_cannot_change_the_record(place: Place) -> None:
    """The role `edit` of the account's namespace reads and writes only the copy of its record."""
    place.kubectl("create", "serviceaccount", "tenant")
    subject = f"{place.namespace}:tenant"
    place.kubectl("create", "rolebinding", "tenant", "--clusterrole=edit", f"--serviceaccount={subject}")
    place.apply(plan())
    place.await_reason("bp/plan", "Ready", "Effective")
    before = record_of(place)
    tenant = f"--as=system:serviceaccount:{subject}"
    for verb in ("get", "delete"):
        with pytest.raises(CommandFailed, match="orbidden"):
            Place(place.cluster, SYSTEM).kubectl(verb, f"configmap/{before['metadata']['name']}", tenant)
    place.await_created("configmap/wsedge-account")
    place.kubectl("delete", "configmap/wsedge-account", tenant)
    place.patch("bp/plan", {"spec": {"meteringMethod": "DailyPeakBandwidth"}})
    pending = "--for=jsonpath={.status.pending.meteringMethod}=DailyPeakBandwidth"
    place.kubectl("wait", "bp/plan", pending, "--timeout=120s")
    live = place.get("bp/plan")
    assert live is not None
    assert live["status"]["current"]["meteringMethod"] == "Traffic"
    place.await_created("configmap/wsedge-account")
    forged = json.dumps({"data": {"account.json": '{"version": 1}'}})
    place.kubectl("patch", "configmap/wsedge-account", "--type=merge", "--patch", forged, tenant)

    def copy_is_right() -> bool:
        copied = place.get("configmap/wsedge-account")
        return copied is not None and copied["data"] == {
            "account.json": record_of(place)["data"]["account.json"]
        }

    until("the copy is as its record", copy_is_right)
    assert place.condition("bp/plan", "Effective")["reason"] == "Effective"


def test_a_namespace_created_again_is_a_new_account(place: Place, namespace: str) -> None:
    """Its plan starts anew, its tokens read no old counts, and a pod reports only its account's domains."""
    host, stranger = f"{namespace}.example.com", f"{namespace}.elsewhere.example"
    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "Ready", "Serving")
    (pod,) = place.items("pod", "wsedge.io/domain-name=chat")
    until("the domain is known", lambda: report(place, pod, host, 77)[0] == 204)
    status, refused = report(place, pod, stranger, 1)
    assert (status, refused["errors"][0]["field"]) == (403, "domain")
    assert ask(place, "/v1/traffic", reader(place))[1]["total"]["sentBytes"] >= 77
    before = record_of(place)

    place.cluster.kubectl("delete", "namespace", namespace, "--timeout=180s")
    place.cluster.kubectl("create", "namespace", namespace)
    place.kubectl("wait", "serviceaccount/default", "--for=create", "--timeout=120s")
    until("the new account is known", lambda: knows_nothing(place))
    place.apply(plan(meteringMethod="DailyPeakBandwidth"))
    place.await_reason("bp/plan", "Ready", "Effective")
    live = place.get("bp/plan")
    assert live is not None
    # A change of the old account would wait for the next day.
    assert live["status"]["current"]["meteringMethod"] == "DailyPeakBandwidth"
    assert knows_nothing(place)
    after = record_of(place)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    former = Place(place.cluster, SYSTEM)
    ending = f"configmap/{before['metadata']['name']}"
    until(
        "the account before has an end",
        lambda: '"terms": null' in (former.get(ending) or before)["data"]["account.json"],
    )


def knows_nothing(place: Place) -> bool:
    token = reader(place)
    traffic, domains = ask(place, "/v1/traffic", token), ask(place, "/v1/domains", token)
    return traffic[1]["total"]["sentBytes"] == 0 and domains[1]["domains"] == []
