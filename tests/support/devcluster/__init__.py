"""Builders and waiting for tests on a devcluster."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed

T = TypeVar("T")
EXAMPLES_IMAGE = "ghcr.io/wsedge/examples:0.1.0"
POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}

# Answers each GET with the pod's name; a request for /slow gets two parts, with a line of input between.
WEB = """
import http.server, os
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["HOSTNAME"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
print("serving", flush=True)
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 8000), Handler).serve_forever()
"""
SLEEP = "import signal; print('up', flush=True); signal.pause()"


def eventually(question: Callable[[], T], seconds: float = 90.0) -> T:
    """Poll until the condition is true; return its value. At the deadline raise the last answer or error."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := question():
                return answer
            shown = repr(answer)
        except (CommandFailed, OSError) as error:
            shown = str(error)
        assert time.monotonic() < deadline, f"not within {seconds} s; last: {shown}"
        time.sleep(0.1)


def python(name: str, code: str, **more: Any) -> dict[str, Any]:
    """Return a container that runs Python code."""
    container = {"name": name, "image": EXAMPLES_IMAGE, "command": ["python", "-c", code], "env": [POD_IP]}
    return container | more


def pod(
    name: str, *containers: dict[str, Any], labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    """Return a pod that terminates fast, unless its specification sets a grace period."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"terminationGracePeriodSeconds": 5, "containers": list(containers), **spec},
    }


def config_map(name: str, **data: str) -> dict[str, Any]:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def service(name: str, labels: dict[str, str], port: int = 8080, target: int | str = 8000) -> dict[str, Any]:
    """Return a Service with one port."""
    ports = [{"port": port, "targetPort": target}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": labels, "ports": ports},
    }


class Namespace:
    """kubectl within one namespace of a cluster."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002
        return self.cluster.kubectl("-n", self.name, *arguments, input=input)

    def apply(self, *items: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", input="\n---\n".join(map(json.dumps, items)))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return answer

    def wait(self, what: str, condition: str, seconds: int = 90) -> None:
        self.kubectl("wait", what, f"--for={condition}", f"--timeout={seconds}s")

    def state(self, name: str, container: int = 0) -> dict[str, Any]:
        """Return the status of one container."""
        statuses = self.get("pod", name).get("status", {}).get("containerStatuses", [])
        return statuses[container] if statuses else {}

    def reason(self, name: str) -> str:
        """Return the reason for which the first container waits."""
        return str(self.state(name).get("state", {}).get("waiting", {}).get("reason", ""))

    def events(self, name: str, reason: str) -> list[str]:
        """Return the messages of an object's Events with this reason."""
        selector = f"involvedObject.name={name},reason={reason}"
        items = json.loads(self.kubectl("get", "events", "--field-selector", selector, "-o", "json"))["items"]
        return [item["message"] for item in items]

    def logs(self, *arguments: str) -> str:
        return self.kubectl("logs", *arguments)
