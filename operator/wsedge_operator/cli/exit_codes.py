"""The exit codes of `kubectl wsedge`; docs/kubectl.md has the table."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2  # argparse's
FORBIDDEN: Final = 3
NOT_FOUND: Final = 4
NO_WSEDGE: Final = 5
UNREACHABLE: Final = 6
TOO_OLD: Final = 7
WRONG: Final = 8  # `status` found a fault
