"""What `kubectl wsedge` says when something is missing, old, away or hostile: a sentence and an exit code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support.devcluster import pod, python
from support.kubectl_plugin import PROGRAMS, User, administrator, write_kubeconfig
from support.operator.cluster import Place, domain
from wsedge_devcluster.cluster.cluster import Cluster

# A pod of a tenant that has a relay's labels: it prints each request.
ASKED = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        print("asked", self.path, self.headers.as_string(), flush=True)
        self.send_response(200)
        self.end_headers()
    do_GET = do_POST = answer
print("serving", flush=True)
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 9090), Handler).serve_forever()
"""


def test_a_pod_with_the_labels_of_a_relay_is_not_asked(place: Place, user: User, tmp_path: Path) -> None:
    """By any verb: only pods of the domain's Deployment get the token, which lists and closes connections."""
    place.apply(domain("guarded", host="guarded.example.com"))
    place.await_reason("wsd/guarded", "Ready", "Serving")
    labels = {"app.kubernetes.io/name": "wsedge-relay", "wsedge.io/domain-name": "guarded"}
    place.apply(pod("stranger", python("relay", ASKED), labels=labels))
    place.kubectl("wait", "pod/stranger", "--for=condition=Ready", "--timeout=90s")
    shown = user.wsedge("status", "guarded", "--output=json").json()
    assert "stranger" not in {relay["name"] for relay in shown["relays"]}
    assert {relay["silent"] for relay in shown["relays"]} == {None}
    assert any(one["text"].endswith("are not asked: stranger.") for one in shown["findings"])
    listed = user.wsedge("connections", "guarded")
    assert (listed.code, listed.out.splitlines()[-1]) == (0, "0 connections"), listed
    assert "are not asked: stranger." in listed.err
    for verb, target in (("close", "stranger/1-1"), ("drain", "stranger")):
        said = user.wsedge(verb, target)
        assert said.code == 4, said
        assert said.err.endswith("it does not belong to the Deployment guarded-relay, so it gets no token.\n")
    assert user.wsedge("drain", "guarded", "--all-relays", "--seconds=0").code == 0
    assert user.wsedge("report", f"--file={tmp_path / 'report'}").code == 0
    assert place.kubectl("logs", "stranger").split() == ["serving"]
    place.kubectl("delete", "wsd/guarded", "pod/stranger", "--wait=false")


def test_what_does_not_exist(user: User) -> None:
    """A domain, a pod: its name, and the namespace in which it was looked for."""
    said = user.wsedge("status", "nothing")
    assert (said.code, said.out) == (4, "")
    assert (
        said.err == f"kubectl-wsedge: There is no WebSocketDomain 'nothing' in namespace {user.namespace}.\n"
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
