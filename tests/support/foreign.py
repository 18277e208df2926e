"""CustomResourceDefinitions and sources of other projects, from their Go modules (tests/foreign/go.mod)."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from wsedge_devcluster.binaries.golang import find_go, wanted_version
from wsedge_devcluster.cluster.cluster import Cluster

FOLDER: Final = Path(__file__).parents[1] / "foreign"
GATEWAY_API: Final = "sigs.k8s.io/gateway-api"
CERT_MANAGER: Final = "github.com/cert-manager/cert-manager"
PROMETHEUS_OPERATOR: Final = "github.com/prometheus-operator/prometheus-operator"
EXTERNAL_DNS: Final = "sigs.k8s.io/external-dns"
_CRDS: Final = {
    GATEWAY_API: ("config/crd/standard/*.yaml",),
    CERT_MANAGER: ("deploy/crds/*.yaml",),
    PROMETHEUS_OPERATOR: (
        "example/prometheus-operator-crd/*monitors.yaml",
        "example/prometheus-operator-crd/*rules.yaml",
    ),
}


def module_folder(module: str) -> Path:
    """Download a module, of the version in go.mod and with the hash in go.sum; return its folder."""
    mod, sums = (FOLDER / "go.mod").read_text(), (FOLDER / "go.sum").read_text()
    found = re.search(rf"^\t{re.escape(module)} (\S+)$", mod, re.MULTILINE)
    assert found is not None, module
    go = find_go(wanted_version(mod), print)
    command: list[str | Path] = [go, "mod", "download", "-json", f"{module}@{found[1]}"]
    answer = json.loads(
        subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True).stdout
    )
    assert f"{module} {found[1]} {answer['Sum']}\n" in sums
    return Path(answer["Dir"])


def definitions(module: str) -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions of a module."""
    documents = [
        document
        for pattern in _CRDS[module]
        for path in sorted(module_folder(module).glob(pattern))
        for document in yaml.safe_load_all(path.read_text())
    ]
    return [each for each in documents if each and each["kind"] == "CustomResourceDefinition"]


class Api:
    """The CustomResourceDefinitions of a project, to install and to remove."""

    def __init__(self, cluster: Cluster, module: str) -> None:
        self._cluster = cluster
        self._items = definitions(module)

    def install(self) -> None:
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": self._items})
        self._cluster.kubectl("apply", "--server-side", "--filename=-", input=document)
        names = [f"crd/{each['metadata']['name']}" for each in self._items]
        self._cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)

    def remove(self) -> None:
        """Remove the definitions and wait until they are gone.

        The API server looks every minute again when an object was made between its deletion of all objects
        and the end of their definition.
        """
        names = [each["metadata"]["name"] for each in self._items]
        self._cluster.kubectl("delete", "crd", "--ignore-not-found", "--timeout=280s", *names, timeout=300)
