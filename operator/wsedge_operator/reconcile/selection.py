"""Which namespaces the operator serves: a Kubernetes label selector over their labels.

    key   !key   key=value   key==value   key!=value   key in (a,b)   key notin (a,b)      separated by commas

All requirements hold together. `!=` and `notin` hold for a namespace without the key too, as everywhere in
Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Neither the selector nor another namespace is named: both may tell of other tenants.
NOT_SELECTED: Final = (
    "the operator does not serve this namespace: its labels do not match the operator's namespace selector;"
    " ask the cluster's administrator"
)

_KEY: Final = r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_VALUE: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
_EXISTS: Final = re.compile(rf"(?P<absent>!?)\s*(?P<key>{_KEY})")
_EQUALS: Final = re.compile(rf"(?P<key>{_KEY})\s*(?P<operator>==|!=|=)\s*(?P<value>{_VALUE})")
_IN: Final = re.compile(
    rf"(?P<key>{_KEY})\s+(?P<operator>in|notin)\s*\((?P<values>\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*)*)\)"
)
_COMMA_OUTSIDE_PARENTHESES: Final = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True, slots=True)
class Requirement:
    """The key's value is one of `values` (None: any), or with `negated` it is not."""

    key: str
    values: frozenset[str] | None
    negated: bool = False

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels meet this requirement."""
        value = labels.get(self.key)
        found = value is not None and (self.values is None or value in self.values)
        return found is not self.negated


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Requirements that hold together; without any it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels meet all requirements."""
        return all(requirement.holds(labels) for requirement in self.requirements)


EVERYTHING: Final = LabelSelector()


def parse_selector(text: str) -> LabelSelector:
    """Return the selector that `text` says; empty: everything. Raises ValueError with the part at fault."""
    if not text.strip():
        return EVERYTHING
    parts = (part.strip() for part in _COMMA_OUTSIDE_PARENTHESES.split(text))
    return LabelSelector(tuple(_requirement(part) for part in parts))


def _requirement(text: str) -> Requirement:
    if found := _EXISTS.fullmatch(text):
        return Requirement(found["key"], None, negated=bool(found["absent"]))
    if found := _EQUALS.fullmatch(text):
        return Requirement(found["key"], frozenset({found["value"]}), negated=found["operator"] == "!=")
    if found := _IN.fullmatch(text):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], values, negated=found["operator"] == "notin")
    raise ValueError(
        f"{text!r} is no requirement of a label selector: key, !key, key=value, key!=value,"
        " key in (a,b) or key notin (a,b)"
    )
