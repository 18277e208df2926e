"""What is wrong with a domain, and what to do: from its objects and its relays' answers. Pure.

The first finding is the answer to "what is wrong?": what stops clients is before what may stop them soon.
Where the operator has said the cause (a condition), its sentence is taken, with the remedy of docs/status.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Final

from wsedge_operator.api.websocket_domain import (
    ACCEPTED,
    CONFIGURATION_CURRENT,
    EXPOSED,
    READY,
    SCALING_ACTIVE,
    STALLED,
)
from wsedge_operator.cli.metrics import Metrics, by, risen, total
from wsedge_operator.cli.rendering import instant, origin_name, span
from wsedge_operator.reconcile.reasons import DOMAIN_CONDITIONS, Reason
from wsedge_relay.contract import RelayState

EXPIRES_SOON: Final = timedelta(days=14)
_UNREAD: Final = timedelta(
    seconds=30
)  # the operator reads a new object within a second, its standby within 20
_FAILING: Final = 0.5  # the part of handshakes in a window that fail
_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")


class Severity(IntEnum):
    """How urgent a finding is: a fault, something to do soon, or a state that somebody asked for."""

    WRONG = 0
    SOON = 1
    NOTE = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and what to do (empty: nothing)."""

    severity: Severity
    text: str
    remedy: str = ""

    def sentence(self) -> str:
        """Return both as one line."""
        text = self.text if self.text.endswith(".") else f"{self.text}."
        return text if not self.remedy else f"{text} To do: {self.remedy}."


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay's pod, and its answers: `silent` says why there are none."""

    pod: Mapping[str, Any]
    state: RelayState | None = None
    metrics: Metrics = field(default_factory=dict)
    later: Metrics = field(default_factory=dict)
    silent: str = ""

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.pod["metadata"]["name"])

    @property
    def ends(self) -> bool:
        """Whether the pod is being deleted."""
        return self.pod["metadata"].get("deletionTimestamp") is not None

    @property
    def ready(self) -> bool:
        """Whether the pod gets new clients."""
        conditions = (self.pod.get("status") or {}).get("conditions") or ()
        return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)

    @property
    def restarts(self) -> int:
        """The number of restarts of its container."""
        return sum(int(one.get("restartCount", 0)) for one in _containers(self.pod))

    @property
    def trouble(self) -> str:
        """Kubernetes' reason why it does not run, such as CrashLoopBackOff; empty when there is none."""
        for one in _containers(self.pod):
            waiting = (one.get("state") or {}).get("waiting") or {}
            if reason := str(waiting.get("reason") or ""):
                return "" if reason in ("ContainerCreating", "PodInitializing") else reason
        return ""


@dataclass(frozen=True, slots=True)
class Origin:
    """An origin as all relays see it: the number of relays that find it down, or dial it last.

    `name` is that of the metrics: its address and ports. `service` is empty where it is not known.
    """

    name: str
    relays: int
    down: int
    ejected: int
    connections: int
    service: str = ""

    @property
    def label(self) -> str:
        """The name for people."""
        where = origin_name(self.name)
        return f"Service {self.service} at {where}" if self.service else where


@dataclass(frozen=True, slots=True)
class Domain:
    """All that is known of a domain. `window` is the time between two scrapes; zero: there was one.

    `warning` is a sentence about pods that only look like its relays.
    """

    live: Mapping[str, Any]
    relays: tuple[Relay, ...] = ()
    window: timedelta = timedelta(0)
    certificate_end: datetime | None = None
    warning: str = ""

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.live["metadata"]["name"])

    @property
    def host(self) -> str:
        """The domain."""
        return str((self.live.get("spec") or {}).get("domain") or "")

    @property
    def enabled(self) -> bool:
        """Whether its switch is on."""
        return bool(((self.live.get("spec") or {}).get("websocket") or {}).get("enabled"))

    @property
    def checks_origins(self) -> bool:
        """Whether relays check the origins; otherwise a relay notices a dead one by a client alone."""
        return (self.live.get("spec") or {}).get("originHealthCheck") is not None

    @property
    def conditions(self) -> dict[str, Mapping[str, Any]]:
        """The conditions by type."""
        found = (self.live.get("status") or {}).get("conditions") or ()
        return {str(one.get("type")): one for one in found if isinstance(one, Mapping)}

    @property
    def answering(self) -> list[Relay]:
        """The relays that answered."""
        return [relay for relay in self.relays if relay.state is not None]

    @property
    def connections(self) -> int | None:
        """The open connections; None when no relay answered."""
        states = [relay.state.openConnections for relay in self.relays if relay.state is not None]
        return sum(states) if states else None

    def rate(self, name: str, **labels: str) -> float | None:
        """Return the growth of a counter per second over all relays; None when it was not measured."""
        seconds = self.window.total_seconds()
        if not seconds or not self.answering:
            return None
        return self.growth(name, **labels) / seconds

    def growth(self, name: str, **labels: str) -> float:
        """Return the growth of a counter in the window, over all relays."""
        return sum(risen(relay.metrics, relay.later, name, **labels) for relay in self.answering)


