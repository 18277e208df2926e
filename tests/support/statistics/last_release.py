"""A ledger that the last release's own code fills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

# Runs on the last release's sources: a story is a list of [what, argument].
_FILL = """
import json, sys
from datetime import datetime
from pathlib import Path
from wsedge_statistics.contract import Directory, UsageReport
from wsedge_statistics.ledger import schema, writes
connection = schema.open_writer(Path(sys.argv[1]))
connection.execute("BEGIN IMMEDIATE")
for what, argument in json.load(sys.stdin):
    if what == "report":
        writes.merge_report(connection, UsageReport.model_validate(argument))
    elif what == "directory":
        writes.put_directory(connection, Directory.model_validate(argument), datetime.now().astimezone())
    elif what == "hours":
        while writes.roll_hours(connection, limit=1000):
            pass
    elif what == "days":
        while writes.roll_days(connection, before=argument, limit=1000):
            pass
    elif what == "prune":
        while writes.prune(connection, datetime.fromisoformat(argument)):
            pass
    elif what == "open":
        pass
connection.execute("COMMIT")
connection.close()
"""
Story = list[tuple[str, Any]]


def run_last_release(sources: Path, database: Path, story: Story) -> subprocess.CompletedProcess[str]:
    """Carry out a story with the last release, whose sources are unpacked in `sources`."""
    return subprocess.run(
        [sys.executable, "-c", _FILL, str(database)],
        input=json.dumps(story),
        env={**os.environ, "PYTHONPATH": str(sources / "statistics")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def pruned(now: datetime) -> tuple[str, Any]:
    """Return the step of a story that deletes what is past its retention."""
    return ("prune", now.isoformat())
