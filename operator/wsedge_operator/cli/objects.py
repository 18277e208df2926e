"""Reads of the Kubernetes API: domains, and the pods that are their relays.

A pod is a relay of a domain when it belongs to the domain's Deployment, as the operator judges it too.
Whoever may create a pod in a namespace can give it a relay's labels; only a relay gets the token.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wsedge_operator.cli.exit_codes import FORBIDDEN, NOT_FOUND
from wsedge_operator.cli.gateway import Gateway
from wsedge_operator.cli.rendering import printable
from wsedge_operator.cli.rights import DEPLOYMENTS, DOMAIN, DOMAINS, POD, PODS, REPLICA_SETS
from wsedge_operator.desired.names import APP, APP_LABEL, DOMAIN_LABEL, child_name, selector_labels
from wsedge_operator.desired.ownership import Ownership, ownership
from wsedge_operator.errors import NoRelayError, PluginError
from wsedge_operator.reconcile.domain.pods import has_own_address, is_replica_set_of, replica_set_of

Object = Mapping[str, Any]
Key = tuple[str, str]  # namespace and name
WSEDGE: Final = "apis/wsedge.io/v1alpha1"
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Owners:
    """The Deployments and ReplicaSets of relays, by namespace and name."""

    deployments: Mapping[Key, Object] = field(default_factory=dict)
    replica_sets: Mapping[Key, Object] = field(default_factory=dict)

    def have(self, live: Object, pod: Object) -> bool:
        """Return whether a pod is a relay of the WebSocketDomain `live`, by owner references and uids."""
        metadata = live["metadata"]
        deployment = self.deployments.get((metadata["namespace"], child_name(metadata["name"])))
        named = replica_set_of(pod)
        if named is None or deployment is None or not has_own_address(pod):
            return False
        replica_set = self.replica_sets.get((metadata["namespace"], named[0]))
        is_ours = ownership(deployment, metadata["name"], metadata["uid"]) is Ownership.OURS
        return is_ours and replica_set is not None and is_replica_set_of(replica_set, named[1], deployment)


@dataclass(frozen=True, slots=True)
class Pods:
    """The relays of a domain in the order of their names, and the pods that only have their labels.

    `ending` are pods that are being deleted without a Deployment, which the operator deletes first when it
    withdraws a domain: they may have been relays, and are shown, but not asked.
    """

    relays: tuple[Object, ...] = ()
    ending: tuple[Object, ...] = ()
    strangers: tuple[str, ...] = ()

    def warning(self) -> str:
        """Return a sentence about the strangers; empty when there are none."""
        if not self.strangers:
            return ""
        more = len(self.strangers) - _MOST_NAMED
        named = ", ".join(map(printable, self.strangers[:_MOST_NAMED])) + (
            f" and {more} more" if more > 0 else ""
        )
        return (
            "Pods with the labels of relays that do not belong to the domain's Deployment are not asked:"
            f" {named}."
        )


def read_domain(gateway: Gateway, name: str) -> dict[str, Any]:
    """Return a WebSocketDomain; raises PluginError."""
    found: dict[str, Any] = gateway.get(f"{_domains(gateway)}/{quoted(name)}", DOMAIN)
    return found


def read_domains(gateway: Gateway) -> list[dict[str, Any]]:
    """Return all WebSocketDomains of the namespace, or of the cluster; raises PluginError."""
    return gateway.items(_domains(gateway), DOMAINS)


def read_pods(gateway: Gateway, live: Object) -> Pods:
    """Return the pods of one domain; raises PluginError."""
    labelled = read_labelled(gateway, str(live["metadata"]["name"]))
    owners = read_owners(gateway, str(live["metadata"]["name"]))
    return pods_of(live, labelled.get(key_of(live), ()), owners)


def pods_of(live: Object, labelled: Iterable[Object], owners: Owners) -> Pods:
    """Return which of the pods with a domain's labels are its relays."""
    relays, ending, strangers = [], [], []
    for pod in labelled:
        if owners.have(live, pod):
            relays.append(pod)
        elif pod["metadata"].get("deletionTimestamp"):
            ending.append(pod)
        else:
            strangers.append(str(pod["metadata"]["name"]))
    return Pods(tuple(relays), tuple(ending), tuple(strangers))


def key_of(live: Object) -> Key:
    """Return the namespace and the name of an object."""
    return str(live["metadata"]["namespace"]), str(live["metadata"]["name"])


def read_labelled(gateway: Gateway, domain: str | None = None) -> dict[Key, list[dict[str, Any]]]:
    """Return the pods with the labels of relays by domain (`key_of`), each in the order of their names.

    Raises PluginError.
    """
    found: dict[Key, list[dict[str, Any]]] = {}
    for pod in gateway.items(_of_relays("api/v1", "pods", gateway, domain), PODS):
        name = str((pod["metadata"].get("labels") or {}).get(DOMAIN_LABEL))
        found.setdefault((key_of(pod)[0], name), []).append(pod)
    return {name: sorted(pods, key=lambda pod: str(pod["metadata"]["name"])) for name, pods in found.items()}


def read_owners(gateway: Gateway, domain: str | None = None) -> Owners:
    """Return the owners of relays, of one domain or of all; raises PluginError."""
    deployments, replica_sets = (
        {key_of(one): one for one in gateway.items(path, right)}
        for path, right in (
            (_of_relays("apis/apps/v1", "deployments", gateway, domain), DEPLOYMENTS),
            (_of_relays("apis/apps/v1", "replicasets", gateway, domain), REPLICA_SETS),
        )
    )
    return Owners(deployments, replica_sets)


def owners_if_allowed(gateway: Gateway, domain: str | None = None) -> Owners | None:
    """Return as `read_owners`; None where the user may not read them. Raises PluginError."""
    try:
        return read_owners(gateway, domain)
    except PluginError as error:
        if error.code != FORBIDDEN:
            raise
        return None


def domain_of_relay(gateway: Gateway, pod: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the WebSocketDomain whose relay a pod is, and the pod; raises PluginError."""
    found = gateway.get(f"{namespace_path(gateway.namespace)}/pods/{quoted(pod)}", POD)
    name = (found["metadata"].get("labels") or {}).get(DOMAIN_LABEL)
    if name is None:
        raise NoRelayError(f"The pod {printable(pod)} is no relay.", NOT_FOUND)
    gateway.domain = str(name)
    live = read_domain(gateway, str(name))
    if not read_owners(gateway, str(name)).have(live, found):
        raise NoRelayError(
            f"The pod {printable(pod)} is no relay: it does not belong to the Deployment"
            f" {child_name(str(name))}, so it gets no token.",
            NOT_FOUND,
        )
    return live, found


def is_running(pod: Object) -> bool:
    """Return whether a pod can be asked."""
    status = pod.get("status") or {}
    return status.get("phase") == "Running" and bool(status.get("podIP"))


def quoted(name: str) -> str:
    """Return a name as a part of a path."""
    return urllib.parse.quote(name, safe="")


def namespace_path(namespace: str, api: str = "api/v1") -> str:
    """Return the path of the objects of a namespace (empty: of all) that an API has."""
    return f"/{api}/namespaces/{quoted(namespace)}" if namespace else f"/{api}"


def _domains(gateway: Gateway) -> str:
    return f"{namespace_path(gateway.namespace, WSEDGE)}/websocketdomains"


def _of_relays(api: str, plural: str, gateway: Gateway, domain: str | None) -> str:
    labels = {APP_LABEL: APP} if domain is None else selector_labels(domain)
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    return f"{namespace_path(gateway.namespace, api)}/{plural}?labelSelector={quoted(selector)}"
