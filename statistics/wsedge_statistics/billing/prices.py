"""The optional price book: prices by method, area and tier. Pure.

Traffic is priced progressively: each GB by the tier that it falls into, counted from the start of the natural
month, and an hour that crosses a border is split there. Bandwidth is priced by the tier that it reaches: that
prices all of it, and a value on a border belongs to the lower tier.

The document is JSON, whose numbers are read as decimals, never as binary fractions:

    {"currency": "CNY", "decimals": 2, "prices": [
       {"method": "Traffic", "area": "CN", "tiers": [{"upTo": 10240, "price": 0.24}, {"price": 0.23}]},
       {"method": "Month95Bandwidth", "tiers": [{"price": "15"}]}]}

Units are GB, and Mbps per day (DailyPeakBandwidth) or per month. An entry without an area is for all areas
that have none of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any, Final, NoReturn, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from wsedge_statistics.billing.rules import ZERO
from wsedge_statistics.contract import Label, MeteringMethod
from wsedge_statistics.errors import PriceBookError

MAX_BYTES: Final = 1 << 20  # a ConfigMap cannot be larger


def _exact(value: Any) -> Any:
    if isinstance(value, bool | float):
        raise ValueError("give a number")
    return value


# Bounded, since a fraction of 1e999999999 would fill the memory.
_Exact = Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, max_digits=24, decimal_places=12)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(_Model):
    """A price per unit, up to a border that belongs to the tier; the last tier has no border."""

    upTo: _Exact | None = None
    price: _Exact


class Entry(_Model):
    """The tiers of a method, in one area or in all."""

    method: MeteringMethod
    area: Label | None = None
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        borders = [tier.upTo for tier in self.tiers]
        if borders[-1] is not None:
            raise ValueError("the last tier must have no upTo: what is above would have no price")
        for lower, upper in pairwise([Decimal(0), *borders[:-1]]):
            if lower is None or upper is None or upper <= lower:
                raise ValueError("each tier but the last needs an upTo above that of the tier before it")
        return self


class Book(_Model):
    """A price book. Amounts are rounded to `decimals`."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    decimals: Annotated[int, Field(ge=0, le=8)] = 2
    prices: Annotated[tuple[Entry, ...], Field(max_length=1000)]

    @model_validator(mode="after")
    def _once(self) -> Self:
        seen = set()
        for entry in self.prices:
            if (entry.method, entry.area) in seen:
                where = f"area {entry.area}" if entry.area else "all areas"
                raise ValueError(f"{entry.method} has two entries for {where}")
            seen.add((entry.method, entry.area))
        return self

    def tiers(self, method: str, area: str) -> tuple[Tier, ...] | None:
        """Return the tiers of a method in an area; None when the book has no price for it."""
        found = {entry.area: entry.tiers for entry in self.prices if entry.method == method}
        return found.get(area, found.get(None))

    def only(self, methods: Iterable[str]) -> Book:
        """Return the book with the entries of some methods."""
        wanted = set(methods)
        return self.model_copy(update={"prices": tuple(e for e in self.prices if e.method in wanted)})


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a quantity that one price applies to. `hour` is the hour in which its tier was entered."""

    quantity: Fraction
    price: Decimal
    amount: Fraction
    hour: int | None = None


def read_book(text: bytes) -> Book:
    """Parse a price book. Raises PriceBookError, which names the field."""
    if len(text) > MAX_BYTES:
        raise PriceBookError(f"larger than {MAX_BYTES} bytes")
    try:
        document = json.loads(text, parse_float=Decimal, parse_constant=_refuse)
        return Book.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise PriceBookError(f"{place}: {reason}" if place else reason) from None
    except (ValueError, RecursionError) as error:
        raise PriceBookError(f"not JSON: {error}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def progressive(
    before: Fraction, hours: Iterable[tuple[int, Fraction]], tiers: Sequence[Tier]
) -> list[Share]:
    """Price quantities by hour, after `before` of the same month; return a share per tier that was used.

    An hour that crosses a border is split at it.
    """
    shares: dict[int, Share] = {}
    at = before
    for hour, quantity in hours:
        left = quantity
        for index, tier in enumerate(tiers):
            room = left if tier.upTo is None else min(left, max(ZERO, Fraction(tier.upTo) - at))
            if room:
                shares[index] = _more(shares.get(index), tier, hour, room)
                at, left = at + room, left - room
    return [share for _, share in sorted(shares.items())]


def _more(share: Share | None, tier: Tier, hour: int, quantity: Fraction) -> Share:
    amount = quantity * Fraction(tier.price)
    if share is None:
        return Share(quantity, tier.price, amount, hour)
    return Share(share.quantity + quantity, share.price, share.amount + amount, share.hour)


def reached(quantity: Fraction, tiers: Sequence[Tier]) -> Share:
    """Price a quantity by the tier that it reaches, which prices all of it."""
    tier = next(each for each in tiers if each.upTo is None or quantity <= Fraction(each.upTo))
    return Share(quantity, tier.price, quantity * Fraction(tier.price))
