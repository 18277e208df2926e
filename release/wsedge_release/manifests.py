"""The chart's objects without Helm: install.yaml, and a Kustomize base of the same objects.

python -m wsedge_release.manifests FOLDER
"""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, Final

import yaml

NAMESPACE: Final = "wsedge-system"
# Of Helm, which does not manage these objects.
_HELMS: Final = ("helm.sh/chart", "app.kubernetes.io/managed-by")
_HEAD: Final = """\
# wsedge without Helm, with the default values of the chart; its admission policies need Kubernetes 1.30.
#   kubectl apply --server-side --filename install.yaml
# Never delete it as a whole: with the definitions all domains in the cluster would go, and with the
# namespace the accounts and the ledger. This uninstalls the programs alone; relays serve on:
#   kubectl delete --filename install.yaml \\
#     --selector 'app.kubernetes.io/component,app.kubernetes.io/component!=crds'
"""
_BASE: Final = """\
# A base: name its folder in `resources` of your own kustomization.yaml, and set images and patches there.
# Set no namespace, namePrefix or nameSuffix: admission policies, variables and arguments have the names in
# texts, which Kustomize does not change. The policies would match another operator, and restrict none.
# For other names use `helm template`.
#   kubectl apply --server-side --kustomize FOLDER
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [install.yaml]
"""


def rendered(chart: Path) -> list[dict[str, Any]]:
    """Return the chart's objects and their namespace, without hooks and without labels of Helm."""
    found = shutil.which("helm")
    helm = [found] if found else [str(Path(sys.executable).with_name("wsedge-devcluster")), "helm", "--"]
    values = [f"--namespace={NAMESPACE}", "--no-hooks", "--kube-version=1.30.0"]
    command = [*helm, "template", "wsedge", str(chart), *values]
    # Helm's errors go to the standard error of this program.
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": restricted},
    }
    return [namespace, *(_without_helm(each) for each in yaml.safe_load_all(text) if each)]


def _without_helm(live: dict[str, Any]) -> dict[str, Any]:
    labels = live["metadata"].get("labels", {})
    live["metadata"]["labels"] = {key: value for key, value in labels.items() if key not in _HELMS}
    return live


def write(folder: Path, chart: Path) -> None:
    """Write install.yaml, and the base as an archive beside it: a release has files, no folders."""
    text = _HEAD + yaml.safe_dump_all(rendered(chart), sort_keys=False, width=1000)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "install.yaml").write_text(text, encoding="utf-8")
    # mtime: the head of gzip has the clock's otherwise, and no two builds of a version would be equal.
    with (
        gzip.GzipFile(folder / "wsedge-kustomize.tar.gz", "wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, content in (("install.yaml", text), ("kustomization.yaml", _BASE)):
            member = tarfile.TarInfo(f"wsedge-kustomize/{name}")
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path("charts/wsedge"))
