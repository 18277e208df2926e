"""The claims in the snapshot of a domain."""

from __future__ import annotations

from typing import Any, cast

from support.operator.namespaces import Namespaces
from support.operator.snapshots import NOW, live_domain
from wsedge_operator.desired.deployment import RelayImage
from wsedge_operator.kube.kinds import DOMAIN, PLAN
from wsedge_operator.reconcile.domain.claims import owner_of
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.snapshots import Gatherer


def gatherer(*domains: dict[str, Any], plans: tuple[str, ...] = ()) -> Gatherer:
    cache = Cache()
    for live in domains:
        cache.put(DOMAIN, live)
    for namespace in plans:
        metadata = {
            "name": "plan",
            "namespace": namespace,
            "uid": f"uid-plan-{namespace}",
            "resourceVersion": "1",
            "creationTimestamp": "2026-11-01T00:00:00Z",
        }
        cache.put(
            PLAN, {"metadata": metadata, "spec": {"billingCycle": "Daily", "meteringMethod": "Traffic"}}
        )
    server = cast(Any, Namespaces())
    return Gatherer(server, cache, cast(Any, None), RelayImage("relay:1"), Accounts(server, cache, "UTC"))


def domain(namespace: str, day: int, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    live = live_domain(**spec)
    live["metadata"] |= {
        "namespace": namespace,
        "uid": f"uid-{namespace}",
        "creationTimestamp": f"2026-11-{day:02}T00:00:00Z",
    }
    return {**live, **({"status": status} if status is not None else {})}


async def owner(gatherer: Gatherer) -> str:
    found = owner_of(await gatherer.claims("chat.example.com", NOW))
    assert found is not None
    return found.namespace


async def test_a_claim_depends_on_the_plan_of_its_account() -> None:
    """An older claim that is off or without a plan yields; with a plan it owns the name."""
    off = {"websocket": {"enabled": False}}
    assert await owner(gatherer(domain("a", 1), domain("b", 2), plans=("b",))) == "b"
    assert await owner(gatherer(domain("a", 1, **off), domain("b", 2), plans=("a", "b"))) == "b"
    assert await owner(gatherer(domain("a", 1), domain("b", 2), plans=("a", "b"))) == "a"
    assert await owner(gatherer(domain("a", 1), domain("b", 2))) == "a"


async def test_a_claim_that_has_been_served_owns_its_name() -> None:
    """Also without a plan and with an edited spec."""
    kept = {
        "conditions": [{"type": "NameKept", "status": "True", "lastTransitionTime": "2026-11-20T00:00:00Z"}]
    }
    for spec in ({}, {"websocket": {"enabled": False}}, {"limits": "of another version"}):
        assert await owner(gatherer(domain("a", 1), domain("b", 2, kept, **spec), plans=("a",))) == "b"


async def test_a_single_claim_owns_its_name() -> None:
    """No other account is read; an invalid name has no claim."""
    alone = gatherer(domain("a", 1, websocket="of another version"))
    assert await owner(alone) == "a"
    assert await alone.claims(None, NOW) == ()
    assert await alone.claims("other.example.com", NOW) == ()
