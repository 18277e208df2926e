"""A reader of ip2region's xdb files, for IPv4. Pure: it gets the file's bytes.

The format, little-endian throughout: a header of 256 bytes (version, index policy, time, offsets of the first
and the last index entry); a table of 65,536 pairs of offsets, one per first two bytes of an address; index
entries of 14 bytes (first address, last address, length and offset of a record), each within one pair of the
table; records in UTF-8. Version 3 adds the IP version to the header of version 2.

Records have one of two orders: country|area|province|city|ISP (files until 2025) and
country|province|city|ISP|country code. The header does not distinguish them, so a sample of the records
decides.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from wsedge_relay.errors import GeoFileError

_HEADER: Final = 256
_TABLE_END: Final = _HEADER + 256 * 256 * 8
_ENTRY: Final = struct.Struct("<IIHI")
_PAIR: Final = struct.Struct("<II")
_SAMPLES: Final = 512
_COUNTRY_CODE: Final = re.compile(r"[A-Z]{2}")
_NOTHING: Final = frozenset(("", "0", "Reserved", "内网IP"))


@dataclass(frozen=True, slots=True)
class XdbPlace:
    """The fields of a record, or "". Only newer files have `code`, the country code (ISO 3166-1)."""

    country: str = ""
    province: str = ""
    isp: str = ""
    code: str = ""


class Xdb:
    """One file. Raises GeoFileError for a file of another format, and for IPv6."""

    def __init__(self, data: bytes) -> None:
        if len(data) < _TABLE_END:
            raise GeoFileError("it is too short for an xdb file")
        version, _policy, _time, first, last = struct.unpack_from("<HHIII", data)
        if version not in (2, 3):
            raise GeoFileError(f"xdb version {version} is neither 2 nor 3")
        if version == 3 and struct.unpack_from("<H", data, 16)[0] != 4:
            raise GeoFileError("it is for IPv6, but the relay supports xdb files for IPv4 only")
        if not _TABLE_END <= first <= last <= len(data) - _ENTRY.size:
            raise GeoFileError("its index lies outside of the file")
        self._data = data
        self.has_codes = self._sampled(first, last)

    def find(self, address: int) -> XdbPlace | None:
        """Return the record of an IPv4 address, None without a record; raises GeoFileError."""
        record = self._record(address)
        return _place(record.split("|"), has_code=self.has_codes) if record else None

    def _record(self, address: int) -> str | None:
        start, end = _PAIR.unpack_from(self._data, _HEADER + (address >> 16) * 8)
        if start < _TABLE_END:  # no record for any address with these two bytes
            return None
        low, high = 0, (end - start) // _ENTRY.size
        while low <= high:
            middle = (low + high) // 2
            # Some writers end a pair at the last entry, others behind it.
            at = start + middle * _ENTRY.size
            if at > len(self._data) - _ENTRY.size:
                high = middle - 1
                continue
            first, last, size, where = _ENTRY.unpack_from(self._data, at)
            if address < first:
                high = middle - 1
            elif address > last:
                low = middle + 1
            else:
                return self._text(where, size)
        return None

    def _text(self, where: int, size: int) -> str:
        raw = self._data[where : where + size]
        try:
            if len(raw) == size:
                return raw.decode()
        except UnicodeDecodeError:
            pass
        raise GeoFileError("a record is damaged")

    def _sampled(self, first: int, last: int) -> bool:
        """Return whether the records have the newer order, by a sample over the whole file."""
        count = (last - first) // _ENTRY.size + 1
        votes = 0
        for number in range(0, count, max(1, count // _SAMPLES)):
            _, _, size, where = _ENTRY.unpack_from(self._data, first + number * _ENTRY.size)
            fields = self._text(where, size).split("|")
            votes += _vote(fields)
        return votes > 0


def _vote(fields: list[str]) -> int:
    if len(fields) == 4:
        return 1
    if len(fields) > 4 and _COUNTRY_CODE.fullmatch(fields[4]):
        return 1
    # The older order's second field is nearly always empty where the fifth, the ISP, is not.
    return -1 if len(fields) == 5 and fields[1] in _NOTHING and fields[4] not in _NOTHING else 0


def _place(fields: list[str], *, has_code: bool) -> XdbPlace:
    said = ["" if field in _NOTHING else field for field in fields] + [""] * 5
    if has_code:
        return XdbPlace(country=said[0], province=said[1], isp=said[3], code=said[4])
    return XdbPlace(country=said[0], province=said[2], isp=said[4])
