"""Units and rounding."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.statistics.bill_oracle import round_half_up
from wsedge_statistics.billing.rules import Rules, bits_per_second, gigabytes, half_up, megabits_per_second

ROUNDED = {
    "a half goes up": (Fraction(5, 1000), 2, "0.01"),
    "less than a half goes down": (Fraction(4999, 1_000_000), 2, "0.00"),
    "a half of a negative number goes away from zero": (Fraction(-5, 1000), 2, "-0.01"),
    "no decimals": (Fraction(5, 2), 0, "3"),
    "26 of 30 days": (Fraction(26, 30), 8, "0.86666667"),
    "a number beyond 28 digits keeps all of them": (
        Fraction(10**40 + 1),
        2,
        "10000000000000000000000000000000000000001.00",
    ),
}


@pytest.mark.parametrize(("value", "places", "text"), ROUNDED.values(), ids=ROUNDED.keys())
def test_half_up(value: Fraction, places: int, text: str) -> None:
    """A number is rounded half up, exactly."""
    assert format(half_up(value, places), "f") == text


@given(st.fractions(min_value=0, max_value=10**30), st.integers(0, 9))
def test_half_up_as_the_decimal_module_rounds(value: Fraction, places: int) -> None:
    """The same as 200 digits of the decimal module."""
    assert half_up(value, places) == round_half_up(value, places)


def test_bandwidth_is_1000_based() -> None:
    """15,000,000,000 bytes in five minutes are 400 Mbps, of whichever GB."""
    value = Fraction(15_000_000_000)
    assert bits_per_second(value) == 400_000_000
    assert megabits_per_second(value, Rules(gb_base=1000)) == megabits_per_second(value, Rules()) == 400


def test_a_gb_has_the_base_of_the_rules() -> None:
    """1024 MB of 1024 KB by default, powers of 1000 by setting."""
    assert gigabytes(Fraction(2**30), Rules()) == 1
    assert gigabytes(Fraction(10**9), Rules(gb_base=1000)) == 1


def test_overhead_multiplies_what_is_billed() -> None:
    """A factor of 1.10 bills a tenth more GB and Mbps."""
    rules = Rules(overhead=Decimal("1.10"))
    assert gigabytes(Fraction(2**30), rules) == Fraction(11, 10)
    assert megabits_per_second(Fraction(37_500_000), rules) == Fraction(11, 10)
