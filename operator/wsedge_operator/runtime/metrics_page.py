"""Writes the operator's table of docs/observability.md.

    python -m wsedge_operator.runtime.metrics_page [--check]

People write the text around the table. The rows come from `Metrics.table` and stand between two markers:

    <!-- metrics of the operator; … -->
    <!-- end -->
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from wsedge_operator.api.generation.writing import run_page, with_tables
from wsedge_operator.runtime.metrics import Metrics

PAGE: Final = Path("docs/observability.md")


def with_table(page: str) -> str:
    """Return the page with the current table; raises ValueError unless it has one pair of markers."""
    return with_tables(PAGE, page, {"metrics of the operator;": "".join(_lines())})


def _lines() -> Iterator[str]:
    yield "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n"
    for row in Metrics().table:
        name = f"`{row.name}{'_total' if row.type == 'counter' else ''}`"
        yield f"| {name} | {row.type} | {', '.join(row.labels)}{' ' if row.labels else ''}| {row.text} |\n"


def main(arguments: Sequence[str] | None = None, page: Path = PAGE) -> int:
    """Write or check the page; return the exit code."""
    return run_page(PAGE, with_table, arguments=arguments, page=page)


if __name__ == "__main__":
    sys.exit(main())
