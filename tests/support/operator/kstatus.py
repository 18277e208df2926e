"""The verdict of kstatus, the library by which Helm and Flux wait, and of its origin, on our objects."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.go_program import go_program

SOURCES = Path(__file__).parents[2] / "kstatus"


def verdicts(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return Current, InProgress, Failed or Terminating for each object; both libraries must say the same."""
    program = go_program("kstatus", SOURCES, "./cmd/kstatus")
    done = subprocess.run(
        [program], input=json.dumps(objects), capture_output=True, text=True, timeout=60, check=True
    )
    made = json.loads(done.stdout)
    assert [verdict["upstream"] for verdict in made] == [verdict["status"] for verdict in made]
    return [verdict["status"] for verdict in made]
