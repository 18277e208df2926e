"""Writes the tables of docs/status.md: `python -m wsedge_operator.reconcile.status_page [--check]`.

People write the text around the tables. The rows come from `reasons` and stand between two markers:

    <!-- reasons: NAME; generated from operator/wsedge_operator/reconcile/reasons.py by `make generate` -->
    <!-- end -->
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from wsedge_operator.api.generation.writing import run_page
from wsedge_operator.api.generation.writing import with_tables as written
from wsedge_operator.reconcile.reasons import (
    DOMAIN_CONDITIONS,
    EVENTS,
    PLAN_CONDITIONS,
    Explanation,
)

PAGE: Final = Path("docs/status.md")
TABLES: Final[Mapping[str, Sequence[Explanation]]] = {
    "WebSocketDomain": DOMAIN_CONDITIONS,
    "BillingPlan": PLAN_CONDITIONS,
    "Events": EVENTS,
}


def with_tables(page: str) -> str:
    """Return the text of the page with the current table between each pair of markers.

    Raises ValueError unless the page has exactly one pair of markers for each table.
    """
    return written(PAGE, page, {f"reasons: {name};": "".join(_lines(rows)) for name, rows in TABLES.items()})


def _lines(table: Sequence[Explanation]) -> Iterator[str]:
    yield "| reason | what it means | what to do |\n| --- | --- | --- |\n"
    for row in table:
        reasons = ", ".join(f"`{reason}`" for reason in row.reasons)
        yield f"| {reasons} | {row.meaning} | {row.remedy}{' ' if row.remedy else ''}|\n"


def main(arguments: Sequence[str] | None = None, page: Path = PAGE) -> int:
    """Write or check the page; return the exit code."""
    return run_page(PAGE, with_tables, arguments=arguments, page=page)


if __name__ == "__main__":
    sys.exit(main())
