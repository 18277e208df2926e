"""Objects in each state, as the operator writes them, and what a tool that waits is to make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import yaml

from support.operator.entrances import (
    ADDRESS,
    PARENTS,
    condition,
    exposed,
    parents,
    with_status,
)
from support.operator.snapshots import (
    NO_PLAN,
    NOW,
    SCHEDULED,
    applied,
    claim,
    live_domain,
    pod,
    served,
    snapshot,
    waiting,
)
from wsedge_operator.api.generation.__main__ import crd_files
from wsedge_operator.billing.record import Life
from wsedge_operator.desired.deployment import RelayImage
from wsedge_operator.reconcile.account import decide as account_decision
from wsedge_operator.reconcile.account.decide import AccountSnapshot
from wsedge_operator.reconcile.domain.autoscaling import RelayLoad
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.rollouts import Turn

LIFE = Life("team-a", "u1", None, "wsedge-system")

LASTED = timedelta(minutes=5)
BALANCER = {"type": "LoadBalancer"}
TLS = {"tls": {"secretName": "x"}}
QUIC = {"websocket": {"enabled": True, "originProtocol": "QUIC"}}


def domain(before: DomainSnapshot, lasted: timedelta = timedelta(0)) -> dict[str, Any]:
    """The object after a look, and another one when so much time has passed."""
    first = applied(before, decide(before, NOW))
    return dict(applied(first, decide(first, NOW + lasted)).live)


def draining() -> DomainSnapshot:
    good = served()
    off = live_domain(websocket={"enabled": False})
    return replace(good, live={**off, "status": good.live["status"]})


def without_image() -> DomainSnapshot:
    good = served(pods=[pod(**waiting("ImagePullBackOff"))])
    program = {**good.children["Deployment"], "status": {"availableReplicas": 0}}
    return replace(good, children={**good.children, "Deployment": program})


def at_the_end(before: DomainSnapshot, lasted: timedelta = timedelta(0)) -> dict[str, Any]:
    """The object when so much time has passed, with no other change."""
    first = applied(before, decide(before, NOW))
    return dict(applied(first, decide(first, NOW + lasted)).live)


def balanced(lasted: timedelta = timedelta(0)) -> dict[str, Any]:
    return at_the_end(exposed(service=BALANCER), lasted)


def refused(lasted: timedelta = timedelta(0)) -> dict[str, Any]:
    said = condition("Accepted", "False", "NotAllowedByListeners", "no listener allows this namespace")
    routed = exposed(gateway={"parentRefs": PARENTS})
    return at_the_end(with_status(routed, "HTTPRoute", parents(said)), lasted)


def staged(*, paused: bool = False) -> dict[str, Any]:
    """A served domain whose pods a new image is to replace, when it is not its turn."""
    waits = Turn(False, paused, "waits for 5 other domains")
    return at_the_end(replace(served(), image=RelayImage("relay:2"), turn=waits))


def autoscaled(connections: int, **parts: Any) -> dict[str, Any]:
    """A served domain with two relays, at most two, which have so many connections each."""
    rules = {"minReplicas": 2, "maxReplicas": 2, "connectionsPerReplica": 10, **parts}
    before = served(live=live_domain(relay={"autoscaling": rules}))
    counts = {live["metadata"]["uid"]: connections for live in before.pods}
    return at_the_end(replace(before, load=RelayLoad(NOW, NOW + timedelta(seconds=15), counts)))


def plan(lasted: timedelta = timedelta(0), record: str | None = None, **spec: Any) -> dict[str, Any]:
    """A plan after a look, and another one when so much time has passed."""
    live: dict[str, Any] = {
        "apiVersion": "wsedge.io/v1alpha1",
        "kind": "BillingPlan",
        "metadata": {
            "name": spec.pop("name", "plan"),
            "namespace": "team-a",
            "uid": spec.pop("uid", "uid-plan"),
            "generation": 1,
            "creationTimestamp": spec.pop("created", "2026-11-22T12:00:00Z"),
        },
        "spec": {"billingCycle": "Daily", "meteringMethod": "Traffic", **spec},
    }
    older = {**live, "metadata": {**live["metadata"], "uid": "uid-0", "name": "older"}}
    plans = (older, live) if live["metadata"]["uid"] == "uid-late" else (live,)
    named = {"metadata": {"name": LIFE.record_name}, "data": {"account.json": record}}
    config_map = named if record else None
    for now in (NOW, NOW + lasted):
        account = AccountSnapshot(LIFE, (*plans[:-1], live), config_map, "UTC")
        written = {status.name: status.status for status in account_decision.decide(account, now).status}
        live["status"] = written.get(live["metadata"]["name"], live.get("status"))
    return live


def edited(live: dict[str, Any]) -> dict[str, Any]:
    """The object as `kubectl apply` leaves it, before the operator has seen it."""
    return {**live, "metadata": {**live["metadata"], "generation": live["metadata"]["generation"] + 1}}


def unseen(kind: str) -> dict[str, Any]:
    """An object as the API server stores it, with the status that the CRD gives it."""
    (definition,) = [
        document
        for path, text in crd_files().items()
        if path.parts[0] == "crds" and (document := yaml.safe_load(text))["spec"]["names"]["kind"] == kind
    ]
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    live = live_domain() if kind == "WebSocketDomain" else plan()
    return {**live, "status": schema["properties"]["status"]["default"]}


# The verdicts are those of kstatus: Current, InProgress or Failed.
STATES: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "a domain that no operator has seen": (lambda: unseen("WebSocketDomain"), "InProgress"),
    "a plan that no operator has seen": (lambda: unseen("BillingPlan"), "InProgress"),
    "an edit that the operator has not seen": (lambda: edited(dict(served().live)), "InProgress"),
    "served": (lambda: dict(served().live), "Current"),
    "served but for fields that are ignored": (lambda: dict(served(live=live_domain(x=1)).live), "Current"),
    "switched off": (lambda: domain(snapshot(live=live_domain(websocket={"enabled": False}))), "Current"),
    "waiting for a date": (lambda: domain(snapshot(account_state=SCHEDULED)), "Current"),
    "relays that start": (lambda: domain(snapshot()), "InProgress"),
    "relays that start for long": (lambda: domain(snapshot(), LASTED), "InProgress"),
    "relays that drain": (lambda: domain(draining()), "InProgress"),
    "no plan yet": (lambda: domain(snapshot(account_state=NO_PLAN)), "InProgress"),
    "no plan for long": (lambda: domain(snapshot(account_state=NO_PLAN), LASTED), "Failed"),
    "no Secret yet": (lambda: domain(snapshot(live=live_domain(**TLS))), "InProgress"),
    "no Secret for long": (lambda: domain(snapshot(live=live_domain(**TLS)), LASTED), "Failed"),
    "no Service yet": (
        lambda: domain(snapshot(live=live_domain(origins=[{"service": {"name": "r", "port": 1}}]))),
        "InProgress",
    ),
    "no Service for long": (
        lambda: domain(snapshot(live=live_domain(origins=[{"service": {"name": "r", "port": 1}}])), LASTED),
        "Failed",
    ),
    "no statistics yet": (lambda: domain(snapshot(statistics_url="")), "InProgress"),
    "no statistics for long": (lambda: domain(snapshot(statistics_url=""), LASTED), "Failed"),
    "a refused write": (lambda: domain(snapshot(failure="quota")), "InProgress"),
    "a write that is refused for long": (lambda: domain(snapshot(failure="quota"), LASTED), "Failed"),
    "an image that is not there": (lambda: domain(without_image()), "InProgress"),
    "an image that is not there for long": (lambda: domain(without_image(), LASTED), "Failed"),
    "a load balancer without an address yet": (lambda: balanced(), "InProgress"),
    "a load balancer without an address for long": (lambda: balanced(LASTED), "Failed"),
    "a load balancer with its address": (
        lambda: at_the_end(with_status(exposed(service=BALANCER), "Service", ADDRESS)),
        "Current",
    ),
    "an entrance whose API is not installed": (
        lambda: at_the_end(exposed(apis={}, ingress={})),
        "InProgress",
    ),
    "an entrance without its API for long": (
        lambda: at_the_end(exposed(apis={}, ingress={}), LASTED),
        "Failed",
    ),
    "a Gateway that refuses the route": (lambda: refused(), "InProgress"),
    "a Gateway that refuses the route for long": (lambda: refused(LASTED), "Failed"),
    "a rollout that waits for its turn": (lambda: staged(), "Current"),
    "a rollout that is paused": (lambda: staged(paused=True), "Current"),
    "the largest number of relays": (lambda: autoscaled(50), "Current"),
    "an invalid schedule": (
        lambda: autoscaled(
            1, schedules=[{"cron": "0 8 * * *", "timeZone": "Mars/Olympus", "minReplicas": 2}]
        ),
        "Current",
    ),
    "another's name": (lambda: domain(snapshot(claims=(claim("a", 1), claim("chat", 2)))), "Failed"),
    "what cannot be read": (lambda: domain(snapshot(live=live_domain(**QUIC))), "Failed"),
    "a plan in force": (plan, "Current"),
    "a plan with fields that are ignored": (lambda: plan(currency="EUR"), "Current"),
    "a plan for later": (lambda: plan(existingCycle="Monthly"), "Current"),
    "a second plan": (lambda: plan(uid="uid-late", created="2026-11-22T12:00:01Z"), "Failed"),
    "a time zone that nobody knows": (lambda: plan(timeZone="Mars/Olympus"), "Failed"),
    "a plan that cannot be read": (lambda: plan(meteringMethod="FromTheFuture"), "Failed"),
    "a damaged record": (lambda: plan(record="{"), "InProgress"),
    "a record that is damaged for long": (lambda: plan(LASTED, record="{"), "Failed"),
}
