"""The commands about a ledger's files: backup, restore, verify.

wsedge-statistics backup --data FOLDER --to FILE       while the program runs, or not
wsedge-statistics restore --data FOLDER --from FILE    while it does not run
wsedge-statistics verify --data FOLDER                 all totals against their rows
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from wsedge_statistics.errors import LedgerError
from wsedge_statistics.ledger.sqlite.copies import backup, restore, verify

NAMES: Final = ("backup", "restore", "verify")
MOST_NAMED: Final = 1000  # differences that are written out
_TEXTS: Final = {
    "backup": "copy one state of the ledger into a new file; the program may run",
    "restore": "put a backup into the folder; refused while the program runs, and over newer counts",
    "verify": "recompute all totals from their rows; exit code 1 if one differs",
}


def run(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code: 0, 1 if it failed or a total differs."""
    given = _parser().parse_args(arguments)
    database = given.data / "ledger.sqlite3"
    try:
        if given.command == "backup":
            _say(f"{given.to} has {backup(database, given.to)} bytes")
        elif given.command == "restore":
            aside = restore(given.source, given.data)
            _say(f"{given.data} is restored" + (f"; its former ledger is {aside}" if aside else ""))
        else:
            return _verify(database)
    except LedgerError as error:
        sys.stderr.write(f"wsedge-statistics {given.command}: {error}\n")
        return 1
    return 0


def _verify(database: Path) -> int:
    found = list(islice(verify(database), MOST_NAMED))
    for difference in found:
        _say(str(difference))
    _say(f"{len(found)}{' or more' if len(found) == MOST_NAMED else ''} totals differ from their rows")
    return 1 if found else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _parser() -> argparse.ArgumentParser:
    answer = argparse.ArgumentParser(prog="wsedge-statistics", description=__doc__.split("\n")[0])
    commands = answer.add_subparsers(dest="command", required=True)
    folder = os.environ.get("WSEDGE_STATISTICS_DATA")
    for name in NAMES:
        command = commands.add_parser(name, help=_TEXTS[name], description=_TEXTS[name])
        command.add_argument(
            "--data", type=Path, default=folder, required=folder is None, help="folder of the ledger"
        )
        if name == "backup":
            command.add_argument("--to", type=Path, required=True, help="the file to create")
        if name == "restore":
            command.add_argument("--from", dest="source", type=Path, required=True, help="the backup")
    return answer