def origins_of(domain: Domain) -> list[Origin]:
    """Return the domain's origins, in the order of their names."""
    names: dict[str, Origin] = {}
    services = _services(domain)
    for relay in domain.answering:
        seen = relay.later or relay.metrics
        ejected = by(seen, "origin_ejected", "origin", domain=domain.host)
        open_to = by(seen, "origin_connections", "origin", domain=domain.host)
        for name, healthy in by(seen, "origin_healthy", "origin", domain=domain.host).items():
            before = names.get(name, Origin(name, 0, 0, 0, 0))
            names[name] = Origin(
                name,
                before.relays + 1,
                before.down + (healthy == 0),
                before.ejected + (ejected.get(name, 0) > 0),
                before.connections + int(open_to.get(name, 0)),
                services.get(name.rpartition(":")[2], ""),
            )
    return [names[name] for name in sorted(names)]


def _services(domain: Domain) -> dict[str, str]:
    """Return the names of Services by their ports as metrics have them; none for ports of several origins.

    Relays dial cluster IPs, of which the domain's object says nothing; the ports are in both.
    """
    found: dict[str, set[str]] = {}
    for origin in (domain.live.get("spec") or {}).get("origins") or ():
        service = origin.get("service") or {}
        http, https = (
            origin.get(key) or service.get("port") or usual
            for key, usual in (("httpPort", 80), ("httpsPort", 443))
        )
        found.setdefault(f"{http}/{https}", set()).add(str(service.get("name") or ""))
    return {ports: next(iter(names)) for ports, names in found.items() if len(names) == 1}


def diagnose(domain: Domain, now: datetime) -> list[Finding]:
    """Return the findings, the most urgent first; there is always one."""
    found = [
        *_unread(domain, now),
        *_told(domain),
        *_of_pods(domain),
        *_of_relays(domain),
        *_of_origins(domain),
        *_of_handshakes(domain),
        *_of_certificate(domain, now),
        *_of_silence(domain),
        *_of_unused_origins(domain),
    ]
    if all(finding.severity is Severity.NOTE for finding in found):
        found.append(Finding(Severity.NOTE, "Nothing is wrong."))
        found.sort(key=lambda finding: finding.text != "Nothing is wrong.")
    return sorted(found, key=lambda finding: finding.severity)


def remedy_of(reason: str) -> str:
    """Return what docs/status.md says to do about a reason, without its links."""
    for row in DOMAIN_CONDITIONS:
        if reason in row.reasons:
            return _LINK.sub(r"\1", row.remedy).replace("`", "")
    return ""


def _unread(domain: Domain, now: datetime) -> Iterator[Finding]:
    """Yield that the operator has not read the object, or its last edit."""
    metadata, status = domain.live["metadata"], domain.live.get("status") or {}
    if int(status.get("observedGeneration") or -1) >= int(metadata.get("generation") or 0):
        return
    what = "this object" if not domain.conditions else "the last edit of this object"
    created = instant(metadata.get("creationTimestamp"))
    if not domain.conditions and created is not None and now - created < _UNREAD:
        yield Finding(Severity.SOON, f"The operator has not read {what} yet.", "wait a few seconds")
        return
    yield Finding(
        Severity.WRONG,
        f"The operator has not read {what}.",
        "check that the operator runs and serves this namespace (kubectl get pods in its namespace)",
    )


def _told(domain: Domain) -> Iterator[Finding]:
    """Yield what the operator says: why the domain is not ready, and warnings of what is."""
    conditions = domain.conditions
    ready = conditions.get(READY, {})
    if ready and ready.get("status") != "True":
        yield _of_condition(Severity.SOON if _is_served_meanwhile(domain) else Severity.WRONG, ready)
    for kind in (EXPOSED, STALLED):
        condition = conditions.get(kind, {})
        fault = "True" if kind == STALLED else "False"
        if condition.get("status") == fault and condition.get("message") != ready.get("message"):
            yield _of_condition(Severity.WRONG, condition)
    for kind in (CONFIGURATION_CURRENT, SCALING_ACTIVE, ACCEPTED):
        condition = conditions.get(kind, {})
        if condition.get("reason") == Reason.NO_RELAYS:
            continue  # Ready says why there are none, and whether to wait for them
        if remedy_of(str(condition.get("reason"))) and condition.get("reason") != ready.get("reason"):
            yield _of_condition(Severity.SOON, condition)
    if ready.get("status") == "True" and ready.get("reason") != Reason.SERVING:
        yield Finding(Severity.NOTE, _sentence(ready), remedy_of(str(ready.get("reason"))))


def _is_served_meanwhile(domain: Domain) -> bool:
    """Return whether relays start or end beside others that get new clients, and that makes progress."""
    reason, stalled = domain.conditions.get(READY, {}).get("reason"), domain.conditions.get(STALLED, {})
    passing = (Reason.RELAYS_STARTING, Reason.RELAYS_UPDATING, Reason.RELAYS_DRAINING)
    is_passing = reason in passing and stalled.get("status") != "True"
    return is_passing and any(relay.ready and not relay.ends for relay in domain.relays)


