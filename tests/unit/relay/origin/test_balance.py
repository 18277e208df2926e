"""The choice of origins by policies, weights, failures and health checks."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.contract import LoadBalancing, Origin, OriginHealthCheck
from wsedge_relay.origin.balance import Balancer, Target, name_of

CLIENT = "192.0.2.1"
ROUND, LEAST, HASH = LoadBalancing
RULES = OriginHealthCheck(unhealthyAfter=3, healthyAfter=2)


def origins(*weights: int, backups: int = 0) -> list[Origin]:
    """Return origins named by their place; the last ones are backups."""
    first = len(weights) - backups
    return [
        Origin(host=f"o{place}", weight=weight, backup=place >= first) for place, weight in enumerate(weights)
    ]


def balancer(some: list[Origin], policy: LoadBalancing = ROUND) -> Balancer:
    """Return a balancer that ejects for ten seconds, for a minute at most."""
    one = Balancer(forget_seconds=10, most_seconds=60)
    one.set_origins(some, policy)
    return one


def hosts(order: list[Target]) -> list[str]:
    """Return the names in order."""
    return [target.origin.host for target in order]


def first(one: Balancer, now: float = 0.0, client: str = CLIENT) -> str:
    """Return the name of the origin that a connection gets."""
    return hosts(one.order(now, client))[0]


def test_an_origin_that_is_named_twice_is_one() -> None:
    """The weights are added; metrics and cookies use the name, so it must identify one origin."""
    one = Origin(host="o0", weight=1)
    entries = [one, Origin(host="o0", weight=2), *origins(3, 3)[1:], one, Origin(host="o1", backup=True)]
    two = balancer(entries)
    assert [(target.name, target.origin.weight) for target in two.targets] == [
        ("o0:80/443", 4),
        ("o1:80/443", 103),
    ]
    assert not any(target.origin.backup for target in two.targets)
    assert len({id(target) for target in two.order(0.0, CLIENT)}) == 2


def test_turns_are_spread_smoothly() -> None:
    """Weights 5, 1, 1 interleave as nginx's scheme does."""
    one = balancer(origins(5, 1, 1))
    assert [first(one) for _ in range(7)] == ["o0", "o0", "o1", "o0", "o2", "o0", "o0"]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_a_round_gives_each_its_weight(weights: list[int]) -> None:
    """In as many connections as the sum of weights, each origin is first as often as its weight."""
    one = balancer(origins(*weights))
    firsts = Counter(first(one) for _ in range(sum(weights)))
    assert firsts == {f"o{place}": weight for place, weight in enumerate(weights)}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 3), st.sampled_from(LoadBalancing))
def test_every_origin_with_weight_is_tried_once_and_backups_last(
    weights: list[int], backups: int, policy: LoadBalancing
) -> None:
    """An order has each origin once, and backups behind all others."""
    some = origins(*weights, backups=min(backups, len(weights)))
    order = balancer(some, policy).order(0, CLIENT)
    assert sorted(hosts(order)) == [one.host for one in some if one.weight]
    assert [one.origin.backup for one in order] == sorted(one.origin.backup for one in order)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_the_fewest_connections_fill_up_to_the_weights(weights: list[int]) -> None:
    """Connections that stay open are distributed in proportion to the weights."""
    one = balancer(origins(*weights), LEAST)
    for _ in range(sum(weights) * 3):
        one.order(0, CLIENT)[0].open += 1
    assert [target.open for target in one.targets] == [weight * 3 for weight in weights]


def test_the_fewest_connections_have_precedence_over_turns() -> None:
    """An origin that lost its connections gets the next ones; origins with equal load take turns."""
    one = balancer(origins(1, 1, 1), LEAST)
    for target, count in zip(one.targets, (5, 3, 3), strict=True):
        target.open = count
    assert {first(one), first(one)} == {"o1", "o2"}
    one.targets[0].open = 0
    assert hosts(one.order(0, CLIENT))[0] == "o0"


