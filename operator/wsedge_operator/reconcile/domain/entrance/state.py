"""The condition Exposed of a domain with `spec.exposure`, its addresses, and whether Ready waits for them.

The first of these that applies is the answer, in the order certificate, Service, Ingress, routes:

    a part is refused, or its API cannot be used ──▶ False, with what its controller said
    a part waits for its controller ──▶ False, …Pending; after five minutes that is a failure
    all parts lead to the relays ──▶ True

Ready waits where a controller gives a sign that clients can connect: the address of a load balancer, the
answer of a Gateway. It does not wait for the address of an Ingress, which some controllers never publish, nor
for a Certificate, since relays wait for its Secret themselves and serve an old one meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from wsedge_operator.api.meta import instant_of
from wsedge_operator.api.spec.exposure import ServiceType
from wsedge_operator.api.websocket_domain import EXPOSED, WebSocketDomainSpec
from wsedge_operator.desired.exposure.gateway import passes_tls_through
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain.entrance import reports
from wsedge_operator.reconcile.domain.entrance.children import (
    KINDS,
    foreign_secret,
    has_exposed_service,
    is_known,
    listener_set_kind,
)
from wsedge_operator.reconcile.domain.entrance.reports import Finding
from wsedge_operator.reconcile.domain.snapshot import Address, DomainSnapshot
from wsedge_operator.reconcile.outcome import earliest
from wsedge_operator.reconcile.problem import Problem
from wsedge_operator.reconcile.reasons import Reason

LATE_AFTER: Final = timedelta(minutes=5)
# The pause after which a definition that was older is looked at again: no event tells that it was replaced.
LOOK_AGAIN: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class EntranceState:
    """The condition Exposed, None without an entrance; `changes_at`: when a wait becomes a failure."""

    answer: ConditionAnswer | None = None
    addresses: tuple[Address, ...] = ()
    changes_at: datetime | None = None
    holds: bool = False


def entrance_state(
    snapshot: DomainSnapshot, spec: WebSocketDomainSpec, now: datetime, *, has_service: bool
) -> EntranceState:
    """Return the state of the entrance at `now`; `has_service` as in `draft_entrance`."""
    if not is_known(snapshot, spec):
        return _unknown(snapshot, spec, now)
    if spec.exposure is None:
        return EntranceState()
    state = _asked_for(snapshot, spec, now, has_service=has_service)
    if snapshot.is_exposure_declared:
        return state
    return replace(state, changes_at=earliest(state.changes_at, now + LOOK_AGAIN))


def _asked_for(
    snapshot: DomainSnapshot, spec: WebSocketDomainSpec, now: datetime, *, has_service: bool
) -> EntranceState:
    if not has_service:
        finding = next(_certificate(snapshot, spec), None)
        finding = finding or Finding(Reason.NO_RELAYS, "the entrance begins to exist with the first relays")
        return EntranceState(ConditionAnswer(EXPOSED, False, finding.reason, finding.message))
    addresses = _addresses(snapshot)
    findings = [
        finding for part in (_certificate, _service, _ingress, _gateway) for finding in part(snapshot, spec)
    ]
    if not findings:
        return EntranceState(_exposed(snapshot, spec, addresses), addresses)
    finding = next((each for each in findings if each.late is None), findings[0])
    answer, changes_at = _answer(snapshot, finding, now)
    return EntranceState(answer, addresses, changes_at, holds=any(each.holds for each in findings))


def certificate_wait(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> Problem | None:
    """Return why the Secret of `spec.exposure.certificate` does not exist yet."""
    finding = next(_certificate(snapshot, spec), None)
    if finding is None:
        return None
    return Problem("spec.tls.secretName", finding.reason, finding.message)


def _unknown(snapshot: DomainSnapshot, spec: WebSocketDomainSpec, now: datetime) -> EntranceState:
    if not (has_exposed_service(snapshot, spec) or snapshot.children.keys() & {*KINDS}):
        return EntranceState()
    message = (
        "a CustomResourceDefinition of an older release has dropped spec.exposure: the entrance stays"
        " as it is until the next edit; apply this release's CustomResourceDefinitions, and this object again"
    )
    answer = ConditionAnswer(EXPOSED, None, Reason.DEFINITION_OUTDATED, message)
    changes_at = None if snapshot.is_exposure_declared else now + LOOK_AGAIN
    return EntranceState(answer, _addresses(snapshot), changes_at)


def _exposed(
    snapshot: DomainSnapshot, spec: WebSocketDomainSpec, addresses: tuple[Address, ...]
) -> ConditionAnswer:
    at = ", ".join(address.value for address in addresses)
    ports = reports.node_ports(snapshot.children.get("Service"))
    parts = [*([f"at {at}"] if at else []), *([f"at ports of every node: {ports}"] if ports else [])]
    gateway = spec.exposure is not None and spec.exposure.gateway is not None
    where = " and ".join(parts) or ("through its Gateway" if gateway else "within the cluster")
    return ConditionAnswer(EXPOSED, True, Reason.EXPOSED, f"{spec.domain} is reached {where}")


def _answer(
    snapshot: DomainSnapshot, finding: Finding, now: datetime
) -> tuple[ConditionAnswer, datetime | None]:
    """Return the condition of a finding; one that waits becomes its late reason after five minutes.

    Another reason or another spec starts the five minutes anew.
    """
    if finding.late is None:
        return ConditionAnswer(EXPOSED, False, finding.reason, finding.message), None
    live = snapshot.live
    found = (live.get("status") or {}).get("conditions") or ()
    before: dict[str, Any] = next((entry for entry in found if entry["type"] == EXPOSED), {})
    same = before.get("reason") in {finding.reason, finding.late}
    same = same and before.get("observedGeneration") == live["metadata"].get("generation", 0)
    since = (instant_of(before["lastTransitionTime"]) if same else None) or now
    late_at = since + LATE_AFTER
    if now >= late_at:
        return ConditionAnswer(EXPOSED, False, finding.late, finding.message, since=since), None
    return ConditionAnswer(EXPOSED, False, finding.reason, finding.message, since=since), late_at


def _api(snapshot: DomainSnapshot, kind: str) -> Iterator[Finding]:
    """Yield why the API of a kind cannot be used."""
    found = snapshot.apis.get(kind)
    if found is None:
        yield Finding(Reason.API_NOT_INSTALLED, f"the cluster has no API for the kind {kind}")
    elif isinstance(found, Problem):
        yield Finding(found.reason, str(found))


def _certificate(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> Iterator[Finding]:
    if spec.exposure is None or spec.exposure.certificate is None or spec.tls is None:
        return
    if foreign_secret(snapshot, spec):
        message = (
            f'Secret "{spec.tls.secretName}" was not made by cert-manager for this domain, and stays: name a'
            " Secret that does not exist in spec.tls.secretName, or remove exposure.certificate"
        )
        yield Finding(Reason.SECRET_OF_ANOTHER_OWNER, message, holds=False)
        return
    missing = list(_api(snapshot, "Certificate"))
    yield from missing
    found = None if missing else _of_certificate(snapshot)
    if found is not None:
        yield found


def _of_certificate(snapshot: DomainSnapshot) -> Finding | None:
    live = snapshot.children.get("Certificate")
    return reports.certificate_finding(live, snapshot.certificate_requests)


def _service(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> Iterator[Finding]:
    exposure = spec.exposure.service if spec.exposure is not None else None
    type_ = (exposure.type if exposure is not None else None) or ServiceType.CLUSTER_IP
    found = reports.service_finding(snapshot.children.get("Service"), type_)
    if found is not None:
        yield found


def _ingress(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> Iterator[Finding]:
    if spec.exposure is None or spec.exposure.ingress is None:
        return
    missing = list(_api(snapshot, "Ingress"))
    yield from missing
    found = None if missing else reports.ingress_finding(snapshot.children.get("Ingress"))
    if found is not None:
        yield found


def _gateway(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> Iterator[Finding]:
    """Yield what the routes lack; beside a TLSRoute, the answer to the HTTPRoute does not matter.

    A Gateway for wss alone refuses the HTTPRoute, which has no listener there.
    """
    exposure = spec.exposure.gateway if spec.exposure is not None else None
    if exposure is None:
        return
    through = passes_tls_through(spec, exposure)
    kinds = ["TLSRoute"] if through else ["HTTPRoute"]
    if exposure.listenerSet is not None:
        kinds.insert(0, listener_set_kind(snapshot))
    for kind in kinds:
        missing = list(_api(snapshot, kind))
        yield from missing
        if missing:
            continue
        live = snapshot.children.get(kind)
        is_route = kind.endswith("Route")
        found = reports.route_finding(live, kind) if is_route else reports.listener_set_finding(live)
        if found is not None:
            yield found


def _addresses(snapshot: DomainSnapshot) -> tuple[Address, ...]:
    children, gateways = snapshot.children, snapshot.gateways
    names = {
        name
        for kind in ("HTTPRoute", "TLSRoute", "ListenerSet", "XListenerSet")
        for name in reports.accepting_gateways(children.get(kind))
    }
    return reports.merged(
        reports.load_balancer_addresses(children.get("Service")),
        reports.load_balancer_addresses(children.get("Ingress")),
        *(reports.gateway_addresses(gateways[name]) for name in names if name in gateways),
    )
