"""The API server's part in access keys: it lists and watches Secrets of one name over HTTPS."""

from __future__ import annotations

import base64
import json
import queue
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.statistics.cluster import API_TOKEN, certificate
from wsedge_devcluster.machine.ranges import reserve_port

SELECTOR = "metadata.name=wsedge-access-keys,type=wsedge.io/access-keys"
CREATED = "2026-01-01T00:00:00Z"


def key_secret(namespace: str, keys: Mapping[str, str], **changes: Any) -> dict[str, Any]:
    """A Secret with access keys as the API server sends it; `changes` replace parts of its metadata."""
    metadata = {
        "name": "wsedge-access-keys",
        "namespace": namespace,
        "uid": f"uid-of-{namespace}",
        "creationTimestamp": CREATED,
        "resourceVersion": "1",
    }
    data = {name: base64.b64encode(secret.encode()).decode() for name, secret in keys.items()}
    return {"type": "wsedge.io/access-keys", "metadata": metadata | changes, "data": data}


class SecretServer:
    """Serves /api/v1/secrets and /api/v1/namespaces/NAME/secrets, pages of one Secret each, and watches."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        self.refuse = 0
        self.compacted = False
        self._folder = folder
        self._secrets: dict[str, dict[str, Any]] = {}
        self._version = 100
        self._log: list[tuple[int, str, dict[str, Any]]] = []
        self._watches: list[queue.Queue[tuple[str, dict[str, Any]] | None]] = []
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._holder = reserve_port("127.0.0.1")
        self.port = self._holder.getsockname()[1]
        published, key = certificate()
        self.ca_file, self.token_file = folder / "api-ca.crt", folder / "api-token"
        self.ca_file.write_bytes(published)
        (folder / "api-server.pem").write_bytes(published + key)
        self.token_file.write_text(f"{API_TOKEN}\n")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def arguments(self) -> list[str]:
        answer = ["--dcdn-listen", "127.0.0.1:0", "--api-server", self.url, "--ca-file", str(self.ca_file)]
        return [*answer, "--api-token-file", str(self.token_file)]

    def put(self, namespace: str, keys: Mapping[str, str], **changes: Any) -> None:
        """Store a Secret and tell every watch."""
        kind = "MODIFIED" if namespace in self._secrets else "ADDED"
        self._change(kind, namespace, key_secret(namespace, keys, **changes))

    def delete(self, namespace: str) -> None:
        """Delete a Secret and tell every watch."""
        self._change("DELETED", namespace, self._secrets[namespace])

    def tell(self, kind: str, namespace: str, keys: Mapping[str, str], **changes: Any) -> None:
        """Send an event alone, without a change of what is stored."""
        live = key_secret(namespace, keys, **changes)
        live["metadata"]["resourceVersion"] = str(self._version)
        with self._lock:
            for each in self._watches:
                each.put((kind, live))

    def _change(self, kind: str, namespace: str, live: dict[str, Any]) -> None:
        with self._lock:
            self._version += 1
            live["metadata"]["resourceVersion"] = str(self._version)
            self._secrets.pop(namespace, None)
            if kind != "DELETED":
                self._secrets[namespace] = live
            self._log.append((self._version, kind, live))
            for each in self._watches:
                each.put((kind, live))

    def end_watches(self) -> None:
        """End every open watch, as the server does after timeoutSeconds."""
        with self._lock:
            for each in self._watches:
                each.put(None)

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            allow_reuse_port = True  # with the holder

            def handle_error(self, *_: object) -> None:
                pass  # a client that ends its watch

        server = Server(("127.0.0.1", self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "api-server.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        allowed = handler.headers["Authorization"] == f"Bearer {API_TOKEN}"
        # RBAC with resourceNames refuses a list of anything else
        if self.refuse or not allowed or query.get("fieldSelector") != SELECTOR:
            handler.send_error(self.refuse or 403)
            return
        names = parts.path.removeprefix("/api/v1/").split("/")
        namespace = names[1] if names[0] == "namespaces" else None
        if "watch" in query:
            self._watch(handler, namespace, int(query["resourceVersion"]))
        else:
            self._list(handler, namespace, int(query.get("continue", "0")))

    def _list(self, handler: BaseHTTPRequestHandler, namespace: str | None, first: int) -> None:
        with self._lock:
            live = [each for name, each in sorted(self._secrets.items()) if namespace in (None, name)]
            metadata = {"resourceVersion": str(self._version)}
        if first + 1 < len(live):
            metadata["continue"] = str(first + 1)
        body = json.dumps({"metadata": metadata, "items": live[first : first + 1]}).encode() + b"\n"
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _watch(self, handler: BaseHTTPRequestHandler, namespace: str | None, version: int) -> None:
        events: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue()
        with self._lock:
            for at, kind, live in self._log:
                if at > version:
                    events.put((kind, live))
            if self.compacted:
                self.compacted = False
                events.put(("ERROR", {"kind": "Status", "code": 410}))
            events.put(("BOOKMARK", {"metadata": {"resourceVersion": str(self._version)}}))
            self._watches.append(events)
        try:
            handler.send_response(200)
            handler.end_headers()
            while (event := events.get()) is not None:
                kind, live = event
                if namespace in (None, live.get("metadata", {}).get("namespace"), "") or kind != "ADDED":
                    handler.wfile.write(json.dumps({"type": kind, "object": live}).encode() + b"\n")
                    handler.wfile.flush()
        finally:
            with self._lock:
                self._watches.remove(events)

    def stop(self) -> None:
        if self._server is not None:
            self.end_watches()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def close(self) -> None:
        self.stop()
        self._holder.close()


@contextmanager
def secret_server(folder: Path) -> Iterator[SecretServer]:
    server = SecretServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.close()
