"""The metrics of relays that `status` shows: read from Prometheus' text format, summed and compared. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_PREFIX: Final = "wsedge_relay_"
_LINE: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)(?: [0-9-]+)?")
# Each name is read once (the look-behind, `*+`): a pod may answer with a line of megabytes.
_LABEL: Final = re.compile(r'(?<![a-zA-Z0-9_])([a-zA-Z_][a-zA-Z0-9_]*+)="((?:[^"\\]|\\.)*+)"')
_MOST: Final = 2.0**64
_ESCAPES: Final = {r"\\": "\\", r"\"": '"', r"\n": "\n"}

Labels = tuple[tuple[str, str], ...]
Metrics = Mapping[tuple[str, Labels], float]
"""Values by name, without the prefix, and by labels in the order of their names."""


def read(text: str) -> Metrics:
    """Return the relay's metrics of a scrape; a line in another form is skipped, and a number beyond 2^64."""
    found: dict[tuple[str, Labels], float] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None or not match[1].startswith(_PREFIX):
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        if not abs(value) <= _MOST:  # nor infinite, nor NaN, which is in no order
            continue
        labels = sorted((label[1], _plain(label[2])) for label in _LABEL.finditer(match[2] or ""))
        found[(match[1].removeprefix(_PREFIX), tuple(labels))] = value
    return found


def total(metrics: Iterable[Metrics], name: str, **labels: str) -> float:
    """Return the sum of a metric over relays and over its labels, of those with `labels`."""
    wanted = labels.items()
    return sum(
        value
        for one in metrics
        for (at, found), value in one.items()
        if at == name and wanted <= dict(found).items()
    )


def by(metrics: Metrics, name: str, label: str, **labels: str) -> dict[str, float]:
    """Return the sums of a metric by the values of a label, of those with `labels`."""
    sums: dict[str, float] = {}
    for (at, found), value in metrics.items():
        if at == name and labels.items() <= dict(found).items():
            key = dict(found).get(label, "")
            sums[key] = sums.get(key, 0.0) + value
    return sums


def risen(before: Metrics, after: Metrics, name: str, **labels: str) -> float:
    """Return the growth of a counter between two scrapes; one that began again counts from zero."""
    return sum(
        value - (old if (old := before.get((at, found), 0.0)) <= value else 0.0)
        for (at, found), value in after.items()
        if at == name and labels.items() <= dict(found).items()
    )


def _plain(text: str) -> str:
    return re.sub(r"\\.", lambda match: _ESCAPES.get(match[0], match[0]), text)
