"""Limits that several workers share equal the limits of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from wsedge_relay.contract import Limits
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.policy.limits import Limiter
from wsedge_relay.process import shared_limits
from wsedge_relay.process.shared_limits import LimitTable, PodLimits, make_table

A, B = "192.0.2.1", "2001:db8::1"


@contextmanager
def tables(workers: int) -> Iterator[list[LimitTable]]:
    """Return the shared memory of `workers`, as each of them maps it, and last as the supervisor maps it."""
    file = make_table(workers)
    with ExitStack() as stack:
        stack.callback(os.close, file)
        made = [LimitTable(file, own=own) for own in (*range(workers), None)]
        for table in made:
            stack.callback(table.close)
        yield made


@contextmanager
def limiters(workers: int, domain: str = "chat.example.com") -> Iterator[list[Limiter]]:
    """Return the limiters of one domain."""
    with tables(workers) as made:
        yield [PodLimits(table).limiter(domain) for table in made[:-1]]


def refused(limiter: Limiter, limits: Limits, client: str, now: float = 0.0) -> tuple[int, str] | None:
    """Try to take a place; return the refusal's status and reason."""
    try:
        limiter.enter(limits, client, now, retry_after=5)
    except HandshakeRefusedError as error:
        return error.status, error.reason
    return None


@st.composite
def some_limits(draw: st.DrawFn) -> Limits:
    """A strategy: some of the limits, small enough to be reached."""
    some = st.none() | st.integers(1, 5)
    return Limits(connections=draw(some), connectionsPerClient=draw(some), handshakesPerSecond=draw(some))


# Who asks, for which client, after how many seconds; or a leave of somebody; or other limits.
STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from((A, B, "192.0.2.3")), st.floats(0, 1))
    | st.integers(0, 30)
    | some_limits(),
    max_size=80,
)


@settings(deadline=None)
@given(some_limits(), STEPS)
def test_three_workers_decide_as_one_process(limits: Limits, steps: list[object]) -> None:
    """Every worker gives the same answers as the limiter of one process, also after changes of limits."""
    with limiters(3) as workers:
        one, now = Limiter(), 1.0
        inside: list[Any] = []
        for limiter in (one, *workers):
            limiter.apply(limits)
        for step in steps:
            match step:
                case Limits():
                    limits = step
                    for limiter in (one, *workers):
                        limiter.apply(limits)
                case int(place) if inside:
                    at, client = inside.pop(place % len(inside))
                    workers[at].leave(client)
                    one.leave(client)
                case (int(at), str(client), float(later)):
                    now += later
                    wanted = refused(one, limits, client, now)
                    assert refused(workers[at], limits, client, now) == wanted
                    if wanted is None:
                        inside.append((at, client))
        assert sum(limiter.taken for limiter in workers) == one.taken == len(inside)


def test_places_of_a_dead_worker_are_given_back() -> None:
    """The column of the dead worker is cleared; other columns are unchanged."""
    limits = Limits(connections=4, connectionsPerClient=2)
    with tables(2) as (first, second, supervisor):
        dead, alive = (PodLimits(table).limiter("d") for table in (first, second))
        for limiter in (dead, alive):
            limiter.apply(limits)
        assert [refused(dead, limits, A), refused(alive, limits, A), refused(dead, limits, B)] == [None] * 3
        assert refused(alive, limits, A) == (429, "connectionsPerClient")
        supervisor.clear(0)
        assert refused(alive, limits, A) is None
        assert refused(alive, limits, A) == (429, "connectionsPerClient")
        assert [refused(alive, limits, f"192.0.2.{number}") for number in range(9, 12)] == [
            None,
            None,
            (503, "connections"),
        ]


def test_a_new_limit_counts_open_connections() -> None:
    """A limit that is set later applies at once to the open connections of all workers."""
    limits = Limits(connectionsPerClient=2)
    with limiters(2) as (first, second):
        for limiter in (first, second):
            assert refused(limiter, Limits(), A) is None
        for limiter in (first, second):
            limiter.apply(limits)
        assert refused(first, limits, A) == (429, "connectionsPerClient")
        second.leave(A)
        assert refused(first, limits, A) is None


def test_domains_do_not_count_together() -> None:
    """Each domain has a separate row."""
    limits = Limits(connections=1)
    with tables(2) as (first, second, _):
        assert refused(PodLimits(first).limiter("a"), limits, A) is None
        assert refused(PodLimits(second).limiter("b"), limits, A) is None
        assert refused(PodLimits(second).limiter("a"), limits, A) == (503, "connections")


