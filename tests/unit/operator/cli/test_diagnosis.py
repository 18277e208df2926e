"""What is wrong with a domain: a table of states, keyed by sentences, with the first finding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from wsedge_operator.cli import metrics
from wsedge_operator.cli.diagnosis import (
    Domain,
    Finding,
    Relay,
    Severity,
    diagnose,
    origins_of,
    remedy_of,
)
from wsedge_operator.reconcile.reasons import DOMAIN_CONDITIONS
from wsedge_relay.contract import RelayState

NOW: Final = datetime(2026, 11, 22, 10, tzinfo=UTC)
HOST: Final = "chat.example.com"
WRONG, SOON, NOTE = Severity.WRONG, Severity.SOON, Severity.NOTE


def condition(kind: str, reason: str, *, true: bool = True, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": str(true), "reason": reason, "message": message}


SERVING: Final = (condition("Ready", "Serving"), condition("ConfigurationCurrent", "Current"))


def live(*conditions: dict[str, Any], observed: int | None = 3, created: str = "2026-11-22T09:00:00Z") -> Any:
    return {
        "metadata": {"name": "chat", "namespace": "team-a", "generation": 3, "creationTimestamp": created},
        "spec": {"domain": HOST, "websocket": {"enabled": True}},
        "status": {"observedGeneration": observed, "conditions": list(conditions)} if observed else {},
    }


def pod(name: str = "chat-relay-a", *, waiting: str = "", ends: bool = False, ready: bool = True) -> Any:
    status = {
        "containerStatuses": [
            {"restartCount": 4, "state": {"waiting": {"reason": waiting}} if waiting else {}}
        ]
    }
    made: dict[str, Any] = {"metadata": {"name": name}, "status": status}
    made["status"]["conditions"] = [{"type": "Ready", "status": str(ready)}]
    if ends:
        made["metadata"]["deletionTimestamp"] = "2026-11-22T09:59:00Z"
    return made


def state(**changes: Any) -> RelayState:
    return RelayState(**{"generation": "g1", "draining": False, "openConnections": 2, **changes})


def scrape(*lines: str) -> metrics.Metrics:
    return metrics.read("".join(f"wsedge_relay_{line}\n" for line in lines))


def origin(name: str, *, healthy: int = 1, ejected: int = 0, connections: int = 1) -> tuple[str, ...]:
    labels = f'{{domain="{HOST}",origin="{name}"}}'
    return (
        f"origin_healthy{labels} {healthy}",
        f"origin_ejected{labels} {ejected}",
        f"origin_connections{labels} {connections}",
    )


def relay(*lines: str, name: str = "chat-relay-a", **changes: Any) -> Relay:
    return Relay(pod(name), state(**changes), scrape(*lines))


def handshakes(code: int, times: int) -> str:
    return f'handshakes_total{{code="{code}",domain="{HOST}"}} {times}'


def window(before: tuple[str, ...], after: tuple[str, ...]) -> Domain:
    one = Relay(pod(), state(), scrape(*before), scrape(*after))
    return Domain(live(*SERVING), (one,), timedelta(seconds=2))


FINE: Final = Finding(NOTE, "Nothing is wrong.")
LOOK: Final = "check that it runs and that relays reach its address; kubectl wsedge logs has the reason"

STATES: Final[dict[str, tuple[Domain, Severity, str]]] = {
    "all relays serve": (Domain(live(*SERVING), (relay(*origin("o:1")),)), NOTE, "Nothing is wrong."),
    "a new object": (
        Domain(live(observed=None, created="2026-11-22T09:59:50Z")),
        SOON,
        "The operator has not read this object yet. To do: wait a few seconds.",
    ),
    "an object that no operator reads": (
        Domain(live(observed=None)),
        WRONG,
        "The operator has not read this object. To do: check that the operator runs and "
        "serves this namespace "
        "(kubectl get pods in its namespace).",
    ),
    "an edit that no operator reads": (
        Domain(live(*SERVING, observed=2), (relay(),)),
        WRONG,
        "The operator has not read the last edit of this object. To do: check that the "
        "operator runs and serves "
        "this namespace (kubectl get pods in its namespace).",
    ),
    "a Secret that is missing": (
        Domain(live(condition("Ready", "SecretNotFound", true=False, message="spec.tls: no Secret x"))),
        WRONG,
        "SecretNotFound: spec.tls: no Secret x. To do: correct the field that the "
        "message names, or the Secret.",
    ),
    "a reason of Kubernetes, which has no remedy in the table": (
        Domain(live(condition("Ready", "ImagePullBackOff", true=False, message="pod x."))),
        WRONG,
        "ImagePullBackOff: pod x.",
    ),
    "a condition without a message": (
        Domain(live(condition("Ready", "Oddity", true=False))),
        WRONG,
        "Oddity.",
    ),
    "an entrance that is refused": (
        Domain(live(*SERVING, condition("Exposed", "RouteRefused", true=False, message="no"))),
        WRONG,
        "RouteRefused: no. To do: the message has the Gateway's reason; its "
        "allowedRoutes and allowedListeners are "
        "its owner's.",
    ),
    "a certificate that the operator found expired": (
        Domain(
            live(
                condition("Ready", "Serving"),
                condition("ConfigurationCurrent", "CertificateExpired", message="it expired"),
            )
        ),
        SOON,
        "CertificateExpired: it expired. To do: renew the certificate in the Secret that the message names.",
    ),
    "a domain that is switched off": (
        Domain(live(condition("Ready", "Disabled", message="switched off"))),
        NOTE,
        "Nothing is wrong.",
    ),
    "a relay that crashes": (
        Domain(live(*SERVING), (Relay(pod(waiting="CrashLoopBackOff")),)),
        WRONG,
        "The relay chat-relay-a does not run: CrashLoopBackOff, 4 restarts. To do: kubectl describe pod "
        "chat-relay-a, and kubectl logs --previous chat-relay-a.",
    ),
    "a relay that starts": (
        Domain(live(*SERVING), (Relay(pod(waiting="ContainerCreating")),)),
        NOTE,
        FINE.text,
    ),
    "a relay that refuses the configuration": (
        Domain(live(*SERVING), (relay(refusedGeneration="g2", refusedReason="no such field"),)),
        WRONG,
        "The relay chat-relay-a refuses the configuration g2: no such field. To do: "
        "upgrade the relays, or revert "
        "the last edit; it runs its last good configuration.",
    ),
    "a relay that was told to drain": (
        Domain(live(*SERVING), (relay(draining=True),)),
        SOON,
        "The relay chat-relay-a drains and refuses new clients. To do: wait until it "
        "accepts clients again, or "
        "delete the pod.",
    ),
    "a pod that is deleted drains": (
        Domain(live(*SERVING), (Relay(pod(ends=True), state(draining=True)),)),
        NOTE,
        FINE.text,
    ),
    "counts that the statistics refuse": (
        Domain(live(*SERVING), (relay("usage_rows_refused_total 3"),)),
        SOON,
        "The statistics refused counts of the relay chat-relay-a. To do: kubectl logs "
        "chat-relay-a, event usage "
        "rows rejected.",
    ),
    "the only origin is down": (
        Domain(live(*SERVING), (relay(*origin("o:1", healthy=0)),)),
        WRONG,
        f"The only origin (o:1) does not answer: new clients get an error. To do: {LOOK}.",
    ),
    "all origins were ejected": (
        Domain(live(*SERVING), (relay(*origin("o:1", ejected=1), *origin("o:2", healthy=0)),)),
        WRONG,
        f"All 2 origins (o:1, o:2) do not answer: new clients get an error. To do: {LOOK}.",
    ),
    "one of two relays does not reach one of two origins": (
        Domain(
            live(*SERVING),
            (
                relay(*origin("o:1", healthy=0), *origin("o:2")),
                relay(*origin("o:1"), *origin("o:2"), name="chat-relay-b"),
            ),
        ),
        SOON,
        f"The origin o:1 does not answer to 1 of 2 relays. To do: {LOOK}.",
    ),
    "most handshakes fail": (
        window((handshakes(101, 5), handshakes(502, 1)), (handshakes(101, 6), handshakes(502, 4))),
        WRONG,
        "3 of 4 handshakes failed within 2s. To do: kubectl wsedge logs has the reason of each; see "
        "handshake_refusals in the relays' metrics.",
    ),
    "clients are refused by their own fault": (
        window((handshakes(403, 1),), (handshakes(403, 9),)),
        NOTE,
        FINE.text,
    ),
    "a relay that began again in the window": (
        window((handshakes(101, 50), handshakes(502, 50)), (handshakes(101, 1), handshakes(502, 0))),
        NOTE,
        FINE.text,
    ),
    "nobody connects": (window((), ()), NOTE, FINE.text),
    "a certificate that expires soon": (
        Domain(live(*SERVING), certificate_end=NOW + timedelta(days=3)),
        SOON,
        "The certificate expires in 3d. To do: renew the certificate in the Secret of spec.tls.",
    ),
    "a certificate that has expired": (
        Domain(live(*SERVING), certificate_end=NOW - timedelta(hours=2)),
        WRONG,
        "The certificate expired 2h ago: clients refuse it. To do: renew the certificate "
        "in the Secret of spec.tls.",
    ),
    "a certificate for a long time": (
        Domain(live(*SERVING), certificate_end=NOW + timedelta(days=30)),
        NOTE,
        FINE.text,
    ),
    "a domain that is switched off: nobody waits for relays": (
        Domain(
            live(
                condition("Ready", "Disabled", message="switched off"),
                condition("ConfigurationCurrent", "NoRelays", true=False, message="there are no relays"),
            )
        ),
        NOTE,
        FINE.text,
    ),
    "one of two relays drains": (
        Domain(
            live(condition("Ready", "RelaysDraining", true=False, message="a was ordered to drain")),
            (relay(name="a", draining=True), Relay(pod("b"), state(), {})),
        ),
        SOON,
        "RelaysDraining: a was ordered to drain. To do: wait, or delete the pods.",
    ),
    "the only relay drains": (
        Domain(
            live(condition("Ready", "RelaysDraining", true=False, message="a was ordered to drain")),
            (Relay(pod("a", ready=False), state(draining=True), {}),),
        ),
        WRONG,
        "RelaysDraining: a was ordered to drain. To do: wait, or delete the pods.",
    ),
    "a relay that the user may not ask": (
        Domain(live(*SERVING), (Relay(pod(), silent="you lack a right."),)),
        NOTE,
        FINE.text,
    ),
}


@pytest.mark.parametrize(("domain", "severity", "sentence"), STATES.values(), ids=STATES)
def test_the_first_finding(domain: Domain, severity: Severity, sentence: str) -> None:
    """One sentence with what to do."""
    first = diagnose(domain, NOW)[0]
    assert (first.severity, first.sentence()) == (severity, sentence)


def test_what_stops_clients_comes_before_what_may() -> None:
    """A fault, then what is due soon, then notes; a cause is told once."""
    broken = Domain(
        live(
            condition("Ready", "RelaysStarting", true=False, message="one starts"),
            condition("Stalled", "RelaysStarting", message="one starts"),
            condition("ScalingActive", "AtMaximum", message="four"),
        ),
        (relay(*origin("o:1"), *origin("o:2", healthy=0)), Relay(pod("b"), silent="no answer.")),
    )
    found = diagnose(broken, NOW)
    assert [one.severity for one in found] == [WRONG, SOON, SOON, NOTE]
    assert [one.text.partition(":")[0] for one in found] == [
        "RelaysStarting",
        "AtMaximum",
        "The origin o",
        "No numbers of b",
    ]


def test_notes_follow_that_nothing_is_wrong() -> None:
    """A domain that waits for a date by request has its reason behind it."""
    waits = Domain(live(condition("Ready", "Scheduled", message="from Monday")))
    assert diagnose(waits, NOW) == [
        FINE,
        Finding(NOTE, "Scheduled: from Monday.", "wait until the instant in the message"),
    ]


SERVICES: Final[dict[str, tuple[list[Any], str]]] = {
    "of a Service": ([{"service": {"name": "room", "port": 9000}}], "Service room at 10.0.0.1:9000"),
    "of a Service with a port of its own": (
        [{"service": {"name": "room", "port": 1}, "httpPort": 9000, "httpsPort": 9000}],
        "Service room at 10.0.0.1:9000",
    ),
    "of two Services with other ports": (
        [{"service": {"name": "room", "port": 9000}}, {"service": {"name": "hall", "port": 80}}],
        "Service room at 10.0.0.1:9000",
    ),
    "of two Services with the same ports": (
        [{"service": {"name": "room", "port": 9000}}, {"service": {"name": "hall", "port": 9000}}],
        "10.0.0.1:9000",
    ),
    "of a Service, or a host with the same ports": (
        [{"service": {"name": "room", "port": 9000}}, {"host": "x", "httpPort": 9000, "httpsPort": 9000}],
        "10.0.0.1:9000",
    ),
    "of a host": ([{"host": "10.0.0.1", "httpPort": 9000, "httpsPort": 9000}], "10.0.0.1:9000"),
    "of a domain that was edited since": ([{"host": "x"}], "10.0.0.1:9000"),
    "of an object without origins": ([], "10.0.0.1:9000"),
}


@pytest.mark.parametrize(("origins", "label"), SERVICES.values(), ids=SERVICES)
def test_an_origin_has_the_name_of_its_service_where_that_is_certain(origins: list[Any], label: str) -> None:
    """The metrics have a cluster IP, which says nothing to a person."""
    served = live(*SERVING)
    served["spec"]["origins"] = origins
    domain = Domain(served, (relay(*origin("10.0.0.1:9000/9000", healthy=0)),))
    assert [one.label for one in origins_of(domain)] == [label]
    assert diagnose(domain, NOW)[0].text.startswith(f"The only origin ({label}) does not answer")


UNKNOWN: Final[dict[str, tuple[Any, tuple[str, ...], str]]] = {
    "no client is connected": (None, origin("o:1", connections=0), "the origin o:1 answers"),
    "no client is connected to two": (
        None,
        (*origin("o:1", connections=0), *origin("o:2", connections=0), *origin("o:3")),
        "o:1, o:2 answer",
    ),
    "a client is connected": (None, origin("o:1"), ""),
    "relays check it": ({}, origin("o:1", connections=0), ""),
    "it failed just now, which is told as a fault": (None, origin("o:1", connections=0, ejected=1), ""),
}


@pytest.mark.parametrize(("check", "lines", "which"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_origin_that_nobody_asked_is_not_said_to_answer(
    check: Any, lines: tuple[str, ...], which: str
) -> None:
    """Nothing is known to be wrong; which origins this says nothing of is a note."""
    served = live(*SERVING)
    if check is not None:
        served["spec"]["originHealthCheck"] = check
    notes = [one for one in diagnose(Domain(served, (relay(*lines),)), NOW) if "not known" in one.text]
    assert [one.severity for one in notes] == ([NOTE] if which else [])
    if which:
        assert notes[0].text.startswith(f"Whether {which} is not known: there is no health check")
        assert notes[0].remedy.startswith("set spec.originHealthCheck")


def test_each_remedy_is_plain_text() -> None:
    """Links and marks of Markdown are for pages; a reason that is not in the table has none."""
    for row in DOMAIN_CONDITIONS:
        for reason in row.reasons:
            assert not set("[]`") & set(remedy_of(reason)), reason
    assert remedy_of("CrashLoopBackOff") == ""


def test_origins_are_summed_over_relays() -> None:
    """A relay that answered no more has no part; the second scrape counts where there is one."""
    before = scrape(*origin("o:2"), *origin("o:1", connections=5))
    first = Relay(pod(), state(), before, scrape(*origin("o:1", connections=3, ejected=1), *origin("o:2")))
    second = relay(*origin("o:1", connections=4), name="b")
    one, two = origins_of(Domain(live(), (first, second, Relay(pod("c")))))
    assert (one.name, one.relays, one.down, one.ejected, one.connections) == ("o:1", 2, 0, 1, 7)
    assert (two.name, two.relays, two.connections) == ("o:2", 1, 1)


def test_what_is_not_known_is_none() -> None:
    """Neither connections nor rates without an answer, and no rate of a single scrape."""
    silent = Domain(live(), (Relay(pod()),), timedelta(seconds=1))
    assert (silent.connections, silent.rate("sent_bytes_total")) == (None, None)
    assert Domain(live(), (relay(),)).rate("sent_bytes_total") is None
    assert Domain(live(), (relay(), relay(name="b"))).connections == 4
    measured = window(
        (f'sent_bytes_total{{domain="{HOST}"}} 10',), (f'sent_bytes_total{{domain="{HOST}"}} 30',)
    )
    assert measured.rate("sent_bytes_total", domain=HOST) == 10.0


def test_what_an_object_lacks_is_empty() -> None:
    """An object that an older or a stranger's API server stored breaks nothing."""
    bare = Domain({"metadata": {"name": "chat"}})
    assert (bare.host, bare.enabled, bare.conditions) == ("", False, {})
    assert diagnose(bare, NOW)[0].severity is WRONG
    odd = Domain(live("text", condition("Ready", "Serving")))  # type: ignore[arg-type]
    assert list(odd.conditions) == ["Ready"]
    assert Domain(live()).enabled
    loose = Relay({"metadata": {"name": "x"}})
    assert (loose.ready, loose.restarts, loose.trouble, loose.ends) == (False, 0, "", False)
    assert Relay(pod()).ready


def test_a_domain_has_the_name_of_its_object() -> None:
    """As `kubectl get` names it."""
    assert Domain(live()).name == "chat"


def test_pods_that_only_look_like_relays_are_told() -> None:
    """Behind what is wrong, since they may be harmless."""
    told = diagnose(Domain(live(*SERVING), warning="The pod chat-odd is no relay."), NOW)
    assert [finding.text for finding in told] == [FINE.text, "The pod chat-odd is no relay."]
