"""`kubectl wsedge drain`: let a relay, or all relays of a domain, close their connections over time."""

from __future__ import annotations

import sys

from wsedge_operator.cli.exit_codes import DONE, NOT_FOUND, USAGE
from wsedge_operator.cli.gateway import Gateway
from wsedge_operator.cli.objects import domain_of_relay, is_running, read_domain, read_pods
from wsedge_operator.cli.relays import AdminPorts, read_secrets
from wsedge_operator.cli.rendering import printable
from wsedge_operator.errors import NoRelayError, PluginError


def run(gateway: Gateway, name: str, *, seconds: float | None, all_relays: bool) -> tuple[str, int]:
    """Drain a domain's relays or one pod; return sentences and the exit code.

    Raises PluginError when no relay drains; failures of some relays are told on standard error.

    A drain of all relays refuses every new client, so it must be asked for by `all_relays`.
    """
    domain, pods = _targets(gateway, name)
    if len(pods) > 1 and not all_relays:
        raise PluginError(
            f"This would drain all {len(pods)} relays of {printable(domain)}, which then refuse new clients:"
            " name one pod, or add --all-relays.",
            USAGE,
        )
    gateway.domain = domain
    ports = AdminPorts(gateway, read_secrets(gateway, domain).token)
    draining, failures = _drained(ports, pods, seconds)
    if not draining:
        raise failures[0]
    for failure in failures:
        sys.stderr.write(f"kubectl-wsedge: {failure}\n")
    text = "".join(f"relay {printable(pod)} drains\n" for pod in draining) + (
        "Delete the pod when it is empty (kubectl wsedge status): a relay that gets no signal within a minute"
        " of its drain accepts clients again.\n"
    )
    return text, failures[0].code if failures else DONE


def _drained(
    ports: AdminPorts, pods: list[str], seconds: float | None
) -> tuple[list[str], list[PluginError]]:
    """Return the relays that drain, and why others do not: a pod may have ended since it was listed."""
    draining: list[str] = []
    failures: list[PluginError] = []
    for pod in pods:
        try:
            ports.drain(pod, seconds)
        except PluginError as error:
            failures.append(error)
        else:
            draining.append(pod)
    return draining, failures


def _targets(gateway: Gateway, name: str) -> tuple[str, list[str]]:
    """Return the domain and the relay pods that `name` stands for: a WebSocketDomain, or a pod."""
    try:
        live = read_domain(gateway, name)
    except PluginError as error:
        if error.code != NOT_FOUND:
            raise
        try:
            live, pod = domain_of_relay(gateway, name)
            return str(live["metadata"]["name"]), [str(pod["metadata"]["name"])]
        except NoRelayError:
            raise
        except PluginError as missing:
            if missing.code != NOT_FOUND:
                raise
            text = f"There is neither a WebSocketDomain nor a relay pod {printable(name)!r} in namespace"
            raise PluginError(f"{text} {printable(gateway.namespace)}.", NOT_FOUND) from None
    domain = str(live["metadata"]["name"])
    running = [str(pod["metadata"]["name"]) for pod in read_pods(gateway, live).relays if is_running(pod)]
    if not running:
        raise PluginError(f"The domain {printable(domain)} has no relays that run.", NOT_FOUND)
    return domain, running
