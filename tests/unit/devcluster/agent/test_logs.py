"""Container logs."""

from __future__ import annotations

from wsedge_devcluster.agent.logs import parse_lines


def test_log_lines() -> None:
    """A log line is its time, its text with blanks, and whether it is whole."""
    text = "T1 stdout F a b  c\nT2 stderr P part\nT3 stdout F \n"
    lines = [(line.time, line.text, line.whole) for line in parse_lines(text)]
    assert lines == [("T1", "a b  c", True), ("T2", "part", False), ("T3", "", True)]
