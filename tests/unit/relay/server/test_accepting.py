"""The number of descriptors from which a relay accepts no more connections."""

from __future__ import annotations

import resource

import pytest

from wsedge_relay.server.accepting import leaves_room


@pytest.mark.parametrize(
    ("descriptor", "under_way", "is_room"),
    [(67, 0, True), (68, 0, False), (57, 10, True), (58, 10, False), (0, 68, False)],
)
def test_a_reserve_stays_free(descriptor: int, under_way: int, is_room: bool) -> None:
    """Of 100 descriptors 32 are reserved, and each handshake under way needs one more."""
    assert leaves_room(descriptor, under_way=under_way, limit=100) is is_room


@pytest.mark.parametrize("limit", [resource.RLIM_INFINITY, 4096])
def test_the_default_limit_is_the_processs(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit is read at each question; without a limit there is always room."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert leaves_room(4063, under_way=0)
    assert leaves_room(4064, under_way=0) is (limit == resource.RLIM_INFINITY)
