"""Opens the ledger that the settings name; has what differs between ledgers for the rest of the program."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import structlog

from wsedge_statistics.contract import Directory
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.errors import SettingsError
from wsedge_statistics.ledger import Ledger
from wsedge_statistics.ledger.clickhouse.following import following
from wsedge_statistics.ledger.clickhouse.server import Address, read_password
from wsedge_statistics.ledger.clickhouse.store import ClickHouseLedger
from wsedge_statistics.ledger.sqlite.store import SqliteLedger
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.services import Services
from wsedge_statistics.settings import Settings
from wsedge_statistics.tenure import Tenures

log = structlog.get_logger()


def open_ledger(settings: Settings, metrics: Metrics, clock: Callable[[], datetime]) -> Ledger:
    """Open the ledger. Raises LedgerError, or SettingsError where the settings name none."""
    if settings.ledger == "clickhouse":
        address, cluster = address_of(settings), settings.clickhouse_cluster
        return ClickHouseLedger(address, cluster=cluster, clock=clock, observer=metrics.ledger)
    return SqliteLedger(_folder(settings), clock=clock, observer=metrics.ledger)


def _folder(settings: Settings) -> Path:
    if settings.data is None:
        raise SettingsError("--data: must be given")
    return settings.data


def address_of(settings: Settings) -> Address:
    """Return the ClickHouse server, with its password. Raises SettingsError."""
    if settings.clickhouse_url is None:
        raise SettingsError("--clickhouse-url: must be given")
    file = settings.clickhouse_password_file
    try:
        password = "" if file is None else read_password(file)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--clickhouse-password-file: {error}") from None
    authorities = None if settings.clickhouse_ca_file is None else str(settings.clickhouse_ca_file)
    return Address(
        settings.clickhouse_url,
        settings.clickhouse_database,
        settings.clickhouse_user,
        password,
        authorities,
        file,
    )


def free_bytes(settings: Settings, ledger: Ledger) -> Callable[[], int]:
    """Return what reads the bytes that the ledger may still use."""
    if isinstance(ledger, ClickHouseLedger):
        return ledger.free
    folder = _folder(settings)
    return lambda: shutil.disk_usage(folder).free


@contextmanager
def shared(ledger: Ledger, services: Services) -> Iterator[None]:
    """Follow, within the block, the Directories that other processes store in the same ledger."""
    if not isinstance(ledger, ClickHouseLedger):
        yield
        return

    def changed(directory: Directory | None, tenures: Tenures) -> None:
        services.directory, services.tenures = DirectoryView.of(directory), tenures

    with following(ledger, changed):
        yield
