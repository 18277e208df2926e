"""Routes and listeners of the Gateway API.

    Gateway ◀── HTTPRoute ──▶ port 80 of the relays' Service
    Gateway ◀── TLSRoute ──▶ port 443, where TLS is passed through
    Gateway ◀── ListenerSet ◀── both routes, where the domain brings its own listeners

The names of the hosts are those of `spec.domain`, so that no other domain's traffic can be asked for; which
namespaces may attach is the Gateway's own policy (`allowedRoutes`, `allowedListeners`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wsedge_operator.api.spec.exposure import GatewayExposure, ListenerSet, ParentRef, TLSMode
from wsedge_operator.api.websocket_domain import WebSocketDomainSpec
from wsedge_operator.desired.exposure.dns import dns_annotations
from wsedge_operator.desired.names import child_metadata, child_name
from wsedge_operator.desired.service import HTTP_SERVICE_PORT, HTTPS_SERVICE_PORT

GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
_HTTP_PORT: Final = 80
_HTTPS_PORT: Final = 443


def passes_tls_through(spec: WebSocketDomainSpec, exposure: GatewayExposure) -> bool:
    """Return whether there is a TLSRoute: with `spec.tls`, unless TLS ends at the Gateway."""
    return spec.tls is not None and exposure.tls is not TLSMode.TERMINATE


def parents(
    owner: Mapping[str, Any], exposure: GatewayExposure, listener_set: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Return the parents of the routes: those of the spec, or the domain's own `listener_set`.

    Group and kind are written although they are defaults: the value is a list that server-side apply
    replaces as a whole, and the stored one has them.
    """
    if listener_set is not None:
        group = listener_set["apiVersion"].partition("/")[0]
        name = child_name(owner["metadata"]["name"])
        return [{"group": group, "kind": listener_set["kind"], "name": name}]
    return [_parent(parent) for parent in exposure.parentRefs]


def http_route(
    owner: Mapping[str, Any],
    spec: WebSocketDomainSpec,
    parent_refs: list[dict[str, Any]],
    *,
    api_version: str,
) -> dict[str, Any]:
    """Return the HTTPRoute to port 80 of the relays' Service."""
    matches = [{"path": {"type": "PathPrefix", "value": "/"}}]
    rule = {"matches": matches, "backendRefs": [_backend(owner, HTTP_SERVICE_PORT)]}
    return _route("HTTPRoute", api_version, owner, spec, parent_refs, rule)


def tls_route(
    owner: Mapping[str, Any],
    spec: WebSocketDomainSpec,
    parent_refs: list[dict[str, Any]],
    *,
    api_version: str,
) -> dict[str, Any]:
    """Return the TLSRoute to port 443 of the relays' Service."""
    rule = {"backendRefs": [_backend(owner, HTTPS_SERVICE_PORT)]}
    return _route("TLSRoute", api_version, owner, spec, parent_refs, rule)


def listener_set(
    owner: Mapping[str, Any],
    spec: WebSocketDomainSpec,
    exposure: GatewayExposure,
    wanted: ListenerSet,
    *,
    kind: str,
    api_version: str,
) -> dict[str, Any]:
    """Return the ListenerSet that adds listeners for the domain to its Gateway.

    Listeners are open to routes of this namespace alone, which is the API's default.
    """
    namespaces = {"namespaces": {"from": "Same"}}
    listeners: list[dict[str, Any]] = [
        {
            "name": "http",
            "hostname": spec.domain,
            "port": wanted.httpPort or _HTTP_PORT,
            "protocol": "HTTP",
            "allowedRoutes": namespaces,
        }
    ]
    if spec.tls is not None:
        through = passes_tls_through(spec, exposure)
        reference = {"group": "", "kind": "Secret", "name": spec.tls.secretName}
        listeners.append(
            {
                "name": "https",
                "hostname": spec.domain,
                "port": wanted.httpsPort or _HTTPS_PORT,
                "protocol": "TLS" if through else "HTTPS",
                "tls": {"mode": "Passthrough"}
                if through
                else {"mode": "Terminate", "certificateRefs": [reference]},
                "allowedRoutes": namespaces,
            }
        )
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": child_metadata(owner),
        "spec": {"parentRef": _parent(exposure.parentRefs[0]), "listeners": listeners},
    }


def _route(
    kind: str,
    api_version: str,
    owner: Mapping[str, Any],
    spec: WebSocketDomainSpec,
    parent_refs: list[dict[str, Any]],
    rule: dict[str, Any],
) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": child_metadata(owner, dns_annotations(spec)),
        "spec": {"parentRefs": parent_refs, "hostnames": [spec.domain], "rules": [rule]},
    }


def _parent(parent: ParentRef) -> dict[str, Any]:
    made = {"group": GATEWAY_GROUP, "kind": str(parent.kind or "Gateway"), "name": parent.name}
    beside = {"namespace": parent.namespace, "sectionName": parent.sectionName, "port": parent.port}
    return {**made, **{key: value for key, value in beside.items() if value is not None}}


def _backend(owner: Mapping[str, Any], port: int) -> dict[str, Any]:
    name = child_name(owner["metadata"]["name"])
    return {"group": "", "kind": "Service", "name": name, "port": port, "weight": 1}