def test_a_client_keeps_its_origin() -> None:
    """With ClientHash the order depends on the client's address only, so every relay has the same order."""
    one, other = (balancer(origins(1, 2, 3, 4), HASH) for _ in range(2))
    assert len({tuple(hosts(one.order(0, CLIENT))) for _ in range(5)}) == 1
    assert hosts(one.order(0, CLIENT)) == hosts(other.order(0, CLIENT))


def test_an_origins_loss_moves_its_own_clients_alone() -> None:
    """With ClientHash the lost origin's clients spread over all others and return; no other client moves."""
    one = balancer(origins(1, 1, 1, 1), HASH)
    clients = [str(IPv4Address(0x0A000000 + number)) for number in range(2000)]
    before = {client: first(one, client=client) for client in clients}
    one.set_origins(origins(1, 1, 1), HASH)
    after = {client: first(one, client=client) for client in clients}
    moved = [client for client in clients if before[client] != after[client]]
    assert moved == [client for client in clients if before[client] == "o3"]
    assert min(Counter(after[client] for client in moved).values()) > len(moved) / 5
    one.set_origins(origins(1, 1, 1, 1), HASH)
    assert {client: first(one, client=client) for client in clients} == before


def test_weights_share_clients_out() -> None:
    """With ClientHash three times the weight gets about three times the clients."""
    one = balancer(origins(1, 3), HASH)
    share = Counter(first(one, client=str(number)) for number in range(8000))
    assert share["o1"] / 8000 == pytest.approx(0.75, abs=0.03)


def test_a_failed_origin_comes_last_for_a_while() -> None:
    """After a failure even backups come first, until the ejection ends or an attempt succeeds."""
    one = balancer(origins(1, 1, 1, backups=1))
    failed, second, _ = one.targets
    one.failed(failed, 0.0)
    assert hosts(one.order(1.0, CLIENT)) == ["o1", "o2", "o0"]
    one.failed(second, 1.0)
    assert first(one, 2.0) == "o2"
    assert first(one, 10.5) == "o0"
    one.worked(failed)
    one.worked(second)
    assert {first(one, 10.6), first(one, 10.6)} == {"o0", "o1"}


def test_one_connection_tries_an_ejected_origin() -> None:
    """When the ejection ends, one connection tests the origin, and others do not wait for the test."""
    one = balancer(origins(1, 1))
    failed, good = one.targets
    one.failed(failed, 0.0)
    assert {first(one, 11.0) for _ in range(6)} == {"o0", "o1"}
    assert {first(one, 12.0) for _ in range(6)} == {"o1"}
    one.failed(failed, 12.5)
    assert (failed.failures, failed.until) == (2, 32.5)
    assert good.failures == 0


def test_ejections_double_up_to_the_most() -> None:
    """Each failed test doubles the ejection, up to a minute; a success resets it."""
    one = balancer(origins(1))
    (target,) = one.targets
    now, waits = 0.0, []
    for _ in range(5):
        one.failed(target, now)
        waits.append(target.until - now)
        now = target.until
        one.order(now, CLIENT)
    assert (waits, target.ejections) == ([10, 20, 40, 60, 60], 5)
    one.worked(target)
    assert not target.ejected(now)
    one.failed(target, now)
    assert target.until == now + 10


def test_one_outage_is_one_failure() -> None:
    """A hundred connections that fail at the same time eject once, for the first duration."""
    one = balancer(origins(1))
    (target,) = one.targets
    for _ in range(100):
        one.failed(target, 5.0)
    assert (target.failures, target.ejections, target.until) == (1, 1, 15.0)


