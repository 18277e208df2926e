"""Closed statements in the ClickHouse ledger: the first of an account and period stays."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Final

from wsedge_statistics.ledger.clickhouse.schema import STATEMENTS
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.ledger.protocol import StoredStatement

# Should two have been stored, all processes read the same one.
_FIRST: Final = """
SELECT account, period, version, closed_at, body, writer FROM statements WHERE account = {account:String}
ORDER BY period, closed_at, writer LIMIT 1 BY period
"""


def statements(server: Server, account: str) -> list[StoredStatement]:
    """Return an account's closed statements, by period."""
    return [
        StoredStatement(owner, period, version, datetime.fromisoformat(closed_at), body)
        for owner, period, version, closed_at, body, _ in server.query(_FIRST, {"account": account})
    ]


def put_statement(server: Server, statement: StoredStatement) -> bool:
    """Store a closed statement, unless its account and period have one.

    Of two processes that store one at once, the server keeps the first insert, by its token.
    """
    if any(each.period == statement.period for each in statements(server, statement.account)):
        return False
    writer = secrets.token_hex(16)
    place = f"{statement.account}\0{statement.period}"
    row = (
        statement.account,
        statement.period,
        statement.version,
        statement.closed_at.isoformat(),
        statement.body,
        writer,
    )
    token = f"statement-{hashlib.sha256(place.encode()).hexdigest()}"
    server.insert("statements", STATEMENTS, [row], token=token)
    stored = server.query(_FIRST, {"account": statement.account})
    return any(period == statement.period and by == writer for _, period, *_, by in stored)
