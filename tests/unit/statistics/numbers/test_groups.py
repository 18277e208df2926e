"""Pages of groups, the largest of them, and cursors."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_statistics.errors import QueryError
from wsedge_statistics.numbers import groups
from wsedge_statistics.numbers.groups import MOST_POINTS, MOST_RANKED, MOST_READ, Grouping
from wsedge_statistics.numbers.series import Dimension

BY = (Dimension.DOMAIN, Dimension.REGION)
NAMES = st.text(st.characters(codec="utf-8"), max_size=8)


@given(st.sets(st.tuples(NAMES, NAMES), max_size=30), st.integers(1, 7))
def test_pages_have_every_group_once_in_order(found: set[tuple[str, str]], limit: int) -> None:
    """The pages that follow each other's cursors are the sorted groups, whatever their names."""
    listed: list[tuple[str, ...]] = []
    cursor = None
    for _ in range(len(found) // limit + 1):
        page = groups.page_of(found, Grouping(BY, limit=limit, cursor=cursor), 10)
        listed += page.groups
        cursor = page.following
        if cursor is None:
            break
    assert cursor is None
    assert listed == sorted(found)


def test_a_page_without_a_limit_is_as_long_as_fits() -> None:
    """At most a hundred groups, fewer of many slots, at least one."""
    found = {(f"{number:04}", "x") for number in range(300)}
    lengths = [len(groups.page_of(found, Grouping(BY), slots).groups) for slots in (1, 864, MOST_POINTS)]
    assert lengths == [100, MOST_POINTS // 864, 1]


REFUSED = {
    "a limit that does not fit": (
        lambda: groups.page_of({(str(n), "x") for n in range(99)}, Grouping(BY, limit=99), 864),
        "limit",
        f"limit of at most {MOST_POINTS // 864}",
    ),
    "too much to read": (lambda: groups.check_read(MOST_READ // 864 + 1, 864), "groupBy", "a filter"),
    "too many to compare": (lambda: groups.check_ranked(MOST_RANKED + 1), "top", "pages without top"),
}
CURSORS = {
    "no base64": "%%%",
    "characters beyond ASCII": "ä",
    "no JSON": base64.urlsafe_b64encode(b"{").decode(),
    "no text": base64.urlsafe_b64encode(b"\xff\xff").decode(),
    "nested deeper than a reader follows": base64.urlsafe_b64encode(b"[" * 3000).decode(),
    "no list": base64.urlsafe_b64encode(b'"ab"').decode(),
    "of another question": groups.cursor_of(("a",)),
    "not of names": base64.urlsafe_b64encode(b"[1,2]").decode(),
    "far too long": "a" * 5000,
}


@pytest.mark.parametrize(("work", "parameter", "allowed"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_too_long_is_refused(work: object, parameter: str, allowed: str) -> None:
    """The error names the parameter, and what to narrow."""
    assert callable(work)
    with pytest.raises(QueryError) as refused:
        work()
    assert refused.value.parameter == parameter
    assert allowed in refused.value.allowed


@pytest.mark.parametrize("cursor", CURSORS.values(), ids=CURSORS.keys())
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    """Whatever is in it."""
    with pytest.raises(QueryError, match="not a cursor of this question"):
        groups.parse_cursor(cursor, 2)


def test_what_fits_is_not_refused() -> None:
    """The bounds themselves are allowed."""
    groups.check_points(MOST_POINTS, 1, "limit", "")
    groups.check_read(MOST_READ, 1)
    groups.check_ranked(MOST_RANKED)


def test_the_largest_come_first_and_equal_ones_by_name() -> None:
    """Of equal sizes the order is that of names."""
    sizes = [(("b",), 5), (("a",), 5), (("c",), 9), (("d",), 1)]
    assert groups.largest(sizes, 3) == [("c",), ("a",), ("b",)]
    assert groups.largest(sizes, 9)[-1] == ("d",)


def test_sums_are_split_by_group() -> None:
    """Each group's stay in order."""
    assert groups.split([1, 2, 3, 4], lambda number: (str(number % 2),)) == {("1",): [1, 3], ("0",): [2, 4]}
