"""What the controllers of an entrance say of it, in the status of their objects.

All of it is input: another controller, or a user who may write its status, chooses each text. So a text is
cut and on one line, and an address is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from wsedge_operator.api.reading import part_at
from wsedge_operator.api.spec.exposure import (
    ACCEPTED_BY_PARENT,
    CERTIFICATE_ISSUING,
    CERTIFICATE_READY,
    RESOLVED_REFS,
)
from wsedge_operator.reconcile.domain.snapshot import Address
from wsedge_operator.reconcile.outcome import Manifest
from wsedge_operator.reconcile.reasons import Reason

MOST_ADDRESSES: Final = 16
_TEXT_LENGTH: Final = 300
_HOST_LENGTH: Final = 253
# Conditions of a CertificateRequest that say why there is no certificate, the most telling first.
_REQUEST_SAYS: Final = (("Denied", "True"), ("InvalidRequest", "True"), ("Ready", "False"))


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a part of the entrance does not lead to the domain.

    late        the reason once it has waited for five minutes; None: it does not wait for a controller
    holds       whether Ready waits for it too
    """

    reason: Reason
    message: str
    late: Reason | None = None
    holds: bool = True


def one_line(text: object) -> str:
    """Return a controller's text on one line, without control characters, cut."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)[: 4 * _TEXT_LENGTH]).split())
    return words if len(words) <= _TEXT_LENGTH else f"{words[: _TEXT_LENGTH - 1]}…"


def load_balancer_addresses(live: Manifest | None) -> tuple[Address, ...]:
    """Return the addresses in the `status.loadBalancer` of a Service or an Ingress."""
    if live is None:
        return ()
    found = part_at(live, "status", "loadBalancer", "ingress")
    entries = [entry for entry in _list(found) if isinstance(entry, Mapping)]
    values = [value for entry in entries for value in (entry.get("ip"), entry.get("hostname")) if value]
    return _addresses(values, live["kind"])


def gateway_addresses(live: Manifest) -> tuple[Address, ...]:
    """Return the addresses in the status of a Gateway; a named address is its controller's own notion."""
    found = part_at(live, "status", "addresses")
    return _addresses(
        [
            entry.get("value")
            for entry in _list(found)
            if isinstance(entry, Mapping) and entry.get("type", "IPAddress") in {"IPAddress", "Hostname"}
        ],
        "Gateway",
    )


def merged(*parts: Iterable[Address]) -> tuple[Address, ...]:
    """Return addresses once each, sorted, so that their order in a status does not matter; bounded."""
    unique = {address for part in parts for address in part}
    return tuple(sorted(unique, key=lambda a: (a.via, a.type, a.value)))[:MOST_ADDRESSES]


def service_finding(live: Manifest | None, type_: str) -> Finding | None:
    """Return what a Service lacks: a LoadBalancer its address, a NodePort its ports."""
    if type_ == "LoadBalancer" and not load_balancer_addresses(live):
        return Finding(
            Reason.LOAD_BALANCER_PENDING,
            "the Service of type LoadBalancer has no address: its Events and the log of the load balancer's"
            " controller say why",
            late=Reason.LOAD_BALANCER_WITHOUT_ADDRESS,
        )
    return None


def node_ports(live: Manifest | None) -> str:
    """Return the ports of nodes of a Service as text: `http 30080, https 30443`."""
    ports = _list(part_at(live, "spec", "ports"))
    return ", ".join(
        f"{port.get('name')} {port['nodePort']}" for port in ports if isinstance(port.get("nodePort"), int)
    )


def ingress_finding(live: Manifest | None) -> Finding | None:
    """Return what an Ingress lacks: an address.

    Ready does not wait for it: some controllers publish none, and serve nevertheless.
    """
    if load_balancer_addresses(live):
        return None
    return Finding(
        Reason.INGRESS_PENDING,
        "the Ingress has no address: no controller serves its class, or it publishes none",
        late=Reason.INGRESS_WITHOUT_ADDRESS,
        holds=False,
    )


def route_finding(live: Manifest | None, kind: str) -> Finding | None:
    """Return why no parent serves a route; None when one accepts it and finds the relays' Service.

    A parent answers in `status.parents`, with conditions Accepted and ResolvedRefs of the route's generation.
    """
    asked = [parent for parent in _list(part_at(live, "spec", "parentRefs")) if isinstance(parent, Mapping)]
    answers = [
        answer
        for answer in _list(part_at(live, "status", "parents"))
        if isinstance(answer, Mapping) and any(_is_of(answer, parent, live) for parent in asked)
    ]
    refused: list[Finding] = []
    for answer in answers:
        conditions = dict(_conditions(answer, live))
        accepted, resolved = conditions.get(ACCEPTED_BY_PARENT), conditions.get(RESOLVED_REFS)
        where = f"{kind}: {_parent_name(answer['parentRef'])}"
        if accepted is None or accepted.get("reason") == "Pending":
            continue
        if accepted.get("status") != "True":
            refused.append(Finding(Reason.ROUTE_REFUSED, f"{where} refuses it: {_said(accepted)}"))
        elif resolved is not None and resolved.get("status") == "False":
            text = f"{where} does not find what it refers to: {_said(resolved)}"
            refused.append(Finding(Reason.ROUTE_NOT_RESOLVED, text))
        else:
            return None
    if refused:
        return refused[0]
    return Finding(
        Reason.ROUTE_PENDING,
        f"{kind}: no controller has answered for {_names(asked)}: the Gateway does not exist, or its class"
        " has no controller",
        late=Reason.ROUTE_NOT_ANSWERED,
    )


