"""All that is known of domains, by few lists and by many questions at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from wsedge_operator.cli.concurrency import Progress, each
from wsedge_operator.cli.diagnosis import Domain, Relay
from wsedge_operator.cli.exit_codes import FORBIDDEN, NOT_FOUND
from wsedge_operator.cli.gateway import Gateway
from wsedge_operator.cli.objects import Pods, key_of, owners_if_allowed, pods_of, read_labelled
from wsedge_operator.cli.relays import AdminPorts, Secrets, read_secrets
from wsedge_operator.errors import PluginError

_NO_SECRETS: Final = Secrets({})


@dataclass(frozen=True, slots=True)
class _Found:
    """A domain, and what its relays are asked with."""

    live: Mapping[str, Any]
    pods: Pods
    secrets: Secrets
    ports: AdminPorts


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of a domain, and the way to its relays for further questions."""

    domain: Domain
    ports: AdminPorts


def observe(
    gateway: Gateway,
    lives: Sequence[Mapping[str, Any]],
    progress: Progress,
    *,
    window: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Observed]:
    """Return what is known of some domains of the gateway's namespace, or of the cluster; raises PluginError.

    The calls are three lists, however many domains there are, then one for each domain with relays, and two
    for each relay (three with a `window`, the time over which rates are taken).
    """
    only = str(lives[0]["metadata"]["name"]) if len(lives) == 1 and gateway.namespace else None
    labelled = read_labelled(gateway, only) if lives else {}
    owners = owners_if_allowed(gateway, only) if labelled else None

    def find(live: Mapping[str, Any]) -> _Found:
        seen, there = labelled.get(key_of(live), []), gateway.within(key_of(live)[0])
        # Without the right to read who owns a pod, all are asked, and none gets the token.
        pods = Pods(tuple(seen)) if owners is None else pods_of(live, seen, owners)
        secrets = _secrets(there, live) if pods.relays else _NO_SECRETS
        return _Found(live, pods, secrets, AdminPorts(there, secrets.token if owners is not None else ""))

    found = each(find, lives, progress, "domains are looked up")
    questions = [partial(one.ports.relay, pod) for one in found for pod in one.pods.relays]
    relays = each(_ask, questions, progress, "relays have answered")
    span = timedelta(0)
    if window and any(relay.state is not None for relay in relays):
        began = time.monotonic()
        sleep(window)
        ports = [one.ports for one in found for _ in one.pods.relays]
        questions = [partial(port.scraped, relay) for port, relay in zip(ports, relays, strict=True)]
        relays = each(_ask, questions, progress, "relays have answered again")
        span = timedelta(seconds=time.monotonic() - began)
    remaining = iter(relays)
    return [
        Observed(
            Domain(
                one.live,
                (
                    *(next(remaining) for _ in one.pods.relays),
                    *(Relay(pod, silent="it ends.") for pod in one.pods.ending),
                ),
                span,
                one.secrets.certificate_end,
                one.pods.warning(),
            ),
            one.ports,
        )
        for one in found
    ]


def _ask(question: Callable[[], Relay]) -> Relay:
    return question()


def _secrets(gateway: Gateway, live: Mapping[str, Any]) -> Secrets:
    """Return the Secret of the relays; none where the user may not read it, or it does not exist yet."""
    try:
        return read_secrets(gateway, str(live["metadata"]["name"]))
    except PluginError as error:
        if error.code in (FORBIDDEN, NOT_FOUND):
            return _NO_SECRETS
        raise
