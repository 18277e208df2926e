"""State that all faces of the program share."""

from __future__ import annotations

from wsedge_statistics.services import UnknownFields


def test_an_unknown_field_is_new_once() -> None:
    """The row and the number of repeats do not matter; the number of remembered fields is bounded."""
    known = UnknownFields()
    assert known.first_seen("UsageReport", ["rows.0.a", "rows.17.a", "b"]) == ["b", "rows[].a"]
    assert known.first_seen("UsageReport", ["rows.5.a", "c"]) == ["c"]
    assert known.first_seen("Directory", ["b"]) == ["b"]
    assert len(known.first_seen("UsageReport", (f"x{number}" for number in range(500)))) == 96
    assert known.first_seen("UsageReport", ["one-more"]) == []


def test_the_names_of_unknown_fields_are_cut() -> None:
    """A sender chooses the names: a name of a megabyte is not logged."""
    assert UnknownFields().first_seen("UsageReport", ["x" * 1000]) == ["x" * 100]
