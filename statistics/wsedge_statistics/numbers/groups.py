"""Groups of an answer: which of them one page has, the largest of them, and the place of the next page. Pure.

groups that were counted ─▶ pages, in the order of their names, each with the cursor of the next
sums of all groups       ─▶ the largest by a measure, and how much the others have together
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from wsedge_statistics.errors import QueryError
from wsedge_statistics.numbers.series import Dimension

Group = tuple[str, ...]
_Part = TypeVar("_Part")

# Groups times slots of one answer: about 6 MB of JSON, and a fraction of a second to write it.
MOST_POINTS: Final = 20_000
DEFAULT_LIMIT: Final = 100  # groups of one page
DEFAULT_LISTED: Final = 1000  # domains of one page
MOST_LIMIT: Final = 5000
MOST_READ: Final = 200_000
MOST_RANKED: Final = 10_000
_MOST_CURSOR: Final = 4096


@dataclass(frozen=True, slots=True)
class Grouping:
    """How a question groups its sums.

    `by_code` splits the groups of HTTP codes by code as well. `limit` and `cursor` choose a page; `top` is
    the number of largest groups that are answered in place of pages.
    """

    by: tuple[Dimension, ...]
    by_code: bool = False
    limit: int | None = None
    cursor: str | None = None
    top: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The groups of one page, in order, and the cursor of the next page (None: the last page)."""

    groups: tuple[Group, ...]
    following: str | None


def page_of(groups: Iterable[Group], grouping: Grouping, slots: int) -> Page:
    """Return the page that a question asks for; its groups have `slots` points each. Raises QueryError."""
    fitting = max(1, MOST_POINTS // slots)
    page = page_by(groups, grouping.cursor, grouping.limit or min(DEFAULT_LIMIT, fitting), len(grouping.by))
    check_points(len(page.groups), slots, "limit", f"a limit of at most {fitting} for this range")
    return page


def page_by(groups: Iterable[Group], cursor: str | None, limit: int, length: int = 2) -> Page:
    """Return the page after a cursor, of groups that have `length` parts. Raises QueryError."""
    after = parse_cursor(cursor, length) if cursor is not None else None
    wanted = sorted({group for group in groups if after is None or group > after})
    page = tuple(wanted[:limit])
    return Page(page, cursor_of(page[-1]) if len(wanted) > limit else None)


def check_points(groups: int, slots: int, parameter: str, allowed: str) -> None:
    """Refuse an answer that would be too long. Raises QueryError."""
    if groups * slots > MOST_POINTS:
        raise QueryError(
            parameter,
            f"{groups} groups of {slots} slots are more than {MOST_POINTS} points",
            f"{allowed}, a shorter range, a coarser granularity, or totals=only",
        )


def check_read(groups: int, slots: int) -> None:
    """Refuse a read of too many sums, of which the answer would have a few. Raises QueryError."""
    if groups * slots > MOST_READ:
        raise QueryError(
            "groupBy",
            f"{groups} groups of {slots} slots are too many to read",
            "a filter, fewer dimensions, a shorter range, a coarser granularity, or totals=only",
        )


def check_ranked(groups: int) -> None:
    """Refuse to compare too many groups. Raises QueryError."""
    if groups > MOST_RANKED:
        raise QueryError(
            "top",
            f"the question has {groups} groups, and the largest are found among {MOST_RANKED} at most",
            "a filter, fewer dimensions in groupBy, or pages without top",
        )


def split(parts: Iterable[_Part], group_of: Callable[[_Part], Group]) -> dict[Group, list[_Part]]:
    """Return sums by group, each group's in the order of the sums."""
    groups: dict[Group, list[_Part]] = {}
    for part in parts:
        groups.setdefault(group_of(part), []).append(part)
    return groups


def largest(sizes: Iterable[tuple[Group, int]], top: int) -> list[Group]:
    """Return the groups of the largest sizes, largest first; of equal sizes by name."""
    return [group for group, _ in sorted(sizes, key=lambda each: (-each[1], each[0]))[:top]]


def cursor_of(last: Sequence[str]) -> str:
    """Return the cursor of the page that begins after a group."""
    return base64.urlsafe_b64encode(json.dumps(list(last)).encode()).decode().rstrip("=")


def parse_cursor(text: str, length: int) -> Group:
    """Return the group in a cursor, of `length` parts. Raises QueryError."""
    refused = QueryError("cursor", "not a cursor of this question", "the next of the page before")
    if len(text) > _MOST_CURSOR:
        raise refused
    try:
        parts = json.loads(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise refused from None
    if not isinstance(parts, list) or len(parts) != length:
        raise refused
    if not all(isinstance(part, str) for part in parts):
        raise refused
    return tuple(parts)
