"""`kubectl exec` and `kubectl port-forward` against the node agent."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.devcluster import EXAMPLES_IMAGE, SLEEP, WEB, Namespace, pod, python
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed

TWO = "import sys; sys.stdout.write('out'); sys.stderr.write('err'); raise SystemExit(3)"


@contextmanager
def forwarded(space: Namespace, target: str, port: int) -> Iterator[int]:
    """`kubectl port-forward` to a port of a pod or Service; gives the local port."""
    command = ["kubectl", "-n", space.name, "port-forward", target, f":{port}"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=space.cluster.environment()
    ) as running:
        try:
            assert running.stdout is not None
            found = re.search(r"127\.0\.0\.1:(\d+) ->", running.stdout.readline())
            assert found is not None
            yield int(found[1])
        finally:
            running.terminate()


def test_exec(space: Namespace) -> None:
    """Input, both outputs and the exit code of a command pass; a command that is not there says so."""
    space.apply(pod("place", python("main", SLEEP, env=[{"name": "WORD", "value": "here"}])))
    space.wait("pod/place", "condition=Ready")
    text = "a line\n" * 50_000
    echo = "import os, sys; print(os.environ['WORD']); sys.stdout.write(sys.stdin.read())"
    assert space.kubectl("exec", "-i", "place", "--", "python", "-c", echo, input=text) == f"here\n{text}"
    with pytest.raises(CommandFailed) as caught:
        space.kubectl("exec", "place", "--", "python", "-c", TWO)
    assert (caught.value.code, caught.value.stdout) == (3, "out")
    assert caught.value.stderr.startswith("err")
    with pytest.raises(CommandFailed, match="executable file not found"):
        space.kubectl("exec", "place", "--", "no-such-command")


def test_port_forward(space: Namespace) -> None:
    """Several connections pass at once through a forwarded Service; a port that refuses ends only its own."""
    labels = {"app": "web"}
    space.apply(
        pod("web", python("main", WEB, image=EXAMPLES_IMAGE), labels=labels),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]},
        },
    )
    space.wait("pod/web", "condition=Ready")
    with forwarded(space, "service/web", 80) as port:
        clients = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(5)]
        for _ in range(3):
            for client in clients:
                client.request("GET", "/")
            assert [client.getresponse().read() for client in clients] == [b"web"] * 5
        for client in clients:
            client.close()
    with (
        forwarded(space, "pod/web", 8001) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as refused,
    ):
        assert refused.recv(1) == b""


def test_nodes_say_what_they_can(cluster: Cluster) -> None:
    """Nodes declare that they take WebSockets, or the API server would speak SPDY to them."""
    answer = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.declaredFeatures}")
    assert "ExtendWebSocketsToKubelet" in answer
