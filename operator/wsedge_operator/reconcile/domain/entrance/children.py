"""The writes by which the entrance of a domain becomes what its spec asks for.

    asked for, its API installed ──▶ applied
    not asked for any more ──▶ deleted, after the others are applied
    its API not installed, or not readable ──▶ left alone; `state` reports it
    the domain switched off, or its plan ended ──▶ stays, and follows the spec
    the name lost to another WebSocketDomain ──▶ deleted: the host name is the other's
    a definition that is older than spec.exposure has dropped it ──▶ stays until the next edit

An Ingress, a route and a Certificate stay when a domain is switched off, as the Service does: external-dns
deletes the records of an entrance that is gone, and the next one has another address; a wildcard of another
owner would get the name's traffic; an authority limits how often it issues a certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wsedge_operator.api.spec.exposure import ServiceType
from wsedge_operator.api.websocket_domain import EXPOSED, WebSocketDomainSpec
from wsedge_operator.desired.digest import with_digest
from wsedge_operator.desired.exposure.certificate import certificate, is_made_by
from wsedge_operator.desired.exposure.dns import dns_annotations, with_dns
from wsedge_operator.desired.exposure.gateway import (
    http_route,
    listener_set,
    parents,
    passes_tls_through,
    tls_route,
)
from wsedge_operator.desired.exposure.ingress import ingress
from wsedge_operator.desired.service import service
from wsedge_operator.reconcile.domain.exactness import draft_child
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, OutcomeDraft
from wsedge_operator.reconcile.outcome import Manifest, is_terminating, reference

# Children of an entrance beside the Service, in the order in which they are applied: listeners before routes.
KINDS: Final = ("Certificate", "Ingress", "ListenerSet", "XListenerSet", "HTTPRoute", "TLSRoute")
_LISTENER_SETS: Final = ("ListenerSet", "XListenerSet")


def draft_entrance(
    draft: OutcomeDraft,
    snapshot: DomainSnapshot,
    spec: WebSocketDomainSpec,
    *,
    has_service: bool,
    serves_tls: bool,
) -> None:
    """Draft the entrance of a domain that is served, or was (`has_service`).

    Before that only a Certificate is drafted, for whose Secret the first configuration waits. The Service has
    port 443 if `serves_tls`.
    """
    if not is_known(snapshot, spec):
        return
    wanted = dict(_certificates(snapshot, spec))
    if has_service:
        wanted |= _ingresses(snapshot, spec) | _routes(snapshot, spec)
        if has_exposed_service(snapshot, spec):
            wanted["Service"] = _service(snapshot, spec, tls=serves_tls)
    for kind in ("Service", *KINDS):
        if kind in wanted:
            _draft(draft, snapshot, with_digest(wanted[kind]))
    draft.retire += [
        reference(live)
        for kind in KINDS
        if kind not in wanted
        and kind in snapshot.apis
        and (live := snapshot.children.get(kind)) is not None
        and not is_terminating(live)
        and not _is_kept(kind, snapshot, spec)
    ]


def close_entrance(
    draft: OutcomeDraft, snapshot: DomainSnapshot, spec: WebSocketDomainSpec, *, serves_tls: bool
) -> None:
    """Draft the deletion of the entrance of a domain whose name belongs to another one, but for the Service.

    The Service leaves DNS: it loses its annotations for external-dns.
    """
    live = snapshot.children.get("Service")
    if live is not None and spec.exposure is not None:
        hidden = spec.model_copy(update={"exposure": spec.exposure.model_copy(update={"dns": None})})
        _draft(draft, snapshot, with_digest(_service(snapshot, hidden, tls=serves_tls)))
    draft.retire += [
        reference(live)
        for kind in KINDS
        if (live := snapshot.children.get(kind)) is not None and not is_terminating(live)
    ]


def is_known(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> bool:
    """Return whether the spec says what is asked for.

    A definition that is older than `spec.exposure` (a rollback) drops it from each object that is read or
    written. A user who removes it makes another generation, which that does not: so an entrance that was
    asked for in this generation was dropped.
    """
    if spec.exposure is not None:
        return True
    found = (snapshot.live.get("status") or {}).get("conditions") or ()
    before: Mapping[str, Any] = next((entry for entry in found if entry["type"] == EXPOSED), {})
    was_dropped = before.get("observedGeneration") == snapshot.live["metadata"].get("generation")
    return snapshot.is_exposure_declared and not was_dropped


def has_exposed_service(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> bool:
    """Return whether the Service is, or is to be, a part of the entrance: `draft_entrance` drafts it then."""
    live = snapshot.children.get("Service")
    is_exposed = live is not None and live["spec"].get("type", "ClusterIP") != "ClusterIP"
    return is_exposed or spec.exposure is not None


def _service(snapshot: DomainSnapshot, spec: WebSocketDomainSpec, *, tls: bool) -> dict[str, Any]:
    """Return the Service as `spec.exposure` asks for it; a plain one without `spec.exposure`."""
    exposure = spec.exposure.service if spec.exposure is not None else None
    annotations = exposure.annotations if exposure is not None else None
    if _publishes_service(spec):
        annotations = with_dns(annotations, spec)
    return service(snapshot.live, tls=tls, exposure=exposure, annotations=annotations)


def _publishes_service(spec: WebSocketDomainSpec) -> bool:
    """Return whether external-dns reads the Service: it is reached from outside, or the only entrance."""
    exposure = spec.exposure
    if exposure is None or not dns_annotations(spec):
        return False
    if exposure.service is not None and exposure.service.type not in {None, ServiceType.CLUSTER_IP}:
        return True
    return exposure.ingress is None and exposure.gateway is None


def _is_kept(kind: str, snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> bool:
    """Return whether a child is asked for, but cannot be built now, and stays as it is.

    A Certificate beside a Secret of another owner; routes whose ListenerSet's API cannot be used.
    """
    if spec.exposure is None:
        return False
    if kind == "Certificate":
        return spec.exposure.certificate is not None
    gateway = spec.exposure.gateway
    if kind == "Ingress" or gateway is None or gateway.listenerSet is None:
        return False
    return not isinstance(snapshot.apis.get(listener_set_kind(snapshot)), str)


def _draft(draft: OutcomeDraft, snapshot: DomainSnapshot, wanted: Manifest) -> None:
    """Draft the writes of one child; those of the entrance are performed after all others.

    Another controller's webhook or a quota may refuse them, and must not stop the relays' own writes.
    """
    before = len(draft.apply)
    draft_child(draft, snapshot, wanted)
    draft.entrance += draft.apply[before:]
    del draft.apply[before:]


def _certificates(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> Mapping[str, dict[str, Any]]:
    exposure = spec.exposure.certificate if spec.exposure is not None else None
    version = snapshot.apis.get("Certificate")
    if exposure is None or spec.tls is None or not isinstance(version, str) or foreign_secret(snapshot, spec):
        return {}
    made = certificate(
        snapshot.live,
        exposure,
        domain=spec.domain,
        secret_name=spec.tls.secretName,
        api_version=version,
    )
    return {"Certificate": made}


def foreign_secret(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> bool:
    """Return whether `spec.tls.secretName` exists and cert-manager did not make it for this domain.

    cert-manager issues into any Secret that a Certificate names and replaces its key. A user who may write a
    WebSocketDomain may not be allowed to write that Secret.
    """
    found = snapshot.secrets.get(spec.tls.secretName) if spec.tls is not None else None
    return found is not None and not is_made_by(found, snapshot.live)


def _ingresses(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> dict[str, dict[str, Any]]:
    exposure = spec.exposure.ingress if spec.exposure is not None else None
    version = snapshot.apis.get("Ingress")
    if exposure is None or not isinstance(version, str):
        return {}
    return {"Ingress": ingress(snapshot.live, spec, exposure, api_version=version)}


def _routes(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> dict[str, dict[str, Any]]:
    exposure = spec.exposure.gateway if spec.exposure is not None else None
    if exposure is None:
        return {}
    made: dict[str, dict[str, Any]] = {}
    listeners: dict[str, Any] | None = None
    if exposure.listenerSet is not None:
        kind = listener_set_kind(snapshot)
        version = snapshot.apis.get(kind)
        if not isinstance(version, str):
            return {}  # Without its listeners a route would attach to those of other domains.
        listeners = listener_set(
            snapshot.live, spec, exposure, exposure.listenerSet, kind=kind, api_version=version
        )
        made[kind] = listeners
    parent_refs = parents(snapshot.live, exposure, listeners)
    if isinstance(version := snapshot.apis.get("HTTPRoute"), str):
        made["HTTPRoute"] = http_route(snapshot.live, spec, parent_refs, api_version=version)
    if passes_tls_through(spec, exposure) and isinstance(version := snapshot.apis.get("TLSRoute"), str):
        made["TLSRoute"] = tls_route(snapshot.live, spec, parent_refs, api_version=version)
    return made


def listener_set_kind(snapshot: DomainSnapshot) -> str:
    """Return the kind of a ListenerSet: the experimental XListenerSet only where there is no other."""
    return next((kind for kind in _LISTENER_SETS if kind in snapshot.apis), _LISTENER_SETS[0])
