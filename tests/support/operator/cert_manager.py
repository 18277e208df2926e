"""A real cert-manager beside a cluster: its definitions, and its controllers for authorities of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from support.foreign import CERT_MANAGER, Api
from support.go_program import go_program
from support.operator.cluster import Place, until
from support.operator.keys import decoded
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.machine.children import MARK

SOURCES: Final = Path(__file__).parents[2] / "certmanager"
_GROUP: Final = {"apiVersion": "cert-manager.io/v1"}


@contextmanager
def cert_manager(cluster: Cluster) -> Iterator[None]:
    """Install the definitions of cert-manager and run its controllers; remove both at the end."""
    program = go_program("certmanager", SOURCES, "./cmd/certmanager")
    api = Api(cluster, CERT_MANAGER)
    api.install()
    log = cluster.logs_dir / "cert-manager.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [program, f"--kubeconfig={cluster.kubeconfig}"],
            stdout=output,
            stderr=output,
            env={**os.environ, MARK: cluster.mark},  # ends with its cluster in any case
        )
    try:
        until(
            "cert-manager runs", lambda: process.poll() is not None or b"controllers run" in log.read_bytes()
        )
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait()
        api.remove()


def create_authority(place: Place, name: str) -> None:
    """Create an Issuer of a namespace's own authority, whose certificate a self-signed Issuer issues."""
    place.apply(
        issuer(f"{name}-root", selfSigned={}),
        {
            **_GROUP,
            "kind": "Certificate",
            "metadata": {"name": name},
            "spec": {
                "isCA": True,
                "commonName": name,
                "secretName": name,
                "privateKey": {"algorithm": "ECDSA"},
                "issuerRef": {"name": f"{name}-root"},
            },
        },
        issuer(name, ca={"secretName": name}),
    )
    place.kubectl("wait", f"issuer/{name}", "--for=condition=Ready", "--timeout=120s")


def issuer(name: str, **spec: Any) -> dict[str, Any]:
    """Return an Issuer."""
    return {**_GROUP, "kind": "Issuer", "metadata": {"name": name}, "spec": spec}


def renew(place: Place, certificate: str) -> None:
    """Ask for a new certificate, as `cmctl renew` does."""
    live = place.get(certificate)
    assert live is not None
    asked = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": live["metadata"]["creationTimestamp"],
        "observedGeneration": live["metadata"]["generation"],
    }
    kept = [each for each in live["status"]["conditions"] if each["type"] != "Issuing"]
    place.set_status(certificate, {"conditions": [*kept, asked]})


def secret_certificate(place: Place, secret: str) -> x509.Certificate | None:
    """Return the certificate in a Secret; None without one."""
    live = place.get(f"secret/{secret}")
    return x509.load_pem_x509_certificate(decoded(live, "tls.crt")) if live is not None else None