def _of_pods(domain: Domain) -> Iterator[Finding]:
    for relay in domain.relays:
        if relay.trouble:
            yield Finding(
                Severity.WRONG,
                f"The relay {relay.name} does not run: {relay.trouble}, {relay.restarts} restarts.",
                f"kubectl describe pod {relay.name}, and kubectl logs --previous {relay.name}",
            )


def _of_relays(domain: Domain) -> Iterator[Finding]:
    for relay, state in ((relay, relay.state) for relay in domain.relays):
        if state is None:
            continue
        if state.refusedReason:
            yield Finding(
                Severity.WRONG,
                f"The relay {relay.name} refuses the configuration {state.refusedGeneration}:"
                f" {state.refusedReason}",
                "upgrade the relays, or revert the last edit; it runs its last good configuration",
            )
        if state.draining and not relay.ends:
            yield Finding(
                Severity.SOON,
                f"The relay {relay.name} drains and refuses new clients.",
                "wait until it accepts clients again, or delete the pod",
            )
        if total([relay.later or relay.metrics], "usage_rows_refused_total"):
            yield Finding(
                Severity.SOON,
                f"The statistics refused counts of the relay {relay.name}.",
                f"kubectl logs {relay.name}, event usage rows rejected",
            )


def _of_origins(domain: Domain) -> Iterator[Finding]:
    origins = origins_of(domain)
    bad = [origin for origin in origins if origin.down or origin.ejected]
    if not bad:
        return
    whole = [origin for origin in bad if max(origin.down, origin.ejected) == origin.relays]
    look = "check that it runs and that relays reach its address; kubectl wsedge logs has the reason"
    if len(whole) == len(origins):
        named = ", ".join(origin.label for origin in whole)
        which = "The only origin" if len(origins) == 1 else f"All {len(origins)} origins"
        verb = "does" if len(origins) == 1 else "do"
        yield Finding(Severity.WRONG, f"{which} ({named}) {verb} not answer: new clients get an error.", look)
        return
    for origin in bad:
        seen = f"{max(origin.down, origin.ejected)} of {origin.relays} relays"
        yield Finding(Severity.SOON, f"The origin {origin.label} does not answer to {seen}.", look)


def _of_unused_origins(domain: Domain) -> Iterator[Finding]:
    """Yield the origins of which no relay knows whether they answer.

    Without health checks a relay dials for clients alone, and an ejection ends by time: without clients a
    dead origin has the metrics of a living one.
    """
    if domain.checks_origins:
        return
    unused = [one.label for one in origins_of(domain) if not (one.connections or one.down or one.ejected)]
    if unused:
        which = f"the origin {unused[0]} answers" if len(unused) == 1 else f"{', '.join(unused)} answer"
        yield Finding(
            Severity.NOTE,
            f"Whether {which} is not known: there is no health check, and no client is connected to it.",
            "set spec.originHealthCheck; kubectl wsedge logs has earlier failures",
        )


def _of_handshakes(domain: Domain) -> Iterator[Finding]:
    """Yield that most handshakes of the window failed, by a status that is not the client's fault."""
    answered = failed = 0.0
    for relay in domain.answering:
        for code in by(relay.later, "handshakes_total", "code", domain=domain.host):
            grown = risen(relay.metrics, relay.later, "handshakes_total", code=code, domain=domain.host)
            answered += grown
            failed += grown if code.startswith("5") else 0.0
    if domain.window and answered and failed / answered >= _FAILING:
        yield Finding(
            Severity.WRONG,
            f"{failed:.0f} of {answered:.0f} handshakes failed within {span(domain.window)}.",
            "kubectl wsedge logs has the reason of each; see handshake_refusals in the relays' metrics",
        )


def _of_certificate(domain: Domain, now: datetime) -> Iterator[Finding]:
    end = domain.certificate_end
    if end is None or end - now > EXPIRES_SOON:
        return
    if end <= now:
        text = f"The certificate expired {span(now - end)} ago: clients refuse it."
        yield Finding(Severity.WRONG, text, "renew the certificate in the Secret of spec.tls")
    else:
        text = f"The certificate expires in {span(end - now)}."
        yield Finding(Severity.SOON, text, "renew the certificate in the Secret of spec.tls")


def _of_silence(domain: Domain) -> Iterator[Finding]:
    """Yield why relays gave no numbers. That is a fault only where the cause is theirs."""
    by_cause: dict[str, list[str]] = {}
    for relay in domain.relays:
        if relay.silent and not relay.trouble and not relay.ends:
            by_cause.setdefault(relay.silent, []).append(relay.name)
    for cause, names in by_cause.items():
        yield Finding(Severity.NOTE, f"No numbers of {', '.join(names)}: {cause}")
    if domain.warning:
        yield Finding(Severity.NOTE, domain.warning)


def _of_condition(severity: Severity, condition: Mapping[str, Any]) -> Finding:
    return Finding(severity, _sentence(condition), remedy_of(str(condition.get("reason"))))


def _sentence(condition: Mapping[str, Any]) -> str:
    message = str(condition.get("message") or "").strip()
    text = f"{condition.get('reason')}: {message}" if message else str(condition.get("reason"))
    return text if text.endswith(".") else f"{text}."


def _containers(pod: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
