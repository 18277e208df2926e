"""Many calls at a time: their order, their first error, and the line on a terminal."""

from __future__ import annotations

import io
import threading

import pytest

from wsedge_operator.cli.concurrency import AT_ONCE, Progress, each
from wsedge_operator.errors import PluginError


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_results_are_in_order_and_calls_at_a_time() -> None:
    """All of the first calls are under way before one of them returns."""
    together = threading.Barrier(AT_ONCE)

    def call(number: int) -> int:
        together.wait(60)
        return number

    numbers = list(range(2 * AT_ONCE))
    assert each(call, numbers, Progress(io.StringIO()), "x") == numbers
    assert each(call, [], Progress(io.StringIO()), "x") == []


def test_the_first_error_ends_all() -> None:
    """Calls that have not begun are not made."""
    begun: list[int] = []
    held = threading.Event()

    def call(number: int) -> int:
        begun.append(number)
        if number == 0:
            raise PluginError("no")
        held.wait(60)
        return number

    with pytest.raises(PluginError, match="no"):
        each(call, list(range(100)), Progress(io.StringIO()), "x")
    held.set()
    assert len(begun) <= AT_ONCE + 1


def test_a_terminal_shows_calls_that_take_long() -> None:
    """After two seconds, five times a second; the line is removed at the end."""
    stream = Terminal()
    times = iter([0.0, 1.9, 2.0, 2.0, 2.1, 2.3, 2.3])
    progress = Progress(stream, lambda: next(times))
    for done in range(1, 5):
        progress.note(done, 9, "relays have answered")
    progress.clear()
    progress.clear()
    shown = [f"\r\x1b[K{done} of 9 relays have answered" for done in (2, 4)]
    assert stream.getvalue() == "".join([*shown, "\r\x1b[K"])


def test_what_is_no_terminal_gets_nothing() -> None:
    """A file, a pipe: standard error has sentences alone."""
    stream = io.StringIO()
    progress = Progress(stream, lambda: 1e9)
    progress.note(1, 2, "x")
    progress.clear()
    assert stream.getvalue() == ""
