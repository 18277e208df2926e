"""The choice of origins, and what they are called."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay import origin
from wsedge_relay.contract import Domain, Origin
from wsedge_relay.origin import Balancer


def origins(*weights: int, backups: int = 0) -> list[Origin]:
    """Return origins named by their place; the last ones are backups."""
    first = len(weights) - backups
    return [
        Origin(host=f"o{place}", weight=weight, backup=place >= first) for place, weight in enumerate(weights)
    ]


def balancer(some: list[Origin]) -> Balancer:
    """Return a balancer that forgets failures after ten seconds."""
    return Balancer(some, forget_seconds=10)


def hosts(order: list[Origin]) -> list[str]:
    """Return the names in order."""
    return [one.host for one in order]


def test_turns_are_spread_smoothly() -> None:
    """Weights 5, 1, 1 interleave as nginx's scheme does."""
    one = balancer(origins(5, 1, 1))
    assert [hosts(one.order(0))[0] for _ in range(7)] == ["o0", "o0", "o1", "o0", "o2", "o0", "o0"]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_a_round_gives_each_its_weight(weights: list[int]) -> None:
    """Over one sum of weights every origin is first exactly as often as its weight says."""
    one = balancer(origins(*weights))
    firsts = Counter(hosts(one.order(0))[0] for _ in range(sum(weights)))
    assert firsts == {f"o{place}": weight for place, weight in enumerate(weights)}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 3))
def test_every_origin_with_weight_is_tried_once_and_backups_last(weights: list[int], backups: int) -> None:
    """An order names each origin once; a backup comes behind all that are none."""
    some = origins(*weights, backups=min(backups, len(weights)))
    order = balancer(some).order(0)
    assert sorted(hosts(order)) == [one.host for one in some if one.weight]
    assert [one.backup for one in order] == sorted(one.backup for one in order)


def test_a_failed_origin_comes_last_for_a_while() -> None:
    """After a failure even backups come first, until the time is over or it worked."""
    first, second, backup = some = origins(1, 1, 1, backups=1)
    one = balancer(some)
    one.failed(first, 0.0)
    assert one.order(1.0) == [second, backup, first]
    one.failed(second, 1.0)
    assert one.order(2.0)[0] == backup
    assert {one.order(10.5)[0], one.order(10.5)[0]} == {first}
    one.worked(second)
    assert {one.order(10.6)[0], one.order(10.6)[0]} == {first, second}


def domain(**fields: Any) -> Domain:
    """Return a domain with one origin and these fields."""
    fields = {"originProtocol": "Follow", "origins": [{"host": "o"}], **fields}
    return Domain.model_validate({"domain": "a.example", "account": "a", **fields})


@pytest.mark.parametrize(
    ("fields", "secure", "expected"),
    [
        ({"host": "o.example"}, False, "o.example"),
        ({"host": "o.example"}, True, "o.example"),
        ({"host": "o.example", "httpPort": 8080}, False, "o.example:8080"),
        ({"host": "o.example", "httpPort": 443}, False, "o.example:443"),
        ({"host": "o.example", "httpsPort": 8443}, True, "o.example:8443"),
        ({"host": "::1", "httpPort": 81}, False, "[::1]:81"),
    ],
)
def test_origins_are_called_by_host_and_unusual_port(fields: Any, secure: bool, expected: str) -> None:
    """The Host header has the port only where the scheme does not say it."""
    one = Origin.model_validate(fields)
    assert origin.host_header(domain(), one, secure=secure) == expected
    named = domain(originRequest={"host": "inner"})
    assert origin.host_header(named, one, secure=secure) == "inner"


@pytest.mark.parametrize(
    ("protocol", "secure", "expected"),
    [
        ("HTTP", True, False),
        ("HTTPS", False, True),
        ("Follow", False, False),
        ("Follow", True, True),
    ],
)
def test_origin_protocols(protocol: str, secure: bool, expected: bool) -> None:
    """HTTP and HTTPS are what they say; Follow does as the client does."""
    assert origin.speaks_tls(domain(originProtocol=protocol), client_secure=secure) is expected
