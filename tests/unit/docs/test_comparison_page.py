"""docs/comparison.md: dated, with the figures of docs/benchmarks.md and no others."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "comparison.md").read_text("utf-8")
BENCHMARKS = (DOCS / "benchmarks.md").read_text("utf-8")
CORRECT = "correct docs/comparison.md, and what it says about the figures"


def cells(line: str) -> list[str]:
    """Return the cells of a row."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def measured(table: str, column: str) -> dict[str, str]:
    """Return the first figure of a column of a table of the benchmarks, by proxy."""
    part = BENCHMARKS.split(f"\n### {table}\n")[1].split("\n### ")[0]
    head, _, *rows = [cells(line) for line in part.splitlines() if line.startswith("|")]
    return {row[0]: row[head.index(column)].partition(" ")[0] for row in rows}


def test_the_figures_are_those_of_the_benchmarks() -> None:
    """Each cell of the table is what `make bench` wrote; a new run asks for a new comparison."""
    part = PAGE.split("<!-- figures")[1].split("<!-- end -->")[0]
    head, _, *rows = [cells(line) for line in part.splitlines() if line.startswith("|")]
    assert len(rows) >= 8
    for table, column, *figures in rows:
        found = measured(table, column)
        assert figures == [found[proxy] for proxy in head[2:]], f"{table}, {column}: {CORRECT}"


def test_the_peers_get_their_larger_buffers() -> None:
    """What nginx and HAProxy need with buffers as large as wsedge's is said beside the figures."""
    found = measured("ws", "16 KiB")
    for proxy in ("nginx, 64k buffers", "HAProxy, 64k, splice"):
        assert f"{found[proxy]}" in PAGE.split("<!-- end -->")[1], CORRECT


def test_the_measured_versions_are_those_of_the_benchmarks() -> None:
    """They are older than the versions that the page compares, and the page says so."""
    date, nginx, haproxy = re.findall(
        r"^(\d{4}-\d\d-\d\d), .*nginx/([\d.]+); HAProxy version ([\d.]+)-", BENCHMARKS, re.MULTILINE
    )[0]
    for fact in (date, f"nginx {nginx}", f"HAProxy {haproxy}", "not of the versions above"):
        assert fact in " ".join(PAGE.split()), CORRECT


def test_the_page_is_dated_and_names_its_sources() -> None:
    """A reader sees how old each claim may be, and where it is from."""
    assert re.search(r"^As of \d{4}-\d\d-\d\d\. Versions: ", PAGE, re.MULTILINE)
    sources = PAGE.split("## Sources")[1]
    assert all(f"\n- {name}: [" in sources for name in ("nginx", "HAProxy", "Envoy Gateway", "DCDN"))
