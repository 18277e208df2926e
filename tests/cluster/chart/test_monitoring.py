"""Monitors and alerts of the chart: off by default, and objects that the Prometheus operator takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml
from prometheus_client import generate_latest

from support.chart import ROOT, Helm, Object, of_kind, render
from support.foreign import PROMETHEUS_OPERATOR, Api
from support.promql import History, Scrape
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_operator.runtime.metrics import Metrics as OperatorMetrics

KINDS = ("PodMonitor", "ServiceMonitor", "PrometheusRule")
MONITORS = ("monitors.enabled=true", "monitors.labels.release=prometheus")
ALERTS = ("alerts.enabled=true", "alerts.labels.release=prometheus", "alerts.alertLabels.team=edge")


def test_by_default_there_is_no_object_of_the_prometheus_operator(helm: Helm) -> None:
    """Its API is not installed everywhere."""
    assert not of_kind(render(helm), *KINDS)


def test_every_program_is_scraped_at_a_port_that_it_has(helm: Helm) -> None:
    """Each monitor selects the pods or Services of one program, and names a port of theirs."""
    objects = render(helm, *MONITORS, "statistics.dcdn.enabled=true")
    relays, *others = of_kind(objects, "PodMonitor", "ServiceMonitor")
    assert relays["spec"]["selector"] == {"matchLabels": {"app.kubernetes.io/name": "wsedge-relay"}}
    assert relays["spec"]["namespaceSelector"] == {"any": True}
    ports = {}
    for monitor in others:
        selected = monitor["spec"]["selector"]["matchLabels"].items()
        services = [
            each for each in of_kind(objects, "Service") if selected <= each["metadata"]["labels"].items()
        ]
        (endpoint,) = monitor["spec"]["endpoints"]
        ports[monitor["metadata"]["name"]] = [
            port["targetPort"]
            for service in services
            for port in service["spec"]["ports"]
            if port["name"] == endpoint["port"]
        ]
    assert ports == {"wsedge-statistics": ["http"], "wsedge-operator": ["health"]}
    assert {each["metadata"]["labels"]["release"] for each in (relays, *others)} == {"prometheus"}


def test_relays_of_some_namespaces_are_scraped_there(helm: Helm) -> None:
    """With watchNamespaces no other namespace is asked."""
    (relays,) = of_kind(render(helm, *MONITORS, "watchNamespaces={team-a}"), "PodMonitor")
    assert relays["spec"]["namespaceSelector"] == {"matchNames": ["team-a"]}


HOSTILE = {
    "wsedge_statistics_ledger_writable": False,
    "wsedge_operator_leading": False,
    "up": False,
    "wsedge_relay_open_connections": True,
    "process_cpu_seconds_total": True,
}


@pytest.mark.parametrize(("name", "kept"), HOSTILE.items(), ids=HOSTILE.keys())
def test_a_pod_that_poses_as_a_relay_speaks_for_no_other_program(helm: Helm, name: str, kept: bool) -> None:
    """Any user of a namespace can label a pod: its answer is bounded, its namespace is the target's."""
    (relays,) = of_kind(render(helm, *MONITORS), "PodMonitor")
    (endpoint,) = relays["spec"]["podMetricsEndpoints"]
    (rule,) = endpoint["metricRelabelings"]
    assert (rule["action"], rule["sourceLabels"]) == ("keep", ["__name__"])
    assert bool(re.fullmatch(rule["regex"], name)) is kept
    assert endpoint["honorLabels"] is endpoint["followRedirects"] is False
    bounds = ("targetLimit", "sampleLimit", "labelLimit", "labelValueLengthLimit", "bodySizeLimit")
    assert all(relays["spec"][bound] for bound in bounds)


def test_each_alert_has_the_address_of_its_page(helm: Helm) -> None:
    """From one base; otherwise the rules are those of the file, with the labels for the Alertmanager."""
    (rule,) = of_kind(render(helm, *ALERTS, "alerts.runbooks=https://wiki.example/wsedge/"), "PrometheusRule")
    given = yaml.safe_load((ROOT / "charts/wsedge/files/alerts.yaml").read_text())["groups"]
    for group in given:
        for each in group["rules"]:
            page = f"https://wiki.example/wsedge/{each['alert']}.md"
            each["annotations"]["runbook_url"] = page
            each["labels"]["team"] = "edge"
            each["expr"] = each["expr"].replace('namespace=~".*"', f'namespace="{SYSTEM}"')
    assert rule["spec"]["groups"] == given
    assert rule["metadata"]["labels"]["release"] == "prometheus"


def scrape(metrics: OperatorMetrics) -> Scrape:
    async def scrape() -> str | None:
        return generate_latest(metrics.registry).decode()

    return scrape


async def test_programs_of_other_namespaces_hide_and_fire_nothing(helm: Helm) -> None:
    """Nor those of another installation, nor a target of a tenant that poses as one."""
    (rule,) = of_kind(render(helm, *ALERTS), "PrometheusRule")
    own, other = OperatorMetrics(), OperatorMetrics()
    own.leading.set(0)
    other.leading.set(1)
    other.failing.set(5)
    history = History(rules=json.dumps({"groups": rule["spec"]["groups"]}))
    for _ in range(17):
        await history.pass_minute_of_pods({"own": scrape(own)}, namespace=SYSTEM)
        await history.pass_minute_of_pods({"other": scrape(other)}, minutes=0, namespace="team-b")
    assert history.state("WsedgeOperatorAbsent") == "firing"
    assert history.state("WsedgeReconcilesFail") == ""
    assert history.state("WsedgeStatisticsAbsent") == "firing"


def test_grafanas_sidecar_finds_each_dashboard(helm: Helm) -> None:
    """By its label and in its namespace; each is the generated file."""
    assert not [each for each in render(helm) if "dashboard" in each["metadata"]["name"]]
    values = (
        "dashboards.enabled=true",
        "dashboards.namespace=monitoring",
        "dashboards.annotations.folder=edge",
    )
    maps = [
        each
        for each in of_kind(render(helm, *values), "ConfigMap")
        if "dashboard" in each["metadata"]["name"]
    ]
    found = {name: json.loads(text) for each in maps for name, text in each["data"].items()}
    files = (ROOT / "charts/wsedge/dashboards").glob("*.json")
    assert found == {file.name: json.loads(file.read_text("utf-8")) for file in files}
    assert len(found) == 3
    for each in maps:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"] == {"folder": "edge"}
        assert each["metadata"]["namespace"] == "monitoring"


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster) -> Iterator[Cluster]:
    """Install the API of the Prometheus operator."""
    api = Api(cluster, PROMETHEUS_OPERATOR)
    api.install()
    yield cluster
    api.remove()


def test_the_prometheus_operator_takes_every_object(prometheus: Cluster, namespace: str, helm: Helm) -> None:
    """Its CRDs refuse what they do not know."""
    objects: list[Object] = of_kind(render(helm, *MONITORS, *ALERTS), *KINDS)
    assert len(objects) == 4
    for each in objects:
        each["metadata"]["namespace"] = namespace
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    command = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-")
    assert prometheus.kubectl(*command, input=document).count("serverside-applied") == 4