def test_bad_answers_eject_only_in_a_row() -> None:
    """Five malformed answers in a row eject an origin; while it is tested, one does."""
    one = balancer(origins(1))
    (target,) = one.targets
    for _ in range(4):
        one.failed(target, 0.0, connected=True)
    assert not target.ejected(0.0)
    one.worked(target)
    for _ in range(5):
        assert not target.ejected(0.0)
        one.failed(target, 0.0, connected=True)
    assert target.until == 10.0
    one.order(10.0, CLIENT)
    one.failed(target, 10.0, connected=True)
    assert target.until == 30.0


def test_a_change_of_weight_keeps_what_is_known() -> None:
    """Open connections, failures and health belong to the host and ports, not to the weight."""
    one = balancer(origins(1, 1))
    before = one.targets[0]
    before.open, before.healthy = 7, False
    one.set_origins(origins(5, 1, backups=1))
    assert one.targets[0] is before
    assert (before.origin.weight, one.targets[1].origin.backup) == (5, True)


def test_unhealthy_origins_are_not_asked_while_another_is_healthy() -> None:
    """Backups are tried before unhealthy origins; all origins are tried when none is healthy."""
    one = balancer(origins(1, 1, 1, backups=1))
    one.targets[0].healthy = one.targets[1].healthy = False
    assert hosts(one.order(0, CLIENT)) == ["o2"]
    one.targets[2].healthy = False
    assert sorted(hosts(one.order(0, CLIENT))) == ["o0", "o1", "o2"]


def test_health_turns_after_results_in_a_row() -> None:
    """Three failed checks in a row make an origin unhealthy, two successful ones healthy."""
    target = Target(Origin(host="o"))
    turns = [target.checked(RULES, good=good) for good in (False, False, True, False, False, False)]
    assert (turns, target.healthy) == ([False] * 5 + [True], False)
    turns = [target.checked(RULES, good=good) for good in (True, False, True, True)]
    assert (turns, target.healthy) == ([False, False, False, True], True)
    target.checked(RULES, good=False)
    target.unchecked()
    assert (target.healthy, target.streak) == (True, 0)


def test_names_have_host_and_ports() -> None:
    """The name of an origin in metrics is its host and ports."""
    assert name_of(Origin(host="o.example", httpPort=81)) == "o.example:81/443"
    assert name_of(Origin(host="::1")) == "[::1]:80/443"


@pytest.mark.parametrize("policy", LoadBalancing)
def test_a_session_goes_to_its_origin(policy: LoadBalancing) -> None:
    """The session's origin is first, even a backup; all others follow once, and no turn is used."""
    one, other = (balancer(origins(5, 1, 1, backups=1), policy) for _ in range(2))
    for kept in ("o0", "o1", "o2"):
        order = hosts(one.order(0.0, CLIENT, sticky=f"{kept}:80/443"))
        assert order[0] == kept
        assert sorted(order) == ["o0", "o1", "o2"]
    assert [first(one) for _ in range(6)] == [first(other) for _ in range(6)]


def test_a_session_leaves_an_origin_that_is_not_well() -> None:
    """If the origin is ejected, unhealthy or removed, the policy chooses."""
    one = balancer(origins(1, 1))
    (home, other) = one.targets
    one.failed(home, 0.0)
    assert hosts(one.order(1.0, CLIENT, sticky=home.name)) == ["o1", "o0"]
    one.worked(home)
    assert hosts(one.order(1.0, CLIENT, sticky=home.name))[0] == "o0"
    home.healthy = False
    assert hosts(one.order(1.0, CLIENT, sticky=home.name)) == ["o1"]
    assert hosts(one.order(1.0, CLIENT, sticky="gone:80/443")) == ["o1"]
    assert other.open == 0


def test_a_session_tries_its_origin_once_its_time_is_over() -> None:
    """As for other connections, one connection at a time tests whether the origin works again."""
    one = balancer(origins(1, 1))
    home = one.targets[0]
    one.failed(home, 0.0)
    assert hosts(one.order(11.0, CLIENT, sticky=home.name))[0] == "o0"
    assert hosts(one.order(11.0, CLIENT, sticky=home.name))[0] == "o1"
