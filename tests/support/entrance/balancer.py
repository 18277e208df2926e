"""A load balancer and its controller: it assigns an address to a Service and forwards to ports of nodes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from support.entrance.proxies import Proxy, Route
from support.operator.cluster import Place
from wsedge_devcluster.agent.forward import Forwarder
from wsedge_devcluster.agent.selectors import Endpoint
from wsedge_devcluster.machine.children import MARK
from wsedge_devcluster.machine.ranges import reachable_port


def node_addresses(place: Place) -> dict[str, str]:
    """Return the address of each node by its name."""
    nodes = json.loads(place.cluster.kubectl("get", "nodes", "--output=json"))["items"]
    return {
        node["metadata"]["name"]: each["address"]
        for node in nodes
        for each in node["status"]["addresses"]
        if each["type"] == "InternalIP"
    }


class Balancer:
    """Leads an address to a Service's ports of nodes; nodes without a relay refuse, and it takes the next."""

    def __init__(self, place: Place, service: str, address: str, folder: Path) -> None:
        self.address = address
        self._place, self._service = place, service
        self._forwarders: list[Forwarder] = []
        self._proxy = Proxy("haproxy", folder / "balancer", address, {MARK: place.cluster.mark})

    def ports(self) -> dict[str, tuple[int, int]]:
        """Return the Service's ports by name: the balancer's own, and that of the nodes."""
        live = self._place.get(f"service/{self._service}")
        assert live is not None
        return {
            each["name"]: (reachable_port(each["port"]), each["nodePort"])
            for each in live["spec"]["ports"]
            if "nodePort" in each
        }

    def publish(self) -> None:
        """Write the address into the status of the Service."""
        ingress = [{"ip": self.address}]
        self._place.set_status(f"service/{self._service}", {"loadBalancer": {"ingress": ingress}})

    async def pass_on(self, ports: dict[str, tuple[int, int]], nodes: Sequence[str]) -> None:
        """Forward TCP as it comes; nodes see the client's address."""
        for own, theirs in ports.values():
            forwarder = Forwarder(self.address, own)
            self._forwarders.append(forwarder)
            await forwarder.serve([Endpoint(node, theirs) for node in nodes])

    def announce(self, ports: dict[str, tuple[int, int]], node: str, *, proxy_protocol: int | None) -> None:
        """Forward TCP by HAProxy, which dials itself, with a PROXY header of this version or without."""
        self._proxy.serve(
            [Route(own, "", (node, theirs), proxy_protocol, tcp=True) for own, theirs in ports.values()]
        )

    def close(self) -> None:
        """End all listeners and connections."""
        for forwarder in self._forwarders:
            forwarder.close(connections=True)
        self._forwarders.clear()
        self._proxy.stop()
