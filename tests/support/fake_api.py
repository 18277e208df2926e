"""A small API server for tests of `kubectl wsedge`: it serves what it is given, and counts calls.

The plugin reaches it as any other: by a kubeconfig, through the real `kubectl proxy`.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import yaml

from wsedge_devcluster.binaries.build import ensure_binaries
from wsedge_devcluster.cluster.cluster import quiet
from wsedge_operator.desired.names import admin_name, child_labels, child_name

NAMESPACE: Final = "team-a"
TOKEN: Final = "t" * 43
SECONDS: Final = 60
Object = dict[str, Any]


@dataclass
class Call:
    """A request to the API server; `pod` is that of a proxied one, and `path` the path below it."""

    method: str
    path: str
    query: str
    token: str | None
    pod: str = ""


Answer = tuple[int, str | bytes]
Pod = Callable[[Call], "Answer | Callable[[BaseHTTPRequestHandler], None]"]


@dataclass
class FakeApi:
    """The objects of one namespace by plural, and what pods answer."""

    objects: dict[str, dict[str, Object]] = field(default_factory=dict)
    pods: Pod = field(default=lambda call: relay(call))
    refused: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    most: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, plural: str, made: Object) -> None:
        """Add an object."""
        self.objects.setdefault(plural, {})[made["metadata"]["name"]] = made

    def serve(self, name: str, *, relays: int = 1, namespace: str = NAMESPACE) -> None:
        """Add a domain that is served, and all of its children."""
        child = child_name(name)
        live = domain(name, namespace)
        self.add("websocketdomains", live)
        labels = child_labels(name)

        def owned(kind: str, own_name: str, owner: Object, **rest: Any) -> Object:
            reference = {"apiVersion": "apps/v1", "kind": owner["kind"], "controller": True}
            reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
            metadata = {"name": own_name, "namespace": namespace, "uid": f"{kind}-{own_name}"}
            return {
                "kind": kind,
                "metadata": {**metadata, "labels": labels, "ownerReferences": [reference]},
                **rest,
            }

        deployment = owned("Deployment", child, live)
        replica_set = owned("ReplicaSet", f"{child}-1", deployment)
        self.add("deployments", deployment)
        self.add("replicasets", replica_set)
        token = base64.b64encode(TOKEN.encode()).decode()
        self.add("secrets", owned("Secret", child, live, data={"admin-token": token, "tls.key": "eA=="}))
        self.add("secrets", owned("Secret", admin_name(name), live, data={"admin-token": token}))
        for number in range(relays):
            self.add("pods", owned("Pod", f"{child}-1-{number}", replica_set, spec={}, status=running()))

    def of_pods(self) -> list[Call]:
        """Return the calls that reached pods."""
        return [call for call in self.calls if call.pod]

    def answer(self, call: Call) -> Any:
        """Return the answer to a call: a status and a body, or a function that writes one."""
        parts = call.path.strip("/").split("/")
        if parts == ["version"]:
            return 200, json.dumps({"gitVersion": "v1.36.0"})
        rest = parts[parts.index("namespaces") + 2 :]
        plural = rest[0]
        if "proxy" in rest:
            call.pod = rest[1].partition(":")[0]
            call.path = "/".join(rest[3:])
            plural = "pods/proxy"
        if plural in self.refused:
            return 403, status(403, "Forbidden", f'{plural} is forbidden: User "x" cannot do this')
        if call.pod:
            if call.pod not in self.objects.get("pods", {}):
                return 404, status(404, "NotFound", f'pods "{call.pod}" not found', call.pod)
            return self.pods(call)
        found = self.objects.get(plural, {})
        if len(rest) > 1:
            if f"{plural}/{rest[1]}" in self.refused:
                return 403, status(403, "Forbidden", f'{plural} "{rest[1]}" is forbidden')
            if rest[1] not in found:
                return 404, status(404, "NotFound", f'{plural} "{rest[1]}" not found', rest[1])
            return 200, json.dumps(found[rest[1]])
        return 200, self._listed(list(found.values()), urllib.parse.parse_qs(call.query))

    def _listed(self, items: list[Object], query: dict[str, list[str]]) -> str:
        wanted = dict(part.split("=") for part in query.get("labelSelector", [""])[0].split(",") if part)
        items = [one for one in items if wanted.items() <= one["metadata"].get("labels", {}).items()]
        first, limit = int(query.get("continue", ["0"])[0]), int(query.get("limit", ["100000"])[0])
        after = str(first + limit) if first + limit < len(items) else ""
        return json.dumps({"items": items[first : first + limit], "metadata": {"continue": after}})

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve on a port; yield the URL."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                path, _, query = self.path.partition("?")
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                call = Call(self.command, path, query, self.headers.get("Wsedge-Token"))
                with fake._lock:
                    fake.calls.append(call)
                    fake._now += 1
                    fake.most = max(fake.most, fake._now)
                try:
                    answer = fake.answer(call)
                    if callable(answer):
                        answer(self)
                        return
                    code, body = answer
                    content = body.encode() if isinstance(body, str) else body
                    self.send_response(code)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except ConnectionError:
                    self.close_connection = True
                finally:
                    with fake._lock:
                        fake._now -= 1

            do_GET = do_POST = _answer

            def log_message(self, *_arguments: object) -> None:
                """Print nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.request_queue_size = 64
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def domain(name: str, namespace: str = NAMESPACE) -> Object:
    """Return a live WebSocketDomain that is ready."""
    ready = {"type": "Ready", "status": "True", "reason": "Serving", "message": "1 relays serve"}
    return {
        "kind": "WebSocketDomain",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": 1},
        "spec": {"domain": f"{name}.example.com", "websocket": {"enabled": True}},
        "status": {"observedGeneration": 1, "conditions": [ready]},
    }


