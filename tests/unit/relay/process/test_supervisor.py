"""The pauses between restarts of a worker."""

from __future__ import annotations

import pytest

from wsedge_relay.process.supervisor import pause_before


@pytest.mark.parametrize(
    ("restart", "seconds"), [(1, 0.1), (2, 0.2), (3, 0.4), (9, 25.6), (10, 30.0), (10_000, 30.0)]
)
def test_pauses_double_up_to_half_a_minute(restart: int, seconds: float) -> None:
    """A worker that ends at once must not keep the machine busy."""
    assert pause_before(restart) == seconds
