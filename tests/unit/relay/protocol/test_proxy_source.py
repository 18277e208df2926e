"""PROXY headers of load balancers, and malformed ones."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.contract import ProxyProtocol
from wsedge_relay.errors import ProxyHeaderError
from wsedge_relay.protocol.proxy_protocol import (
    LONGEST,
    LONGEST_TEXT,
    Ends,
    SourceAddress,
    header,
    length_of,
    source_of,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack("!HH", 4711, 443)
V6 = bytes.fromhex("20010db8000000000000000000000007" + "20010db8000000000000000000000001") + V4[8:]


def binary(body: bytes = V4, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    """Return a version 2 header, valid or not."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


GOOD = {
    "text, IPv4": (b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n", SourceAddress("192.0.2.7", 4711)),
    "text, IPv6": (b"PROXY TCP6 2001:DB8::7 ::1 4711 443\r\n", SourceAddress("2001:db8::7", 4711)),
    "text, IPv4 within IPv6": (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", SourceAddress("192.0.2.7", 1)),
    "text, unknown": (b"PROXY UNKNOWN\r\n", None),
    "text, unknown with addresses": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    "binary, IPv4": (binary(), SourceAddress("192.0.2.7", 4711)),
    "binary, IPv6": (binary(V6, family=0x21), SourceAddress("2001:db8::7", 4711)),
    "binary with notes": (binary(V4 + b"\x01\x00\x02h2" + b"\x04\x00\x00"), SourceAddress("192.0.2.7", 4711)),
    "binary, local": (binary(b"", command=0x20, family=0), None),
    "binary, local with anything": (binary(b"xyz", command=0x20, family=0x11), None),
    "binary, unspecified": (binary(b"", family=0), None),
    "binary, a local socket": (binary(bytes(216), family=0x31), None),
}
BAD = {
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    "a POST": b"POST / HTTP/1.1\r\n",
    "no such protocol": b"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
    "the wrong family": b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
    "a family too old": b"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
    "a byte over 255": b"PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
    "a leading zero": b"PROXY TCP4 192.0.2.07 10.0.0.1 1 2\r\n",
    "a port over 65535": b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n",
    "a port with a leading zero": b"PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n",
    "no port": b"PROXY TCP4 192.0.2.7 10.0.0.1\r\n",
    "two spaces": b"PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n",
    "a line that ends in LF": b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n",
    "a CR within the line": b"PROXY UNKNOWN a\rb\r\n",
    "a line that does not end": b"PROXY UNKNOWN " + b"x" * LONGEST_TEXT,
    "small letters": b"proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
    "version 1 in binary": binary(command=0x11),
    "version 3 in binary": binary(command=0x31),
    "an unknown command": binary(command=0x22),
    "datagrams": binary(family=0x12),
    "a reserved family": binary(family=0x41),
    "too few bytes for its addresses": binary(V4[:11]),
    "a note that does not end": binary(V4 + b"\x01\x00\x05h2"),
    "half a note": binary(V4 + b"\x01\x00"),
    "more bytes than any needs": binary(b"", length=LONGEST),
}


def read(data: bytes) -> SourceAddress | None:
    """Parse a whole header."""
    assert length_of(data) == len(data)
    return source_of(data)


@pytest.mark.parametrize(("data", "source"), GOOD.values(), ids=GOOD.keys())
def test_headers_name_their_source(data: bytes, source: SourceAddress | None) -> None:
    """The address in its usual form and the port; None for the proxy's own connections."""
    assert read(data) == source


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_a_malformed_header_is_refused(data: bytes) -> None:
    """The error names the problem."""
    with pytest.raises(ProxyHeaderError, match=r"^it"):
        read(data)


@pytest.mark.parametrize("data", [data for data, _ in GOOD.values()], ids=GOOD.keys())
def test_the_length_of_a_header_is_known_at_any_split(data: bytes) -> None:
    """The length is returned as soon as it is known, whatever bytes follow, and is always correct."""
    lengths = [length_of(data[:end]) for end in range(1, len(data))]
    assert set(lengths) <= {0, len(data)}
    assert length_of(data + b"GET / HTTP/1.1\r\n") == len(data)


@pytest.mark.parametrize("data", [b"PROXX", b"\r\n\r\nG", b"G", b"PA", b"\x16"])
def test_other_bytes_are_refused_at_once(data: bytes) -> None:
    """Bytes that can begin no header are rejected without waiting for more."""
    with pytest.raises(ProxyHeaderError):
        length_of(data)


@given(st.ip_addresses(), st.integers(0, 65535), st.sampled_from(ProxyProtocol))
def test_a_relay_accepts_the_header_of_a_relay(address: object, port: int, version: ProxyProtocol) -> None:
    """A relay may be the origin of another relay."""
    source = read(header(version, Ends(str(address), port, "10.0.0.1", 443)))
    assert source is not None
    mapped = getattr(address, "ipv4_mapped", None)
    assert source == SourceAddress(str(mapped or address), port)
    assert read(header(version, None)) is None


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: SIGNATURE + rest))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """Random bytes are a header, need more bytes, or are rejected."""
    try:
        length = length_of(data)
        assert 0 <= length <= LONGEST
        if 0 < length <= len(data):
            source_of(data[:length])
    except ProxyHeaderError:
        pass
