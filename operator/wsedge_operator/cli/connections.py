"""`kubectl wsedge connections` and `close`: who is connected to a domain, and the end of one connection."""

from __future__ import annotations

import heapq
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from wsedge_operator.cli.exit_codes import DONE, NOT_FOUND
from wsedge_operator.cli.gateway import Gateway
from wsedge_operator.cli.objects import Object, domain_of_relay, is_running, read_domain, read_pods
from wsedge_operator.cli.relays import AdminPorts, read_secrets
from wsedge_operator.cli.rendering import (
    TABLE,
    amount,
    document,
    instant,
    milliseconds,
    origin_name,
    printable,
    span,
    table,
)
from wsedge_operator.errors import PluginError
from wsedge_relay.contract import OpenConnection

_HEADER: Final = (
    *("ID", "CLIENT", "SINCE", "AGE", "SENT", "RECEIVED"),
    *("MESSAGES SENT/RECEIVED", "RTT", "ORIGIN", "STATE"),
)

Row = tuple[str, OpenConnection]
"""A relay's pod and one of its connections."""
_KEYS: Final[dict[str, Callable[[Row], Any]]] = {
    "since": lambda row: row[1].since,
    "bytes": lambda row: -(row[1].sentBytes + row[1].receivedBytes),
    "rtt": lambda row: -(row[1].clientRttSeconds or 0.0),
}
ORDERS: Final = tuple(_KEYS)


def run(
    gateway: Gateway, name: str, form: str, *, client: str | None, order: str, limit: int | None
) -> tuple[str, int]:
    """Return the connections of a domain and the exit code; raises PluginError.

    `client` is the start of an address; `order` is of ORDERS; `limit` is the most connections shown.
    """
    live = read_domain(gateway, name)
    pods = read_pods(gateway, live)
    ports = AdminPorts(gateway, read_secrets(gateway, name).token)
    missed: list[str] = []
    rows = _rows(ports, pods.relays, str(live["spec"]["domain"]), missed)
    chosen = (row for row in rows if client is None or row[1].client.startswith(client))
    all_of_them = itertools.count()
    shown = _ordered((row for row, _ in zip(chosen, all_of_them, strict=False)), order, limit)
    if form != TABLE:
        documents = [
            one.model_dump(mode="json") | {"id": f"{pod}/{one.id}", "relay": pod} for pod, one in shown
        ]
        text = document(documents, form)
    else:
        text = as_table(shown, next(all_of_them), datetime.now(UTC))
    for sentence in (*missed, *filter(None, [pods.warning()])):
        sys.stderr.write(f"kubectl-wsedge: {sentence}\n")
    return text, NOT_FOUND if missed else DONE


def as_table(rows: list[Row], total: int, now: datetime) -> str:
    """Return a line for each connection, and their number; `total` is that before a limit."""
    some = f"{len(rows)} of " if len(rows) < total else ""
    number = f"{some}{total} {'connection' if total == 1 else 'connections'}\n"
    return (table(_HEADER, (_cells(pod, one, now) for pod, one in rows)) if rows else "") + number


def close(gateway: Gateway, connection: str) -> str:
    """Close a connection POD/ID with 1001; return a sentence. Raises PluginError."""
    pod, slash, name = connection.partition("/")
    if not (pod and slash and name):
        raise PluginError("Give the ID as `kubectl wsedge connections` prints it: POD/ID.")
    live, _ = domain_of_relay(gateway, pod)
    AdminPorts(gateway, read_secrets(gateway, str(live["metadata"]["name"])).token).close(pod, name)
    return f"connection {printable(connection)} closes\n"


def _rows(ports: AdminPorts, pods: Iterable[Object], host: str, missed: list[str]) -> Iterator[Row]:
    for pod in filter(is_running, pods):
        name = str(pod["metadata"]["name"])
        try:
            for one in ports.connections(name, host):
                yield name, one
        except PluginError as error:
            if error.code != NOT_FOUND:
                raise
            missed.append(str(error))  # its pod has ended since it was listed, and its connections with it


def _ordered(rows: Iterator[Row], order: str, limit: int | None) -> list[Row]:
    """Return the first rows: the oldest, or those with the most bytes or the longest round trip."""
    if limit is None:
        return sorted(rows, key=_KEYS[order])
    return heapq.nsmallest(limit, rows, key=_KEYS[order])


def _cells(pod: str, one: OpenConnection, now: datetime) -> tuple[object, ...]:
    since = instant(one.since)
    return (
        f"{pod}/{one.id}",
        one.client,
        f"{since:%Y-%m-%dT%H:%M:%SZ}" if since else one.since,
        span(now - since) if since else "",
        amount(one.sentBytes),
        amount(one.receivedBytes),
        f"{one.sentMessages}/{one.receivedMessages}",
        milliseconds(one.clientRttSeconds),
        origin_name(one.origin),
        "closing" if one.closing else "HTTP/2" if one.http2 else "",
    )
