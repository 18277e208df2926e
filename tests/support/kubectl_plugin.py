"""`kubectl wsedge` as users of a cluster run it: with a kubeconfig, and the rights of a ServiceAccount."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.operator.cluster import Place
from wsedge_devcluster.binaries.build import ensure_binaries
from wsedge_devcluster.cluster.cluster import Cluster, quiet
from wsedge_devcluster.errors import CommandFailed

PROGRAMS = Path(sys.executable).parent
SECONDS = 120


@dataclass(frozen=True, slots=True)
class Said:
    """What the plugin printed, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code in (0, 8), self
        return json.loads(self.out)


class User:
    """A user with a kubeconfig; `kubectl` finds the plugin in PATH."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        kubectl = ensure_binaries(quiet)["kubectl"]
        path = f"{kubectl.parent}:{PROGRAMS}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig)}

    def wsedge(self, *arguments: str, text: str = "") -> Said:
        """Run `kubectl wsedge` in the user's namespace; a verb is the first argument."""
        verb, *rest = arguments
        place = () if verb in ("completion", "explain") else ("--namespace", self.namespace)
        done = subprocess.run(
            ["kubectl", "wsedge", verb, *place, *rest],
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)


def administrator(place: Place) -> User:
    """Return a user with all rights, in the namespace of `place`."""
    return User(place.cluster.kubeconfig, place.namespace)


def stranger(place: Place, folder: Path, name: str) -> User:
    """Create a ServiceAccount without any right; return it as a user."""
    place.kubectl("create", "serviceaccount", name)
    token = place.kubectl("create", "token", name).strip()
    return User(
        write_kubeconfig(folder / f"{name}.yaml", place.cluster.server, place.cluster, token), place.namespace
    )


def grant(place: Place, name: str, roles: str) -> None:
    """Apply Roles, as `rbac` prints them, and bind them to a ServiceAccount of `place`."""
    place.cluster.kubectl("apply", "--filename=-", input=roles)
    for role in yaml.safe_load_all(roles):
        metadata = role["metadata"]
        place.cluster.kubectl(
            "create",
            "rolebinding",
            name,
            f"--role={metadata['name']}",
            f"--serviceaccount={place.namespace}:{name}",
            f"--namespace={metadata['namespace']}",
        )


def write_kubeconfig(path: Path, server: str, cluster: Cluster, token: str) -> Path:
    """Write a kubeconfig of a user with a token."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": server, "certificate-authority": str(cluster.ca_file)}}
        ],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(document))
    return path


def may_not(place: Place, name: str, verb: str, resource: str) -> None:
    """Fail if a ServiceAccount has a right."""
    subject = f"--as=system:serviceaccount:{place.namespace}:{name}"
    kind, _, part = resource.partition("/")  # kubectl reads pods/proxy as the pod with the name proxy
    with pytest.raises(CommandFailed, match="no"):
        place.kubectl("auth", "can-i", verb, kind, f"--subresource={part}", subject)
