"""`kubectl wsedge` when relays are hostile or hang, and when users and networks are unlucky.

Whatever happens: one sentence, an exit code, and no traceback.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import pytest

from support.fake_api import Call, FakeApi, Plugin, connection, domain, relay, status

ESCAPE: Final = "\x1b[2J\x1b]0;owned\x07\u202e\r\nkubectl-wsedge: fine"
DEEP: Final = "[" * 50_000
HUGE: Final = "9" * 4000
STATE: Final = {"generation": "1", "draining": False, "openConnections": 1}


@pytest.fixture
def api() -> FakeApi:
    found = FakeApi()
    found.serve("chat")
    return found


@pytest.fixture
def plugin(api: FakeApi, tmp_path: Path) -> Iterator[Plugin]:
    with api.running() as url:
        yield Plugin(tmp_path, url)


def answering(**answers: tuple[int, str]) -> Callable[[Call], Any]:
    """Return a relay that gives some answers of its own."""
    return lambda call: answers.get(call.path) or relay(call)


def state(**changes: Any) -> str:
    return json.dumps(STATE | changes)


# What a relay answers to `GET /config`, and what `status` then says of it.
STATES: Final = {
    "no JSON": ("{", "is no relay."),
    "JSON that is too deep": (DEEP, "is no relay."),
    "another document": ("[]", "is no relay."),
    "a count that nobody can have": (state(openConnections=-1), "is no relay."),
    "a count that cannot be shown": (state(openConnections=0)[:-2] + f"{HUGE}}}", "is no relay."),
    "too many bytes": (state(refusedReason="x" * 70_000), "An answer has more than 65536 bytes."),
    "an error of the API server that it made up": (
        status(500, "InternalError", ESCAPE),
        "The API server does not reach the relay chat-relay-1-0",
    ),
}


@pytest.mark.parametrize(("body", "said"), STATES.values(), ids=STATES)
def test_a_state_that_no_relay_has(body: str, said: str, api: FakeApi, plugin: Plugin) -> None:
    """The domain is shown without its numbers."""
    code = 500 if "Status" in body else 200
    api.pods = answering(config=(code, body))
    code, out, err = plugin.run("status", "chat")
    assert (code, err) == (0, "")
    assert said in out
    assert "\x1b" not in out


METRICS: Final = {
    "numbers that are none": 'wsedge_relay_origin_healthy{domain="chat.example.com",origin="x"} NaN\n'
    'wsedge_relay_origin_connections{domain="chat.example.com",origin="x"} Inf\n'
    'wsedge_relay_origin_healthy{domain="chat.example.com",origin="y"} 1e308\n',
    "a name that is tried from each letter": f"wsedge_relay_x{{{'a' * 4_000_000}}} 1\n",
    "labels with escapes": 'wsedge_relay_origin_healthy{domain="chat.example.com",origin="\x1b[2J"} 1\n',
    "other bytes": "\ud800\x00".encode("utf-8", "surrogatepass").decode("latin-1"),
}


@pytest.mark.parametrize("text", METRICS.values(), ids=METRICS)
def test_metrics_that_no_relay_has(text: str, api: FakeApi, plugin: Plugin) -> None:
    """They are skipped."""
    api.pods = answering(metrics=(200, text))
    for form in ("table", "json"):
        code, out, err = plugin.run("status", "chat", "--window=0", f"--output={form}")
        assert (code, err) == (0, ""), out
        assert "\x1b" not in out


def page(*connections: object, following: str | None = None) -> str:
    return json.dumps({"connections": connections, "next": following})


CONNECTIONS: Final = {
    "bytes that cannot be shown": (
        page(connection())[:-40].replace('"sentBytes": 1', f'"sentBytes": {HUGE}'),
        1,
    ),
    "bytes that are negative": (page(connection(receivedBytes=-1)), 1),
    "a time that is none": (page(connection(clientRttSeconds=0)).replace(": 0}", ": NaN}"), 1),
    "a list that goes on at the same place": (page(connection(), following="0.0"), 1),
    "a list that goes back": (page(connection(), following="-1.5"), 1),
    "a place that is none": (page(connection(), following="on"), 1),
    "a page that is too large": (page(connection(origin="x" * 9_000_000)), 1),
    "a start in the year 1": (page(connection(since="0001-01-01T00:00:00+23:59")), 0),
    "escapes everywhere": (page(connection(id=ESCAPE, client=ESCAPE, origin=ESCAPE, since=ESCAPE)), 0),
}


@pytest.mark.parametrize(("body", "wanted"), CONNECTIONS.values(), ids=CONNECTIONS)
def test_connections_that_no_relay_lists(body: str, wanted: int, api: FakeApi, plugin: Plugin) -> None:
    """One line each, of printable text."""
    api.pods = answering(connections=(200, body))
    code, out, err = plugin.run("connections", "chat")
    assert code == wanted, err
    assert err.count("\n") == wanted
    assert all(line.isprintable() for line in (out + err).splitlines())
    assert out.count("\n") == (0 if wanted else 3)


def test_what_a_tenant_writes_is_shown_escaped(api: FakeApi, plugin: Plugin) -> None:
    """Labels, messages of conditions, addresses, reasons of pods: of one line, without escapes."""
    live = domain("chat")
    live["spec"]["domain"] = ESCAPE
    live["status"]["conditions"] = [
        {"type": "Ready", "status": ESCAPE, "reason": ESCAPE, "message": ESCAPE},
        {"type": "Exposed", "status": "False", "reason": "X", "message": ESCAPE * 500},
    ]
    live["status"]["address"] = {"service": ESCAPE, "clusterIP": ESCAPE, "httpPort": ESCAPE}
    live["status"]["addresses"] = [{"type": "Hostname", "value": ESCAPE, "via": ESCAPE}]
    api.add("websocketdomains", live)
    (pod,) = api.objects["pods"].values()
    waiting = {"state": {"waiting": {"reason": ESCAPE}}, "restartCount": 1}
    pod["status"]["containerStatuses"] = [waiting]
    pod["metadata"]["annotations"] = {"a": ESCAPE}
    for arguments in (("status",), ("status", "chat")):
        code, out, err = plugin.run(*arguments)
        assert (code, err) == (8, "")
        assert all(line.isprintable() for line in out.split("\n"))
        assert "\nkubectl-wsedge" not in out
    document = json.loads(plugin.run("status", "chat", "--output=json")[1])
    assert document["domain"] == ESCAPE


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    """Send a part of an answer."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    handler.close_connection = True


