"""Kubernetes quantities, as far as resourceFieldRef needs them. Pure."""

from __future__ import annotations

import math
import re
from decimal import Decimal

# The capacity of each node: a number for the scheduler, not a limit, as all processes share one machine.
CAPACITY = {"cpu": "32", "memory": "64Gi", "ephemeral-storage": "100Gi"}

_FORM = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i|)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def parse_quantity(text: str) -> Decimal:
    """Return the value of a quantity such as `100m`, `1.5`, `64Mi`, `2e3`. Raises ValueError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a quantity")
    number, suffix = Decimal(found[1]), found[2]
    if suffix in _BINARY:
        return number * Decimal(1024 ** _BINARY[suffix])
    if suffix in _DECIMAL:
        return number.scaleb(_DECIMAL[suffix])
    return number.scaleb(int(suffix[1:]))


def in_units(quantity: str, divisor: str) -> str:
    """Return `quantity` in units of `divisor`, rounded up, as resourceFieldRef does (divisor 0 means 1)."""
    unit = parse_quantity(divisor) or Decimal(1)
    return str(math.ceil(parse_quantity(quantity) / unit))
