"""Output for people and for programs. Pure.

Texts of a cluster are input: whoever may write an object, or answers as an origin, chooses them. On a
terminal an escape sequence could move the cursor, change the title or hide a line, so in tables `?` stands
for each character that is not printable. JSON and YAML escape them, so that a program gets them as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import yaml

TABLE: Final = "table"
FORMS: Final = (TABLE, "json", "yaml")
_LONGEST_CELL: Final = 400
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_DAY: Final = 86_400


def printable(text: object, most: int = _LONGEST_CELL) -> str:
    """Return a text that a terminal only prints: of one line, without control characters, bounded."""
    shown = "".join(char if char.isprintable() else "?" for char in str(text)[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return aligned columns; an empty cell is a dash."""
    cells = [list(header), *([printable(cell) or "-" for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def document(value: Any, form: str) -> str:
    """Return a value as JSON or YAML, in ASCII."""
    if form == "json":
        return json.dumps(value, indent=2) + "\n"
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=120))


def amount(number: float, per: str = "") -> str:
    """Return a number of bytes with a unit of 1000, such as `1.5 MB`."""
    unit = 0
    while abs(number) >= 999.5 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    digits = f"{number:.0f}" if unit == 0 or number >= 99.5 else f"{number:.1f}"
    return f"{digits} {_UNITS[unit]}{per}"


def span(length: timedelta) -> str:
    """Return a length of time in its two largest units, such as `3d4h`, as kubectl shows an age."""
    seconds = int(max(0.0, length.total_seconds()))
    days, rest = divmod(seconds, _DAY)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), 3)
    return "".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count) or "0s"


def origin_name(name: str) -> str:
    """Return an origin's name in metrics for people: `10.0.0.1:9000/9000` has one port, not two."""
    address, _, ports = name.rpartition(":")
    http, _, https = ports.partition("/")
    return f"{address}:{http}" if address and http == https else name


def milliseconds(seconds: float | None) -> str:
    """Return a round-trip time, or nothing."""
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def instant(text: str | None) -> datetime | None:
    """Return the instant of a text in RFC 3339 in UTC, None of any other text."""
    try:
        moment = datetime.fromisoformat(str(text))
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):  # the latter: the first hours of the year 1, in the east
        return None
