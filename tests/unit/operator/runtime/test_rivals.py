"""Leases of other releases, as tenants may write them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from wsedge_operator.runtime.rivals import Rivals

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Api:
    """Has one Lease; its ServiceAccount may write the status of domains if `allowed`."""

    def __init__(self, renewed: str, *, allowed: bool) -> None:
        spec = {"holderIdentity": "x", "renewTime": renewed, "leaseDurationSeconds": 15}
        self.lease = {"metadata": {"namespace": "team-a", "name": "x-wsedge"}, "spec": spec}
        self.allowed = allowed

    async def list(self, kind: Any, namespace: Any) -> tuple[list[Any], str]:
        return [self.lease], "1"

    async def review(self, *_: Any) -> Any:
        return {"status": {"allowed": self.allowed}}

    def __getattr__(self, name: str) -> Any:
        return self.review


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
    api: Any = Api(renewed, allowed=allowed)
    rivals = Rivals(api, "system", "wsedge", (), monotonic=lambda: clock.now, now=lambda: NOW)
    assert asyncio.run(rivals.find()) == ("team-a/x-wsedge" if allowed else None)
    clock.now = 300.0
    assert asyncio.run(rivals.find()) is None
