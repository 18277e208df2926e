"""Plans and domains in a cluster, and waits for their effects."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed

DEADLINE_SECONDS = 120.0


def plan(name: str = "plan", **spec: Any) -> dict[str, Any]:
    """Return a plan that takes effect at once; `spec` changes it."""
    return {
        "apiVersion": "wsedge.io/v1alpha1",
        "kind": "BillingPlan",
        "metadata": {"name": name},
        "spec": {"billingCycle": "Daily", "meteringMethod": "Traffic", **spec},
    }


def domain(name: str = "chat", *, host: str, enabled: bool = True, **spec: Any) -> dict[str, Any]:
    """Return a domain with one relay and an origin on which nothing listens."""
    return {
        "apiVersion": "wsedge.io/v1alpha1",
        "kind": "WebSocketDomain",
        "metadata": {"name": name},
        "spec": {
            "domain": host,
            "websocket": {"enabled": enabled, "originProtocol": "HTTP"},
            "origins": [{"host": "127.0.0.1", "httpPort": 9}],
            "relay": {"replicas": 1},
            **spec,
        },
    }


class Place:
    """A namespace of a cluster."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        return self.cluster.kubectl(*arguments, "--namespace", self.namespace, input=text)

    def apply(self, *manifests: dict[str, Any]) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "--filename", "-", text=json.dumps(document))

    def patch(self, resource: str, change: dict[str, Any]) -> None:
        self.kubectl("patch", resource, "--type=merge", "--patch", json.dumps(change))

    def set_status(self, resource: str, status: dict[str, Any]) -> None:
        """Write the status of an object as its controller does."""
        change = json.dumps({"status": status})
        self.kubectl("patch", resource, "--subresource=status", "--type=merge", "--patch", change)

    def get(self, resource: str) -> dict[str, Any] | None:
        """Return one object (`kind/name`), or None."""
        text = self.kubectl("get", resource, "--ignore-not-found", "--output=json")
        return json.loads(text) if text.strip() else None

    def items(self, kinds: str, selector: str = "") -> list[dict[str, Any]]:
        """Return objects of some kinds, by label."""
        text = self.kubectl("get", kinds, f"--selector={selector}", "--output=json")
        return list(json.loads(text)["items"])

    def condition(self, resource: str, question: str) -> dict[str, Any]:
        """Return a condition of an object, or an empty dict."""
        live = self.get(resource) or {}
        found = (live.get("status") or {}).get("conditions") or ()
        return next((entry for entry in found if entry["type"] == question), {})

    def await_reason(self, resource: str, question: str, reason: str) -> dict[str, Any]:
        """Wait until a condition has a reason; return it."""
        try:
            self.kubectl(
                "wait",
                resource,
                f'--for=jsonpath={{.status.conditions[?(@.type=="{question}")].reason}}={reason}',
                f"--timeout={DEADLINE_SECONDS:.0f}s",
            )
        except CommandFailed as error:
            raise AssertionError(f"{resource}: no {reason}: {self.get(resource)}") from error
        return self.condition(resource, question)

    def await_gone(self, *resources: str) -> None:
        """Wait until objects do not exist."""
        for resource in resources:
            self.kubectl("wait", resource, "--for=delete", f"--timeout={DEADLINE_SECONDS:.0f}s")

    def await_created(self, resource: str) -> None:
        """Wait until an object exists."""
        self.kubectl("wait", resource, "--for=create", f"--timeout={DEADLINE_SECONDS:.0f}s")

    def config(self, name: str) -> dict[str, Any]:
        """Return the RelayConfig of a domain, and the start of its drain (or None)."""
        live = self.get(f"configmap/{name}-relay")
        assert live is not None
        return dict(json.loads(live["data"]["relay.json"]))


def record_name(place: Place) -> str:
    """Return the name of the record of the present namespace."""
    live = json.loads(place.cluster.kubectl("get", "namespace", place.namespace, "--output=json"))
    return f"configmap/wsedge-account-{place.namespace}.{live['metadata']['uid']}"


def record_of(place: Place, system: str = SYSTEM) -> dict[str, Any]:
    """Return the record of the present namespace, from the operator's namespace."""
    found = Place(place.cluster, system).get(record_name(place))
    assert found is not None
    return found


def until(what: str, check: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    """Poll a condition that has no watch (a file, a process) until it is true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
