"""After a scale-out, which relays close how many connections; and when they stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.operator.snapshots import live_domain, pod
from wsedge_operator.api.spec.size import Rebalance
from wsedge_operator.reconcile.domain.autoscaling import RelayLoad
from wsedge_operator.reconcile.domain.memory import Phase, RebalanceMemory, ShedFailure
from wsedge_operator.reconcile.domain.rebalance import MOST_ORDERS, Rebalanced, rebalance

BEGIN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PERIOD = timedelta(seconds=15)
OWNER = live_domain()
RULES = Rebalance(maxImbalancePercent=20, connectionsPerSecond=10)


def ready(name: str) -> dict[str, Any]:
    """Return the pod of a ready relay."""
    return pod(
        name,
        containerStatuses=[{"name": "relay", "ready": True, "restartCount": 0, "state": {"running": {}}}],
    )


class Domain:
    """The relays of a domain, and the decisions about them in a row."""

    def __init__(self, *counts: int, rules: Rebalance = RULES) -> None:
        self.counts = list(counts)
        self.rules = rules
        self.now = BEGIN
        self.memory: RebalanceMemory | None = None
        self.pods = [ready(f"pod-{index}") for index in range(len(counts))]
        self.replicas = len(counts)
        self.notes: list[str] = []
        self.failures: Mapping[str, ShedFailure] = {}
        self.silent = False
        self.decide()

    def decide(self) -> Rebalanced:
        counts: dict[str, int | None] = {
            live["metadata"]["uid"]: count for live, count in zip(self.pods, self.counts, strict=True)
        }
        if self.silent:
            counts[self.pods[0]["metadata"]["uid"]] = None
        load = RelayLoad(self.now, self.now + PERIOD, counts)
        needed = self.memory is not None and self.memory.needs_load
        made = rebalance(
            self.rules,
            OWNER,
            self.pods,
            self.replicas,
            load if needed else None,
            self.memory,
            self.failures,
            self.now,
        )
        self.memory = made.memory
        self.notes += [note.reason for note in made.notes]
        return made

    def grow(self, number: int) -> None:
        """Add relays, ready at once, and reach the first measurement."""
        self.pods += [ready(f"new-{index}") for index in range(number)]
        self.counts += [0] * number
        self.replicas += number
        assert self.decide().again == self.now

    def order(self) -> list[int]:
        """Decide; return what each relay closes, and take it away."""
        made = self.decide()
        closes = [0] * len(self.counts)
        for shed in made.sheds:
            closes[[live["metadata"]["uid"] for live in self.pods].index(shed.pod["metadata"]["uid"])] = (
                shed.connections
            )
        self.counts = [count - closed for count, closed in zip(self.counts, closes, strict=True)]
        if made.again is not None:
            self.now = made.again
        return closes

    def come_back(self, closed: int, parts: Sequence[int]) -> None:
        """Let the clients of closed connections come back, in turn to these relays."""
        for index in range(closed):
            self.counts[parts[index % len(parts)]] += 1


def test_after_a_scale_out_relays_close_what_is_above_the_mean() -> None:
    """Each by its part of the rate, so that all end together; one Event says so."""
    domain = Domain(150, 120)
    domain.grow(1)
    made = domain.decide()
    assert [(shed.pod["metadata"]["name"], shed.connections) for shed in made.sheds] == [
        ("pod-0", 60),
        ("pod-1", 30),
    ]
    assert [round(shed.per_second, 3) for shed in made.sheds] == [6.667, 3.333]
    assert len({shed.order for shed in made.sheds}) == 1
    assert made.again == BEGIN + timedelta(seconds=9) + PERIOD
    assert [note.message for note in made.notes] == [
        "After a scale-out the busiest of 3 relays carries 150 connections, the mean is 90: 90 connections"
        " are closed, 10 per second."
    ]


def test_orders_go_on_until_the_busiest_is_within_the_limit() -> None:
    """Clients that come back at random partly come back to where they were; each order is measured anew."""
    domain = Domain(150, 150)
    domain.grow(3)
    orders = 0
    while closes := sum(domain.order()):
        domain.come_back(closes, range(5))
        orders += 1
    assert max(domain.counts) <= 1.2 * 60
    assert orders == 3
    assert domain.notes == ["Rebalancing", "Rebalanced"]
    assert domain.memory == RebalanceMemory(5)


def test_nothing_is_closed_where_the_relays_are_even_enough() -> None:
    """Neither an order nor an Event: 16 percent above the mean are allowed."""
    domain = Domain(*[70] * 5, 50, rules=Rebalance(connectionsPerSecond=10))
    domain.pods.append(ready("new"))
    domain.counts.append(68)
    domain.replicas += 1
    domain.decide()
    assert domain.order() == [0] * 7
    assert domain.notes == []


def test_less_than_one_connection_above_the_mean_is_even() -> None:
    """Three connections cannot be even on two relays, whatever the percentage."""
    domain = Domain(2)
    domain.grow(1)
    domain.counts = [2, 1]
    assert domain.order() == [0, 0]


def test_without_a_scale_out_nothing_is_measured() -> None:
    """A restart of the operator, a scale-in, and a relay that is not ready for a while are no scale-outs."""
    domain = Domain(500, 1)
    assert domain.order() == [0, 0]
    domain.pods[1] = pod("pod-1")
    assert domain.decide().memory.phase is Phase.IDLE
    domain.pods[1] = ready("pod-1")
    assert domain.decide().memory.phase is Phase.IDLE
    domain.replicas -= 1
    assert domain.decide().memory == RebalanceMemory(1)


def test_it_waits_until_all_relays_are_ready() -> None:
    """Connections that are closed before would come back to the relays that are ready."""
    domain = Domain(100)
    domain.replicas = 2
    assert domain.decide().memory.phase is Phase.AWAITING
    domain.pods.append(pod("new"))
    domain.counts.append(0)
    assert domain.decide().memory.phase is Phase.AWAITING
    domain.pods[1] = ready("new")
    assert domain.decide().memory.phase is Phase.MEASURING
    assert domain.order() == [50, 0]


def test_a_relay_that_does_not_answer_postpones_the_order() -> None:
    """The mean is not known; no order is sent, and none is counted."""
    domain = Domain(100)
    domain.grow(1)
    domain.silent = True
    assert domain.order() == [0, 0]
    assert domain.memory is not None
    assert (domain.memory.phase, domain.memory.orders) == (Phase.MEASURING, 0)
    domain.silent = False
    assert domain.order() == [50, 0]


def test_a_load_before_the_end_of_an_order_says_nothing() -> None:
    """Other events cause decisions meanwhile; the next measurement is after the clients came back."""
    domain = Domain(100)
    domain.grow(1)
    made = domain.decide()
    assert made.again is not None
    domain.now += timedelta(seconds=2)
    early = domain.decide()
    assert (early.sheds, early.again) == ((), made.again)


def test_clients_that_come_back_to_the_same_relay_are_left_there() -> None:
    """Behind a proxy that binds clients to relays the second order that does not help is the last."""
    domain = Domain(100)
    domain.grow(1)
    orders = 0
    while closes := sum(domain.order()):
        domain.come_back(closes, [0])
        orders += 1
    assert orders == 2
    assert domain.notes == ["Rebalancing", "RebalanceEnded"]
    assert domain.counts == [100, 0]


def test_the_number_of_orders_is_bounded() -> None:
    """With little progress each time, whatever is left stays."""
    domain = Domain(10_000, rules=Rebalance(maxImbalancePercent=5, connectionsPerSecond=1000))
    domain.grow(1)
    orders = 0
    while closes := sum(domain.order()):
        domain.come_back(closes, [0] * 6 + [1])
        orders += 1
    assert orders == MOST_ORDERS
    assert domain.notes == ["Rebalancing", "RebalanceEnded"]


def test_a_relay_of_an_older_release_ends_it() -> None:
    """It answers 404; an Event names it. A relay that only did not answer gets the next order."""
    domain = Domain(100)
    domain.grow(1)
    domain.order()
    domain.failures = {"uid-pod-0": ShedFailure.FAILED}
    domain.come_back(50, [0])
    assert sum(domain.order()) == 50
    domain.failures = {"uid-pod-0": ShedFailure.UNKNOWN}
    made = domain.decide()
    assert made.sheds == ()
    assert [(note.type, note.message) for note in made.notes] == [
        (
            "Warning",
            "Relay pod-0: its release knows no orders to close connections, so nothing more is closed.",
        )
    ]
    assert made.memory == RebalanceMemory(2)


def test_another_scale_out_begins_anew() -> None:
    """With all orders again; fewer relays end it."""
    domain = Domain(100)
    domain.grow(1)
    domain.order()
    domain.grow(1)
    assert domain.memory is not None
    assert (domain.memory.phase, domain.memory.orders) == (Phase.MEASURING, 0)
    domain.replicas -= 1
    assert domain.decide().memory == RebalanceMemory(2)


def test_without_a_load_it_is_asked_for() -> None:
    """The next decision has it."""
    domain = Domain(100)
    domain.grow(1)
    made = rebalance(RULES, OWNER, domain.pods, 2, None, domain.memory, {}, BEGIN)
    assert (made.sheds, made.again) == ((), BEGIN)


def test_without_a_ready_relay_nothing_is_closed() -> None:
    """All of them may restart just then."""
    domain = Domain(100)
    domain.grow(1)
    domain.pods = [pod("pod-0"), pod("new-0")]
    assert domain.order() == [0, 0]


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=6),
    st.integers(1, 4),
    st.integers(5, 60),
    st.data(),
)
def test_it_always_ends_and_closes_nothing_below_the_mean(
    counts: list[int], more: int, percent: int, data: Any
) -> None:
    """Wherever clients come back: bounded orders, only from relays above the mean, only down to it."""
    domain = Domain(*counts, rules=Rebalance(maxImbalancePercent=percent, connectionsPerSecond=100))
    domain.grow(more)
    relays = st.integers(0, len(domain.counts) - 1)
    for _ in range(MOST_ORDERS + 1):
        mean = sum(domain.counts) / len(domain.counts)
        before = list(domain.counts)
        closes = domain.order()
        if not sum(closes):
            break
        for count, closed, left in zip(before, closes, domain.counts, strict=True):
            assert not closed or (count > mean and left >= mean)
        domain.come_back(sum(closes), data.draw(st.lists(relays, min_size=1, max_size=5)))
    assert domain.memory == RebalanceMemory(len(domain.counts))
