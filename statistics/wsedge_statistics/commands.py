"""The commands about a ledger's files: backup, restore, verify.

wsedge-statistics backup --data FOLDER --to FILE       while the program runs, or not
wsedge-statistics restore --data FOLDER --from FILE    while it does not run
wsedge-statistics verify --data FOLDER                 all totals against their rows
wsedge-statistics migrate --from FOLDER --clickhouse-url URL    to a ClickHouse server, while neither runs
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from wsedge_statistics.errors import LedgerError, SettingsError
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.ledger.moving import move
from wsedge_statistics.ledger.sqlite.copies import backup, restore, verify
from wsedge_statistics.opening import address_of
from wsedge_statistics.settings import read_settings

NAMES: Final = ("backup", "restore", "verify", "migrate")
_ON_FILES: Final = NAMES[:3]
MOST_NAMED: Final = 1000  # differences that are written out
_TEXTS: Final = {
    "backup": "copy one state of the ledger into a new file; the program may run",
    "restore": "put a backup into the folder; refused while the program runs, and over counts it lacks",
    "migrate": "move a SQLite ledger, whose program does not run, to a ClickHouse server (--clickhouse-...)",
    "verify": "recompute all totals from their rows; exit code 1 if one differs",
}


def run(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code: 0, 1 if it failed or a total differs."""
    if arguments[0] == "migrate":
        return _migrate(arguments[1:])
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


def _migrate(arguments: Sequence[str]) -> int:
    """Move a SQLite ledger; the server's options are those of the program."""
    command = argparse.ArgumentParser(prog="wsedge-statistics migrate", description=_TEXTS["migrate"])
    command.add_argument(
        "--from", dest="source", type=Path, required=True, help="folder of the SQLite ledger"
    )
    given, server = command.parse_known_args(arguments)
    try:
        settings = read_settings(["--ledger", "clickhouse", *server])
        with closing(Server(address_of(settings), replicated=settings.clickhouse_cluster is not None)) as to:
            move(given.source, to, told=_say, cluster=settings.clickhouse_cluster)
    except (SettingsError, LedgerError) as error:
        sys.stderr.write(f"wsedge-statistics migrate: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _parser() -> argparse.ArgumentParser:
    answer = argparse.ArgumentParser(prog="wsedge-statistics", description=__doc__.split("\n")[0])
    commands = answer.add_subparsers(dest="command", required=True)
    folder = os.environ.get("WSEDGE_STATISTICS_DATA")
    for name in _ON_FILES:
        command = commands.add_parser(name, help=_TEXTS[name], description=_TEXTS[name])
        command.add_argument(
            "--data", type=Path, default=folder, required=folder is None, help="folder of the ledger"
        )
        if name == "backup":
            command.add_argument("--to", type=Path, required=True, help="the file to create")
        if name == "restore":
            command.add_argument("--from", dest="source", type=Path, required=True, help="the backup")
    return answer
