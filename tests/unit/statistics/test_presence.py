"""Relays that report, fall silent, come back and end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsedge_statistics.contract import Source
from wsedge_statistics.presence import MOST_PODS, MOST_PROCESSES, SILENT_FOR, Presence, Relays

# (time, pod, process, promise)
Report = tuple[int, str, int, int | None]
STORIES: dict[str, tuple[list[Report], int, Relays]] = {
    "within its promise": ([(0, "a", 1, 300)], 300, Relays(1, 0)),
    "after its promise": ([(0, "a", 1, 300)], 301, Relays(0, 1)),
    "back again": ([(0, "a", 1, 300), (400, "a", 1, 300)], 401, Relays(1, 0)),
    "an orderly end": ([(0, "a", 1, 300), (10, "a", 1, 0)], 400, Relays(0, 0)),
    "an end that is told twice": ([(0, "a", 1, 300), (10, "a", 1, 0), (11, "a", 1, 0)], 400, Relays(0, 0)),
    "an older relay": ([(0, "a", 1, None)], 400, Relays(0, 0)),
    "two pods, one silent": ([(0, "a", 1, 300), (0, "b", 1, 300), (200, "b", 1, 300)], 400, Relays(1, 1)),
    "a worker that crashed": ([(0, "a", 1, 300), (0, "a", 2, 300), (299, "a", 2, 300)], 400, Relays(1, 0)),
    "one of two workers ended": ([(0, "a", 1, 300), (1, "a", 2, 300), (9, "a", 2, 0)], 400, Relays(0, 1)),
    "both workers ended": (
        [(0, "a", 1, 300), (1, "a", 2, 300), (9, "a", 2, 0), (10, "a", 1, 0)],
        400,
        Relays(0, 0),
    ),
    "killed, then an orderly end of its successor": (
        [(0, "a", 1, 300), (20, "a", 2, 300), (310, "a", 2, 300), (330, "a", 2, 0)],
        700,
        Relays(0, 0),
    ),
    "killed, and its rows reported by its successor, which ends at once": (
        [(0, "a", 1, 300), (20, "a", 2, 300), (21, "a", 1, 0), (30, "a", 2, 0)],
        400,
        Relays(0, 0),
    ),
    "the rows of an earlier run": ([(0, "a", 2, 300), (1, "a", 1, 0)], 200, Relays(1, 0)),
    "silent for a day": ([(0, "a", 1, 300)], 301 + int(SILENT_FOR), Relays(0, 0)),
}


def told(*reports: Report) -> Presence:
    presence = Presence()
    for now, pod, process, promise in reports:
        source = Source(pod=f"team-a/{pod}", uid=pod, epoch=f"{process:08x}")
        presence.note(source, ["team-a"], next_within=promise, now=float(now))
    return presence


@pytest.mark.parametrize(("reports", "now", "expected"), STORIES.values(), ids=STORIES.keys())
def test_a_relay_is_silent_when_it_breaks_its_promise(
    reports: list[Report], now: int, expected: Relays
) -> None:
    """Not when it said its end, nor when another process of its pod reports."""
    presence = told(*reports)
    assert presence.relays(None, now=now) == expected
    assert presence.relays("team-a", now=now) == expected
    assert presence.relays("team-b", now=now) == Relays(0, 0)


def test_what_is_remembered_is_bounded() -> None:
    """The pods and processes that reported last."""
    presence = told(*((number, f"p{number}", 1, 300) for number in range(MOST_PODS + 3)))
    assert presence.relays(None, now=0) == Relays(MOST_PODS, 0)
    crowd = told(*((0, "a", number, 300 + number) for number in range(MOST_PROCESSES + 1)))
    assert crowd.relays(None, now=300 + MOST_PROCESSES) == Relays(1, 0)
    told(*((0, "a", number, 300) for number in range(MOST_PROCESSES + 1)), (1, "a", 0, 0))


@settings(max_examples=200, deadline=None)
@example(
    [
        (0, "b", 2, 300),
        (17, "b", 1, 300),
        (145, "b", 3, 300),
        (139, "b", 3, 0),
        (17, "b", 2, 300),
        (0, "b", 2, 0),
    ]
)
@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from("ab"), st.integers(1, 3), st.sampled_from([0, 300])),
        max_size=30,
    )
)
def test_it_is_what_all_reports_together_say(steps: list[tuple[int, str, int, int]]) -> None:
    """A pod counts until each of its processes ended, or fell silent and was replaced by one that ended."""
    now, reports = 0, list[Report]()
    for pause, pod, process, promise in steps:
        now += pause
        reports.append((now, pod, process, promise))
    expected = [0, 0]
    for pod in "ab":
        until = -1
        for process in (1, 2, 3):
            own = [place for place, each in enumerate(reports) if each[1:3] == (pod, process)]
            if own and reports[own[-1]][3] and not _was_replaced(reports, own[-1], pod):
                until = max(until, reports[own[-1]][0] + 300)
        if until >= 0:
            expected[until < now] += 1
    assert told(*reports).relays(None, now=now) == Relays(*expected)


def _was_replaced(reports: list[Report], last: int, pod: str) -> bool:
    """Whether a process that began after this report ended, once its promise had passed."""
    for place in range(last + 1, len(reports)):
        at, owner, process, promise = reports[place]
        if (owner, promise) == (pod, 0):
            began = _began(reports[:place], pod, process)
            if began is not None and reports[last][0] < began and reports[last][0] + 300 < at:
                return True
    return False


def _began(reports: list[Report], pod: str, process: int) -> int | None:
    """Return since when a process reports; one that was taken for replaced and reports again begins anew."""
    began: int | None = None
    later = len(reports)
    for place in reversed(range(len(reports))):
        at, *source, promise = reports[place]
        if source == [pod, process]:
            if promise == 0 or (began is not None and _was_replaced(reports[:later], place, pod)):
                break
            began, later = at, place
    return began


NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
GAPS: dict[str, tuple[list[Report], int, int]] = {
    # reports by seconds after noon, the second of the question, and the buckets that miss counts
    "all report": ([(0, "a", 1, 300)], 300, 0),
    "silent, within the bucket of the last report and its grace": ([(0, "a", 1, 100)], 359, 0),
    "silent, the bucket of the last report ended": ([(0, "a", 1, 100)], 360, 1),
    "silent for an hour": ([(299, "a", 1, 300)], 3660, 12),
    "back again with its counts": ([(0, "a", 1, 300), (3600, "a", 1, 300)], 3660, 0),
    "the longest silence counts": ([(0, "a", 1, 300), (1200, "b", 1, 300)], 3660, 12),
    "another process of its pod reported": ([(0, "a", 1, 300), (1200, "a", 2, 300)], 3660, 8),
    "an orderly end": ([(0, "a", 1, 300), (10, "a", 1, 0)], 3660, 0),
    "forgotten after a day": ([(0, "a", 1, 300)], 301 + int(SILENT_FOR), 0),
}


@pytest.mark.parametrize(("reports", "second", "expected"), GAPS.values(), ids=GAPS.keys())
def test_buckets_since_the_last_report_of_a_silent_relay_are_incomplete(
    reports: list[Report], second: int, expected: int
) -> None:
    """From the bucket of its last report until completeUntil, and none once it reports again."""
    presence, now = told(*reports), NOON + timedelta(seconds=second)
    grace = timedelta(seconds=60)
    assert presence.incomplete_buckets(monotonic=float(second), now=now, grace=grace) == expected
