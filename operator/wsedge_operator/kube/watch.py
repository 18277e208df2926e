"""Watch the API server by kopf, which lists and watches, and writes nothing.

Only `on.event` handlers are registered. kopf writes to an object for finalizers, handler progress and change
detection, which belong to its other handlers; its peering and its Events are switched off. kopf's `run()`
would cancel every task of the process at its end, so this module owns kopf's tasks.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from typing import Any

import kopf

from wsedge_operator.errors import WatchError
from wsedge_operator.kube.access import Access
from wsedge_operator.kube.kinds import NAMESPACE, WATCHED, Kind

# Called with the kind, whether the object is deleted, and the object.
Receiver = Callable[[Kind, bool, dict[str, Any]], None]

_WATCH_SECONDS = 300
# The name of this process among kopf's peers. There are no peers, but without a name kopf looks up the
# user's, which fails for a pod's uid that has no entry in /etc/passwd.
_IDENTITY: Any = "wsedge-operator"


class _Forever:
    """Pauses in seconds between attempts, without end: kopf gives up on an API server when they run out."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.2, 0.5, 1, 2)
        while True:
            yield 5.0


def _settings(configured: kopf.OperatorSettings) -> kopf.OperatorSettings:
    configured.posting.enabled = False
    configured.scanning.disabled = True
    configured.process.ultimate_exiting_timeout = None
    configured.networking.error_backoffs = _Forever()
    configured.networking.connect_timeout = 5
    configured.networking.request_timeout = 60
    # A watch ends after this time and is begun again: a connection that broke without FIN or RST is noticed.
    configured.watching.server_timeout = _WATCH_SECONDS
    configured.watching.client_timeout = _WATCH_SECONDS + 10
    configured.watching.connect_timeout = 5
    configured.queueing.idle_timeout = 0.1
    for kind in WATCHED:
        selector = (kind.group, kind.version, kind.plural)
        if kind.labels:
            configured.watching.label_selectors[selector] = kind.labels
        if kind.fields:
            configured.watching.field_selectors[selector] = kind.fields
    return configured


def _registry(access: Access, namespaces: Collection[str], receive: Receiver) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return access.current()

    kopf.on.login(registry=registry)(login)
    # Namespaces are cluster-scoped: a Role in a namespace cannot grant a watch of them.
    for kind in WATCHED if namespaces else (*WATCHED, NAMESPACE):
        _listen(registry, kind, receive)
    return registry


def _listen(registry: kopf.OperatorRegistry, kind: Kind, receive: Receiver) -> None:
    async def handle(event: kopf.RawEvent, **_: Any) -> None:
        receive(kind, event["type"] == "DELETED", dict(event["object"]))

    kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)(handle)


@asynccontextmanager
async def watching(
    access: Access, namespaces: Collection[str], receive: Receiver
) -> AsyncIterator[asyncio.Task[None]]:
    """Watch all of `WATCHED` in `namespaces`, or in the cluster, Namespaces too, as long as the block lasts.

    Yields a task, which ends only by WatchError, when kopf gave up.
    """
    loop = asyncio.get_running_loop()
    tasks = await kopf.spawn_tasks(
        registry=_registry(access, namespaces, receive),
        settings=_settings(kopf.OperatorSettings()),
        identity=_IDENTITY,
        standalone=True,
        clusterwide=not namespaces,
        namespaces=sorted(namespaces),
    )
    # kopf has installed handlers of its own, which would stop its tasks first; `main` stops all in its order.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)
    guard = asyncio.create_task(_guard(tasks), name="kopf")
    try:
        yield guard
    finally:
        guard.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(guard, *tasks, return_exceptions=True)


async def _guard(tasks: Collection[asyncio.Task[Any]]) -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise WatchError(f"{task.get_name()}: {error}") from error
    raise WatchError("kopf ended: " + ", ".join(sorted(task.get_name() for task in done)))