class Drip:
    """Sends a byte now and then, for ever; `stop` ends it."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not self.stop.wait(0.2):
            handler.wfile.write(b" ")
            handler.wfile.flush()
        handler.close_connection = True


def test_a_relay_that_sends_a_byte_now_and_then_stops_no_other(api: FakeApi, plugin: Plugin) -> None:
    """After some seconds it counts as silent; the API server is not said to be away."""
    api.serve("live")
    drip = Drip()
    api.pods = lambda call: drip if call.pod.startswith("chat") else relay(call)
    code, out, err = plugin.run("status", "--output=json")
    drip.stop.set()
    assert (code, err) == (0, "")
    chat, live = json.loads(out)
    assert chat["relays"][0]["silent"] == (
        "The relay chat-relay-1-0 gives no answer within 5 s, or ends it early."
    )
    assert live["connections"] == 1


def test_a_relay_that_hangs_up_or_answers_as_a_proxy(api: FakeApi, plugin: Plugin) -> None:
    """It is the relay's fault, since the API server answers."""
    for pods in (lambda _: hangs_up, lambda _: (502, ESCAPE), lambda _: (500, "x")):
        api.pods = pods
        code, out, err = plugin.run("status", "chat")
        assert (code, err) == (0, "")
        assert "The relay chat-relay-1-0 gives no answer within 5 s" in out
        code, out, err = plugin.run("connections", "chat")
        assert (code, out.splitlines()[-1], err.count("\n")) == (4, "0 connections", 1)


def test_an_api_server_that_goes_away_meanwhile(api: FakeApi, plugin: Plugin) -> None:
    """The numbers that were read are not shown as if there were no others."""

    def away(call: Call) -> Any:
        api.answer = lambda _: (502, "no server")  # type: ignore[assignment,method-assign]
        return 502, "no server"

    api.pods = away
    code, out, err = plugin.run("status", "chat")
    assert (code, out) == (6, "")
    assert err == "kubectl-wsedge: The API server does not answer: no server\n"


def test_a_relay_of_a_release_that_lists_no_connections(api: FakeApi, plugin: Plugin) -> None:
    """It is told that it is old, by its name; drains go on."""
    api.pods = answering(connections=(404, "This path does not exist.\n"))
    code, out, err = plugin.run("connections", "chat")
    assert (code, out) == (7, "")
    said = "The relay chat-relay-1-0 is of an older release, which does not know this; upgrade it."
    assert err == f"kubectl-wsedge: {said}\n"
    assert plugin.run("drain", "chat")[0] == 0


def test_a_worker_process_without_clients_ends_no_list(api: FakeApi, plugin: Plugin) -> None:
    """Its page is empty, and the next one is asked for."""
    pages = {"0.0": page(following="1.0"), "1.0": page(connection(), following="2.0"), "2.0": page()}
    api.pods = lambda call: (200, pages[parse_qs(call.query)["after"][0]])
    code, out, err = plugin.run("connections", "chat")
    assert (code, out.splitlines()[-1], err) == (0, "1 connection", "")


