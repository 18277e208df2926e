"""Metrics and state of several workers, merged into those of one relay. Pure.

Counters and histograms are summed. They never fall, because the counts of ended workers are retained. GAUGES
has the function that merges each gauge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wsedge_relay.contract import RelayState

Labels = tuple[tuple[str, str], ...]
_RISING: Final = frozenset({"counter", "histogram"})

# Every gauge of a worker, without the relay's own prefix, and the function that merges its values.
GAUGES: Final[Mapping[str, Callable[[Iterable[float]], float]]] = {
    "http2_connections": sum,
    "open_connections": sum,
    "origin_connections": sum,
    "origin_healthy": min,  # each worker checks by itself: one bad verdict counts
    "origin_ejected": max,
    "origin_check_seconds": max,
    "usage_rows_waiting": sum,
    "usage_last_taken_seconds": max,
    "usage_clock_ahead_seconds": lambda values: max(values, key=abs),
    "geo_files": min,
    "process_virtual_memory_bytes": sum,
    "process_resident_memory_bytes": sum,
    "process_open_fds": sum,
    "process_max_fds": sum,
    "process_start_time_seconds": min,
    "python_info": max,
}
PREFIX: Final = "wsedge_relay_"


@dataclass(frozen=True, slots=True)
class Metrics:
    """One metric family: its name, text and Prometheus type, and samples by name and labels."""

    name: str
    text: str
    kind: str
    samples: Mapping[tuple[str, Labels], float]


def aggregate(parts: Iterable[Sequence[Metrics]]) -> list[Metrics]:
    """Return the families of all parts, each once, in the order of their first appearance."""
    found: dict[str, Metrics] = {}
    values: dict[str, dict[tuple[str, Labels], list[float]]] = {}
    for part in parts:
        for family in part:
            found.setdefault(family.name, family)
            samples = values.setdefault(family.name, {})
            for at, value in family.samples.items():
                samples.setdefault(at, []).append(value)
    return [
        Metrics(
            name, family.text, family.kind, {at: _rule(family)(all_) for at, all_ in values[name].items()}
        )
        for name, family in found.items()
    ]


def risen(families: Iterable[Metrics]) -> list[Metrics]:
    """Return the counters and histograms of a worker that has ended, without its gauges."""
    return [family for family in families if family.kind in _RISING]


def _rule(family: Metrics) -> Callable[[Iterable[float]], float]:
    if family.kind in _RISING:
        return sum
    return GAUGES.get(family.name.removeprefix(PREFIX), sum)


def to_json(families: Iterable[Metrics]) -> list[Any]:
    """Return families as a JSON document; `from_json` reads it."""
    return [
        [family.name, family.text, family.kind, [[*at, value] for at, value in family.samples.items()]]
        for family in families
    ]


def from_json(document: Iterable[Any]) -> list[Metrics]:
    """Return the families that `to_json` wrote."""
    return [
        Metrics(
            name,
            text,
            kind,
            {
                (sample, tuple((label, is_) for label, is_ in labels)): float(value)
                for sample, labels, value in samples
            },
        )
        for name, text, kind, samples in document
    ]


def combined(states: Sequence[RelayState], newest: str) -> RelayState:
    """Return the state of a relay from its workers' states; `newest` is the last generation sent to them.

    A generation is in force when all workers run it; before, the result has an older one.
    """
    return RelayState(
        generation=next((state.generation for state in states if state.generation != newest), newest),
        draining=any(state.draining for state in states),
        openConnections=sum(state.openConnections for state in states),
    )
