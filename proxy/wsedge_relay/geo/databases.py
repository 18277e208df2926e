"""The geo databases: mounted files, loaded whole, reloaded while the relay runs.

Files are loaded into memory, not mapped: a process that has mapped a file is killed (SIGBUS) when the file is
truncated in place. A missing or damaged file affects its labels only; the last valid content stays in force.
"""

from __future__ import annotations

import functools
import io
import ipaddress
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import maxminddb
import structlog

from wsedge_relay.errors import GeoFileError
from wsedge_relay.file_signature import Signature, signature_of
from wsedge_relay.geo.labels import NOWHERE, Place, of_city, of_isp, of_xdb
from wsedge_relay.geo.xdb import Xdb
from wsedge_relay.telemetry.families import Family

log = structlog.get_logger("wsedge_relay")

POLL_SECONDS: Final = 5.0
_CACHED: Final = 8192  # addresses: clients reconnect, and a search costs some 50 µs
# Errors of MaxMind's reader for damaged databases, which it validates only in part.
_DAMAGED: Final = (
    maxminddb.InvalidDatabaseError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[Address], Place]


class GeoDatabases:
    """Finds the place of an address in up to three files; later files fill the gaps of earlier ones.

    `poll` blocks on files and may run in another thread; `apply` puts its result in force.
    """

    def __init__(self, *, ip2region: Path | None, city: Path | None, isp: Path | None) -> None:
        self._files = {
            name: (path, reader)
            for name, path, reader in (
                ("ip2region", ip2region, _ip2region),
                ("city", city, _city),
                ("isp", isp, _isp),
            )
            if path is not None
        }
        self._seen: dict[str, Signature | None] = {}
        self._unread: dict[str, str] = {}  # by file: the reason why an existing file could not be read
        self._lookups: dict[str, Lookup] = {}
        self.refusals = 0
        self._find = self._cached_find()

    def place_of(self, address: str) -> Place:
        """Return the place of a client's address by the files in force; unknown parts are `unknown`."""
        return self._find(address)

    def families(self) -> Iterator[Family]:
        """Yield the metrics: the files in force, and the number of rejected files."""
        rows: list[tuple[tuple[str, ...], float]] = [
            ((name,), float(name in self._lookups)) for name in self._files
        ]
        yield Family("geo_files", "1 while the geo database is in force.", ("file",), rows, gauge=True)
        yield Family("geo_refusals", "Rejected geo databases.", (), [((), self.refusals)])

    def poll(self) -> dict[str, Lookup | GeoFileError]:
        """Load the files that changed since the last call; return each loaded or rejected file, once."""
        news: dict[str, Lookup | GeoFileError] = {}
        for name, (path, reader) in self._files.items():
            signature = signature_of(path)
            before = None
            if name in self._seen and self._seen[name] == signature:
                before = self._unread.get(name)
                if before is None:
                    continue
            self._seen[name] = signature
            self._unread.pop(name, None)
            try:
                news[name] = reader(path.read_bytes())
            except OSError as error:
                reason = error.strerror or str(error)
                if signature is not None:  # the cause, such as too few descriptors, may end: read it again
                    self._unread[name] = reason
                if reason != before:
                    news[name] = GeoFileError(reason)
            except GeoFileError as error:
                news[name] = error
        return news

    def apply(self, news: dict[str, Lookup | GeoFileError]) -> None:
        """Put the result of `poll` in force from the next connection on, and log each file."""
        for name, outcome in news.items():
            path = str(self._files[name][0])
            if isinstance(outcome, GeoFileError):
                self.refusals += 1
                log.error("geo database refused", file=path, kind=name, reason=str(outcome))
            else:
                self._lookups[name] = outcome
                log.info("geo database loaded", file=path, kind=name)
        if news:
            self._find = self._cached_find()

    def _cached_find(self) -> Callable[[str], Place]:
        lookups = [(name, self._lookups[name]) for name in self._files if name in self._lookups]

        @functools.lru_cache(_CACHED)
        def find(address: str) -> Place:
            place = NOWHERE
            for name, lookup in lookups:
                try:
                    place = place.filled(lookup(ipaddress.ip_address(address)))
                except GeoFileError as error:  # one damaged record does not reject the file
                    log.warning("geo record damaged", kind=name, reason=str(error))
            return place

        return find


def _ip2region(data: bytes) -> Lookup:
    xdb = Xdb(data)

    def lookup(address: Address) -> Place:
        found = xdb.find(int(address)) if isinstance(address, ipaddress.IPv4Address) else None
        return of_xdb(found) if found is not None else NOWHERE

    return lookup


def _city(data: bytes) -> Lookup:
    return _maxmind(data, of_city)


def _isp(data: bytes) -> Lookup:
    return _maxmind(data, of_isp)


def _maxmind(data: bytes, place: Callable[[dict[str, Any]], Place]) -> Lookup:
    try:
        reader = maxminddb.open_database(io.BytesIO(data), maxminddb.MODE_FD)
        takes_ipv6 = reader.metadata().ip_version == 6
    except _DAMAGED as error:
        raise GeoFileError(f"it is no MaxMind database: {error}") from error

    def lookup(address: Address) -> Place:
        if address.version == 6 and not takes_ipv6:
            return NOWHERE
        try:
            record = reader.get(address)
        except _DAMAGED as error:
            raise GeoFileError(str(error)) from error
        return place(record) if isinstance(record, dict) else NOWHERE

    return lookup
