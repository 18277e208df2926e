"""Addresses of the origins of a domain: a host as written in the spec, or the cluster IP of a Service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from wsedge_operator.api.spec.origins import Origin
from wsedge_operator.api.websocket_domain import WebSocketDomainSpec
from wsedge_operator.reconcile.problem import Problem
from wsedge_operator.reconcile.reasons import Reason
from wsedge_relay import contract


def resolve_origins(
    spec: WebSocketDomainSpec, services: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[contract.Origin, ...], list[Problem]]:
    """Return the origins for RelayConfig, and the faults of origins that are not in them.

    `services` are the live Services of the namespace by name.
    """
    resolved: list[contract.Origin] = []
    problems: list[Problem] = []
    for index, origin in enumerate(spec.origins):
        found = list(_problems(f"spec.origins[{index}]", origin, services))
        problems.extend(found)
        if not found:
            resolved.append(
                contract.Origin(
                    host=_host(origin, services),
                    httpPort=origin.http_port,
                    httpsPort=origin.https_port,
                    weight=origin.weight,
                    backup=origin.backup,
                )
            )
    return tuple(resolved), problems


def denied_origins(spec: WebSocketDomainSpec, networks: Sequence[str] | None) -> list[Problem]:
    """Return a warning for each origin whose address is in a network that relays do not dial.

    `networks` is as in RelayConfig. Host names are not resolved here: relays check the address at each dial.
    """
    if networks is None:
        # A relay that listens on a loopback address (the devcluster) may dial loopback. Whether it does is
        # not known here, so no warning.
        networks = [known for known in contract.DENIED_NETWORKS if known not in contract.LOOPBACK_NETWORKS]
    denied = _parsed(tuple(networks))
    return [
        Problem(
            f"spec.origins[{index}].host",
            Reason.ORIGIN_DENIED,
            f"relays do not dial {origin.host}: it is in a network that the administrator denies to origins",
        )
        for index, origin in enumerate(spec.origins)
        if (address := _literal(origin)) is not None and any(address in network for network in denied)
    ]


@lru_cache(maxsize=8)
def _parsed(networks: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks, which are the same for all domains."""
    return tuple(ip_network(network, strict=False) for network in networks)


def _literal(origin: Origin) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address((origin.host or "").strip("[]"))
    except ValueError:
        return None


def _problems(path: str, origin: Origin, services: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    if origin.service is None:
        return
    name = origin.service.name
    service = services.get(name)
    if service is None:
        yield Problem(f"{path}.service.name", Reason.SERVICE_NOT_FOUND, f'Service "{name}" not found')
        return
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return
    if spec.get("clusterIP") in {None, "", "None"}:
        yield Problem(
            f"{path}.service.name",
            Reason.SERVICE_WITHOUT_ADDRESS,
            f'Service "{name}" has no cluster IP (it is headless); name a Service that has one, or hosts',
        )
        return
    offered = {port["port"] for port in spec.get("ports") or ()}
    wanted = {
        "service.port": origin.service.port,
        "httpPort": origin.httpPort,
        "httpsPort": origin.httpsPort,
    }
    for field, port in wanted.items():
        if port is not None and port not in offered:
            has = ", ".join(map(str, sorted(offered))) or "none"
            yield Problem(
                f"{path}.{field}",
                Reason.SERVICE_PORT_NOT_FOUND,
                f'Service "{name}" has no port {port} (it has {has})',
            )


def _host(origin: Origin, services: Mapping[str, Mapping[str, Any]]) -> str:
    if origin.service is None:
        return origin.host or ""
    spec = services[origin.service.name]["spec"]
    return str(spec["externalName"] if spec.get("type") == "ExternalName" else spec["clusterIP"])
