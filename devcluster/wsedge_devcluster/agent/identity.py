"""Base environment and kubeconfig of a process that runs in place of a container."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import yaml

from wsedge_devcluster.agent.context import PodContext
from wsedge_devcluster.agent.images import PATH
from wsedge_devcluster.machine.children import MARK

SERVICE_ACCOUNT_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def base_environment(context: PodContext, home: Path) -> dict[str, str]:
    """Return the variables of a container beside its own."""
    return {
        "PATH": PATH,
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "HOSTNAME": context.pod["metadata"]["name"],
        MARK: context.tools.mark,
    }


def api_server_variables(context: PodContext) -> dict[str, str]:
    """Return the variables with the API server's address, for the pod and for `$(NAME)`."""
    server = urlsplit(context.tools.server)
    return {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)}


def write_kubeconfig(context: PodContext, home: Path, account: Path) -> Path:
    """Return a kubeconfig for the pod's ServiceAccount; `account` is the folder of its files.

    It names the token's file, which is renewed; the token itself is for clients that read no `tokenFile`.
    """
    path = home / "kubeconfig"
    token = account / "token"
    cluster = {"server": context.tools.server, "certificate-authority": str(account / "ca.crt")}
    inside = {"cluster": "pod", "user": "pod", "namespace": context.pod["metadata"]["namespace"]}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "pod",
        "clusters": [{"name": "pod", "cluster": cluster}],
        "users": [{"name": "pod", "user": {"tokenFile": str(token), "token": token.read_text()}}],
        "contexts": [{"name": "pod", "context": inside}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document))
    return path
