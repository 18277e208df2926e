"""What `kubectl wsedge` says when something is missing, old, away or hostile: a sentence and an exit code."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.devcluster import pod, python
from support.kubectl_plugin import PROGRAMS, User, administrator, write_kubeconfig
from support.operator.cluster import Place, domain
from wsedge_devcluster.cluster.cluster import Cluster

# A pod of a tenant that has a relay's labels: it answers each path with a text of its environment.
ANSWERS = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        path = self.path.partition("?")[0]
        status, body = json.loads(os.environ["ANSWERS"]).get(path, [404, "This path does not exist.\\n"])
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())
    do_GET = do_POST = answer
print("serving", flush=True)
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 9090), Handler).serve_forever()
"""
ESCAPE = "\x1b[2J\x1b]0;owned\x07"


@pytest.fixture(scope="module")
def false_relay(place: Place) -> Iterator[str]:
    """Run pods with the labels of relays of a domain that is switched off; yield its name."""
    place.apply(domain("old", host="old.example.com", enabled=False))
    state = {"generation": ESCAPE, "draining": False, "openConnections": 1}
    one = {
        "id": ESCAPE,
        "domain": "old.example.com",
        "client": ESCAPE,
        "origin": ESCAPE,
        "since": ESCAPE,
        "sentBytes": 1,
        "receivedBytes": 1,
        "sentMessages": 1,
        "receivedMessages": 1,
    }
    listed = json.dumps({"connections": [one], "next": None})
    endless = json.dumps({"connections": [], "next": None, "filler": "x" * 100})
    answers = {
        "a-last-release": {"/config": [200, json.dumps(state)], "/metrics": [200, ""]},
        "b-hostile": {
            "/config": [200, json.dumps(state)],
            "/metrics": [200, ESCAPE],
            "/connections": [200, listed],
        },
        "c-no-relay": {"/config": [200, ESCAPE], "/connections": [200, endless[:-9]]},
        "d-angry": {"/config": [503, ESCAPE], "/connections": [401, ESCAPE]},
    }
    token = base64.b64encode(b"secret").decode()
    place.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "old-relay"},
            "data": {"admin-token": token},
        }
    )
    for name, paths in answers.items():
        labels = {"app.kubernetes.io/name": "wsedge-relay", "wsedge.io/domain-name": "old", "test": name}
        container = python("relay", ANSWERS)
        container["env"] = [*container["env"], {"name": "ANSWERS", "value": json.dumps(paths)}]
        place.apply(pod(name, container, labels=labels))
    for name in answers:
        place.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=90s")
    yield "old"
    place.kubectl("delete", "pods", "--selector=wsedge.io/domain-name=old", "--wait=false")
    place.kubectl("delete", "wsd/old", "secret/old-relay", "--ignore-not-found")


def only(place: Place, name: str) -> None:
    """Let one pod alone be a relay of the domain."""
    place.kubectl("label", "pods", "--all", "wsedge.io/domain-name-")
    place.kubectl("label", "pod", name, "wsedge.io/domain-name=old")


SAID = {
    "a-last-release": (7, "The relay a-last-release is of an older release, which does not know this"),
    "c-no-relay": (1, "What answers on the admin port of c-no-relay is no relay."),
    "d-angry": (3, "The relay d-angry does not accept its domain's token: ?[2J?]0;owned?"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_no_relay_of_this_release(name: str, false_relay: str, place: Place, user: User) -> None:
    """A list is all or nothing: the sentence names the pod."""
    only(place, name)
    code, sentence = SAID[name]
    said = user.wsedge("connections", false_relay)
    assert (said.code, said.out) == (code, ""), said
    assert said.err.startswith(f"kubectl-wsedge: {sentence}")
    assert said.err.count("\n") == 1
    assert "\x1b" not in said.err


def test_nothing_that_a_pod_answers_reaches_the_terminal_raw(
    false_relay: str, place: Place, user: User
) -> None:
    """As text `?` stands for it; as JSON a program gets it as it is."""
    place.kubectl("label", "pods", "--all", "wsedge.io/domain-name=old", "--overwrite")
    shown = user.wsedge("status", false_relay)
    assert "\x1b" not in shown.out + shown.err
    assert "?[2J" in shown.out
    only(place, "b-hostile")
    listed = user.wsedge("connections", false_relay)
    assert listed.code == 0, listed
    assert "\x1b" not in listed.out
    (one,) = user.wsedge("connections", false_relay, "--output=json").json()
    assert one["client"] == ESCAPE


def test_what_does_not_exist(user: User) -> None:
    """A domain, a pod: its name, and the namespace in which it was looked for."""
    said = user.wsedge("status", "nothing")
    assert (said.code, said.out) == (4, "")
    assert (
        said.err == f"kubectl-wsedge: There is no websocketdomains 'nothing' in namespace {user.namespace}.\n"
    )
    gone = user.wsedge("close", "nothing/1-1")
    assert (gone.code, gone.err.count("\n")) == (4, 1)
    assert user.wsedge("status").code == 0


def test_a_cluster_without_wsedge(tmp_path: Path) -> None:
    """It is not an empty list."""
    with Cluster(nodes=1) as bare:
        said = administrator(Place(bare, "default")).wsedge("status")
    assert said.code == 5, said
    assert said.err.startswith("kubectl-wsedge: This cluster has no wsedge: ")


def test_an_api_server_that_is_away(place: Place, tmp_path: Path) -> None:
    """One sentence, and no traceback."""
    away = write_kubeconfig(tmp_path / "away", "https://127.0.0.1:9", place.cluster, "none")
    said = User(away, place.namespace).wsedge("status")
    assert said.code == 6, said
    assert said.err.startswith("kubectl-wsedge: The API server does not answer")
    assert said.err.count("\n") == 1


def test_credentials_that_are_not_accepted(place: Place, tmp_path: Path) -> None:
    """It is not a missing right: no Role helps."""
    wrong = write_kubeconfig(tmp_path / "wrong", place.cluster.server, place.cluster, "none")
    said = User(wrong, place.namespace).wsedge("status")
    assert (said.code, said.err) == (
        3,
        "kubectl-wsedge: The API server does not accept your credentials: log in again.\n",
    )


def test_a_kubeconfig_that_names_no_cluster(place: Place, tmp_path: Path) -> None:
    """The sentence of kubectl itself."""
    (tmp_path / "empty").write_text("apiVersion: v1\nkind: Config\n")
    said = User(tmp_path / "empty", place.namespace).wsedge("status")
    assert said.code in (1, 6), said
    assert "Traceback" not in said.err


def test_no_kubectl(place: Place) -> None:
    """The plugin started by itself, without kubectl in PATH."""
    program = str(PROGRAMS / "kubectl-wsedge")
    done = subprocess.run(
        [program, "status", "-n", "x"],
        env={**os.environ, "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "kubectl-wsedge: there is no program 'kubectl' in PATH\n")
