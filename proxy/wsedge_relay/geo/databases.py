"""The databases of places: files that the user mounts, read whole, replaced while the relay runs.

Files are kept in memory rather than mapped: a file that is overwritten in place would end a process that has
it mapped. A file that is missing or damaged costs its labels and nothing else; the last good one stays.
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

LOOK_SECONDS: Final = 5.0
_REMEMBERED: Final = 8192  # clients come back, and a look-up costs some 50 µs
# What the reader of MaxMind's databases raises for damaged ones, of which it checks only some parts.
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
    """Finds the place of an address in up to three files, the first named first; the others fill gaps.

    `look` blocks on files and may run in another thread; `take` puts what it returned in force.
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
        self._unread: dict[str, str] = {}  # why a file that is there could not be read
        self._lookups: dict[str, Lookup] = {}
        self.refusals = 0
        self._find = self._remembering()

    def place_of(self, address: str) -> Place:
        """Return the place of a client's address by the files in force; what is unknown is `unknown`."""
        return self._find(address)

    def families(self) -> Iterator[Family]:
        """Return which files are in force, and how many were refused, as metrics."""
        rows: list[tuple[tuple[str, ...], float]] = [
            ((name,), float(name in self._lookups)) for name in self._files
        ]
        yield Family("geo_files", "1 when a database of places is in force.", ("file",), rows, gauge=True)
        yield Family("geo_refusals", "Databases of places refused.", (), [((), self.refusals)])

    def look(self) -> dict[str, Lookup | GeoFileError]:
        """Read the files that changed since the last look; a refusal is told once per change."""
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
                if signature is not None:  # that may pass, as a want of descriptors does, and change no file
                    self._unread[name] = reason
                if reason != before:
                    news[name] = GeoFileError(reason)
            except GeoFileError as error:
                news[name] = error
        return news

    def take(self, news: dict[str, Lookup | GeoFileError]) -> None:
        """Put files in force from the next connection on, and log what became of each."""
        for name, outcome in news.items():
            path = str(self._files[name][0])
            if isinstance(outcome, GeoFileError):
                self.refusals += 1
                log.error("geo file refused", file=path, kind=name, reason=str(outcome))
            else:
                self._lookups[name] = outcome
                log.info("geo file taken", file=path, kind=name)
        if news:
            self._find = self._remembering()

    def _remembering(self) -> Callable[[str], Place]:
        lookups = [(name, self._lookups[name]) for name in self._files if name in self._lookups]

        @functools.lru_cache(_REMEMBERED)
        def find(address: str) -> Place:
            place = NOWHERE
            for name, lookup in lookups:
                try:
                    place = place.filled(lookup(ipaddress.ip_address(address)))
                except GeoFileError as error:  # damaged further in: this record alone is lost
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
