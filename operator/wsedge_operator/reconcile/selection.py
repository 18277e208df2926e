"""The label selector of the namespaces that the operator serves, in the syntax of Kubernetes.

    key   !key   key=value   key==value   key!=value   key in (a,b)   key notin (a,b)      separated by commas

A namespace is selected if it meets all requirements. `!=` and `notin` also match a namespace without the key
(Kubernetes docs, Labels and Selectors).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# The message has neither the selector nor the name of another namespace: both may reveal other tenants.
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
    """A condition on a label: its value is one of `values` (None: any value); `negated` inverts it."""

    key: str
    values: frozenset[str] | None
    negated: bool = False

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether `labels` meet this requirement."""
        value = labels.get(self.key)
        found = value is not None and (self.values is None or value in self.values)
        return found is not self.negated


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Requirements of which all must be met; an empty selector matches every namespace."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether `labels` meet all requirements."""
        return all(requirement.holds(labels) for requirement in self.requirements)


EVERYTHING: Final = LabelSelector()


def parse_selector(text: str) -> LabelSelector:
    """Parse a label selector; an empty text matches everything. Raises ValueError with the invalid part."""
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
        f"{text!r} is not a requirement of a label selector; write key, !key, key=value, key!=value,"
        " key in (a,b) or key notin (a,b)"
    )
