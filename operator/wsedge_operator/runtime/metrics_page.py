"""Writes the operator's table of docs/observability.md.

    python -m wsedge_operator.runtime.metrics_page [--check]

People write the text around the table. The rows come from `Metrics.table` and stand between two markers:

    <!-- metrics of the operator; … -->
    <!-- end -->
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from wsedge_operator.api.generation.__main__ import run
from wsedge_operator.runtime.metrics import Metrics

PAGE: Final = Path("docs/observability.md")
_TABLE: Final = re.compile(r"(<!-- metrics of the operator;[^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)


def with_table(page: str) -> str:
    """Return the page with the current table; raises ValueError unless it has one pair of markers."""
    if len(_TABLE.findall(page)) != 1:
        raise ValueError(f"{PAGE}: one pair of markers of the operator's metrics is needed")
    return _TABLE.sub(lambda found: found[1] + "".join(_lines()) + found[2], page)


def _lines() -> Iterator[str]:
    yield "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n"
    for row in Metrics().table:
        name = f"`{row.name}{'_total' if row.type == 'counter' else ''}`"
        yield f"| {name} | {row.type} | {', '.join(row.labels)}{' ' if row.labels else ''}| {row.text} |\n"


def main(arguments: Sequence[str] | None = None, page: Path = PAGE) -> int:
    """Write or check the page; return the exit code."""
    return run(
        {PAGE: with_table(page.read_text(encoding="utf-8"))},
        description="Writes the operator's table of docs/observability.md from its metrics.",
        verb="make generate",
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
