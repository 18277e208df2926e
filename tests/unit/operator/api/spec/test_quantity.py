"""Amounts of CPU, memory and storage, as the API server reads and rounds them."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from wsedge_operator.api.spec.quantity import RelayResources, amount_of

AMOUNTS: dict[str, tuple[int | str, str]] = {
    "a number is itself": (2, "2"),
    "m is a thousandth": ("500m", "0.5"),
    "Mi is a power of 1024": ("64Mi", "67108864"),
    "a small e begins an exponent": ("1e3", "1000"),
    "a large E before digits begins an exponent": ("1E3", "1000"),
    "a large E at the end is a suffix": ("2E", "2000000000000000000"),
    "a fraction may have a suffix": ("1.5k", "1500"),
    "a number may begin with its dot": (".5G", "500000000"),
    "a number may end with its dot": ("5.", "5"),
    "a billionth is the smallest step": ("1n", "0.000000001"),
    "less than a billionth is rounded up": ("0.1n", "0.000000001"),
    "an exponent far below is rounded up": ("1e-99", "0.000000001"),
    "nothing is not rounded up": ("0e-99", "0"),
    "a binary amount is capped at 2^63-1": ("8Ei", "9223372036854775807"),
    "a decimal amount is not capped": ("10E", "10000000000000000000"),
}


@pytest.mark.parametrize(("quantity", "amount"), AMOUNTS.values(), ids=AMOUNTS.keys())
def test_amounts(quantity: int | str, amount: str) -> None:
    """An amount is exact, in cores or in bytes."""
    assert amount_of(quantity) == Decimal(amount)


FACTORS: dict[str, Fraction] = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}


@given(st.integers(0, 10**6), st.integers(0, 999), st.sampled_from(sorted(FACTORS)))
@example(8, 0, "Ei")
@example(0, 1, "n")
def test_every_suffix(whole: int, thousandths: int, suffix: str) -> None:
    """An amount is number times factor, capped for binary suffixes, rounded up to billionths."""
    exact = (whole + Fraction(thousandths, 1000)) * FACTORS[suffix]
    if suffix.endswith("i"):
        exact = min(exact, Fraction(2**63 - 1))
    billionths = math.ceil(exact * 10**9)
    assert Fraction(amount_of(f"{whole}.{thousandths:03}{suffix}")) == Fraction(billionths, 10**9)


ACCEPTED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a request without a limit": {"requests": {"cpu": "100m"}},
    "a request below its limit": {"requests": {"memory": "64Mi"}, "limits": {"memory": "1Gi"}},
    "a request equal to its limit in another notation": {"requests": {"cpu": "1000m"}, "limits": {"cpu": 1}},
    "a request and a limit of different names": {"requests": {"cpu": 4}, "limits": {"memory": "1"}},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a request above its limit": (
        {"requests": {"cpu": "1001m"}, "limits": {"cpu": 1}},
        "a request may not be above its limit",
    ),
    "an unknown name": ({"limits": {"gpu": 1}}, "name cpu, memory or ephemeral-storage"),
    "a negative amount": ({"requests": {"cpu": -1}}, "give an amount such as 2, 500m or 64Mi"),
    "two suffixes": ({"requests": {"memory": "1MiB"}}, "give an amount such as 2, 500m or 64Mi"),
}


@pytest.mark.parametrize("resources", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_resources_are_accepted(resources: dict[str, Any]) -> None:
    """Requests fit their limits, by amount and not by text."""
    assert RelayResources.model_validate(resources).model_dump(exclude_none=True) == resources


@pytest.mark.parametrize(("resources", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_resources_are_refused(resources: dict[str, Any], why: str) -> None:
    """A refusal has the rule."""
    with pytest.raises(ValidationError, match=why):
        RelayResources.model_validate(resources)
