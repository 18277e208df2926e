"""`kubectl wsedge` with a cluster that answers anything: one sentence and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from support.fake_api import FakeApi
from wsedge_operator.desired.names import ADMIN_PORT

# In kubectl's place: a proxy that gives the answers of a file, by method and path, and `kubectl logs`.
PROGRAM: Final = """#!{python}
import http.server, json, pathlib, socketserver, sys
here = pathlib.Path(__file__).parent
if "logs" in sys.argv:
    sys.stderr.write("a warning of kubectl's\\n" * 10_000)
    print("[pod/chat-a/relay] a line")
    sys.exit()
(path,) = [word.partition("=")[2] for word in sys.argv if word.startswith("--unix-socket=")]
answers = json.loads((here / "answers.json").read_text())

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        place = self.command + " " + self.path.partition("?")[0].removeprefix("/api/v1/namespaces/team-a/")
        status, body = answers.get(place, (404, '{{"kind": "Status", "details": {{"name": "x"}}}}'))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = answer

    def log_message(self, *_arguments):
        pass

with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
    print("Starting to serve", flush=True)
    server.serve_forever()
"""
DOMAIN: Final = "GET /apis/wsedge.io/v1alpha1/namespaces/team-a/websocketdomains/chat"
LISTS: Final = {
    "pods": "GET pods",
    "deployments": "GET /apis/apps/v1/namespaces/team-a/deployments",
    "replicasets": "GET /apis/apps/v1/namespaces/team-a/replicasets",
}
STATE: Final = {"generation": "team-a/chat@1-0", "draining": False, "openConnections": 1}


@dataclass
class World:
    """A folder with the program, and the answers to the plugin: of a domain with two relays."""

    folder: Path
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)

    def wsedge(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "answers.json").write_text(json.dumps(self.answers))
        return subprocess.run(
            [sys.executable, "-m", "wsedge_operator.cli.plugin", *arguments, "--namespace=team-a"],
            env={**os.environ, "PATH": str(self.folder), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def relay(self, name: str, **answers: tuple[int, Any]) -> None:
        """Let a relay answer to verbs of its admin port."""
        for path, (status, body) in answers.items():
            method = "POST" if path == "drain" else "GET"
            text = body if isinstance(body, str) else json.dumps(body)
            self.answers[f"{method} pods/{name}:{ADMIN_PORT}/proxy/{path}"] = (status, text)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Provide a domain with two relays that answer as they should."""
    program = tmp_path / "kubectl"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    made = World(tmp_path)
    api = FakeApi()
    api.serve("chat", relays=2)
    for name, one in zip(("chat-a", "chat-b"), api.objects["pods"].values(), strict=True):
        one["metadata"]["name"] = name
    made.answers[DOMAIN] = (200, json.dumps(api.objects["websocketdomains"]["chat"]))
    for plural, place in LISTS.items():
        made.answers[place] = (200, json.dumps({"items": list(api.objects[plural].values())}))
    made.answers["GET secrets/chat-relay"] = (200, json.dumps({"data": {}}))
    made.answers["GET pods/chat-a/log"] = (200, "")
    for name in ("chat-a", "chat-b"):
        made.relay(name, config=(200, STATE), metrics=(200, ""), drain=(202, ""))
    return made


NO_RELAYS: Final[dict[str, tuple[int, Any]]] = {
    "connections beyond all": (200, STATE | {"openConnections": 10**4000}),
    "connections below none": (200, STATE | {"openConnections": -1}),
    "many levels": (200, "[" * 100_000),
    "many levels in a refusal": (403, "[" * 100_000),
    "many levels in a failure": (500, "[" * 100_000),
}


@pytest.mark.parametrize("answer", NO_RELAYS.values(), ids=NO_RELAYS)
def test_what_is_no_answer_of_a_relay_ends_nothing(world: World, answer: tuple[int, Any]) -> None:
    """A pod belongs to a tenant; the other relay's numbers are shown."""
    world.relay("chat-a", config=answer)
    said = world.wsedge("status", "chat", "--window=0")
    assert (said.returncode, said.stderr) == (0, ""), said
    assert "No numbers of chat-a: " in said.stdout
    assert "Connections  1 open" in said.stdout


@pytest.mark.parametrize("value", ["NaN", "+Inf", "1e999"])
def test_a_metric_that_is_no_number_ends_nothing(world: World, value: str) -> None:
    """NaN is no integer."""
    labels = '{domain="chat.example.com",origin="o:1"}'
    lines = (
        f"wsedge_relay_origin_healthy{labels} 1\nwsedge_relay_origin_connections{labels} {value}\n"
        f'wsedge_relay_sent_bytes_total{{domain="chat.example.com"}} {value}\n'
    )
    world.relay("chat-a", metrics=(200, lines))
    said = world.wsedge("status", "chat", "--window=0.1", "--output=json")
    assert said.stderr == ""
    assert json.loads(said.stdout, parse_constant=pytest.fail)["origins"][0]["connections"] == 0


COUNTS: Final[dict[str, Any]] = {
    "more bytes than all": {"sentBytes": 10**400},
    "fewer bytes than none": {"receivedBytes": -1},
    "more messages than all": {"sentMessages": 10**4000},
    "a round trip without end": {"clientRttSeconds": 1e308},
}


