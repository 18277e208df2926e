"""Services forward to ready pods, and refuse when there is none."""

from __future__ import annotations

import socket
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.request import urlopen

import pytest

from support.devcluster import POD_IP, WEB, Namespace, eventually, pod, python, service

LABELS = {"app": "web"}
PORT = {"ports": [{"name": "http", "containerPort": 8000}]}

# Sends back what it reads after the peer has ended its half, then ends its own.
REVERSE = """
import os, socket
server = socket.create_server((os.environ["POD_IP"], 8000))
print("up", flush=True)
while True:
    connection, _ = server.accept()
    data = b""
    while part := connection.recv(65536): data += part
    connection.sendall(data[::-1])
    connection.close()
"""


def deployment(replicas: int, container: dict[str, Any]) -> dict[str, Any]:
    spec = {"terminationGracePeriodSeconds": 2, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": spec},
        },
    }


def address_of(space: Namespace, name: str) -> str:
    return space.cluster.service_address(space.name, name)[0]


def test_round_robin(space: Namespace) -> None:
    """A Service, with a target port by name, reaches each ready pod of a Deployment in turn."""
    probe = {"httpGet": {"port": "http"}, "periodSeconds": 1}
    space.apply(
        deployment(2, python("web", WEB, readinessProbe=probe, **PORT)), service("web", LABELS, target="http")
    )
    space.wait("deployment/web", "condition=Available")
    space.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
    url = f"http://{address_of(space, 'web')}:8080/"
    # The pods are ready; their endpoints come a moment later.
    eventually(lambda: len({urlopen(url, timeout=20).read() for _ in range(4)}) == 2)


def test_refused_without_ready_pod(space: Namespace) -> None:
    """Without a ready pod a connection is refused; an open one lives until its pod ends."""
    space.apply(deployment(1, python("web", WEB, **PORT)), service("web", LABELS))
    space.wait("deployment/web", "condition=Available")
    place = (address_of(space, "web"), 8080)
    # Ready, for want of a probe, before it listens: a connection may still meet nobody.
    with closing(eventually(lambda: answered(HTTPConnection(*place, timeout=20)))) as client:
        space.kubectl("scale", "deployment/web", "--replicas=0")
        eventually(lambda: refused(place))
        assert client.sock.recv(1) == b""


def answered(client: HTTPConnection) -> HTTPConnection:
    """The connection, kept open, after one whole answer; raises OSError when there is none."""
    try:
        client.request("GET", "/")
        assert client.getresponse().read()
    except OSError:
        client.close()
        raise
    return client


def refused(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, timeout=20).close()
    except ConnectionRefusedError:
        return True
    return False


def test_half_close_passes(space: Namespace) -> None:
    """A half-closed connection is passed on as such; a megabyte goes there and back."""
    space.apply(pod("reverse", python("main", REVERSE, env=[POD_IP]), labels=LABELS), service("web", LABELS))
    eventually(lambda: space.logs("reverse") == "up\n")
    data = bytes(range(256)) * 4096
    place = (address_of(space, "web"), 8080)
    with eventually(lambda: socket.create_connection(place, timeout=20)) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert answer == data[::-1]


def test_client_address_is_kept(space: Namespace) -> None:
    """A pod sees the address of its client, not one of the proxy."""
    code = WEB.replace('os.environ["HOSTNAME"]', "self.client_address[0]")
    space.apply(pod("web", python("main", code), labels=LABELS), service("web", LABELS))
    eventually(lambda: "serving" in space.logs("web"))
    place = (address_of(space, "web"), 8080)
    source = ("127.0.0.9", 0)
    with eventually(lambda: socket.create_connection(place, timeout=20, source_address=source)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert answer.endswith(b"127.0.0.9")


@pytest.mark.parametrize("publish", [True, False])
def test_not_ready_addresses(space: Namespace, publish: bool) -> None:
    """Unready pods are reached through a Service that publishes them, and through no other."""
    probe = {"tcpSocket": {"port": 1}, "periodSeconds": 1}
    item = service("web", LABELS)
    item["spec"]["publishNotReadyAddresses"] = publish
    space.apply(pod("web", python("main", WEB, readinessProbe=probe), labels=LABELS), item)
    eventually(lambda: "serving" in space.logs("web"))
    place = (address_of(space, "web"), 8080)
    eventually(lambda: refused(place) is not publish)


def test_low_port(space: Namespace) -> None:
    """A Service on port 80 is reached where service_address says, whoever runs the cluster."""
    space.apply(pod("web", python("main", WEB), labels=LABELS), service("web", LABELS, port=80))
    eventually(lambda: "serving" in space.logs("web"))
    host, port = space.cluster.service_address(space.name, "web", 80)
    assert eventually(lambda: urlopen(f"http://{host}:{port}/", timeout=20).read()) == b"web"
