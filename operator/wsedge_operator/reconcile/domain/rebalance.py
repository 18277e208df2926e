"""After a scale-out, which relays close how many connections (`relay.rebalance`). Pure.

New relays get new connections only, so without this the old ones stay the busiest while their clients stay.
Relays with more than the mean close what they have more, and their clients come back to any relay.

         ┌──────────── fewer relays ───────────────────────────────────┐
         ▼                                                             │
    idle ──more relays──▶ awaiting ──all relays ready──▶ measuring ──order──▶ ordered
     ▲                       ▲                             │  ▲               │
     │                       └───────── more relays ───────┤  └── carried out, and an interval later
     └── the busiest is within maxImbalancePercent ────────┤
     └── MOST_ORDERS were sent, or two did not help ───────┤
     └── a relay of an older release knows no orders ──────┘

Where clients come back at random, an order closes too few: some come back to where they were. So the next one
is measured anew; each closes only what is above the mean, and a relay closes no client twice for one order.
Clients that come back to the same relay (a proxy that binds them) are noticed by the second order that does
not help. The operator keeps this in memory: after its restart nothing is closed for a scale-out before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from wsedge_operator.api.meta import instant_text
from wsedge_operator.api.spec.size import Rebalance
from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.domain.autoscaling import RelayLoad
from wsedge_operator.reconcile.domain.memory import Phase, RebalanceMemory, Shed, ShedFailure
from wsedge_operator.reconcile.outcome import EventNote, Manifest
from wsedge_operator.reconcile.reasons import Reason

MOST_ORDERS: Final = 10
_MOST_WITHOUT_PROGRESS: Final = 2
# An order helped when the busiest relay has at least this much less above the mean.
_PROGRESS: Final = 0.1
_DEFAULT_IMBALANCE: Final = 20


@dataclass(frozen=True, slots=True)
class Rebalanced:
    """The memory for the next decision, the orders to send, the Events, and when to decide again."""

    memory: RebalanceMemory
    sheds: tuple[Shed, ...] = ()
    notes: tuple[EventNote, ...] = ()
    again: datetime | None = None


def rebalance(
    rules: Rebalance,
    owner: Manifest,
    live_pods: Sequence[Manifest],
    replicas: int,
    load: RelayLoad | None,
    memory: RebalanceMemory | None,
    failures: Mapping[str, ShedFailure],
    now: datetime,
) -> Rebalanced:
    """Return the next step; `replicas` is the number of the live Deployment, `failures` are by pod uid."""
    ready = [pod for pod in live_pods if pods.is_live(pod) and pods.is_ready(pod)]
    if memory is None or replicas < memory.replicas:
        return Rebalanced(RebalanceMemory(replicas))
    if replicas > memory.replicas:
        memory = RebalanceMemory(replicas, Phase.AWAITING)
    if memory.phase is Phase.AWAITING and len(ready) >= replicas:
        memory = replace(memory, phase=Phase.MEASURING, not_before=now)
        return Rebalanced(memory, again=now)
    if memory.phase is not Phase.MEASURING:
        return Rebalanced(memory)
    if ShedFailure.UNKNOWN in failures.values():
        names = sorted(_name(pod) for pod in live_pods if failures.get(_uid(pod)) is ShedFailure.UNKNOWN)
        text = (
            f"Relay {names[0] if names else 'pod'}: {ShedFailure.UNKNOWN.value}, so nothing more is closed."
        )
        return _ended(memory, _note(owner, "Warning", Reason.REBALANCE_ENDED, text, now))
    if load is None:
        return Rebalanced(memory, again=now)
    early = memory.not_before is not None and load.at < memory.not_before
    if early or not load.is_complete:
        return Rebalanced(memory, again=max(load.again, memory.not_before or now))
    return _measured(rules, owner, ready, load, memory, now)


def _measured(
    rules: Rebalance,
    owner: Manifest,
    ready: Sequence[Manifest],
    load: RelayLoad,
    memory: RebalanceMemory,
    now: datetime,
) -> Rebalanced:
    counts = {_uid(pod): load.counts.get(_uid(pod)) or 0 for pod in ready}
    if not counts:
        return Rebalanced(memory, again=load.again)
    mean, busiest = sum(counts.values()) / len(counts), max(counts.values())
    allowed = rules.maxImbalancePercent or _DEFAULT_IMBALANCE
    figures = f"the busiest of {len(counts)} relays carries {busiest:,} connections, the mean is {mean:,.0f}"
    if busiest - mean < 1 or busiest <= mean * (1 + allowed / 100):
        if not memory.orders:
            return _ended(memory)
        text = f"{figures[:1].upper()}{figures[1:]}."
        return _ended(memory, _note(owner, "Normal", Reason.REBALANCED, text, now))
    excess = busiest / mean - 1
    helped = memory.excess is None or excess <= memory.excess * (1 - _PROGRESS)
    in_vain = 0 if helped else memory.in_vain + 1
    if memory.orders >= MOST_ORDERS or in_vain >= _MOST_WITHOUT_PROGRESS:
        text = (
            f"After {memory.orders} orders to close connections {figures}: clients do not come back evenly."
        )
        return _ended(memory, _note(owner, "Warning", Reason.REBALANCE_ENDED, text, now))
    sheds = _sheds(rules, owner, ready, counts, mean, now)
    closed = sum(shed.connections for shed in sheds)
    rate = rules.connectionsPerSecond
    notes: tuple[EventNote, ...] = ()
    if not memory.orders:
        text = f"After a scale-out {figures}: {closed:,} connections are closed, {rate:,} per second."
        notes = (_note(owner, "Normal", Reason.REBALANCING, text, now),)
    until = now + timedelta(seconds=closed / rate) + (load.again - load.at)
    memory = replace(memory, orders=memory.orders + 1, excess=excess, in_vain=in_vain, not_before=until)
    return Rebalanced(memory, sheds, notes, until)


def _sheds(
    rules: Rebalance,
    owner: Manifest,
    ready: Sequence[Manifest],
    counts: Mapping[str, int],
    mean: float,
    now: datetime,
) -> tuple[Shed, ...]:
    """Return an order for each relay with more than the mean; together they keep the rate."""
    more = {uid: int(count - mean) for uid, count in counts.items() if count - mean >= 1}
    total = sum(more.values())
    name = f"{owner['metadata']['uid'][:36]}.{int(now.timestamp() * 1000)}"
    return tuple(
        Shed(pod, name, more[_uid(pod)], rules.connectionsPerSecond * more[_uid(pod)] / total)
        for pod in ready
        if _uid(pod) in more
    )


def _ended(memory: RebalanceMemory, *notes: EventNote) -> Rebalanced:
    return Rebalanced(RebalanceMemory(memory.replicas), notes=notes)


def _note(owner: Manifest, kind: str, reason: Reason, text: str, now: datetime) -> EventNote:
    return EventNote(
        owner, "Warning" if kind == "Warning" else "Normal", reason, text, f"{reason} {instant_text(now)}"
    )


def _uid(pod: Manifest) -> str:
    return str(pod["metadata"]["uid"])


def _name(pod: Manifest) -> str:
    return str(pod["metadata"]["name"])