def running() -> Object:
    """Return the status of a pod that runs and is ready."""
    ready = [{"type": "Ready", "status": "True"}]
    return {"phase": "Running", "podIP": "192.0.2.1", "conditions": ready, "containerStatuses": []}


def relay(call: Call) -> Answer:
    """Answer as a relay with one connection does."""
    if call.path == "config":
        return 200, json.dumps({"generation": "1", "draining": False, "openConnections": 1})
    if call.path == "metrics":
        return 200, ""
    if call.token != TOKEN:
        return 401, "This request needs the relay's admin token."
    if call.path == "connections":
        return 200, json.dumps({"connections": [connection()], "next": None})
    return 202, ""


def connection(**changes: Any) -> Object:
    """Return an open connection as a relay lists it."""
    usual = {"id": "1-1", "domain": "chat.example.com", "client": "192.0.2.7", "origin": "room:80"}
    counts = dict.fromkeys(("sentBytes", "receivedBytes", "sentMessages", "receivedMessages"), 1)
    return {**usual, "since": "2026-11-22T09:00:00Z", **counts, **changes}


def status(code: int, reason: str, message: str, name: str = "") -> str:
    """Return an error as an API server has it."""
    details = {"name": name} if name else {}
    return json.dumps(
        {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}
        | {"details": details}
    )


class Plugin:
    """`kubectl-wsedge` with a kubeconfig for one server."""

    def __init__(self, folder: Path, url: str) -> None:
        self.kubeconfig = folder / "kubeconfig"
        context = {"cluster": "c", "user": "u", "namespace": NAMESPACE}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": context}],
            "current-context": "x",
        }
        self.kubeconfig.write_text(yaml.safe_dump(document))
        kubectl = ensure_binaries(quiet)["kubectl"]
        path = f"{kubectl.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "KUBECONFIG": str(self.kubeconfig)}

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the program."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(["kubectl-wsedge", *arguments], env=self.environment, **(pipes | options))

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Return its exit code and what it printed."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=SECONDS)
        assert "Traceback" not in err, err
        return process.returncode, out, err
