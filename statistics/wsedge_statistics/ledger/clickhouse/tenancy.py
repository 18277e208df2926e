"""The Directory and the tenures that follow from it, in the ClickHouse ledger.

Each stored Directory has the next serial number, and an insert is of one number only (by its token): of two
processes that store a Directory at once, one gets the number, and the other decides anew on top of it.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter

from wsedge_statistics.contract import Directory
from wsedge_statistics.errors import LedgerUnwritableError
from wsedge_statistics.ledger.clickhouse.schema import DIRECTORIES, DIRECTORY
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.numbers.granularity import REACH, Granularity
from wsedge_statistics.tenure import Epoch, Holding, Tenures, follow

CLOCKS_DIFFER: Final = timedelta(minutes=10)  # at most, between programs that work together
_KEPT: Final = REACH[Granularity.FIVE_MINUTES]  # as long as reports are accepted
_ATTEMPTS: Final = 5
_LAST: Final = "SELECT serial, written_at, body, tenures FROM directory ORDER BY serial DESC LIMIT 1"
_PARTITIONS: Final = """
SELECT DISTINCT toUInt64(partition) AS number FROM system.parts
WHERE active AND database = {database:String} AND table = 'directory' AND number < {last:Int64}
"""
# epochs by account, and the holdings of each domain and key
_STORED: Final = TypeAdapter(tuple[dict[str, tuple[Epoch, ...]], list[tuple[str, str, tuple[Holding, ...]]]])


def serial(server: Server) -> int:
    """Return the number of the stored Directory, 0 if there is none."""
    (((number,),)) = server.query("SELECT max(serial) FROM directory")
    return int(number)


def directory(server: Server) -> Directory | None:
    """Return the stored Directory. Raises pydantic.ValidationError for one of another version."""
    rows = server.query(_LAST)
    return Directory.model_validate_json(rows[0][2]) if rows else None


def tenures(server: Server) -> Tenures:
    """Return the lives of accounts, and the domains that each holds or held."""
    rows = server.query(_LAST)
    return _parsed(rows[0][1], rows[0][3]) if rows else Tenures()


def put_directory(server: Server, directory: Directory, now: datetime) -> Tenures | None:
    """Store a Directory unless a later Directory (by writtenAt) is stored; return the tenures, or None.

    A stored writtenAt in the future is of a clock that was ahead; it does not block the Directories of the
    corrected clock. Raises LedgerUnwritableError.
    """
    for _ in range(_ATTEMPTS):
        last, before = 0, Tenures()
        for number, written_at, _, stored in server.query(_LAST):
            last = int(number)
            kept = datetime.fromisoformat(written_at)
            if directory.writtenAt < kept <= now + CLOCKS_DIFFER:
                return None
            before = _parsed(written_at, stored)
        after = follow(before, directory, kept=_KEPT)
        if store(server, last + 1, directory, after):
            return after
    raise LedgerUnwritableError(f"other processes stored {_ATTEMPTS} Directories meanwhile")


def store(server: Server, number: int, directory: Directory, tenures: Tenures) -> bool:
    """Store a Directory as that of a number; return false if another process has stored that number."""
    writer = secrets.token_hex(16)
    row = (
        number,
        directory.writtenAt.isoformat(),
        directory.model_dump_json(exclude_none=True),
        _text(tenures),
        writer,
    )
    server.insert("directory", DIRECTORY, [row], token=f"directory-{number}")
    (((by,),)) = server.query(
        "SELECT writer FROM directory WHERE serial = {serial:UInt64}", {"serial": number}
    )
    return bool(by == writer)


def remove_former(server: Server) -> None:
    """Delete all but the last Directories. Raises LedgerUnwritableError."""
    last = serial(server) // DIRECTORIES
    found = server.query(_PARTITIONS, {"database": server.database, "last": last - 1})
    for (partition,) in found:
        server.execute(f"ALTER TABLE directory DROP PARTITION {partition}")


def _text(tenures: Tenures) -> str:
    held = [(domain, key, periods) for (domain, key), periods in tenures.held.items()]
    return _STORED.dump_json((dict(tenures.epochs), held)).decode()


def _parsed(written_at: str, text: str) -> Tenures:
    """Return the tenures of a stored Directory."""
    epochs, held = _STORED.validate_json(text)
    told = datetime.fromisoformat(written_at)
    return Tenures(True, epochs, {(domain, key): periods for domain, key, periods in held}, told)
