"""A Gateway controller's stand-in: HAProxy or nginx, configured from the routes that attach to a Gateway."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from support.entrance.proxies import Proxy, Route
from support.operator.cluster import Place
from support.operator.keys import decoded
from wsedge_devcluster.machine.children import MARK
from wsedge_devcluster.machine.ranges import reachable_port

Object = dict[str, Any]
CONTROLLER: Final = "example.com/gateway"
_GROUP: Final = "gateway.networking.k8s.io"
# Protocols of listeners to which a kind of route may attach; for TLS only those that pass it through.
_PROTOCOLS: Final = {"httproute": ("HTTP", "HTTPS"), "tlsroute": ("TLS",)}


def gateway(name: str, *listeners: Object) -> Object:
    """Return a Gateway of the stand-in's class."""
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {"gatewayClassName": "played", "listeners": list(listeners)},
    }


def answer(route: Object, parent: Object, *, attaches: bool = True) -> Object:
    """Return what a controller writes into `status.parents` of a route for one parent."""
    reason = "Accepted" if attaches else "NoMatchingParent"
    accepted = _condition(route, "Accepted", reason=reason, is_true=attaches)
    resolved = _condition(route, "ResolvedRefs", reason="ResolvedRefs")
    return {"parentRef": parent, "controllerName": CONTROLLER, "conditions": [accepted, resolved]}


class GatewayController:
    """Serves one Gateway of a namespace, at one address; `proxy_protocol` is its policy towards backends."""

    def __init__(self, place: Place, name: str, kind: str, folder: Path, address: str) -> None:
        self._place, self._name, self._folder = place, name, folder
        self.proxy = Proxy(kind, folder / kind, address, {MARK: place.cluster.mark})
        self.proxy_protocol: int | None = None

    def sync(self) -> None:
        """Serve the routes that attach, and write the status of all of them and of the Gateway."""
        live = self._place.get(f"gateway/{self._name}")
        assert live is not None
        served: list[Route] = []
        for kind in _PROTOCOLS:
            for route in self._place.items(kind):
                if any(parent["name"] == self._name for parent in route["spec"]["parentRefs"]):
                    served += self._attach(kind, route, live)
        self.proxy.serve(served)
        addresses = [{"type": "IPAddress", "value": self.proxy.address}]
        conditions = [_condition(live, type_, reason=type_) for type_ in ("Accepted", "Programmed")]
        self._place.set_status(f"gateway/{self._name}", {"addresses": addresses, "conditions": conditions})

    def _attach(self, kind: str, route: Object, live: Object) -> list[Route]:
        """Return what the proxy serves for a route; answer each of its parents."""
        served: list[Route] = []
        answers = []
        for parent in route["spec"]["parentRefs"]:
            found = [
                Route(port, host, self._target(route), self.proxy_protocol, **how)
                for listener in live["spec"]["listeners"]
                if parent.get("sectionName") in {None, listener["name"]}
                and listener["protocol"] in _PROTOCOLS[kind]
                for host in route["spec"]["hostnames"]
                if listener.get("hostname") in {None, host}
                for port, how in [self._how(listener)]
            ]
            served += found
            answers.append(answer(route, parent, attaches=bool(found)))
        self._place.set_status(f"{kind}/{route['metadata']['name']}", {"parents": answers})
        return served

    def _how(self, listener: Object) -> tuple[int, Object]:
        """Return the port of a listener without root, and how it treats TLS."""
        port = reachable_port(listener["port"])
        if listener["protocol"] == "HTTP":
            return port, {}
        if listener["protocol"] == "TLS":
            assert listener["tls"]["mode"] == "Passthrough"
            return port, {"by_name": True}
        (reference,) = listener["tls"]["certificateRefs"]
        return port, {"certificate": self._pem(reference["name"])}

    def _target(self, route: Object) -> tuple[str, int]:
        """Return the address of the Service's port to which a route leads."""
        (rule,) = route["spec"]["rules"]
        (backend,) = rule["backendRefs"]
        assert (backend["kind"], backend["weight"]) == ("Service", 1)
        service = self._place.get(f"service/{backend['name']}")
        assert service is not None
        (port,) = (each["name"] for each in service["spec"]["ports"] if each["port"] == backend["port"])
        return self._place.cluster.service_address(self._place.namespace, backend["name"], port)

    def _pem(self, secret: str) -> Path:
        live = self._place.get(f"secret/{secret}")
        assert live is not None
        path = self._folder / f"{secret}.pem"
        path.write_bytes(decoded(live, "tls.crt") + decoded(live, "tls.key"))
        return path


def _condition(live: Object, type_: str, *, reason: str, is_true: bool = True) -> Object:
    return {
        "type": type_,
        "status": "True" if is_true else "False",
        "reason": reason,
        "message": "",
        "observedGeneration": live["metadata"]["generation"],
        "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
