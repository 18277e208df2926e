"""The wanted version of Go."""

from __future__ import annotations

import pytest

from wsedge_devcluster.binaries.golang import wanted_version


def test_go_version() -> None:
    """The wanted Go is the `go` line of go.mod."""
    assert wanted_version("module x\n\ngo 1.26.0\n\ngodebug default=go1.26\n") == (1, 26)
    with pytest.raises(ValueError, match="no `go` line"):
        wanted_version("module x\n")
