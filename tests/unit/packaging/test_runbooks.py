"""Each alert has a page and a test that fires it; each page has an alert."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PAGES = {page.stem: page.read_text("utf-8") for page in (ROOT / "docs" / "runbooks").glob("*.md")}
GROUPS = yaml.safe_load((ROOT / "charts" / "wsedge" / "files" / "alerts.yaml").read_text("utf-8"))["groups"]
ALERTS: dict[str, Any] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
TESTS = [
    *(ROOT / "tests" / "component" / "alerts").glob("test_*.py"),
    ROOT / "tests" / "cluster" / "operator" / "test_operator_alerts.py",
]


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    """The page's name is the alert's, which runbook_url relies on."""
    assert PAGES.keys() == ALERTS.keys()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_says_what_it_means_how_to_see_it_and_what_to_do(name: str) -> None:
    """In this order, each with text."""
    title, *parts = re.split(r"^##? (.+)\n", PAGES[name], flags=re.MULTILINE)[1:]
    assert title == name
    assert parts[1::2] == ["What it means", "How to see it", "What to do"]
    assert all(text.strip() for text in parts[2::2])


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_is_fired_and_cleared_by_a_test(name: str) -> None:
    """By the test whose first line has its name."""
    (found,) = [
        body
        for file in TESTS
        for body in re.split(r"^async def ", file.read_text("utf-8"), flags=re.MULTILINE)[1:]
        if re.search(rf'^    """{name}\b', body, re.MULTILINE)
    ]
    assert '"firing"' in found
    assert f'history.state("{name}") == ""' in found or 'history.state("' + name + '") == state' in found


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_what_happens_and_how_bad_it_is(name: str) -> None:
    """A summary of one or two sentences, and a severity by which it is routed."""
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert re.fullmatch(r".{20,160}\.", rule["annotations"]["summary"])
