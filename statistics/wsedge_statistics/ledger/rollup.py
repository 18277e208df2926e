"""Rollups: the rows of the hour and day tiers, computed from the tier below. Pure.

A packed row retains every five-minute value of its hour or day. So answers stay exact with age: a peak is
taken after the sum over any choice of domains, and a day can be cut in any time zone.
Rollups are computed anew from the tier below, never incremented.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping

from wsedge_statistics.errors import LedgerDamagedError
from wsedge_statistics.numbers.series import BUCKET, Key, Series, add_series


def roll(parts: Iterable[tuple[Key, Series]], *, start: int, end: int) -> dict[Key, Series]:
    """Sum parts by key, and by the domain's total, within [start, end).

    Values of different sources and keys add. Peak connections add as well: they were open within the same
    five minutes, though not necessarily at the same instant.
    """
    rolled: dict[Key, Series] = {}
    for key, series in parts:
        if not key.region:
            continue  # totals are computed anew from the full keys
        for target in (key, key.total()):
            add_series(rolled.setdefault(target, {}), series, start=start, end=end)
    return rolled


def largest(one: Series, other: Series) -> Series:
    """Return the larger of both values, bucket by bucket."""
    answer = {measure: dict(values) for measure, values in one.items()}
    for measure, values in other.items():
        kept = answer.setdefault(measure, {})
        for bucket, value in values.items():
            kept[bucket] = max(value, kept.get(bucket, 0))
    return answer


def pack(series: Series, start: int) -> bytes:
    """Pack a series that begins at `start`: compressed JSON, measure -> [slots, values]."""
    packed = {
        measure: [
            [(bucket - start) // BUCKET for bucket in sorted(values)],
            [values[b] for b in sorted(values)],
        ]
        for measure, values in sorted(series.items())
        if values
    }
    return zlib.compress(json.dumps(packed, separators=(",", ":")).encode())


def unpack(packed: bytes, start: int) -> Series:
    """Undo `pack`. Raises LedgerDamagedError."""
    try:
        document: Mapping[str, tuple[list[int], list[int]]] = json.loads(zlib.decompress(packed))
        return {
            measure: {start + slot * BUCKET: value for slot, value in zip(slots, values, strict=True)}
            for measure, (slots, values) in document.items()
        }
    # The last two are of JSON in another form. Any other error would end the ledger's writer.
    except (zlib.error, ValueError, AttributeError, TypeError) as error:
        raise LedgerDamagedError(f"the rollup that begins at {start} is damaged: {error}") from error
