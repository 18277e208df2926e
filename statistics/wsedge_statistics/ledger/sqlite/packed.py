"""The packed series of schema 1: compressed JSON, measure -> [slots of five minutes, values]. Pure."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Final

# Schema 1's names of measures, in the order of `schema.MEASURES`.
_MEASURES: Final = ("sent", "received", "sentMessages", "receivedMessages", "opened", "", "peak")
_CODE: Final = "code:"
Packed = tuple[dict[int, list[int]], dict[tuple[int, int], int]]


class DamagedError(Exception):
    """A packed series cannot be read: its bytes are not those that were written."""


def unpack(packed: bytes, start: int, *, before: int) -> Packed:
    """Return counts by bucket, and counts by bucket and code, of the buckets before `before`.

    `start` is the first bucket. Raises DamagedError.
    """
    counts: dict[int, list[int]] = {}
    codes: dict[tuple[int, int], int] = {}
    try:
        document: Mapping[str, tuple[list[int], list[int]]] = json.loads(zlib.decompress(packed))
        for measure, (slots, values) in document.items():
            for slot, value in zip(slots, values, strict=True):
                bucket = start + slot
                if bucket >= before:
                    continue
                row = counts.setdefault(bucket, [0] * len(_MEASURES))
                if measure.startswith(_CODE):
                    codes[bucket, int(measure.removeprefix(_CODE))] = value
                else:
                    row[_MEASURES.index(measure)] = value
    except (zlib.error, ValueError, AttributeError, TypeError) as error:
        raise DamagedError(str(error)) from error
    return counts, codes
