"""The text of errors."""

from __future__ import annotations

from wsedge_statistics.errors import RowFault, RowsRefusedError, UnknownDomainError


def test_texts_name_the_place_of_a_fault() -> None:
    """The text of an error names the row and the field, or the domain."""
    faults = [RowFault(3, "bucket", "too old"), RowFault(None, "version", "unknown")]
    assert str(RowsRefusedError(faults)) == "row 3, bucket: too old (and 1 more)"
    assert str(RowsRefusedError(faults[1:])) == "version: unknown"
    assert "'a.example'" in str(UnknownDomainError("a.example"))
