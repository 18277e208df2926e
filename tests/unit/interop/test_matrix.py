"""The matrix of `make interop`: which rows it has, how it names a difference, and its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from unittest import SkipTest

import pytest

from interop.matrix import columns_of, first_difference, rows, table
from interop.peers import CLIENTS, OWN, SERVERS
from interop.proxies import PROXIES
from support.clients.stage import Scheme
from support.clients.tools import MissingToolError, need

DIFFERENCES: Final[Mapping[str, tuple[Any, Any, str]]] = {
    "a value": ({"close": [1000]}, {"close": [1001]}, "close[0]: 1000 became 1001"),
    "a field that one lacks": ({"a": 1, "b": 2}, {"a": 1}, "b: 2 became None"),
    "lists of two lengths": ({"a": [1]}, {"a": [1, 2]}, "a: [1] became [1, 2]"),
    "a field in a field in a list": ([{"a": {"b": 1}}], [{"a": {"b": 2}}], "[0].a.b: 1 became 2"),
}


@pytest.mark.parametrize("case", DIFFERENCES)
def test_the_first_difference_is_named(case: str) -> None:
    """A difference has its place, and both values."""
    one, other, text = DIFFERENCES[case]
    assert first_difference(one, other) == text


def test_every_program_is_in_a_row() -> None:
    """Each client, server and proxy of the matrix has a row."""
    all_rows = [*rows()]
    assert {row.client for row in all_rows} == CLIENTS.keys() | OWN.keys()
    assert {row.server for row in all_rows} == SERVERS.keys()
    assert {row.proxy for row in all_rows} - {""} == PROXIES.keys()
    assert len({*all_rows}) == len(all_rows)


def test_rows_that_were_not_run_keep_their_line() -> None:
    """A run of some rows writes these, and keeps other lines as they are."""
    one, two, *_ = rows()
    same: dict[Scheme, str] = {"ws": "same", "wss": "same"}
    failed: dict[Scheme, str] = {"ws": "same", "wss": "failed: it ended"}
    before = table({one: failed, two: failed}, "")
    after = table({one: same}, before)
    assert after.splitlines()[2:] == [
        f"| {' | '.join([*columns_of(one), 'same', 'same'])} |",
        f"| {' | '.join([*columns_of(two), 'same', 'failed: it ended'])} |",
    ]


def test_a_row_of_another_version_is_dropped() -> None:
    """A line of a version that is no longer locked says nothing about the present one."""
    one, *_ = rows()
    old = table({one: {"ws": "same", "wss": "same"}}, "").replace(columns_of(one)[0], "ws 0.0.1")
    assert table({}, old).splitlines()[2:] == []


def test_a_missing_tool_skips_a_test_and_fails_it_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench or the matrix can leave a row out without pytest; CI must have all tools."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(MissingToolError, match="there is no 'no-such-program'") as missing:
        need("no-such-program")
    assert isinstance(missing.value, SkipTest)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(AssertionError, match="must be tested here"):
        need("no-such-program")
