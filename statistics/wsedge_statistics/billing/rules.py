"""The rules of an installation that bills depend on, units, and the one rounding. Pure.

All arithmetic is exact (`Fraction`): a bill must not depend on the order of additions or on a precision. A
number is rounded once, half up, where a line shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from wsedge_statistics.numbers.series import BUCKET

# Area -> start of the slot (UTC seconds) -> bytes, summed over all domains of the account.
AreaValues = dict[str, dict[int, int]]
Direction = Literal["sent", "both"]

FACTOR_PLACES: Final = 8  # as the product shows it: 26 of 30 days are 0.86666667
QUANTITY_PLACES: Final = 9
ZERO: Final = Fraction(0)


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings that decide a figure.

    `gb_base` is 1024 or 1000: a GB is its third power in bytes. `overhead` multiplies bytes for the part of
    the traffic below HTTP. Without `count_idle_days` only days with traffic count, and the fee is multiplied
    by their part of the month.
    """

    gb_base: int = 1024
    direction: Direction = "sent"
    overhead: Decimal = Decimal(1)
    count_idle_days: bool = True


def gigabytes(byte_count: Fraction, rules: Rules) -> Fraction:
    """Return billed GB."""
    return byte_count * Fraction(rules.overhead) / rules.gb_base**3


def bits_per_second(byte_count: Fraction) -> Fraction:
    """Return the bandwidth of a slot with this many bytes, without overhead."""
    return byte_count * 8 / BUCKET


def megabits_per_second(byte_count: Fraction, rules: Rules) -> Fraction:
    """Return billed Mbps (1000-based) of a slot with this many bytes."""
    return bits_per_second(byte_count) * Fraction(rules.overhead) / 10**6


def half_up(value: Fraction, places: int) -> Decimal:
    """Return a number rounded half up to `places` decimals; a negative number as its opposite."""
    scaled = abs(value) * 10**places
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Decimal((int(value < 0), tuple(int(digit) for digit in str(whole)), -places))
