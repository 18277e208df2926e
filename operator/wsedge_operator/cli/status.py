"""`kubectl wsedge status`: domains, their relays and origins, and above all what is wrong."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from wsedge_operator.api.websocket_domain import READY
from wsedge_operator.cli.concurrency import Progress
from wsedge_operator.cli.diagnosis import Domain, Finding, Origin, Severity, diagnose, origins_of
from wsedge_operator.cli.exit_codes import DONE, WRONG
from wsedge_operator.cli.gateway import Gateway
from wsedge_operator.cli.objects import read_domain, read_domains
from wsedge_operator.cli.observation import observe
from wsedge_operator.cli.rendering import TABLE, amount, document, instant, printable, span, table


def run(
    gateway: Gateway,
    name: str | None,
    form: str,
    *,
    window: float,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[str, int]:
    """Return the output and the exit code; raises PluginError. `window`: the time of rates."""
    lives = read_domains(gateway) if name is None else [read_domain(gateway, name)]
    window = 0.0 if name is None else window
    seen = observe(gateway, lives, Progress(sys.stderr), window=window, sleep=sleep)
    domains = [one.domain for one in seen]
    findings = [diagnose(domain, now()) for domain in domains]
    wrong = any(found[0].severity is Severity.WRONG for found in findings)
    code = WRONG if wrong else DONE
    both = list(zip(domains, findings, strict=True))
    if form != TABLE:
        documents = [as_document(domain, found) for domain, found in both]
        return document(documents[0] if name is not None else documents, form), code
    if name is not None:
        return "".join(f"{line}\n" for line in lines(*both[0], now())), code
    if not domains:
        where = f"namespace {printable(gateway.namespace)}" if gateway.namespace else "any namespace"
        return f"There are no domains in {where}.\n", DONE
    return overview(both, with_namespace=not gateway.namespace), code


def overview(both: list[tuple[Domain, list[Finding]]], *, with_namespace: bool = False) -> str:
    """Return a line for each domain."""
    first = ("NAMESPACE",) if with_namespace else ()
    header = (*first, "NAME", "DOMAIN", "READY", "RELAYS", "CONNECTIONS", "WHAT IS WRONG")
    return table(
        header,
        (
            (
                *([domain.live["metadata"]["namespace"]] if with_namespace else []),
                domain.name,
                domain.host,
                _ready(domain),
                f"{sum(relay.ready for relay in domain.relays)}/{len(domain.relays)}",
                "" if domain.connections is None else domain.connections,
                found[0].sentence() if found[0].severity is not Severity.NOTE else "",
            )
            for domain, found in both
        ),
    )


def lines(domain: Domain, found: list[Finding], now: datetime) -> Iterator[str]:
    """Yield the lines about one domain."""
    yield f"{printable(domain.host)}  (WebSocketDomain {printable(domain.name)}, ready: {_ready(domain)})"
    for finding in found:
        label = {Severity.WRONG: "WRONG", Severity.SOON: "SOON", Severity.NOTE: "NOTE"}[finding.severity]
        yield f"  {label:5}  {printable(finding.text, 2000)}"
        if finding.remedy:
            yield f"         To do: {printable(finding.remedy, 1000)}."
    yield ""
    for text in _entrance(domain):
        yield f"Entrance     {printable(text)}"
    if domain.certificate_end is not None:
        left = domain.certificate_end - now
        ends = f"in {span(left)}" if left > timedelta(0) else f"{span(-left)} ago"
        yield f"Certificate  ends {domain.certificate_end:%Y-%m-%d %H:%M} UTC, {ends}"
    yield from _numbers(domain)
    yield from _relays(domain, now)
    if origins := origins_of(domain):
        yield ""
        rows = ((one.label, _health(one, checked=domain.checks_origins), one.connections) for one in origins)
        yield from table(("ORIGIN", "HEALTH", "CONNECTIONS"), rows).splitlines()


def _relays(domain: Domain, now: datetime) -> Iterator[str]:
    if not domain.relays:
        return
    yield ""
    header = ("RELAY", "READY", "CONNECTIONS", "RESTARTS", "AGE", "CONFIGURATION")
    rows = (
        (
            relay.name,
            "ends" if relay.ends else "yes" if relay.ready else "no",
            relay.state.openConnections if relay.state else "",
            relay.restarts,
            _age(relay.pod, now),
            relay.state.generation if relay.state else "",
        )
        for relay in domain.relays
    )
    yield from table(header, rows).splitlines()


def as_document(domain: Domain, found: list[Finding]) -> dict[str, Any]:
    """Return the same for programs."""
    status = domain.live.get("status") or {}
    return {
        "name": domain.name,
        "namespace": domain.live["metadata"].get("namespace"),
        "domain": domain.host,
        "enabled": domain.enabled,
        "ready": _ready(domain),
        "findings": [
            {"severity": one.severity.name.capitalize(), "text": one.text, "remedy": one.remedy}
            for one in found
        ],
        "address": status.get("address"),
        "addresses": status.get("addresses") or [],
        "certificateEnd": domain.certificate_end.isoformat() if domain.certificate_end else None,
        "connections": domain.connections,
        "rates": {name: domain.rate(f"{name}_total", domain=domain.host) for name in _RATES},
        "relays": [
            {
                "name": relay.name,
                "ready": relay.ready,
                "restarts": relay.restarts,
                "state": relay.state.model_dump(mode="json") if relay.state else None,
                "silent": relay.silent or None,
            }
            for relay in domain.relays
        ],
        "origins": [
            {
                "name": one.name,
                "service": one.service or None,
                "relays": one.relays,
                "down": one.down,
                "ejected": one.ejected,
                "checked": domain.checks_origins,
                "connections": one.connections,
            }
            for one in origins_of(domain)
        ],
    }


_RATES = ("sent_bytes", "received_bytes", "sent_messages", "received_messages", "opened_connections")


def _ready(domain: Domain) -> str:
    ready = domain.conditions.get(READY, {})
    return printable(f"{ready.get('status')} ({ready.get('reason')})") if ready else "Unknown"


def _entrance(domain: Domain) -> Iterator[str]:
    status = domain.live.get("status") or {}
    for entry in status.get("addresses") or ():
        yield f"{entry.get('value')} ({entry.get('via') or entry.get('type')})"
    address = status.get("address")
    if address:
        named = (("ws", "httpPort"), ("wss", "httpsPort"))
        ports = [f"{name} {address[key]}" for name, key in named if address.get(key)]
        where = address.get("clusterIP") or "no address"
        yield f"Service {address.get('service')}, {where}: {', '.join(ports)}"
    else:
        yield "none: there are no relays"


def _numbers(domain: Domain) -> Iterator[str]:
    if domain.connections is None:
        return
    text = f"{domain.connections} open"
    sent, received = (domain.rate(f"{name}_total", domain=domain.host) for name in _RATES[:2])
    messages = [domain.rate(f"{name}_total", domain=domain.host) or 0.0 for name in _RATES[2:4]]
    if sent is not None and received is not None:
        text += f"; to clients {amount(sent, '/s')} in {messages[0]:.1f} messages/s"
        text += f", from clients {amount(received, '/s')} in {messages[1]:.1f} messages/s"
    yield f"Connections  {text}"


def _health(origin: Origin, *, checked: bool) -> str:
    if origin.down:
        return f"down, as {origin.down} of {origin.relays} relays see it"
    if origin.ejected:
        return f"failed, as {origin.ejected} of {origin.relays} relays saw it"
    return "healthy" if checked else "not checked"


def _age(pod: Mapping[str, Any], now: datetime) -> str:
    created = instant(pod["metadata"].get("creationTimestamp"))
    return span(now - created) if created is not None else ""
