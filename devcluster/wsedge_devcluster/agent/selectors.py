"""The endpoints of a Service: pods and ports. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wsedge_devcluster.agent.objects import Object


@dataclass(frozen=True, slots=True)
class Candidate:
    """The properties of a pod that a Service selects by."""

    namespace: str
    labels: Mapping[str, str]
    address: str
    node: str  # the address of its node
    ports: Mapping[str, int]  # named container ports
    ready: bool
    terminating: bool


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """The address and port of a connection's target."""

    address: str
    port: int


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return whether the labels carry all of the selector's pairs."""
    return all(labels.get(key) == value for key, value in selector.items())


def endpoints(service: Object, port: Object, pods: Iterable[Candidate]) -> tuple[Endpoint, ...]:
    """Return the endpoints of one port of a Service, in order of address.

    Ready pods; if there is none, those that are ready while they terminate (kube-proxy's rule since 1.28);
    with publishNotReadyAddresses every pod that has an address. Without a selector: none.
    """
    selector = service["spec"].get("selector")
    if not selector:
        return ()
    chosen = [
        pod
        for pod in pods
        if pod.namespace == service["metadata"]["namespace"] and pod.address and matches(selector, pod.labels)
    ]
    if not service["spec"].get("publishNotReadyAddresses"):
        ready = [pod for pod in chosen if pod.ready]
        chosen = [pod for pod in ready if not pod.terminating] or ready
    found = ((pod.address, _target(port, pod)) for pod in chosen)
    return tuple(sorted(Endpoint(address, number) for address, number in found if number is not None))


def _target(port: Object, pod: Candidate) -> int | None:
    target: int | str = port["targetPort"] if "targetPort" in port else port["port"]
    return target if isinstance(target, int) else pod.ports.get(target)
