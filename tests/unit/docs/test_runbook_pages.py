"""docs/runbooks: what a page says to type, to grep for and to ask Prometheus for exists.

Its kubectl commands are typed on a cluster by tests/cluster/chart/test_runbooks.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = {page.stem: page.read_text("utf-8") for page in sorted((DOCS / "runbooks").glob("*.md"))}
PROGRAMS = {
    "operator": ROOT / "operator" / "wsedge_operator",
    "relay": ROOT / "proxy" / "wsedge_relay",
    "statistics": ROOT / "statistics" / "wsedge_statistics",
}
# Metrics that no table of ours has.
OTHERS = {"process_open_fds", "process_max_fds", "container_memory_working_set_bytes"}
# Lines that are no command and no question for Prometheus.
PROSE = {"date on the node of the statistics, and in another pod"}
# What Python and the API server print, and fields that lines have besides their event.
PRINTED = {"Traceback", "directory"}


def typed(name: str) -> list[str]:
    """Return the indented lines of a page, without remarks."""
    return [
        line.partition("  # ")[0].strip() for line in re.findall(r"^    (\S.*)$", PAGES[name], re.MULTILINE)
    ]


def all_typed() -> list[tuple[str, str]]:
    """Return each line of each page."""
    return [(name, line) for name in PAGES for line in typed(name)]


def tables() -> dict[str, set[str]]:
    """Return the labels of each metric by its whole name; other tests compare these tables with programs."""
    found: dict[str, set[str]] = {}
    for page, prefix in (
        ("relay/metrics", "relay"),
        ("statistics", "statistics"),
        ("observability", "operator"),
    ):
        text = (DOCS / f"{page}.md").read_text("utf-8")
        for line in text.splitlines():
            cells = [cell.strip() for cell in line.split("|")[1:-1]]
            if not line.startswith("| `") or len(cells) < 3:
                continue
            labels = cells[1] if prefix == "relay" else cells[2]
            for name in re.findall(r"`(\w+)`", cells[0]):
                whole = f"wsedge_{prefix}_{name.removesuffix('_total')}"
                found[whole] = set(re.findall(r"\w+", labels))
    return found


@cache
def events(program: str) -> set[str]:
    """Return the events that a program logs."""
    return set(_events(PROGRAMS[program]))


def _events(package: Path) -> Iterator[str]:
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func.value).endswith("log")
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                yield str(node.args[0].value)


@pytest.mark.parametrize(("name", "line"), all_typed())
def test_each_line_is_a_command_or_a_question(name: str, line: str) -> None:
    """A line that is neither is prose, and listed above."""
    assert line in PROSE or re.match(r"(kubectl|wsedge-statistics) ", line) or _metrics(line), name


def _metrics(text: str) -> list[str]:
    return re.findall(r"\b(?:wsedge|process|container)_\w+", text)


def test_every_metric_that_a_page_names_exists() -> None:
    """With the labels by which the page sums or selects."""
    known, seen = tables(), 0
    for name, page in PAGES.items():
        for metric in _metrics(page):
            base = re.sub(r"_(total|bucket|sum|count)$", "", metric)
            assert metric in OTHERS or base in known, (name, metric)
            seen += 1
        for line in typed(name):
            asked = set(re.findall(r"by \((\w+)\)", line)) | set(re.findall(r"[{,](\w+)=", line))
            if "kubectl" not in line and asked:
                (metric,) = _metrics(line)
                labels = known[re.sub(r"_(total|bucket)$", "", metric)] | {"le", "namespace", "pod"}
                assert asked <= labels, (name, line)
    assert seen >= 15


def test_every_metric_without_its_prefix_exists() -> None:
    """As in `handshake_refusals` rise."""
    known = {re.sub(r"^wsedge_[a-z]+_", "", metric) for metric in tables()}
    quoted = {word for page in PAGES.values() for word in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page)}
    assert {"handshake_refusals", "origin_failures", "usage_rows_refused"} <= quoted
    assert sorted(quoted - known) == []


@pytest.mark.parametrize(("name", "line"), [each for each in all_typed() if "| grep" in each[1]])
def test_what_a_page_greps_for_is_logged_by_that_program(name: str, line: str) -> None:
    """Each alternative of a pattern finds an event; the pods of a namespace of the reader's are relays."""
    program = next((each for each in PROGRAMS if f"name=wsedge-{each}" in line), "relay")
    assert program != "relay" or "-n NAMESPACE logs POD" in line, name
    logged = events(program)
    assert len(logged) > 5
    for flags, quoted, plain in re.findall(r'\| grep( -\w+)? (?:"([^"]+)"|(\w+))', line):
        pattern = quoted or plain
        assert ("(" in pattern or "|" in pattern or "?" in pattern) == (flags == " -E"), (name, pattern)
        for part in re.split(r"\|(?![^(]*\))", pattern):
            assert part in PRINTED or any(re.search(part, event) for event in logged), (name, part)


@pytest.mark.parametrize(("name", "line"), [each for each in all_typed() if " logs " in each[1]])
def test_a_selector_of_logs_says_how_many_lines(name: str, line: str) -> None:
    """By a selector kubectl prints the last ten lines of each pod, unless it is told."""
    if " -l " in line:
        assert re.search(r" --tail=(-1|\d+)", line), name


def test_events_in_the_text_exist() -> None:
    """Words of the log that a page quotes in its advice."""
    logged = set.union(*(events(program) for program in PROGRAMS))
    assert "`usage report failed`" in PAGES["WsedgeRelaysSilent"]
    assert "usage report failed" in logged
    sources = "".join(path.read_text("utf-8") for path in PROGRAMS["statistics"].rglob("*.py"))
    words = re.findall(r"`(moved or deleted|replaced|truncated)`", PAGES["WsedgeLedgerUnwritable"])
    assert [word for word in words if f"was {word}" not in sources] == []
    assert len(words) == 3
    reading = (PROGRAMS["operator"] / "runtime" / "reading.py").read_text("utf-8")
    assert "the cluster has not been read yet" in PAGES["WsedgeOperatorAbsent"]
    assert '"the cluster has not been read yet"' in reading


def test_events_that_the_plugin_names_are_logged_by_relays() -> None:
    """A finding of `kubectl wsedge status` sends its reader to a line of the log."""
    source = (PROGRAMS["operator"] / "cli" / "diagnosis.py").read_text("utf-8")
    named = re.findall(r"kubectl logs [^\"]*, event ([a-z ]+)", source)
    assert named
    assert [event for event in named if event not in events("relay")] == []


def test_the_reasons_of_refused_rows_exist() -> None:
    """As the statistics name them in an answer."""
    sources = "".join(path.read_text("utf-8") for path in PROGRAMS["statistics"].rglob("*.py"))
    reasons = set(re.findall(r"`([a-z]+-[a-z]+)`", PAGES["WsedgeReportsRefused"]))
    assert reasons == {"foreign-rows", "account-full"}
    assert [reason for reason in reasons if f'"{reason}"' not in sources] == []
