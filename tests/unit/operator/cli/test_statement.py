"""A statement as a person reads it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from wsedge_operator.cli.statement import _shown

LINE: Final[dict[str, Any]] = {
    "area": "unknown",
    "method": "Traffic",
    "cycle": "Daily",
    "start": "2026-11-29T09:50:00Z",
    "end": "2026-11-29T16:00:00Z",
    "quantity": "0.000039831",
    "unit": "GB",
    "price": None,
}
OPEN: Final[dict[str, Any]] = {
    "account": "team-a",
    "period": "2026-11-29",
    "state": "Open",
    "start": "2026-11-28T16:00:00Z",
    "end": "2026-11-29T16:00:00Z",
    "completeUntil": "2026-11-29T09:55:00Z",
    "prices": None,
    "lines": [LINE],
    "currency": None,
    "amount": None,
}
PRICED: Final[dict[str, Any]] = {
    "prices": {},
    "currency": "CNY",
    "amount": "1.25",
    "lines": [LINE | {"price": {"amount": "1.25"}}],
}
SHOWN: Final[dict[str, tuple[dict[str, Any], int, str]]] = {
    "a period that runs says until when it has counts": (
        {},
        0,
        "team-a, 2026-11-29: Open, 2026-11-28T16:00:00Z to 2026-11-29T16:00:00Z,"
        " counted until 2026-11-29T09:55:00Z",
    ),
    "a closed one has all": (
        {"state": "Closed"},
        0,
        "team-a, 2026-11-29: Closed, 2026-11-28T16:00:00Z to 2026-11-29T16:00:00Z",
    ),
    "without prices it says why it has no amounts": (
        {},
        -1,
        "No amounts: the statistics have no price book.",
    ),
    "with prices its last line is the sum": (PRICED, -1, "Total  1.25 CNY"),
    "no table of nothing": ({"lines": []}, 1, "No lines: nothing was metered."),
}


@pytest.mark.parametrize(("changes", "index", "line"), SHOWN.values(), ids=SHOWN)
def test_a_statement(changes: dict[str, Any], index: int, line: str) -> None:
    """What a figure lacks is said beside it."""
    assert _shown(OPEN | changes).splitlines()[index] == line
