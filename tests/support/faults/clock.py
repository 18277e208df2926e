"""The wall clock of one process, which a test steps while the process runs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("clock.c")


def compiled(folder: Path) -> Path:
    """Compile the library that processes of any number of clocks load."""
    library = folder / "clock.so"
    options = ("-shared", "-fPIC", "-O2", "-Wall", "-Werror")
    subprocess.run(["cc", *options, "-o", str(library), str(_SOURCE), "-ldl"], check=True)
    return library


class StepClock:
    """A clock that is right until it is stepped. `variables` are the environment of its processes."""

    def __init__(self, folder: Path, ahead: timedelta = timedelta(0), *, library: Path | None = None) -> None:
        library = library or compiled(folder)
        self._file = folder / "clock"
        self._file.write_bytes(bytes(8))
        self.step(ahead)
        self.variables: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "WSEDGE_TEST_CLOCK": str(self._file),
        }

    def step(self, ahead: timedelta) -> None:
        """Set the clock to `ahead` of the machine's, at once."""
        self.ahead = ahead
        with self._file.open("r+b") as file:  # in place: the process has the file in its memory
            file.write(int(ahead.total_seconds()).to_bytes(8, "little", signed=True))

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead
