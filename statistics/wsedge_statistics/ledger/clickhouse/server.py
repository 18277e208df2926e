"""The connection to a ClickHouse server: queries, inserts, and the ledger's errors for the driver's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import clickhouse_connect
import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.common import StreamContext
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from wsedge_statistics.errors import (
    LedgerDeadlineError,
    LedgerError,
    LedgerPlaceError,
    LedgerUnreadableError,
    LedgerUnwritableError,
)
from wsedge_statistics.ledger import budget

CONNECT_SECONDS: Final = 5
# Less than the time for which a mark stays (totals): a write that takes longer must not end well.
WRITE_SECONDS: Final = 20
ANSWER_SECONDS: Final = 60  # until a silent server is given up; no read or write may take so long
RETRY_SECONDS: Final = 5  # until a changed password that was refused is tried again
_PORTS: Final = {"http": 8123, "https": 8443}
_STOPPED: Final = (159, 160)  # TIMEOUT_EXCEEDED, TOO_SLOW
_TEXT: Final = 300  # letters of a server's error in a log
# async_insert is 1 in some servers' profiles: an insert would be answered before it is stored
_WRITES: Final = {
    "async_insert": 0,
    "max_execution_time": WRITE_SECONDS,
    "max_partitions_per_insert_block": 0,  # a relay may report many days at once
}
_REPLICATED_WRITES: Final = {"insert_quorum": "auto", "insert_quorum_parallel": 1}


log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a ClickHouse server is. `password` is not in the representation, which is logged.

    `password_file` has the password too, and is read again as long as the server is used: a Secret changes.
    """

    url: str
    database: str = "wsedge"
    user: str = "default"
    password: str = ""
    ca_file: str | None = None
    password_file: Path | None = None

    def __repr__(self) -> str:
        return f"Address({self.url!r}, {self.database!r}, {self.user!r})"


class Server:
    """A database on a ClickHouse server. All methods may be called on any thread."""

    def __init__(self, address: Address, *, replicated: bool = False) -> None:
        self.address = address
        self.replicated = replicated
        try:
            self._client = _connect(address)
        except (ClickHouseError, HTTPError, OSError) as error:
            raise LedgerPlaceError(f"{address.url}: {_text(error)}") from error
        self._changing = threading.Lock()
        self._try_after = 0.0

    def _connected(self) -> Client:
        """Return the connection, made again when the password has changed.

        The file and the server change one after the other, in any order: as long as the server refuses the
        new password, the old one stays in use, and the new one is tried again.
        """
        password = self._stored_password()
        if password == self.address.password or time.monotonic() < self._try_after:
            return self._client
        with self._changing:
            if password != self.address.password and time.monotonic() >= self._try_after:
                self._change(replace(self.address, password=password))
        return self._client

    def _stored_password(self) -> str:
        file = self.address.password_file
        try:
            return self.address.password if file is None else read_password(file)
        except (OSError, UnicodeDecodeError):
            return self.address.password  # the file is being replaced, or its Secret was deleted

    def _change(self, address: Address) -> None:
        try:
            client = _connect(address)
        except (ClickHouseError, HTTPError, OSError) as error:
            self._try_after = time.monotonic() + RETRY_SECONDS
            log.warning("changed password refused", error=_text(error))
            return
        # reads that have begun end on the connections that they hold
        former, self._client, self.address = self._client, client, address
        former.close()
        log.info("password changed")

    @property
    def database(self) -> str:
        """The database of the ledger."""
        return self.address.database

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a question. Raises LedgerUnreadableError, or LedgerDeadlineError."""
        with _reading() as settings:
            result = self._connected().query(sql, parameters=dict(parameters or {}), settings=settings)
            return [tuple(row) for row in result.result_rows]

    def stream(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a question as they arrive. Raises as `query`."""
        with _reading() as settings, self._stream(sql, parameters, settings) as rows:
            for row in rows:
                yield tuple(row)

    def _stream(self, sql: str, parameters: Mapping[str, Any], settings: dict[str, Any]) -> StreamContext:
        return self._connected().query_rows_stream(sql, parameters=dict(parameters), settings=settings)

    def insert(
        self,
        table: str,
        columns: Mapping[str, str],
        rows: Sequence[Sequence[Any]],
        *,
        token: str | None = None,
    ) -> None:
        """Insert rows; `columns` has the types by name. Raises LedgerUnwritableError.

        Of all inserts with one `token`, the server keeps the first and drops the others.
        """
        settings = self._writes() | ({} if token is None else {"insert_deduplication_token": token})
        with _errors(LedgerUnwritableError):
            self._connected().insert(
                table,
                rows,
                column_names=list(columns),
                column_type_names=list(columns.values()),
                settings=settings,
            )

    def execute(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, in_database: bool = True
    ) -> None:
        """Carry out a statement that writes. Raises LedgerUnwritableError.

        `in_database` is false for statements that name the database, which may not exist yet.
        """
        with _errors(LedgerUnwritableError):
            self._connected().command(
                sql, parameters=dict(parameters or {}), settings=self._writes(), use_database=in_database
            )

    def _writes(self) -> dict[str, Any]:
        return _WRITES | (_REPLICATED_WRITES if self.replicated else {})

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def read_password(file: Path) -> str:
    """Return the password in a file. Raises OSError or UnicodeDecodeError."""
    return file.read_text().rstrip("\n")


def _connect(address: Address) -> Client:
    parts = urlsplit(address.url)
    secure = parts.scheme == "https"
    client = clickhouse_connect.get_client(
        host=parts.hostname or "",
        port=parts.port or _PORTS[parts.scheme],
        username=address.user,
        password=address.password,
        secure=secure,
        ca_cert=address.ca_file,
        database="default",
        compress=False,
        connect_timeout=CONNECT_SECONDS,
        send_receive_timeout=ANSWER_SECONDS,
        query_limit=0,
        # a session allows one query at a time
        autogenerate_session_id=False,
        client_name="wsedge-statistics",
    )
    client.database = address.database
    return client


@contextmanager
def _reading() -> Iterator[dict[str, Any]]:
    """Yield the settings of a read, which the server stops when the budget of its request is spent."""
    stop = budget.current()
    if stop.due():
        raise LedgerDeadlineError(stop.seconds)
    with _errors(LedgerUnreadableError):
        try:
            yield {"max_execution_time": stop.left(), "timeout_overflow_mode": "throw"}
        except ClickHouseError as error:
            if getattr(error, "code", None) in _STOPPED:
                raise LedgerDeadlineError(stop.seconds) from error
            raise


@contextmanager
def _errors(kind: type[LedgerUnreadableError | LedgerUnwritableError]) -> Iterator[None]:
    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as error:
        _refuse(kind, error)


def _refuse(kind: type[LedgerError], error: Exception) -> NoReturn:
    if kind is LedgerUnwritableError:
        code = getattr(error, "code", None)
        text = f"ClickHouse cannot store it: {_text(error)}"
        raise LedgerUnwritableError(text, code=None if code is None else str(code)) from error
    raise kind(f"ClickHouse cannot answer: {_text(error)}") from error


def _text(error: Exception) -> str:
    return " ".join(str(error).split())[:_TEXT]
