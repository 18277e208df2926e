"""Detection of requests that return to their relay."""

from __future__ import annotations

from typing import Any

import pytest

from wsedge_relay.contract import Domain
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.policy.loops import MOST_HOPS, Loop
from wsedge_relay.protocol.http1 import Headers


def loop(**changes: Any) -> Loop:
    document = {
        "domain": "chat.example.com",
        "account": "team-a",
        "originProtocol": "HTTP",
        "origins": [{"host": "10.0.0.7"}],
        **changes,
    }
    return Loop(Domain.model_validate(document))


def test_a_request_with_the_own_mark_is_refused() -> None:
    """At any place of the list, on any line, between entries of other CDNs."""
    one = loop()
    name, value = one.header
    assert name == b"CDN-Loop"
    for lines in (
        [(name, value)],
        [(b"cdn-loop", b"other; a=b, " + value)],
        [(name, b"other"), (name, value)],
    ):
        with pytest.raises(HandshakeRefusedError) as refused:
            one.check(Headers(lines))
        assert (refused.value.status, refused.value.reason) == (508, "loop")


def test_a_chain_of_relays_is_no_loop() -> None:
    """Relays of another domain or with other origins, and other CDNs, are accepted in front of a relay."""
    one = loop()
    for other in (
        loop(domain="www.example.com"),
        loop(origins=[{"host": "10.0.0.8"}]),
        loop(account="team-b"),
    ):
        assert other.header != one.header
        one.check(Headers([other.header]))
    one.check(Headers([(b"CDN-Loop", b"cloudflare; loops=8, Fastly")]))
    one.check(Headers([]))


def test_pods_that_serve_alike_have_one_mark() -> None:
    """Otherwise a loop would pass once through each pod of a domain."""
    assert loop().header == loop(heartbeatSeconds=5).header


def test_too_long_a_way_is_refused() -> None:
    """A ring of many domains is a loop too, although each of them has a mark of its own."""
    one = loop()
    others = [loop(domain=f"d{number}.example.com").header for number in range(MOST_HOPS)]
    one.check(Headers(others[:-1]))
    with pytest.raises(HandshakeRefusedError):
        one.check(Headers(others))
    joined = b",".join(value for _, value in others)
    with pytest.raises(HandshakeRefusedError):
        one.check(Headers([(b"CDN-Loop", joined)]))
