"""Output of the quickstart: a page on a terminal, a line elsewhere, a table at the end. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wsedge_devcluster.comparison.counts import Answer, Counts


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet, and how many of its pods are ready."""

    namespace: str
    name: str
    ready: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Places:
    """Files and addresses for further commands by hand."""

    kubeconfig: Path
    tools: Path
    logs: Path
    relay: str
    statistics: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of a page at one moment. `answer` has the statistics' numbers, or the reason for none."""

    at: datetime
    workloads: tuple[Workload, ...]
    clients: Counts
    comments: tuple[str, ...]
    answer: Answer | str


def page(snapshot: Snapshot, *, width: int) -> list[str]:
    """Return the lines of the page, none wider than `width` columns."""
    lines = [
        f"wsedge quickstart   {snapshot.at:%H:%M:%S}   Ctrl-C ends it and leaves nothing behind",
        "",
        "running",
        *(f"  {each.namespace}/{each.name}  {each.ready}/{each.wanted}" for each in snapshot.workloads),
        "",
        f"{snapshot.clients.open} clients in the room, {snapshot.clients.opened} connections since the start",
        *(f"  {comment}" for comment in snapshot.comments),
        "",
        *_numbers(snapshot),
    ]
    return [_fit(line, width) for line in lines]


def line(snapshot: Snapshot) -> str:
    """Return one line for an output that is no terminal."""
    clients = snapshot.clients
    if isinstance(snapshot.answer, str):
        said = snapshot.answer
    else:
        said = f"{snapshot.answer.sent:,} B to and {snapshot.answer.received:,} B from clients"
    return (
        f"{clients.open} clients; they counted {clients.received:,} B received, {clients.sent:,} B sent; "
        f"statistics: {said}"
    )


def table(clients: Counts, answer: Answer) -> list[str]:
    """Return a table of the clients' counts beside those of the statistics."""
    rows = [
        ("bytes to clients", clients.received, answer.sent),
        ("bytes from clients", clients.sent, answer.received),
        ("connections opened", clients.opened, answer.opened),
        ("handshakes answered 101", clients.opened, answer.switched),
    ]
    head = f"{'':26}{'clients counted':>18}{'statistics say':>18}"
    return [
        head,
        *(f"{name:26}{ours:>18,}{theirs:>18,}  {_verdict(ours, theirs)}" for name, ours, theirs in rows),
    ]


def hints(places: Places) -> list[str]:
    """Return the folder of logs, and commands for another terminal."""
    return [
        f"logs of every pod and of the control plane: {places.logs}",
        "try in another terminal:",
        f"  export KUBECONFIG={places.kubeconfig}",
        f"  export PATH={places.tools}:$PATH",
        "  kubectl get wsedge,pods --all-namespaces",
        "  kubectl describe websocketdomain chat --namespace quickstart",
        "  kubectl patch websocketdomain chat --namespace quickstart --type merge --patch \\",
        """    '{"spec":{"websocket":{"heartbeatSeconds":5}}}'""",
        f"  .venv/bin/python examples/quickstart/client.py {places.relay}",
        "  TOKEN=$(kubectl create token default --namespace quickstart --audience wsedge-statistics)",
        f'  curl -H "Authorization: Bearer $TOKEN" "{places.statistics}/v1/traffic?totals=only"',
    ]


def _numbers(snapshot: Snapshot) -> Sequence[str]:
    if isinstance(snapshot.answer, str):
        return [
            f"clients counted {snapshot.clients.received:,} B received, {snapshot.clients.sent:,} B sent",
            f"statistics: {snapshot.answer}",
        ]
    return [*table(snapshot.clients, snapshot.answer), "(relays report every 10 seconds)"]


def _verdict(ours: int, theirs: int) -> str:
    return "equal" if ours == theirs else f"{theirs - ours:+,}"


def _fit(text: str, width: int) -> str:
    """Cut a line to `width` columns; East Asian wide characters take two."""
    columns = 0
    for index, character in enumerate(text):
        columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if columns > width:
            return text[:index]
    return text
