"""Leases of other releases, as tenants may write them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from wsedge_operator.runtime.rivals import Rivals

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def lease(renewed: str, *, namespace: str = "team-a", name: str = "x-wsedge") -> dict[str, Any]:
    spec = {"holderIdentity": "x", "renewTime": renewed, "leaseDurationSeconds": 15}
    created = "2026-11-21T00:00:00Z"
    metadata = {"namespace": namespace, "name": name, "uid": name, "creationTimestamp": created}
    return {"metadata": metadata, "spec": spec}


class Api:
    """Has Leases; the ServiceAccounts of the namespaces `allowed` may write the status of domains."""

    def __init__(self, *leases: dict[str, Any], allowed: str = "") -> None:
        self.leases, self.allowed = leases, allowed
        self.asked: list[str] = []

    async def list(self, kind: Any, namespace: Any) -> tuple[list[Any], str]:
        return list(self.leases), "1"

    async def create(self, kind: Any, namespace: Any, body: Any) -> Any:
        user = body["spec"]["user"]
        self.asked.append(user)
        return {"status": {"allowed": user.split(":")[2] == self.allowed}}


@pytest.mark.parametrize(
    "renewed",
    [
        "0000-01-01T00:00:00.000000Z",
        "0001-06-01T00:00:00.000000Z",
        "9999-12-31T23:59:59.000000Z",
        "2026-11-22t00:00:00z",
    ],
)
@pytest.mark.parametrize("allowed", [False, True])
def test_an_odd_time_in_a_lease_stops_no_operator(renewed: str, allowed: bool) -> None:
    """A Lease with a time that Python cannot read counts as one whose machine has another time."""
    clock = SimpleNamespace(now=0.0)
    api: Any = Api(lease(renewed), allowed="team-a" if allowed else "")
    rivals = Rivals(api, "system", "wsedge", (), monotonic=lambda: clock.now, now=lambda: NOW)
    assert asyncio.run(rivals.find()) == ("team-a/x-wsedge" if allowed else None)
    clock.now = 300.0
    assert asyncio.run(rivals.find()) is None


def test_a_crowd_of_leases_delays_no_takeover() -> None:
    """Of thousands of Leases in one namespace a few are asked about, and a release elsewhere is found."""
    renewed = "2026-11-22T00:00:00.000000Z"
    crowd = [lease(renewed, name=f"x{number}-wsedge") for number in range(2000)]
    api: Any = Api(*crowd, lease(renewed, namespace="other", name="wsedge-operator"), allowed="other")
    rivals = Rivals(api, "system", "wsedge", (), monotonic=lambda: 0.0, now=lambda: NOW)
    assert asyncio.run(rivals.find()) == "other/wsedge-operator"
    assert len(api.asked) < 20
