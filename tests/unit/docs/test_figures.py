"""Figures and layers that a page repeats are those of their source."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


def bytes_per_row(table: str) -> float:
    """Return what `make bench-statistics` measured."""
    text = (DOCS / "benchmarks.md").read_text("utf-8")
    (found,) = re.findall(rf"^\| bytes per row of {table} \(.*\| ([\d.]+) bytes \|", text, re.MULTILINE)
    return float(found)


def test_the_ledger_beside_clickhouse_is_the_one_of_the_benchmarks() -> None:
    """Bytes per row, and what is computed from them, for 93 days of a domain and of 10,000 domains."""
    page = (DOCS / "clickhouse.md").read_text("utf-8")
    row, code, total, total_code = map(bytes_per_row, ("usage", "codes", "totals", "code_totals"))
    assert f"| bytes per row of a relay | {row}, and {code} per HTTP code |" in page
    assert f"| bytes per total over relays | {total}, and {total_code} per HTTP code |" in page
    rows = 93 * 288 * 15
    assert f"15 places ({rows:,} rows, two codes each) | {rows * (row + 2 * code) / 1e6:.0f} MB |" in page
    assert f"10,000 domains, computed | {rows * (row + 2 * code) / 1e5:.0f} GB |" in page


@pytest.mark.parametrize("program", ["relay", "operator", "statistics", "devcluster"])
def test_the_layers_of_the_architecture_are_those_that_are_enforced(program: str) -> None:
    """docs/architecture.md has the rows of .importlinter."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    enforced = contracts[f"importlinter:contract:{program}-layers"]["layers"].split("\n")[1:]
    page = (DOCS / "architecture.md").read_text("utf-8").split("\n## Layers\n")[1].split("\n## ")[0]
    (shown,) = re.findall(rf"^    wsedge_{program} +(.*(?:\n {{8,}}.*)*)", page, re.MULTILINE)
    rows = [" | ".join(sorted(re.findall(r"\w+", row))) for row in shown.split("\n")]
    assert rows == [" | ".join(sorted(re.findall(r"\w+", row))) for row in enforced]