def accepting_gateways(live: Manifest | None) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of each Gateway that accepts a route or a ListenerSet."""
    if live is None:
        return
    answers = [(part_at(answer, "parentRef"), answer) for answer in _list(part_at(live, "status", "parents"))]
    if (parent := part_at(live, "spec", "parentRef")) is not None:
        answers.append((parent, live.get("status", {})))
    for parent, answer in answers:
        accepted = dict(_conditions(answer, live)).get(ACCEPTED_BY_PARENT) or {}
        kind, namespace, name, *_ = _identity(parent, live["metadata"]["namespace"])
        if accepted.get("status") == "True" and kind == "Gateway":
            yield str(namespace), str(name)


def listener_set_finding(live: Manifest | None) -> Finding | None:
    """Return why a Gateway does not take the domain's listeners."""
    accepted = dict(_conditions(part_at(live, "status"), live)).get(ACCEPTED_BY_PARENT) or {}
    if accepted.get("status") == "True":
        return None
    if accepted.get("status") == "False" and accepted.get("reason") != "Pending":
        return Finding(Reason.LISTENERS_REFUSED, f"the Gateway refuses the ListenerSet: {_said(accepted)}")
    return Finding(
        Reason.ROUTE_PENDING,
        "ListenerSet: no controller has answered: the Gateway does not exist, or does not support it",
        late=Reason.ROUTE_NOT_ANSWERED,
    )


def certificate_finding(live: Manifest | None, requests: Iterable[Manifest] = ()) -> Finding | None:
    """Return what cert-manager says of a Certificate that is not ready; Ready waits for its Secret alone.

    A Certificate that waits says no more than that it waits; the last of its `requests` has the issuer's
    words: it does not exist, is not ready, or refuses.
    """
    conditions = dict(_conditions(part_at(live, "status"), live))
    ready, issuing = conditions.get(CERTIFICATE_READY) or {}, conditions.get(CERTIFICATE_ISSUING) or {}
    if ready.get("status") == "True":
        return None
    if issuing.get("status") == "False" and issuing.get("reason") == "Failed":
        text = (
            f"cert-manager could not issue the certificate: {_said(issuing)}{_request_words(live, requests)}"
        )
        return Finding(Reason.CERTIFICATE_FAILED, text, holds=False)
    said = _said(ready) if ready else "no controller has answered"
    text = f"the Certificate is not ready: {said}{_request_words(live, requests)}"
    return Finding(Reason.CERTIFICATE_PENDING, text, holds=False)


def _request_words(live: Manifest | None, requests: Iterable[Manifest]) -> str:
    """Return what the newest request of a Certificate says, if it is not issued: `; its request: …`."""
    uid = part_at(live, "metadata", "uid")
    own = [request for request in requests if uid in _owners(request)]
    if not own:
        return ""
    newest = max(own, key=_age)
    conditions = dict(_conditions(part_at(newest, "status"), newest))
    for type_, bad in _REQUEST_SAYS:
        said = conditions.get(type_)
        if said is not None and said.get("status") == bad:
            return f"; its CertificateRequest: {_said(said)}"
    return ""


def _owners(request: Manifest) -> list[Any]:
    found = _list(part_at(request, "metadata", "ownerReferences"))
    return [part_at(each, "uid") for each in found if part_at(each, "kind") == "Certificate"]


def _age(request: Manifest) -> tuple[str, str]:
    metadata = request["metadata"]
    return str(metadata.get("creationTimestamp")), str(metadata.get("name"))


def _conditions(holder: Any, live: Manifest | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the conditions of a status that are of the object's generation, by type."""
    generation = part_at(live, "metadata", "generation")
    for condition in _list(part_at(holder, "conditions")):
        if isinstance(condition, Mapping) and condition.get("observedGeneration") in {None, generation}:
            yield str(condition.get("type")), condition


def _is_of(answer: Mapping[str, Any], parent: Mapping[str, Any], live: Manifest | None) -> bool:
    """Return whether an answer in `status.parents` is that for a parent of the spec."""
    namespace = part_at(live, "metadata", "namespace")
    return _identity(answer.get("parentRef"), namespace) == _identity(parent, namespace)


def _identity(parent: Any, namespace: Any) -> tuple[Any, ...]:
    kind = part_at(parent, "kind") or "Gateway"
    rest = (part_at(parent, key) for key in ("name", "sectionName", "port"))
    return kind, part_at(parent, "namespace") or namespace, *rest


def _parent_name(parent: Mapping[str, Any]) -> str:
    name = str(parent.get("name"))
    where = f"{parent['namespace']}/{name}" if parent.get("namespace") else name
    section = f", listener {parent['sectionName']}," if parent.get("sectionName") else ""
    return one_line(f"{parent.get('kind') or 'Gateway'} {where}{section}")


def _names(parents: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(map(_parent_name, parents)) or "it"


def _said(condition: Mapping[str, Any]) -> str:
    return one_line(f"{condition.get('reason') or 'no reason'}: {condition.get('message') or 'no message'}")


def _addresses(values: Iterable[Any], via: str) -> tuple[Address, ...]:
    return tuple(address for value in values if (address := _address(value, via)) is not None)


def _address(value: Any, via: str) -> Address | None:
    """Return a value as an address; None when it is neither an IP address nor a host name."""
    text = str(value)
    try:
        return Address("IPAddress", str(ip_address(text)), via)
    except ValueError:
        labels = text.removesuffix(".").split(".")
        is_host = len(text) <= _HOST_LENGTH and all(
            label and all(c.isascii() and (c.isalnum() or c in "-_") for c in label) for label in labels
        )
        return Address("Hostname", text.removesuffix("."), via) if is_host else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
