"""The number of relays by their open connections (`relay.autoscaling`). Pure.

The algorithm is that of the HorizontalPodAutoscaler (Kubernetes docs, "Algorithm details" and "Configurable
scaling behavior"), with two differences that follow from what is measured. Open connections are a stock, not
a rate: another relay takes none of them, and those of a relay that ends come back. So the number is that of
all connections, of relays that end too, divided by connectionsPerReplica, and not a mean times a ratio. And a
connection is something to lose, so relays are removed only by knowledge:

    a relay that runs does not answer             no scale-in; its share counts as 0 for a scale-out
    a relay has never run yet                     it has no connections
    a relay ran, and does not run now             as one that does not answer: its clients come back
    a schedule cannot be read                     no scale-in: it may ask for more relays
    the load was not observed for a whole window  no scale-in (the operator started, or stood still)

One evaluation: needed number ▷ tolerance ▷ stabilization windows ▷ policies ▷ minimum and maximum.
A number outside of minimum and maximum is first corrected, at once and whatever the behavior says (as by the
HPA); the load counts from the next evaluation on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from wsedge_operator.api.spec.size import Autoscaling, PolicyType, ScalingPolicy, ScalingRules, SelectPolicy
from wsedge_operator.api.websocket_domain import SCALING_ACTIVE
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.domain.memory import ScalingMemory
from wsedge_operator.reconcile.domain.schedules import Minimum, minimum_at
from wsedge_operator.reconcile.outcome import Manifest
from wsedge_operator.reconcile.reasons import Reason

TOLERANCE_PERCENT: Final = 10
_UP_WINDOW: Final = 0
_DOWN_WINDOW: Final = 300
_PERCENT: Final = ScalingPolicy(type=PolicyType.PERCENT, value=100, periodSeconds=15)
_UP_POLICIES: Final = (ScalingPolicy(type=PolicyType.PODS, value=4, periodSeconds=15), _PERCENT)
_DOWN_POLICIES: Final = (_PERCENT,)
# The longest stabilization window and the longest period of a policy.
_LONGEST: Final = timedelta(seconds=3600)
# Without an evaluation for so long the load was not observed. A failing write is retried within a minute.
_GAP: Final = timedelta(seconds=150)


@dataclass(frozen=True, slots=True)
class RelayLoad:
    """The open connections of relays, all asked at `at`; asked again at `again`.

    `counts` has a relay's connections by pod uid; None: it has some, perhaps, and did not tell. `silent` is
    the number of relays among the latter that neither start nor end.
    """

    at: datetime
    again: datetime
    counts: Mapping[str, int | None]
    silent: int = 0

    @property
    def total(self) -> int:
        """All known connections."""
        return sum(count for count in self.counts.values() if count is not None)

    @property
    def is_complete(self) -> bool:
        """Whether there are relays and the connections of each are known."""
        return bool(self.counts) and None not in self.counts.values()


def load_of(
    live_pods: Iterable[Manifest], answers: Mapping[str, int | None], at: datetime, again: datetime
) -> RelayLoad:
    """Return the load of the pods; `answers` has what the relays that were asked told, by pod uid."""
    counts: dict[str, int | None] = {}
    silent = 0
    for pod in live_pods:
        uid = pod["metadata"]["uid"]
        if pods.is_running(pod):
            counts[uid] = answers.get(uid)
            silent += counts[uid] is None and pods.is_live(pod) and pods.has_started(pod)
        elif pods.is_live(pod):
            counts[uid] = None if pods.restarts(pod) else 0
    return RelayLoad(at, again, counts, silent)


@dataclass(frozen=True, slots=True)
class Scaled:
    """The number of relays, the memory for the next evaluation, and the reason of a change, if any."""

    replicas: int
    memory: ScalingMemory
    change: str | None = None

    def answer(self, rules: Autoscaling) -> ConditionAnswer:
        """Return the condition ScalingActive: of the last evaluation, or that there was none yet."""
        return self.memory.answer or _following(rules)


def autoscale(
    rules: Autoscaling,
    current: int | None,
    load: RelayLoad | None,
    memory: ScalingMemory | None,
    now: datetime,
) -> Scaled:
    """Return the number of relays at `now`; `current` is that of the live Deployment, None if there is none.

    The number changes only with a load that was not evaluated before, so that the relay with the fewest
    connections is known when one is removed.
    """
    memory = _continued(memory, now)
    if not current:
        return Scaled(minimum_at(rules, now).replicas, memory)
    if load is None or load.at == memory.evaluated:
        return Scaled(current, memory)
    minimum = minimum_at(rules, now)
    needed = _needed(rules, current, load)
    recommended = needed if load.is_complete else max(needed, current)
    memory = _with_recommendation(memory, recommended, now)
    wanted = current
    if minimum.replicas <= current <= rules.maxReplicas:
        wanted = _stabilized(rules, memory, current, recommended, now)
        if wanted < current and (minimum.faults or not _has_seen_enough(rules, memory, now)):
            wanted = current
        wanted = _limited(rules, memory, current, wanted, now)
    bounded = min(max(wanted, minimum.replicas), rules.maxReplicas)
    change = None
    if bounded != current:
        change = _change(rules, minimum, current, bounded, wanted, load)
        memory = replace(memory, changes=(*memory.changes, (now, bounded - current)))
    answer = _answer(rules, minimum, load, needed)
    return Scaled(bounded, replace(memory, evaluated=load.at, answer=answer), change)


def _continued(memory: ScalingMemory | None, now: datetime) -> ScalingMemory:
    """Return the memory without what is too old, or a new one after a gap or a step of the clock back."""
    if memory is None:
        return ScalingMemory(now)
    seen = memory.evaluated or memory.since
    since = memory.since
    if not seen <= now <= seen + _GAP:
        since = now
    begin = now - _LONGEST
    return replace(
        memory,
        since=since,
        recommendations=tuple(entry for entry in memory.recommendations if begin < entry[0] <= now),
        changes=tuple(entry for entry in memory.changes if begin < entry[0] <= now),
    )


def _needed(rules: Autoscaling, current: int, load: RelayLoad) -> int:
    """Return the number that the known connections need; `current` when it is within the tolerance."""
    expected = current * rules.connectionsPerReplica
    if abs(load.total - expected) * 100 <= expected * TOLERANCE_PERCENT:
        return current
    return max(1, ceil(load.total / rules.connectionsPerReplica))


def _with_recommendation(memory: ScalingMemory, recommended: int, now: datetime) -> ScalingMemory:
    before = memory.recommendations
    if before and before[-1][1] == recommended:
        before = before[:-1]
    return replace(memory, recommendations=(*before, (now, recommended)))


def _stabilized(
    rules: Autoscaling, memory: ScalingMemory, current: int, recommended: int, now: datetime
) -> int:
    """Return `current`, raised to the least and lowered to the largest recommendation of the windows."""

    def within(window: timedelta) -> list[int]:
        return [recommended, *(number for at, number in memory.recommendations if at > now - window)]

    up, down = min(within(_up_window(rules))), max(within(_down_window(rules)))
    return min(max(current, up), down)


def _has_seen_enough(rules: Autoscaling, memory: ScalingMemory, now: datetime) -> bool:
    """Return whether the load was observed for the window and for the periods of a scale-in."""
    periods = [policy.periodSeconds for policy in _policies(_down(rules), _DOWN_POLICIES)]
    return now - memory.since >= max(_down_window(rules), timedelta(seconds=max(periods)))


def _limited(rules: Autoscaling, memory: ScalingMemory, current: int, wanted: int, now: datetime) -> int:
    """Return `wanted`, or what the policies allow of the way there."""
    if wanted > current:
        return max(current, min(wanted, _up_limit(rules, memory, current, now)))
    if wanted < current:
        return min(current, max(wanted, _down_limit(rules, memory, current, now)))
    return current


def _up_limit(rules: Autoscaling, memory: ScalingMemory, current: int, now: datetime) -> int:
    behavior = _up(rules)
    if behavior.selectPolicy is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in _policies(behavior, _UP_POLICIES):
        start = current - _changed(memory, policy, now)
        added = policy.value if policy.type is PolicyType.PODS else ceil(start * policy.value / 100)
        limits.append(start + added)
    return min(limits) if behavior.selectPolicy is SelectPolicy.MIN else max(limits)


def _down_limit(rules: Autoscaling, memory: ScalingMemory, current: int, now: datetime) -> int:
    behavior = _down(rules)
    if behavior.selectPolicy is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in _policies(behavior, _DOWN_POLICIES):
        start = current - _changed(memory, policy, now)
        if policy.type is PolicyType.PODS:
            limits.append(start - policy.value)
        else:
            limits.append(start * (100 - policy.value) // 100)
    return max(limits) if behavior.selectPolicy is SelectPolicy.MIN else min(limits)


def _changed(memory: ScalingMemory, policy: ScalingPolicy, now: datetime) -> int:
    """Return the change of the number within the period of a policy."""
    begin = now - timedelta(seconds=policy.periodSeconds)
    return sum(change for at, change in memory.changes if at > begin)


def _up(rules: Autoscaling) -> ScalingRules:
    return (rules.behavior and rules.behavior.scaleUp) or ScalingRules()


def _down(rules: Autoscaling) -> ScalingRules:
    return (rules.behavior and rules.behavior.scaleDown) or ScalingRules()


def _up_window(rules: Autoscaling) -> timedelta:
    seconds = _up(rules).stabilizationWindowSeconds
    return timedelta(seconds=_UP_WINDOW if seconds is None else seconds)


def _down_window(rules: Autoscaling) -> timedelta:
    seconds = _down(rules).stabilizationWindowSeconds
    return timedelta(seconds=_DOWN_WINDOW if seconds is None else seconds)


def _policies(behavior: ScalingRules, usual: tuple[ScalingPolicy, ...]) -> tuple[ScalingPolicy, ...]:
    return behavior.policies if behavior.policies is not None else usual


def _change(
    rules: Autoscaling, minimum: Minimum, current: int, bounded: int, wanted: int, load: RelayLoad
) -> str:
    text = (
        f"{bounded} {'relay' if bounded == 1 else 'relays'} instead of {current}: {load.total:,} connections,"
        f" {rules.connectionsPerReplica:,} per relay"
    )
    if bounded > wanted:
        return f"{text}; at least {minimum.replicas} ({minimum.source})"
    if bounded < wanted:
        return f"{text}; at most {rules.maxReplicas} (maxReplicas)"
    return text


def _answer(rules: Autoscaling, minimum: Minimum, load: RelayLoad, needed: int) -> ConditionAnswer:
    if minimum.faults:
        message = f"{'; '.join(minimum.faults)}: this schedule has no effect, and no relay is removed"
        return ConditionAnswer(SCALING_ACTIVE, False, Reason.INVALID_SCHEDULE, message)
    if load.silent:
        message = (
            f"{load.silent} {'relay does' if load.silent == 1 else 'relays do'} not answer with the number of"
            " connections, so no relay is removed"
        )
        return ConditionAnswer(SCALING_ACTIVE, False, Reason.RELAYS_SILENT, message)
    if needed > rules.maxReplicas:
        message = (
            f"the connections need more relays than maxReplicas ({rules.maxReplicas}), so each carries more"
            " than"
            f" {rules.connectionsPerReplica:,}"
        )
        return ConditionAnswer(SCALING_ACTIVE, True, Reason.AT_MAXIMUM, message)
    return _following(rules)


def _following(rules: Autoscaling) -> ConditionAnswer:
    message = (
        f"the number of relays follows their open connections, {rules.connectionsPerReplica:,} per relay, up"
        f" to {rules.maxReplicas} relays"
    )
    return ConditionAnswer(SCALING_ACTIVE, True, Reason.SCALING, message)
