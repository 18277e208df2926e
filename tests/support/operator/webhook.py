"""A mutating admission webhook beside a test's cluster, which its API server calls over TLS."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.operator.keys import certificate
from wsedge_devcluster.cluster.cluster import Cluster

# The JSON patch for an object; with None the webhook fails with 500.
Mutation = Callable[[dict[str, Any]], list[dict[str, Any]] | None]


class _Handler(http.server.BaseHTTPRequestHandler):
    mutation: Mutation

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        operations = type(self).mutation(request)
        if operations is None:
            self._answer(500, b"the webhook is down")
            return
        answer: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if operations:
            patch = base64.b64encode(json.dumps(operations).encode()).decode()
            answer |= {"patchType": "JSONPatch", "patch": patch}
        self._answer(200, json.dumps({**review, "request": None, "response": answer}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def webhook(
    cluster: Cluster, namespace: str, folder: Path, mutation: Mutation, *resources: str
) -> Iterator[None]:
    """Apply `mutation` at each write of `resources` (`apps/deployments`) in a namespace, for the block."""
    chain, key = certificate("localhost")
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    handler = type("Handler", (_Handler,), {"mutation": staticmethod(mutation)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        name = f"{namespace}-hook"
        manifest = _configuration(name, namespace, server.server_address[1], chain, resources)
        try:
            cluster.kubectl("apply", "--filename=-", input=json.dumps(manifest))
            yield
        finally:
            cluster.kubectl("delete", "mutatingwebhookconfiguration", name, "--ignore-not-found")
            server.shutdown()
            serving.join()


def _configuration(
    name: str, namespace: str, port: int, chain: bytes, resources: tuple[str, ...]
) -> dict[str, Any]:
    rules = [
        {
            "apiGroups": [group],
            "apiVersions": ["*"],
            "resources": [resource],
            "operations": ["CREATE", "UPDATE"],
        }
        for group, _, resource in (entry.partition("/") for entry in resources)
    ]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": "hook.example.com",
                "clientConfig": {
                    "url": f"https://localhost:{port}/",
                    "caBundle": base64.b64encode(chain).decode(),
                },
                "rules": rules,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail",
                "reinvocationPolicy": "IfNeeded",
                "timeoutSeconds": 5,
            }
        ],
    }
