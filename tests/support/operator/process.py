"""An operator process against a real API server, with exactly the rights of `kube.kinds`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import yaml

from support.faults.clock import StepClock
from support.operator.cluster import Place, until
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_operator.kube.kinds import CLUSTER_VERBS, OWN_VERBS, VERBS

CRDS = Path(__file__).parents[3] / "crds"
LEASE = "wsedge-operator"  # and the name of the ServiceAccount beside it, as in the chart


@contextmanager
def bare_cluster(**options: Any) -> Iterator[Cluster]:
    """Run a cluster with our CRDs and no release."""
    with Cluster(**{"nodes": 1, "backoff_scale": 0.1, **options}) as cluster:
        cluster.kubectl("apply", "--server-side", "--filename", str(CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
        yield cluster


@contextmanager
def operator_place(cluster: Cluster) -> Iterator[Place]:
    """Create a namespace that the test's operators serve and that has their Lease."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    place = Place(cluster, name)
    place.kubectl("create", "serviceaccount", "operator")
    place.apply(*roles(name))
    yield place
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def roles(account_namespace: str) -> list[dict[str, Any]]:
    """Return a Role with an operator's rights, and its binding to a ServiceAccount of `account_namespace`."""
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
        for (group, resource), verbs in [*VERBS.items(), *OWN_VERBS.items()]
    ]
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "operator"}}
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": account_namespace}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    return [
        {**kind, "kind": "Role", "rules": rules},
        {**kind, "kind": "RoleBinding", "roleRef": ref, "subjects": [subject]},
    ]


class Operator:
    """An operator process that serves one namespace. Its log is a file of JSON lines.

    `server` is its own way to the API server, `clock` its wall clock.
    """

    def __init__(
        self,
        place: Place,
        folder: Path,
        name: str,
        *,
        account: str = "operator",
        server: str = "",
        clock: StepClock | None = None,
        **settings: Any,
    ) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        variables = {
            **os.environ,
            **(clock.variables if clock is not None else {}),
            "KUBECONFIG": str(_kubeconfig(place, folder, account, server or place.cluster.server, name)),
            "WSEDGE_OPERATOR_NAMESPACE": place.namespace,
            "WSEDGE_OPERATOR_NAMESPACES": place.namespace,
            "WSEDGE_OPERATOR_POD_NAME": name,
            "WSEDGE_OPERATOR_LISTEN": "127.0.0.1:0",
            "WSEDGE_OPERATOR_LOG_FORMAT": "json",
            **{f"WSEDGE_OPERATOR_{key.upper()}": str(value) for key, value in settings.items()},
        }
        with self._log.open("wb") as log:
            command = [sys.executable, "-c", "from wsedge_operator.main import main; main()"]
            self.process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def log(self) -> list[dict[str, Any]]:
        text = self._log.read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]

    def await_event(self, event: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait for a line of the log; return the last match."""
        until(
            f"{self.name} logs {event!r}: {self._log.read_text()[-3000:]}",
            lambda: any(line["event"] == event for line in self.log()),
            seconds,
        )
        return [line for line in self.log() if line["event"] == event][-1]

    def ask(self, path: str) -> str:
        port = self.await_event("listening")["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return str(answer.read().decode())

    def is_ready(self) -> bool:
        try:
            return self.ask("/readyz") == "ok\n"
        except OSError:
            return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def _kubeconfig(place: Place, folder: Path, account: str, server: str, name: str) -> Path:
    """Write a kubeconfig with the ServiceAccount's token in a file, as in a pod."""
    token = folder / f"{place.namespace}-token"
    token.write_text(place.kubectl("create", "token", account).strip())
    path = folder / f"{name}-kubeconfig"
    cluster = {"server": server, "certificate-authority": str(place.cluster.ca_file)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"tokenFile": str(token)}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(document))
    return path


@contextmanager
def release(cluster: Cluster) -> Iterator[Place]:
    """Create a namespace with a ServiceAccount that has the rights of a cluster-wide operator."""
    place = Place(cluster, f"test-{uuid.uuid4().hex[:8]}")
    cluster.kubectl("create", "namespace", place.namespace)
    place.kubectl("create", "serviceaccount", LEASE)
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
        for (group, resource), verbs in [*VERBS.items(), *OWN_VERBS.items(), *CLUSTER_VERBS.items()]
    ]
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": place.namespace}}
    subject = {"kind": "ServiceAccount", "name": LEASE, "namespace": place.namespace}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": place.namespace}
    document = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {**kind, "kind": "ClusterRole", "rules": rules},
            {**kind, "kind": "ClusterRoleBinding", "roleRef": ref, "subjects": [subject]},
        ],
    }
    cluster.kubectl("apply", "--filename=-", input=json.dumps(document))
    yield place
    cluster.kubectl("delete", "clusterrole,clusterrolebinding", place.namespace, "--ignore-not-found")
    cluster.kubectl("delete", "namespace", place.namespace, "--wait=false")
