"""Kubernetes quantities."""

from __future__ import annotations

import pytest

from wsedge_devcluster.agent.quantities import in_units, parse_quantity


@pytest.mark.parametrize(
    ("quantity", "divisor", "expected"),
    [
        ("64Mi", "1", "67108864"),
        ("64Mi", "1Mi", "64"),
        ("1500m", "1", "2"),
        ("1500m", "1m", "1500"),
        ("2e3", "1k", "2"),
        ("1G", "0", "1000000000"),
    ],
)
def test_quantities(quantity: str, divisor: str, expected: str) -> None:
    """A quantity in units of a divisor, rounded up."""
    assert in_units(quantity, divisor) == expected


def test_bad_quantity() -> None:
    """A text of another form is refused."""
    with pytest.raises(ValueError, match="'1Zi' is not a quantity"):
        parse_quantity("1Zi")
