"""The number of relays by their open connections, against a slow model of the HorizontalPodAutoscaler."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.operator.snapshots import pod, waiting
from wsedge_operator.api.spec.size import Autoscaling
from wsedge_operator.reconcile.domain.autoscaling import RelayLoad, Scaled, autoscale, load_of
from wsedge_operator.reconcile.domain.memory import ScalingMemory

BEGIN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PERIOD = timedelta(seconds=15)
AT_ONCE = {"scaleDown": {"stabilizationWindowSeconds": 0}}


def rules(**parts: Any) -> Autoscaling:
    return Autoscaling.model_validate({"maxReplicas": 10, "connectionsPerReplica": 100, **parts})


def load(at: datetime, *counts: int | None, silent: int = 0) -> RelayLoad:
    return RelayLoad(at, at + PERIOD, {f"uid-{index}": count for index, count in enumerate(counts)}, silent)


def run(
    rules: Autoscaling,
    loads: Sequence[tuple[float, Sequence[int | None]]],
    *,
    current: int,
    memory: ScalingMemory | None = None,
) -> list[Scaled]:
    """Evaluate loads, each so many seconds after BEGIN; each number is the next one's current."""
    made = []
    for seconds, counts in loads:
        now = BEGIN + timedelta(seconds=seconds)
        scaled = autoscale(rules, current, load(now, *counts), memory, now)
        made.append(scaled)
        current, memory = scaled.replicas, scaled.memory
    return made


def seen(seconds: float = 1800) -> ScalingMemory:
    """Return the memory of a load that was observed for so long, without a recommendation."""
    return ScalingMemory(BEGIN - timedelta(seconds=seconds), BEGIN - PERIOD)


