"""One use case of examples/ on this machine: control plane, chart, the example's folder, the URL of its page.

`wsedge-devcluster example NAME` starts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp

from wsedge_devcluster.cluster.chart import CRDS, SYSTEM, checkout, install_chart
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import DevclusterError
from wsedge_devcluster.terminal import ProgressPrinter

PORT: Final = 8088
_PIECE: Final = 65_536
_CHECK_SECONDS: Final = 30
# A label of the Service: the relays' pods of one domain.
RELAYS: Final = "app.kubernetes.io/name=wsedge-relay"

Say = Callable[[str], None]


class ExampleError(DevclusterError):
    """There is no such example, or its page is not served."""


def names() -> list[str]:
    """Return the names of all use cases."""
    folders = (each.parent.name for each in (checkout() / "examples").glob("*/kustomization.yaml"))
    return sorted(name.replace("_", "-") for name in folders)


def folder(name: str) -> Path:
    """Return the folder of a use case. Raises ExampleError."""
    if name not in names():
        raise ExampleError(f"there is no example {name!r}; there are {', '.join(names())}")
    return checkout() / "examples" / name.replace("-", "_")


def apply(cluster: Cluster, name: str, say: Say, *, seconds: int = 90) -> tuple[str, int]:
    """Apply a use case, wait until its domain is ready, return the relays' address. Raises CommandFailed.

    The name of the example is its namespace's and its domain's. The chart must be installed.
    """
    path, within = folder(name), ("--namespace", name)
    say(f"kubectl apply -k examples/{path.name}")
    cluster.kubectl("apply", "-k", str(path))
    limit = f"--timeout={seconds}s"
    say("waiting for the origin and the relays")
    cluster.kubectl(*within, "wait", "--for=condition=Effective", "billingplan/plan", limit)
    cluster.kubectl(*within, "rollout", "status", "deployment/origin", limit)
    cluster.kubectl(*within, "wait", "--for=condition=Ready", f"websocketdomain/{name}", limit)
    return cluster.service_address(name, f"{name}-relay", "http")


def main(name: str, *, port: int = PORT, once: bool) -> int:
    """Run a use case until Ctrl-C or SIGTERM, or until its page was served `once`; return the exit status."""
    folder(name)  # before a cluster is started
    signal.signal(signal.SIGINT, signal.default_int_handler)
    progress = ProgressPrinter()
    with Cluster(progress=progress) as cluster:
        progress("helm install wsedge charts/wsedge")
        install_chart(cluster)
        cluster.kubectl("wait", "--for=condition=Established", *CRDS, "--timeout=20s")
        cluster.kubectl("-n", SYSTEM, "rollout", "status", "deployment/wsedge-operator", "--timeout=90s")
        address = apply(cluster, name, progress)
        with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(show(cluster, name, address, progress, port=port, once=once))
        progress("ending everything")
    return 0


async def show(
    cluster: Cluster, name: str, address: tuple[str, int], say: Say, *, port: int, once: bool
) -> None:
    """Print where the page is, once it is served there, and wait for Ctrl-C. Raises ExampleError."""
    document = json.loads(cluster.kubectl("-n", name, "get", f"websocketdomain/{name}", "-o", "json"))
    domain: str = document["spec"]["domain"]
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with forward(address, port) as listening:
        await _check(domain, listening)
        page = f"http://{domain}:{listening}/"
        if once:
            say(f"the page is served at {page}")
            return
        say(f"open {page} (twice, or on two screens)")
        say(f"export KUBECONFIG={cluster.kubeconfig}")
        say("let the relays drain, and see that no client misses anything:")
        say(f"  kubectl --namespace {name} delete pods --selector {RELAYS}")
        say("Ctrl-C ends it and leaves nothing behind")
        await stopped.wait()


@contextlib.asynccontextmanager
async def forward(address: tuple[str, int], port: int) -> AsyncIterator[int]:
    """Carry connections of 127.0.0.1:`port` (0: a free one) to an address; yield the port.

    `kubectl port-forward` would stay with one relay, whose end it does not survive.
    """
    carried: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_carry(reader, writer, address))
        carried.add(task)
        task.add_done_callback(carried.discard)

    async with await asyncio.start_server(accept, "127.0.0.1", port) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for task in carried:
                task.cancel()
            await asyncio.gather(*carried, return_exceptions=True)


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: tuple[str, int]
) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError):
        far_reader, far_writer = await asyncio.open_connection(*address)
        with contextlib.closing(far_writer):
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # A reset is no end of one direction: it raises OSError, and the caller closes both sides.
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


async def _check(domain: str, port: int) -> None:
    """Raise ExampleError unless the page is served by the way that a browser uses."""
    timeout: Any = aiohttp.ClientTimeout(total=_CHECK_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"http://127.0.0.1:{port}/", headers={"Host": f"{domain}:{port}"}) as answer,
    ):
        if answer.status != 200 or answer.content_type != "text/html":
            raise ExampleError(f"the page of {domain} is not served: HTTP {answer.status}")
