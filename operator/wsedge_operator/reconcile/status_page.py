"""Writes the tables of docs/status.md: `python -m wsedge_operator.reconcile.status_page [--check]`.

People write the text around the tables. The rows come from `reasons` and stand between two markers:

    <!-- reasons: NAME; generated from operator/wsedge_operator/reconcile/reasons.py by `make generate` -->
    <!-- end -->
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from wsedge_operator.api.generation.__main__ import run
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
_TABLE: Final = re.compile(r"(<!-- reasons: (\w+);[^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """Return the text of the page with the current table between each pair of markers.

    Raises ValueError unless the page has exactly one pair of markers for each table.
    """
    named = [name for _, name, _ in _TABLE.findall(page)]
    if sorted(named) != sorted(TABLES):
        raise ValueError(f"{PAGE}: markers for {sorted(TABLES)} are needed, found {sorted(named)}")
    return _TABLE.sub(lambda found: found[1] + "".join(_lines(TABLES[found[2]])) + found[3], page)


def _lines(table: Sequence[Explanation]) -> Iterator[str]:
    yield "| reason | what it means | what to do |\n| --- | --- | --- |\n"
    for row in table:
        reasons = ", ".join(f"`{reason}`" for reason in row.reasons)
        yield f"| {reasons} | {row.meaning} | {row.remedy}{' ' if row.remedy else ''}|\n"


def main(arguments: Sequence[str] | None = None, page: Path = PAGE) -> int:
    """Write or check the page; return the exit code."""
    return run(
        {PAGE: with_tables(page.read_text(encoding="utf-8"))},
        description="Writes the tables of docs/status.md from the reasons.",
        verb="make generate",
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
