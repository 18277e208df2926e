"""docs/statistics.md is complete: its table has the program's metrics, with their labels and meaning."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from support.statistics.metrics import all_metrics

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "statistics" / "wsedge_statistics"
PAGE = (ROOT / "docs" / "statistics.md").read_text()
_PREFIX = "wsedge_statistics_"


def rows_on_the_page() -> dict[str, tuple[str, str, str]]:
    """Return type, labels and meaning by the name in the table."""
    table = PAGE.split("\n## Metrics\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$", table, re.MULTILINE)
    return {name: (kind, labels, meaning) for name, kind, labels, meaning in rows}


def test_the_metrics_on_the_page_are_those_there_are() -> None:
    """With the type and the help text that a scrape has."""
    families = text_string_to_metric_families(all_metrics().text().decode())
    scraped = {
        family.name.removeprefix(_PREFIX) + "_total" * (family.type == "counter"): (
            family.type,
            family.documentation,
        )
        for family in families
        if family.name.startswith(_PREFIX) and not family.name.endswith("_created")
    }
    assert {name: (kind, meaning) for name, (kind, _, meaning) in rows_on_the_page().items()} == scraped


def test_the_labels_on_the_page_are_those_there_are() -> None:
    """As each metric is declared: a metric without a value yet has no label in a scrape."""
    declared = {}
    for node in ast.walk(ast.parse((PROGRAM / "metrics.py").read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "self._counter",
            "self._gauge",
            "self._histogram",
        ):
            # a gauge that is read at each scrape passes its name on, and has no labels
            if not isinstance(node.args[0], ast.Constant):
                continue
            name, _, *labels = (ast.literal_eval(argument) for argument in node.args)
            suffix = "_total" if ast.unparse(node.func) == "self._counter" else ""
            declared[name + suffix] = ", ".join(f"`{label}`" for label in labels)
    on_page = {name: labels for name, (_, labels, _) in rows_on_the_page().items()}
    assert {name: labels for name, labels in on_page.items() if labels or name in declared} == declared


def test_every_metric_that_a_page_names_exists() -> None:
    """A metric that was renamed is renamed in the pages, too."""
    known = rows_on_the_page().keys()
    for page in sorted((ROOT / "docs").rglob("*.md")):
        named = re.findall(r"`wsedge_statistics_(\w+)", page.read_text())
        assert [name for name in named if name not in known] == [], page


def test_the_kinds_of_questions_on_the_page_are_those_that_are_timed() -> None:
    """The values of the label `endpoint`."""
    text = "".join(file.read_text() for file in sorted(PROGRAM.rglob("*.py")))
    timed = set(re.findall(r'(?:kind=|seconds\.labels\()"([\w-]+)"', text))
    (sentence,) = re.findall(r"^`endpoint` is (.*?)\.$", PAGE, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`([\w-]+)`", sentence)) == timed
