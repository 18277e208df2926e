"""ip2region's files: both versions, both orders of fields, and files of other formats."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.relay.geo_files import xdb
from wsedge_relay.errors import GeoFileError
from wsedge_relay.geo.xdb import Xdb, XdbPlace

OLD = {
    "0.0.0.0-0.255.255.255": "0|0|0|内网IP|内网IP",
    "1.0.0.0-1.0.255.255": "中国|0|广东省|深圳市|电信",
    "1.1.0.0-1.1.0.99": "美国|0|加利福尼亚|0|谷歌",
    "1.1.0.100-1.3.255.255": "中国|0|上海|上海市|联通",
    "255.255.0.0-255.255.255.255": "0|0|0|0|0",
}
NEW = {
    "0.0.0.0-0.255.255.255": "Reserved|Reserved|Reserved|0|0",
    "1.0.0.0-1.0.255.255": "中国|广东省|深圳市|电信|CN",
    "1.1.0.0-1.1.0.99": "United States|California|0|Google LLC|US",
    "1.1.0.100-1.3.255.255": "中国|上海市|上海市|联通|CN",
    "255.255.0.0-255.255.255.255": "0|0|0|0|0",
}
FOUR = {"1.0.0.0-1.0.255.255": "中国|广东省|深圳市|电信"}
GUANGDONG = XdbPlace("中国", "广东省", "电信")
FOUND = {
    "the older order": (OLD, "1.0.2.3", GUANGDONG),
    "the older order, first of a range": (OLD, "1.1.0.0", XdbPlace("美国", "加利福尼亚", "谷歌")),
    "the older order, last of a range": (OLD, "1.1.0.99", XdbPlace("美国", "加利福尼亚", "谷歌")),
    "a range over several table entries": (OLD, "1.2.200.1", XdbPlace("中国", "上海", "联通")),
    "the newer order": (NEW, "1.0.2.3", XdbPlace("中国", "广东省", "电信", "CN")),
    "the newer order abroad": (NEW, "1.1.0.7", XdbPlace("United States", "California", "Google LLC", "US")),
    "four fields": (FOUR, "1.0.2.3", GUANGDONG),
    "an address of nobody": (NEW, "0.0.0.1", XdbPlace()),
    "the last address": (OLD, "255.255.255.255", XdbPlace()),
    "an address that the file does not have": (OLD, "8.8.8.8", None),
}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize(("ranges", "address", "place"), FOUND.values(), ids=FOUND.keys())
def test_addresses_are_found(
    ranges: dict[str, str], address: str, place: XdbPlace | None, inclusive: bool, version: int
) -> None:
    """In files of both versions, with both conventions for the end of a table entry."""
    file = Xdb(xdb(ranges, version=version, inclusive=inclusive))
    assert file.find(int(ipaddress.IPv4Address(address))) == place


@given(st.integers(0, 2**32 - 1))
def test_every_address_is_found_as_by_going_through_all_ranges(address: int) -> None:
    """A search through all ranges has the same result."""
    expected = None
    for text, record in NEW.items():
        first, last = (int(ipaddress.IPv4Address(end)) for end in text.split("-"))
        if first <= address <= last:
            expected = record.split("|")[4].replace("0", "")
    found = BOTH.find(address)
    assert (found.code if found is not None else None) == expected


BOTH = Xdb(xdb(NEW))
BAD = {
    "an empty file": (b"", "too short"),
    "a text": (b"<html>" * 100000, "neither 2 nor 3"),
    "an older version": (xdb(OLD, version=1), "neither 2 nor 3"),
    "a file of IPv6": (xdb(NEW, version=3, ip_version=6), "IPv6"),
    "a file that was cut": (xdb(OLD)[:-10], "outside"),
}


@pytest.mark.parametrize(("data", "says"), BAD.values(), ids=BAD.keys())
def test_a_file_of_another_format_is_refused(data: bytes, says: str) -> None:
    """The error has the reason."""
    with pytest.raises(GeoFileError, match=says):
        Xdb(data)


def test_a_damaged_record_is_an_error_of_its_own() -> None:
    """Text that is not UTF-8 never becomes a label."""
    data = xdb(FOUR)
    damaged = data.replace("广东省".encode(), b"\xff" * 9)
    with pytest.raises(GeoFileError, match="damaged"):
        Xdb(damaged)


GAPS = xdb({"1.0.0.100-1.0.0.199": "中国|广东省|深圳市|电信|CN", "1.0.1.50-1.0.1.99": "日本|0|0|0|JP"})


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("1.0.0.99", None),
        ("1.0.0.100", "CN"),
        ("1.0.0.199", "CN"),
        ("1.0.0.200", None),
        ("1.0.1.49", None),
        ("1.0.1.50", "JP"),
        ("1.0.1.99", "JP"),
        ("1.0.1.100", None),
        ("1.0.255.255", None),
    ],
)
def test_an_address_between_two_ranges_has_no_record(address: str, code: str | None) -> None:
    """The last table entry ends behind the file's last index entry, which the search must not read."""
    found = Xdb(GAPS).find(int(ipaddress.IPv4Address(address)))
    assert (found.code if found is not None else None) == code


def test_a_record_beyond_the_end_of_the_file_is_damaged() -> None:
    """A length of the index may point behind the last byte."""
    data = bytearray(xdb(FOUR))
    data[-6:-4] = b"\xff\xff"
    with pytest.raises(GeoFileError, match="damaged"):
        Xdb(bytes(data))
