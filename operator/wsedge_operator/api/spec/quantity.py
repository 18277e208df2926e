"""Amounts of CPU, memory and storage, in Kubernetes' notation (apimachinery, resource.Quantity)."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from wsedge_operator.api.meta import Matches, Rule, SpecPart, cel, validations

_SUFFIXES: Final = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{suffix: Decimal(10) ** (3 * power) for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}
# The API server rounds an amount up to billionths, and caps one with a binary suffix (Ki … Ei) at 2^63-1.
_SMALLEST: Final = Decimal("1e-9")
_LARGEST_BINARY: Final = Decimal(2**63 - 1)
_NAMES: Final = ("cpu", "memory", "ephemeral-storage")
_NAMES_MESSAGE: Final = "name cpu, memory or ephemeral-storage"
_LIMIT_MESSAGE: Final = "a request may not be above its limit"

Quantity = Annotated[
    int | str,
    Field(json_schema_extra={"x-kubernetes-int-or-string": True}),
    Matches(
        r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?",
        "give an amount such as 2, 500m or 64Mi",
        # CEL's cost estimate has no bound for the length of an int-or-string, so the API server would refuse
        # a CRD with a regular expression here.
        rule="type(self) == int ? int(self) >= 0"
        " : isQuantity(self) && !quantity(self).isLessThan(quantity('0'))",
    ),
]


def amount_of(quantity: int | str) -> Decimal:
    """Return a Quantity as the number that the API server stores, in cores or in bytes."""
    text = str(quantity)
    number = text.rstrip("numkKMGTPEi")
    amount = Decimal(number) * _SUFFIXES[text[len(number) :]]
    if text.endswith("i"):
        amount = min(amount, _LARGEST_BINARY)
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= -9:
        return amount
    return amount.quantize(_SMALLEST, rounding=ROUND_CEILING)


Amounts = Annotated[
    dict[str, Quantity],
    Field(max_length=len(_NAMES)),
    Rule(f"self.all(name, name in {list(_NAMES)})", _NAMES_MESSAGE),
]


class RelayResources(SpecPart):
    """Requests and limits of each relay pod."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.requests) || !has(self.limits) || self.requests.all(name,"
                " !(name in self.limits) || !isQuantity(string(self.requests[name]))"
                " || !isQuantity(string(self.limits[name])) || quantity(string(self.requests[name]))"
                ".compareTo(quantity(string(self.limits[name]))) <= 0)",
                _LIMIT_MESSAGE,
                field="requests",
            )
        )
    )

    requests: Annotated[
        Amounts | None,
        Field(
            description="The amounts that the scheduler reserves for a pod, for example {cpu: 100m, memory: "
            "64Mi}."
        ),
    ] = None
    limits: Annotated[
        Amounts | None, Field(description="The most that a pod may use, for example {memory: 256Mi}.")
    ] = None

    @model_validator(mode="after")
    def requests_fit_limits(self) -> Self:
        """Refuse unknown names and requests above their limits (CEL: the same)."""
        requests, limits = self.requests or {}, self.limits or {}
        if not {*requests, *limits} <= {*_NAMES}:
            raise ValueError(_NAMES_MESSAGE)
        if any(
            amount_of(requests[name]) > amount_of(limits[name]) for name in requests.keys() & limits.keys()
        ):
            raise ValueError(_LIMIT_MESSAGE)
        return self