def test_a_relay_that_is_gone_between_list_and_question(api: FakeApi, plugin: Plugin) -> None:
    """What the others have is listed, and the exit code says that a part is missing."""
    api.serve("chat", relays=2)

    def gone(call: Call) -> Any:
        if call.pod.endswith("-0"):
            return 404, status(404, "NotFound", "gone", call.pod)
        return relay(call)

    api.pods = gone
    code, out, err = plugin.run("connections", "chat")
    assert (code, out.splitlines()[-1]) == (4, "1 connection")
    assert err == "kubectl-wsedge: The relay chat-relay-1-0 is gone: its pod does not exist any more.\n"


PLACES: Final = {
    "no kubeconfig": ({"KUBECONFIG": "/nowhere"}, (), "current-context must exist"),
    "a kubeconfig that is not there": (
        {},
        ("--kubeconfig=/nowhere", "--namespace=x"),
        "/nowhere: no such file",
    ),
    "a context that does not exist": ({}, ("--context=\x1b[2Jzz",), "context"),
    "such a context and a namespace": ({}, ("--context=zz", "--namespace=x"), 'context "zz" does not exist'),
}


@pytest.mark.parametrize(("variables", "options", "said"), PLACES.values(), ids=PLACES)
def test_a_configuration_that_kubectl_cannot_use(
    variables: dict[str, str], options: tuple[str, ...], said: str, plugin: Plugin
) -> None:
    """Its own words, and what to name."""
    plugin.environment |= variables
    code, out, err = plugin.run("status", *options)
    assert (code, out) == (2, "")
    assert err.startswith("kubectl-wsedge: kubectl has no usable configuration: ")
    assert said in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


def test_a_namespace_that_cannot_exist(api: FakeApi, plugin: Plugin) -> None:
    """It reaches no path of the API."""
    for name in ("../../nodes", "a/b", "A", "a" * 64, "x\x1b[2J"):
        code, _, err = plugin.run("status", f"--namespace={name}")
        assert (code, err.endswith("is no name of a namespace.\n")) == (2, True), err
    assert api.calls == []


@pytest.mark.parametrize("arguments", [("status",), ("connections", "chat", "--output=json")])
def test_a_reader_that_ends_early(arguments: tuple[str, ...], api: FakeApi, plugin: Plugin) -> None:
    """As with `| head`: nothing on standard error, and the exit code of the signal."""
    for number in range(300):
        api.add("websocketdomains", domain(f"d{number}"))
    api.pods = answering(connections=(200, page(*[connection()] * 1000)))
    reading, writing = os.pipe()
    os.close(reading)
    with plugin.start(*arguments, stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (128 + signal.SIGPIPE, "")


def of_group(process: subprocess.Popen[str]) -> None:
    """Interrupt as a terminal does: every process of the group."""
    os.killpg(process.pid, signal.SIGINT)


def alone(process: subprocess.Popen[str]) -> None:
    """Interrupt as `kill` does."""
    process.send_signal(signal.SIGINT)


def twice(process: subprocess.Popen[str]) -> None:
    """Interrupt as somebody who does not wait."""
    of_group(process)
    of_group(process)


@pytest.mark.parametrize("interrupt", [of_group, alone, twice])
def test_an_interrupt_while_relays_are_asked(
    interrupt: Callable[[subprocess.Popen[str]], None], api: FakeApi, plugin: Plugin
) -> None:
    """The exit code is the shell's; the questions under way are not waited for, and no proxy stays."""
    for number in range(40):
        api.serve(f"d{number}")
    asked, drip = threading.Semaphore(0), Drip()

    def hang(_: Call) -> Any:
        asked.release()
        return drip

    api.pods = hang
    with plugin.start("status", start_new_session=True) as process:
        for _ in range(16):
            assert asked.acquire(timeout=60)
        interrupt(process)
        out, err = process.communicate(timeout=60)
    drip.stop.set()
    assert (process.returncode, out, err) == (130, "", "")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_an_interrupt_while_the_program_is_loaded(plugin: Plugin, tmp_path: Path) -> None:
    """Its modules take a part of a second, in which there is no traceback either."""
    os.mkfifo(tmp_path / "loading")
    told = f"pathlib.Path({str(tmp_path / 'loading')!r}).write_text('x')"
    (tmp_path / "yaml.py").write_text(f"import pathlib, signal\n{told}\nsignal.pause()\n")
    plugin.environment |= {"PYTHONPATH": str(tmp_path)}
    with plugin.start("status") as process:
        (tmp_path / "loading").read_text()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (-signal.SIGINT, "")