@pytest.mark.parametrize("changes", COUNTS.values(), ids=COUNTS)
def test_numbers_that_no_connection_has_are_no_relays(world: World, changes: dict[str, Any]) -> None:
    """The numbers of an answer are bounded before they are shown."""
    texts = dict.fromkeys(("id", "domain", "client", "origin", "since"), "x")
    counts = dict.fromkeys(("sentBytes", "receivedBytes", "sentMessages", "receivedMessages"), 0)
    world.relay("chat-a", connections=(200, {"connections": [{**texts, **counts, **changes}], "next": None}))
    said = world.wsedge("connections", "chat")
    assert said.returncode == 1, said
    assert said.stderr == "kubectl-wsedge: What answers on the admin port of chat-a is no relay.\n"


def test_a_relay_that_is_gone_stops_no_drain_of_the_others(world: World) -> None:
    """What drains is told, and what does not."""
    world.relay("chat-a", drain=(404, {"kind": "Status", "message": "pods not found"}))
    said = world.wsedge("drain", "chat", "--all-relays")
    assert said.returncode == 4
    assert said.stderr == "kubectl-wsedge: The relay chat-a is gone: its pod does not exist any more.\n"
    assert said.stdout.startswith("relay chat-b drains\n")


def test_no_relay_that_drains_is_a_failure(world: World) -> None:
    """Of one sentence, the first."""
    for name in ("chat-a", "chat-b"):
        world.relay(name, drain=(404, {"kind": "Status", "message": "pods not found"}))
    said = world.wsedge("drain", "chat", "--all-relays")
    assert (said.returncode, said.stdout) == (4, "")
    assert said.stderr == "kubectl-wsedge: The relay chat-a is gone: its pod does not exist any more.\n"


def test_warnings_of_kubectl_do_not_stop_its_lines(world: World) -> None:
    """Kubectl waits when nobody reads what it says."""
    said = world.wsedge("logs", "chat")
    assert (said.returncode, said.stdout, said.stderr) == (0, "chat-a  a line\n", "")


def test_that_no_line_matches_is_said(world: World) -> None:
    """An empty answer of `logs` would leave open whether anything was read; a program reads no such line."""
    said = world.wsedge("logs", "chat", "--level=error")
    assert (said.returncode, said.stdout) == (0, "")
    assert said.stderr == "kubectl-wsedge: No line of 2 relays matches.\n"
    world.answers["GET pods"] = (200, json.dumps({"items": []}))
    assert "kubectl-wsedge: The domain chat has no relays.\n" in world.wsedge("logs", "chat").stderr


def test_a_time_that_kubectl_does_not_take_is_told_with_an_example(world: World) -> None:
    """In the words of this program."""
    said = world.wsedge("logs", "chat", "--since=yesterday")
    assert said.returncode == 2
    assert said.stderr.endswith("argument --since: give a time such as 30s, 5m or 1h30m\n")
    assert world.wsedge("logs", "chat", "--since=1h30m").stdout == "chat-a  a line\n"


def test_a_domain_without_relays_has_no_empty_table(world: World) -> None:
    """Its findings and its entrance say what there is to say."""
    assert "\nRELAY " in world.wsedge("status", "chat", "--window=0").stdout
    world.answers["GET pods"] = (200, json.dumps({"items": []}))
    assert "RELAY" not in world.wsedge("status", "chat", "--window=0").stdout


def test_rbac_names_objects_and_no_placeholder(world: World) -> None:
    """What a verb shows less without has the names that its Role has."""
    said = world.wsedge("rbac", "status", "--domain=chat").stdout
    (less,) = [line for line in said.splitlines() if line.startswith("#   shows less without: ")]
    assert less.endswith("; get pods/proxy; get secrets (chat-relay-admin)")
    assert "{" not in world.wsedge("rbac").stdout


def test_a_namespace_that_does_not_exist_is_named_once(world: World) -> None:
    """The API server tells of it when something is to be created there."""
    missing = {"kind": "Status", "details": {"kind": "namespaces", "name": "team-a"}}
    world.answers["POST serviceaccounts/default/token"] = (404, json.dumps(missing))
    said = world.wsedge("statement", "--statistics=wsedge-system/wsedge-statistics-0:8080")
    assert (said.returncode, said.stderr) == (4, "kubectl-wsedge: There is no namespace 'team-a'.\n")


def test_letters_that_a_terminal_lacks_are_escaped(world: World) -> None:
    """A tenant chooses the texts; a terminal of another age shows them nevertheless."""
    live = {
        "metadata": {"name": "chat", "namespace": "team-a", "uid": "uid-chat"},
        "spec": {"domain": "chat.example.com"},
        "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "X", "message": "好"}]},
    }
    world.answers[DOMAIN] = (200, json.dumps(live))
    said = world.wsedge("status", "chat", "--window=0", PYTHONIOENCODING="latin-1")
    assert "\\u597d" in said.stdout
    assert said.stderr == ""


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_ends_is_no_error(world: World, buffered: str) -> None:
    """Such as `| head`: no traceback, also not at the end of Python."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        said = subprocess.run(
            [sys.executable, "-m", "wsedge_operator.cli.plugin", "completion", "bash"],
            env={**os.environ, "PYTHONUNBUFFERED": buffered},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writing)
    assert (said.returncode, said.stderr) == (128 + signal.SIGPIPE, "")
