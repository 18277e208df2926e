"""An Ingress controller's stand-in: HAProxy or nginx, configured from the Ingresses of a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from support.entrance.proxies import Proxy, Route
from support.operator.cluster import Place
from support.operator.keys import decoded
from wsedge_devcluster.machine.children import MARK
from wsedge_devcluster.machine.ranges import reachable_port

# HAProxy's own Ingress controller reads this annotation of an Ingress.
SEND_PROXY: Final = "haproxy.org/send-proxy-protocol"
_VERSIONS: Final = {"proxy": None, "proxy-v1": 1, "proxy-v2": 2}
HTTP, HTTPS = reachable_port(80), reachable_port(443)


class IngressController:
    """Serves the Ingresses of one namespace that name its class, at one address."""

    def __init__(self, place: Place, kind: str, folder: Path, address: str) -> None:
        self._place, self._kind, self._folder = place, kind, folder
        self.proxy = Proxy(kind, folder / kind, address, {MARK: place.cluster.mark})

    def sync(self) -> None:
        """Read the Ingresses, serve what they ask for, and write the address into their status."""
        mine = [each for each in self._place.items("ingress") if self._is_mine(each)]
        self.proxy.serve([route for each in mine for route in self._routes(each)])
        for each in mine:
            ingress = [{"ip": self.proxy.address}]
            self._place.set_status(
                f"ingress/{each['metadata']['name']}", {"loadBalancer": {"ingress": ingress}}
            )

    def _is_mine(self, ingress: dict[str, Any]) -> bool:
        return bool(ingress["spec"].get("ingressClassName") == self._kind)

    def _routes(self, ingress: dict[str, Any]) -> list[Route]:
        annotations = ingress["metadata"].get("annotations") or {}
        version = _VERSIONS[annotations.get(SEND_PROXY, "proxy")]
        secrets = {
            host: tls.get("secretName") for tls in ingress["spec"].get("tls", []) for host in tls["hosts"]
        }
        routes = []
        for rule in ingress["spec"]["rules"]:
            host = rule["host"]
            (path,) = rule["http"]["paths"]
            assert (path["path"], path["pathType"]) == ("/", "Prefix")
            service = path["backend"]["service"]
            target = self._place.cluster.service_address(
                self._place.namespace, service["name"], service["port"]["name"]
            )
            if host not in secrets:
                routes.append(Route(HTTP, host, target, version))
            elif secrets[host] is None:
                routes.append(Route(HTTPS, host, target, version, by_name=True))
            else:
                pem = self._pem(secrets[host])
                routes.append(Route(HTTP, host, target, version))
                routes.append(Route(HTTPS, host, target, version, certificate=pem))
        return routes

    def _pem(self, secret: str) -> Path:
        live = self._place.get(f"secret/{secret}")
        assert live is not None
        path = self._folder / f"{secret}.pem"
        path.write_bytes(decoded(live, "tls.crt") + decoded(live, "tls.key"))
        return path