# Each: fields, the current number, the connections of each relay, the number that follows; windows are over.
NUMBERS: dict[str, tuple[dict[str, Any], int, Sequence[int | None], int]] = {
    "as many as the connections need": ({}, 2, (260, 240), 5),
    "a part of a relay is a relay": ({}, 2, (260, 241), 6),
    "ten percent more change nothing": ({}, 2, (110, 110), 2),
    "ten percent less change nothing": ({}, 5, (90,) * 5, 5),
    "more than ten percent less": ({"behavior": AT_ONCE}, 5, (89,) * 5, 5),
    "one relay less": ({"behavior": AT_ONCE}, 5, (80,) * 5, 4),
    "no connection leaves the minimum": ({"behavior": AT_ONCE}, 5, (0,) * 5, 2),
    "the maximum": (
        {"behavior": {"scaleUp": {"policies": [{"type": "Percent", "value": 900, "periodSeconds": 15}]}}},
        2,
        (4000, 1),
        10,
    ),
    "a relay that does not answer prevents a scale-in": ({"behavior": AT_ONCE}, 5, (10, 10, 10, 10, None), 5),
    "a relay that does not answer prevents no scale-out": ({}, 2, (400, None), 4),
    "no relay at all": ({"behavior": AT_ONCE}, 5, (), 5),
    "four in fifteen seconds by default": ({}, 2, (500, 500), 6),
    "twice as many by default": ({}, 5, (300,) * 5, 10),
    "the smaller policy": ({"behavior": {"scaleUp": {"selectPolicy": "Min"}}}, 2, (500, 500), 4),
    "no scale-out at all": ({"behavior": {"scaleUp": {"selectPolicy": "Disabled"}}}, 2, (500, 500), 2),
    "no scale-in at all": (
        {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Disabled"}}},
        5,
        (0,) * 5,
        5,
    ),
    "one relay in a minute": (
        {
            "behavior": {
                "scaleDown": {
                    "stabilizationWindowSeconds": 0,
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                }
            }
        },
        5,
        (0,) * 5,
        4,
    ),
    "the smaller of two policies": (
        {
            "behavior": {
                "scaleDown": {
                    "stabilizationWindowSeconds": 0,
                    "selectPolicy": "Min",
                    "policies": [
                        {"type": "Pods", "value": 3, "periodSeconds": 60},
                        {"type": "Percent", "value": 10, "periodSeconds": 60},
                    ],
                }
            }
        },
        8,
        (0,) * 8,
        7,
    ),
    "below a new minimum at once": (
        {"minReplicas": 7, "behavior": {"scaleUp": {"selectPolicy": "Disabled"}}},
        3,
        (100,) * 3,
        7,
    ),
    "above a new maximum at once": (
        {"maxReplicas": 4, "behavior": {"scaleDown": {"selectPolicy": "Disabled"}}},
        6,
        (100,) * 6,
        4,
    ),
    "a schedule's minimum": (
        {"schedules": [{"cron": "0 0 * * *", "timeZone": "UTC", "minReplicas": 6}]},
        2,
        (100, 100),
        6,
    ),
    "a schedule that cannot be read prevents a scale-in": (
        {
            "behavior": AT_ONCE,
            "schedules": [{"cron": "0 0 * * *", "timeZone": "Europe/Atlantis", "minReplicas": 1}],
        },
        5,
        (10,) * 5,
        5,
    ),
    "scaled to nothing from outside": ({"minReplicas": 3}, 0, (), 3),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_number(case: str) -> None:
    """The number after one evaluation."""
    parts, current, counts, expected = NUMBERS[case]
    (scaled,) = run(rules(**parts), [(0, counts)], current=current, memory=seen())
    assert scaled.replicas == expected
    assert (scaled.change is None) == (expected == current or current == 0)


def test_a_new_domain_begins_with_its_minimum() -> None:
    """There is no Deployment, and nothing to measure."""
    scaled = autoscale(rules(minReplicas=3), None, None, None, BEGIN)
    assert (scaled.replicas, scaled.change) == (3, None)
    assert scaled.answer(rules()).reason == "Scaling"


CHANGES: dict[str, tuple[dict[str, Any], int, Sequence[int], str]] = {
    "by the connections": ({}, 2, (2600,) * 2, "6 relays instead of 2: 5,200 connections, 100 per relay"),
    "at the maximum": (
        {"maxReplicas": 3},
        2,
        (260, 240),
        "3 relays instead of 2: 500 connections, 100 per relay; at most 3 (maxReplicas)",
    ),
    "at the minimum": (
        {"minReplicas": 4},
        2,
        (1, 1),
        "4 relays instead of 2: 2 connections, 100 per relay; at least 4 (minReplicas)",
    ),
    "to one relay": (
        {"minReplicas": 1, "behavior": AT_ONCE},
        2,
        (1, 1),
        "1 relay instead of 2: 2 connections, 100 per relay",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_has_its_reason(case: str) -> None:
    """The Event of a change tells the connections, and the bound that decided."""
    parts, current, counts, text = CHANGES[case]
    (scaled,) = run(rules(**parts), [(0, counts)], current=current, memory=seen())
    assert scaled.change == text


ANSWERS: dict[str, tuple[dict[str, Any], RelayLoad, str]] = {
    "follows": ({}, load(BEGIN, 100, 100), "True Scaling"),
    "not enough": ({"maxReplicas": 2}, load(BEGIN, 200, 200), "True AtMaximum"),
    "a relay is silent": ({}, load(BEGIN, 100, None, silent=1), "False RelaysSilent"),
    "a relay that starts is silent": ({}, load(BEGIN, 100, None), "True Scaling"),
    "a schedule is faulty": (
        {"schedules": [{"cron": "0 0 * * *", "timeZone": "Nowhere", "minReplicas": 1}]},
        load(BEGIN, 100, 100),
        "False InvalidSchedule",
    ),
}


@pytest.mark.parametrize(("silent", "words"), [(1, "1 relay does not answer"), (3, "3 relays do not answer")])
def test_silent_relays_are_counted(silent: int, words: str) -> None:
    """The condition has their number; their names are in the operator's log."""
    scaled = autoscale(rules(), 2, load(BEGIN, 100, None, silent=silent), seen(), BEGIN)
    assert scaled.answer(rules()).message.startswith(words)


@pytest.mark.parametrize("case", ANSWERS)
def test_the_condition_tells_what_holds_the_number(case: str) -> None:
    """ScalingActive, which remains until the next evaluation."""
    parts, found, expected = ANSWERS[case]
    scaled = autoscale(rules(**parts), 2, found, seen(), BEGIN)
    for _ in range(2):
        answer = scaled.answer(rules(**parts))
        assert f"{answer.true} {answer.reason}" == expected
        scaled = autoscale(rules(**parts), scaled.replicas, found, scaled.memory, BEGIN + PERIOD / 3)
        assert scaled.change is None


def every(seconds: float, counts: Sequence[int | None], *, start: float, end: float) -> list[Any]:
    return [(at, counts) for at in range(int(start), int(end), int(seconds))]


def test_a_scale_in_waits_for_the_whole_window() -> None:
    """The highest recommendation of the last 300 s counts."""
    loads = [(0, (500,)), *every(15, (100,), start=15, end=400)]
    made = run(rules(), loads, current=5, memory=seen())
    first = next(index for index, scaled in enumerate(made) if scaled.replicas < 5)
    assert loads[first][0] == 300
    assert made[first].replicas == 2


def test_a_new_operator_removes_nothing_for_a_whole_window() -> None:
    """It does not know what the last one recommended; to add relays it needs no history."""
    made = run(rules(), every(15, (100,), start=0, end=400), current=5)
    assert [scaled.replicas for scaled in made[:20]] == [5] * 20
    assert made[20].replicas == 2
    assert run(rules(), [(0, (900,))], current=5)[0].replicas == 9


def test_a_period_without_a_window_is_seen_too() -> None:
    """A policy of one relay in 600 s: the last operator may have removed one a moment ago."""
    policy = {"type": "Pods", "value": 1, "periodSeconds": 600}
    slow = rules(behavior={"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [policy]}})
    made = run(slow, every(15, (100,), start=0, end=1300), current=5)
    dropped = [15 * index for index, scaled in enumerate(made) if scaled.change]
    assert dropped == [600, 1200]


@pytest.mark.parametrize("step", [600, -600, 86400 * 400, -86400 * 400])
def test_a_gap_or_a_step_of_the_clock_begins_the_window_again(step: int) -> None:
    """While the operator stood still, any load may have passed; a clock set back does not block for ever."""
    made = run(rules(), every(15, (500,), start=0, end=330), current=5)
    later = run(
        rules(), every(15, (100,), start=330 + step, end=330 + step + 330), current=5, memory=made[-1].memory
    )
    first = next(index for index, scaled in enumerate(later) if scaled.replicas < 5)
    assert 290 <= 15 * first <= 315


def test_a_silent_relay_prolongs_the_window() -> None:
    """While a relay did not answer, the present number counts as recommended."""
    loads = [
        *every(15, (100,) * 1, start=0, end=150),
        (150, (100, None)),
        *every(15, (100,), start=165, end=600),
    ]
    made = run(rules(), loads, current=5, memory=seen(0))
    first = next(index for index, scaled in enumerate(made) if scaled.replicas < 5)
    assert loads[first][0] == 450


def test_an_answer_that_was_evaluated_changes_nothing_again() -> None:
    """Any event of the cluster causes a decision; the number changes only with a new load."""
    found = load(BEGIN, 500)
    first = autoscale(rules(), 2, found, seen(), BEGIN)
    again = autoscale(rules(), 2, found, first.memory, BEGIN + timedelta(seconds=1))
    assert (first.replicas, again.replicas, again.change) == (5, 2, None)


LOADS: dict[str, tuple[list[dict[str, Any]], Mapping[str, int], dict[str, int | None], int]] = {
    "relays that answer": ([pod("a"), pod("b")], {"uid-a": 3, "uid-b": 4}, {"uid-a": 3, "uid-b": 4}, 0),
    "one does not": ([pod("a"), pod("b")], {"uid-a": 3}, {"uid-a": 3, "uid-b": None}, 0),
    "one that has not run yet has none": (
        [pod("a"), pod("b", **waiting("ContainerCreating"))],
        {"uid-a": 3},
        {"uid-a": 3, "uid-b": 0},
        0,
    ),
    "one that ran before has some": (
        [pod("a"), pod("b", **waiting("CrashLoopBackOff", restarts=1))],
        {"uid-a": 3},
        {"uid-a": 3, "uid-b": None},
        0,
    ),
    "one that has ended is not counted": (
        [pod("a"), pod("b", phase="Failed", containerStatuses=[])],
        {"uid-a": 3},
        {"uid-a": 3},
        0,
    ),
    "one that has started and does not answer is silent": (
        [
            pod(
                "a",
                containerStatuses=[
                    {"name": "relay", "started": True, "restartCount": 0, "state": {"running": {}}}
                ],
            )
        ],
        {},
        {"uid-a": None},
        1,
    ),
}


@pytest.mark.parametrize("case", LOADS)
def test_load(case: str) -> None:
    """The known connections of each pod; None where there may be some."""
    live, answers, counts, silent = LOADS[case]
    found = load_of(live, answers, BEGIN, BEGIN + PERIOD)
    assert (dict(found.counts), found.silent) == (counts, silent)


def test_the_connections_of_a_relay_that_ends_count() -> None:
    """Its clients come back to the others; whether it answers is no fault of a ready relay."""
    ending = pod("b")
    ending["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert load_of([pod("a"), ending], {"uid-a": 3, "uid-b": 4}, BEGIN, BEGIN).total == 7
    assert load_of([pod("a"), ending], {"uid-a": 3}, BEGIN, BEGIN).silent == 0
    assert not load_of([pod("a"), ending], {"uid-a": 3}, BEGIN, BEGIN).is_complete


class Slow:
    """normalizeDesiredReplicasWithBehaviors of Kubernetes' horizontal.go, with lists that forget nothing."""

    def __init__(self, rules: Autoscaling) -> None:
        assert rules.behavior is not None
        self.rules, self.up, self.down = rules, rules.behavior.scaleUp, rules.behavior.scaleDown
        self.recommendations: list[tuple[float, int]] = []
        self.ups: list[tuple[float, int]] = []
        self.downs: list[tuple[float, int]] = []

    def next(self, current: int, total: int, at: float) -> int:
        assert self.up is not None
        assert self.down is not None
        assert self.up.policies is not None
        assert self.down.policies is not None
        per, most, least = self.rules.connectionsPerReplica, self.rules.maxReplicas, self.rules.minReplicas
        assert least is not None
        desired = current
        if abs(total - current * per) * 10 > current * per:
            desired = max(1, math.ceil(total / per))
        if current > most:
            number = most
        elif current < least:
            number = least
        else:
            up = down = desired
            for when, number in self.recommendations:
                if when > at - (self.up.stabilizationWindowSeconds or 0):
                    up = min(up, number)
                if when > at - (self.down.stabilizationWindowSeconds or 0):
                    down = max(down, number)
            number = current
            number = max(number, up)
            number = min(number, down)
            if number > current:
                limits = []
                for policy in self.up.policies:
                    start = current - self.within(self.ups, policy.periodSeconds, at)
                    start += self.within(self.downs, policy.periodSeconds, at)
                    if policy.type == "Pods":
                        limits.append(start + policy.value)
                    else:
                        limits.append(math.ceil(start + start * policy.value / 100))
                limit = {"Max": max(limits), "Min": min(limits), "Disabled": current}[
                    self.up.selectPolicy or "Max"
                ]
                number = min(number, max(limit, current), most)
            elif number < current:
                limits = []
                for policy in self.down.policies:
                    start = current + self.within(self.downs, policy.periodSeconds, at)
                    start -= self.within(self.ups, policy.periodSeconds, at)
                    if policy.type == "Pods":
                        limits.append(start - policy.value)
                    else:
                        limits.append(math.floor(start - start * policy.value / 100))
                limit = {"Max": min(limits), "Min": max(limits), "Disabled": current}[
                    self.down.selectPolicy or "Max"
                ]
                number = max(number, min(limit, current), least)
        self.recommendations.append((at, desired))
        (self.ups if number > current else self.downs).append((at, abs(number - current)))
        return number

    @staticmethod
    def within(changes: list[tuple[float, int]], seconds: int, at: float) -> int:
        return sum(change for when, change in changes if when > at - seconds)


POLICIES = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Pods", "Percent"]),
            "value": st.integers(1, 8) | st.sampled_from([10, 50, 100, 200]),
            "periodSeconds": st.sampled_from([15, 30, 60, 120]),
        }
    ),
    min_size=1,
    max_size=3,
)
DIRECTIONS = st.fixed_dictionaries(
    {
        "stabilizationWindowSeconds": st.sampled_from([0, 15, 30, 60, 120]),
        "selectPolicy": st.sampled_from(["Max", "Min", "Disabled"]) | st.none(),
        "policies": POLICIES,
    }
)


@given(
    st.fixed_dictionaries({"scaleUp": DIRECTIONS, "scaleDown": DIRECTIONS}),
    st.integers(1, 5),
    st.integers(5, 30),
    st.integers(1, 35),
    st.lists(st.tuples(st.sampled_from([15, 20, 45]), st.integers(0, 4000)), min_size=1, max_size=30),
)
def test_it_agrees_with_the_slow_model(
    behavior: Any, least: int, most: int, current: int, steps: list[tuple[int, int]]
) -> None:
    """Any behavior and any sequence of loads, once the windows were seen."""
    autoscaling = rules(behavior=behavior, minReplicas=least, maxReplicas=most)
    slow, memory, at, other = Slow(autoscaling), seen(), 0.0, current
    for wait, total in steps:
        at += wait
        now = BEGIN + timedelta(seconds=at)
        scaled = autoscale(autoscaling, current, load(now, total), memory, now)
        other = slow.next(other, total, at)
        current, memory = scaled.replicas, scaled.memory
        assert current == other
