"""The statistics of the chart's release in a cluster, with a setting that it does not have by default."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from support.operator.cluster import Place
from support.statistics.process import Answer
from wsedge_devcluster.cluster.chart import SYSTEM, checkout
from wsedge_devcluster.cluster.cluster import Cluster

Address = tuple[str, int]


@contextmanager
def with_setting(installed: Cluster, setting: str, service: str) -> Iterator[Address]:
    """Upgrade the release with a value of the chart, and back at the end; yield the address of a Service."""
    chart = str(checkout() / "charts" / "wsedge")
    release = ("upgrade", "wsedge", chart, "--namespace", SYSTEM, "--wait", "--timeout=120s")
    installed.helm(*release, f"--set={setting}")
    try:
        live = Place(installed, SYSTEM).get(f"service/{service}")
        assert live is not None
        yield live["spec"]["clusterIP"], live["spec"]["ports"][0]["port"]
    finally:
        installed.helm(*release)


def ask(address: Address, method: str, target: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the answer to a request on a connection of its own."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        connection.request(method, target, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()
