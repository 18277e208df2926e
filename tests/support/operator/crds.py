"""The CRDs in a test's cluster, and its API server's answers to manifests."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from support.operator.manifests.manifest import Manifest
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed
from wsedge_operator.api.generation.crd import KINDS, definition

# Helm checks these before it adopts an object, so that a later test can install the chart.
_OWNED = {
    "annotations": {"meta.helm.sh/release-name": "wsedge", "meta.helm.sh/release-namespace": "wsedge-system"},
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
}


def ensure_crds(cluster: Cluster) -> None:
    """Apply both CRDs, unless the chart has done so, and wait until they are established."""
    names = [f"customresourcedefinition/{kind.plural}.wsedge.io" for kind in KINDS]
    if len(cluster.kubectl("get", *names, "--ignore-not-found", "--output=name").split()) < len(names):
        items = [definition(kind) for kind in KINDS]
        for item in items:
            for part, owned in _OWNED.items():
                item["metadata"].setdefault(part, {}).update(owned)
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        cluster.kubectl("apply", "--server-side", "--field-manager=helm", "--filename=-", input=document)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)


def answer(cluster: Cluster, namespace: str, manifest: Manifest) -> str:
    """Return kubectl's output for a dry-run creation of the manifest, accepted or refused."""
    try:
        return cluster.kubectl(
            "create",
            "--dry-run=server",
            f"--namespace={namespace}",
            "--filename=-",
            input=json.dumps(manifest),
        )
    except CommandFailed as refusal:
        return refusal.stderr


def answers(cluster: Cluster, namespace: str, manifests: dict[str, Manifest]) -> dict[str, str]:
    """Return the answer to each manifest, by two kubectl at a time: each spends half its time starting."""
    with ThreadPoolExecutor(2) as pool:
        given = pool.map(lambda manifest: answer(cluster, namespace, manifest), manifests.values())
        return dict(zip(manifests, given, strict=True))
