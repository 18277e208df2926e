"""kube-proxy's part: for each port of each Service a listener on its ClusterIP, and on its node port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from wsedge_devcluster.agent.events import Events
from wsedge_devcluster.agent.forward import Forwarder
from wsedge_devcluster.agent.objects import Object, key_of
from wsedge_devcluster.agent.selectors import Candidate, Endpoint, endpoints
from wsedge_devcluster.machine.ranges import reachable_port

log = structlog.get_logger()

# Changes within this time are applied together: a rollout of hundreds of pods must not compute all endpoints
# once per pod.
_GATHER_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener of a Service's port. `source` is the address that pods see; None: the client's own."""

    host: str
    port: int
    service: str
    endpoints: tuple[Endpoint, ...]
    source: str | None = None


def listeners(
    services: Iterable[Object], pods: Sequence[Candidate], nodes: Sequence[str], apiserver: Endpoint
) -> Iterator[Listener]:
    """Return the listeners of all Services. Headless Services and UDP ports have none.

    A node port leads to every node's pods, which see the node as the client: the node must get the answers.
    With externalTrafficPolicy Local it leads to the node's own pods, which see the client.
    """
    by_namespace: dict[str, list[Candidate]] = {}
    for pod in pods:
        by_namespace.setdefault(pod.namespace, []).append(pod)
    for service in services:
        key = key_of(service)
        address = service["spec"].get("clusterIP")
        if address in (None, "", "None"):
            continue
        for port in service["spec"].get("ports", []):
            if port.get("protocol", "TCP") != "TCP":
                continue
            neighbours = by_namespace.get(service["metadata"]["namespace"], [])
            # The API server's own Service has no selector: the API server writes its endpoints.
            found: tuple[Endpoint, ...] = (apiserver,)
            if key != "default/kubernetes":
                found = endpoints(service, port, neighbours)
            yield Listener(address, reachable_port(port["port"]), key, found)
            if number := port.get("nodePort"):
                for node in nodes:
                    if service["spec"].get("externalTrafficPolicy") == "Local":
                        own = endpoints(service, port, [pod for pod in neighbours if pod.node == node])
                        yield Listener(node, number, key, own)
                    else:
                        yield Listener(node, number, key, found, source=node)


class ServiceProxy:
    """Keeps the listeners in step with Services and pods."""

    def __init__(
        self,
        services: Callable[[], Iterable[Object]],
        pods: Callable[[], Sequence[Candidate]],
        *,
        nodes: Sequence[str],
        apiserver: Endpoint,
        events: Events,
    ) -> None:
        self._services, self._pods, self._nodes, self._apiserver = services, pods, nodes, apiserver
        self._events = events
        self._forwarders: dict[tuple[str, int], Forwarder] = {}
        self._failed: set[tuple[str, int]] = set()
        self._dirty = asyncio.Event()

    def changed(self) -> None:
        """Note a change of a Service or of a pod."""
        self._dirty.set()

    async def run(self) -> None:
        """Apply changes until cancelled; together those of _GATHER_SECONDS, or of the time of an apply."""
        pause = _GATHER_SECONDS
        while True:
            await self._dirty.wait()
            await asyncio.sleep(pause)
            self._dirty.clear()
            begun = time.monotonic()
            await self._apply()
            pause = max(_GATHER_SECONDS, time.monotonic() - begun)

    def close(self) -> None:
        """End all listeners and connections."""
        for forwarder in self._forwarders.values():
            forwarder.close(connections=True)
        self._forwarders.clear()

    async def _apply(self) -> None:
        services = {key_of(service): service for service in self._services()}
        wanted = {
            (each.host, each.port): each
            for each in listeners(services.values(), self._pods(), self._nodes, self._apiserver)
        }
        for place in [place for place in self._forwarders if place not in wanted]:
            # A deleted Service: no new connections; open connections stay, as behind kube-proxy.
            self._forwarders.pop(place).close(connections=False)
            self._failed.discard(place)
        for place, listener in wanted.items():
            forwarder = self._forwarders.get(place) or Forwarder(*place)
            self._forwarders[place] = forwarder
            try:
                await forwarder.serve(listener.endpoints, listener.source)
                self._failed.discard(place)
            except OSError as error:
                if place not in self._failed:
                    self._failed.add(place)
                    self._report(services[listener.service], place, error)

    def _report(self, service: Object, place: tuple[str, int], error: OSError) -> None:
        host, port = place
        message = f"cannot listen on {host}:{port}: {error.strerror or error}"
        log.warning("service not served", service=key_of(service), error=message)
        self._events.warning({**service, "kind": "Service"}, "ListenFailed", message)
