"""A server of custom.metrics.k8s.io and external.metrics.k8s.io, which the API server forwards to.

It stands in for prometheus-adapter and for KEDA's metrics server; the HorizontalPodAutoscaler's controller
that asks it is the real one.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from support.relay.certificates import authority
from wsedge_devcluster.cluster.cluster import Cluster

GROUPS = {"custom.metrics.k8s.io": "v1beta2", "external.metrics.k8s.io": "v1beta1"}
# By namespace and metric: the value of each pod, or of the whole.
PodValues = Callable[[str, str], Mapping[str, float]]
Value = Callable[[str, str], float]


@contextmanager
def metrics_api(cluster: Cluster, folder: Path, *, of_pods: PodValues, external: Value) -> Iterator[None]:
    """Serve both groups in the cluster."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(of_pods, external))
    server.socket = _tls(folder).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    documents = list(_registrations(server.server_address[1]))
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    names = [f"apiservice/{version}.{group}" for group, version in GROUPS.items()]
    try:
        cluster.kubectl("apply", "--filename", "-", input=text)
        cluster.kubectl("wait", *names, "--for=condition=Available", "--timeout=60s")
        yield
    finally:
        cluster.kubectl("delete", "--filename", "-", "--wait=false", input=text)
        server.shutdown()
        server.server_close()
        thread.join()


def _tls(folder: Path) -> ssl.SSLContext:
    pair = authority().issue("metrics.example.com")
    (folder / "metrics.crt").write_bytes(pair.certificate)
    (folder / "metrics.key").write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "metrics.crt", folder / "metrics.key")
    return context


def _registrations(port: int) -> Iterator[dict[str, Any]]:
    place = {"name": "test-metrics", "namespace": "default"}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": place,
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
    }
    for group, version in GROUPS.items():
        yield {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}"},
            "spec": {
                "group": group,
                "version": version,
                "service": {**place, "port": port},
                "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        }


def _handler(of_pods: PodValues, external: Value) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = _answer(unquote(urlsplit(self.path).path).strip("/").split("/"), of_pods, external)
            body = json.dumps(document).encode()
            self.send_response(200 if document else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    return Handler


def _answer(path: list[str], of_pods: PodValues, external: Value) -> dict[str, Any]:
    """Return the document at a path, empty when there is none."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    match path:
        case ["apis", group, version] if GROUPS.get(group) == version:
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{group}/{version}",
                "resources": [],
            }
        case ["apis", "custom.metrics.k8s.io", version, "namespaces", namespace, "pods", "*", name]:
            return {
                "kind": "MetricValueList",
                "apiVersion": f"custom.metrics.k8s.io/{version}",
                "metadata": {},
                "items": [
                    {
                        "describedObject": {
                            "kind": "Pod",
                            "namespace": namespace,
                            "name": pod,
                            "apiVersion": "/v1",
                        },
                        "metric": {"name": name},
                        "timestamp": now,
                        "value": f"{value:g}",
                    }
                    for pod, value in of_pods(namespace, name).items()
                ],
            }
        case ["apis", "external.metrics.k8s.io", version, "namespaces", namespace, name]:
            value = {"metricName": name, "metricLabels": {}, "timestamp": now}
            return {
                "kind": "ExternalMetricValueList",
                "apiVersion": f"external.metrics.k8s.io/{version}",
                "metadata": {},
                "items": [{**value, "value": f"{external(namespace, name):g}"}],
            }
    return {}