def test_clients_without_room_are_counted_by_each_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a full table the limit of a further client applies per worker; other clients are not affected."""
    monkeypatch.setattr(shared_limits, "_GROUPS", 1)
    limits = Limits(connectionsPerClient=2)
    with limiters(2) as (first, second):
        for limiter in (first, second):
            limiter.apply(limits)
        for number in range(8):  # one group is full
            assert refused(first, limits, f"192.0.2.{number}") is None
        for limiter in (first, second):
            assert [refused(limiter, limits, "198.51.100.1") is None for _ in range(3)] == [True, True, False]
        assert refused(second, limits, "192.0.2.1") is None
        assert refused(first, limits, "192.0.2.1") == (429, "connectionsPerClient")
        first.leave("192.0.2.0")
        assert refused(second, limits, "203.0.113.1") is None  # there is room again
        assert refused(first, limits, "203.0.113.1") is None
        assert refused(first, limits, "203.0.113.1") == (429, "connectionsPerClient")


def test_a_full_table_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log must not grow with the clients; a client without a row still frees its place."""
    monkeypatch.setattr(shared_limits, "_GROUPS", 1)
    limits = Limits(connectionsPerClient=2)
    with limiters(1) as (limiter,), capture_logs() as logs:
        limiter.apply(limits)
        for number in range(8):  # one group is full
            assert refused(limiter, limits, f"192.0.2.{number}") is None
        for client in ("198.51.100.1", "198.51.100.2", "198.51.100.2"):
            assert refused(limiter, limits, client) is None
        assert refused(limiter, limits, "198.51.100.2") == (429, "connectionsPerClient")
        limiter.leave("198.51.100.2")
        assert refused(limiter, limits, "198.51.100.2") is None
    assert [line["event"] for line in logs] == ["limits per client not shared"]


def test_a_limit_that_is_set_again_counts_each_connection_once() -> None:
    """A client that has a row from before must not be added to it again."""
    limits = Limits(connectionsPerClient=2)
    with limiters(2) as (first, second):
        first.apply(limits)
        second.apply(limits)
        assert refused(first, limits, A) is None
        first.apply(Limits())
        first.apply(limits)
        assert refused(second, limits, A) is None
        assert refused(second, limits, A) == (429, "connectionsPerClient")


def test_domains_without_room_are_limited_by_each_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a full table the limits of a further domain apply per worker."""
    monkeypatch.setattr(shared_limits, "DOMAINS", 1)
    limits = Limits(connections=1)
    with tables(2) as (first, second, _):
        PodLimits(first).limiter("a")
        for table in (first, second):
            limiter = PodLimits(table).limiter("b")
            assert [refused(limiter, limits, A), refused(limiter, limits, A)] == [None, (503, "connections")]


def test_the_supervisor_has_no_column() -> None:
    """The supervisor reads the table and clears columns."""
    with tables(1) as (_, supervisor), pytest.raises(ValueError, match="no column"):
        supervisor.add(0, 1)


_CROWD = """
import sys
from contextlib import suppress
from wsedge_relay.contract import Limits
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.process.shared_limits import LimitTable, PodLimits

table = LimitTable(int(sys.argv[1]), own=int(sys.argv[2]))
limiter, limits = PodLimits(table).limiter("d"), Limits(connections=7)
with table:
    row = table.domain("d")
print("ready", flush=True)
sys.stdin.read()
inside = most = 0
for turn in range(20_000):
    with suppress(HandshakeRefusedError):
        limiter.enter(limits, "192.0.2.1", 0.0, retry_after=1)
        inside += 1
    with table:  # or one place might be seen twice: in the column of who leaves, and of who comes for it
        most = max(most, table.total(row))
    if inside > turn % 5:
        limiter.leave("192.0.2.1")
        inside -= 1
print(most)
"""


def test_processes_at_the_same_moment_keep_a_limit_exactly() -> None:
    """Three processes enter and leave as fast as they can, and the number never exceeds the limit."""
    file = make_table(3)
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", _CROWD, str(file), str(own)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(file,),
        )
        for own in range(3)
    ]
    os.close(file)
    for process in crowd:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in crowd:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None  # which begins it
    seen = [int(process.communicate(timeout=120)[0]) for process in crowd]
    assert max(seen) == 7
    assert [process.returncode for process in crowd] == [0, 0, 0]
