"""The relay's exceptions.

RelayError
├── ConfigRefused        a configuration that may not come into force
└── SpoolUnavailable     the spool folder cannot be used
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class RelayError(Exception):
    """Base of every error that the relay itself raises."""


class ConfigRefused(RelayError):
    """A configuration that may not come into force.

    `file` is the file that was asked for, each of `problems` is "field.path: rule", `generation` is what the
    refused configuration calls itself, when it got as far as saying so.
    """

    def __init__(self, file: Path, problems: Sequence[str], *, generation: str | None = None) -> None:
        super().__init__(file, problems)
        self.file = file
        self.problems = tuple(problems)
        self.generation = generation

    def __str__(self) -> str:
        return f"{self.file}: {'; '.join(self.problems)}"


class SpoolUnavailable(RelayError):
    """The spool folder cannot be used: it cannot be made, or another relay uses it."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(folder, reason)
        self.folder = folder
        self.reason = reason

    def __str__(self) -> str:
        return f"spool folder {self.folder}: {self.reason}"
