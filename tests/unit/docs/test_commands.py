"""What the pages say to type is accepted: by our programs, by the chart and by make."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from wsedge_devcluster.main import parser as devcluster_parser
from wsedge_operator.cli.arguments import parser as plugin_parser
from wsedge_relay.settings import _parser as relay_parser
from wsedge_statistics.commands import _parser as ledger_parser
from wsedge_statistics.settings import parser as statistics_parser

ROOT = Path(__file__).parents[3]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in sorted(
        [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    )
    if path.name != "CHANGELOG.md"
}
PROGRAMS = ("kubectl wsedge", "kubectl-wsedge", "wsedge-statistics", "wsedge-relay", "wsedge-devcluster")


@cache
def typed(page: str) -> list[str]:
    """Return the commands of a page: indented or fenced lines, and code in sentences, without remarks."""
    text = PAGES[page].replace("\\\n", " ").replace("\\|", "|")
    lines = re.findall(r"^(?: {4,}|\$ )(\S.*)$", text, re.MULTILINE)
    quoted = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    return [re.split(r"\s+#(?: |$)", line)[0] for line in (*lines, *quoted)]


def calls(page: str, program: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of a program of ours, up to a pipe or a redirection."""
    for line in typed(page):
        for found in re.finditer(rf"(?:^|\.venv/bin/|\(| -- +){re.escape(program)} ([^|>&<)]+)", line):
            yield shlex.split(found[1].replace("…", "x"))


def parse(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Parse arguments; a mistake is a ValueError with the parser's words."""

    def error(message: str) -> None:
        raise ValueError(message)

    for one in (parser, *_of_verbs(parser)):
        one.error = error  # type: ignore[method-assign,assignment]
    parser.parse_args(words)


def _of_verbs(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield one
                yield from _of_verbs(one)


def parser_of(program: str, words: list[str]) -> argparse.ArgumentParser | None:
    """Return the parser of a call; None for a word that is no call, such as a name of an object."""
    if program in ("kubectl wsedge", "kubectl-wsedge"):
        return plugin_parser()
    if program == "wsedge-devcluster":
        return devcluster_parser()
    if program == "wsedge-statistics":
        if words[0] in ("backup", "restore", "verify"):
            return ledger_parser()
        return statistics_parser() if words[0].startswith("-") else None
    return relay_parser() if words[0].startswith("-") else None


@pytest.mark.parametrize("page", PAGES)
def test_programs_accept_what_a_page_says_to_type(page: str) -> None:
    """Verbs, options and their values, by each program's own parser."""
    for program in PROGRAMS:
        for words in calls(page, program):
            if words[0] == "migrate":  # has one option besides those of the program
                at = words.index("--from")
                words = words[1:at] + words[at + 2 :]
            parser = parser_of(program, words)
            # A verb alone, in a sentence, names it; its arguments are elsewhere.
            if parser is None or (len(words) == 1 and words[0].islower()):
                continue
            try:
                parse(parser, words)
            except ValueError as error:
                raise AssertionError(f"{page}: {program} {' '.join(words)}: {error}") from None


def test_calls_are_found() -> None:
    """The search above is not empty: the pages have calls of each program."""
    found = {program: [words for page in PAGES for words in calls(page, program)] for program in PROGRAMS}
    assert len(found["kubectl wsedge"]) > 15
    assert {words[0] for words in found["wsedge-statistics"]} >= {"backup", "restore", "verify"}
    assert {words[0] for words in found["wsedge-devcluster"]} >= {"up", "example", "build", "kubectl", "helm"}
    assert ["--schema"] in found["wsedge-relay"] or ["--config", "relay.json"] in found["wsedge-relay"]


@pytest.mark.parametrize("page", PAGES)
def test_each_value_that_is_set_is_one_of_the_chart(page: str) -> None:
    """`--set` of an unknown value would fail, or worse."""
    values = yaml.safe_load((ROOT / "charts" / "wsedge" / "values.yaml").read_text("utf-8"))
    for line in typed(page):
        for given in re.findall(r"--set(?:-string|-json)?[ =]'?([^'\s]+)", line):
            for pair in re.split(r",(?=[a-zA-Z.]+=)", given):
                assert _has(values, pair.partition("=")[0].split(".")), (page, pair)


def _has(values: Any, path: list[str]) -> bool:
    if not path or values is None or values == {}:
        return True  # a map with the user's own keys, or a value that is absent by default
    return isinstance(values, dict) and path[0] in values and _has(values[path[0]], path[1:])


@pytest.mark.parametrize("page", PAGES)
def test_each_target_of_make_exists(page: str) -> None:
    """`make NAME`, typed or quoted."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([\w./-]+):", makefile, re.MULTILINE))
    for line in typed(page):
        for target in re.findall(r"(?:^|[\s(])make (?!PYTHON)([\w./-]+)", line):
            assert target in targets, (page, line)


@pytest.mark.parametrize("page", PAGES)
def test_each_test_that_a_page_names_exists(page: str) -> None:
    """A promise is kept by the test that it names."""
    named = set(re.findall(r"`(test_\w+)`", PAGES[page]))
    assert sorted(named - all_tests()) == []


@cache
def all_tests() -> set[str]:
    """Return the names of all tests."""
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text("utf-8"))}
