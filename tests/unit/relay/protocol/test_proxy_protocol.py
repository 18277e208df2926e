"""The PROXY protocol's header, byte for byte as in the specification."""

from __future__ import annotations

import pytest

from wsedge_relay.contract import ProxyProtocol
from wsedge_relay.protocol.proxy_protocol import Ends, header

V1, V2 = ProxyProtocol
SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")

HEADERS = {
    "IPv4 as text": (
        V1,
        Ends("192.0.2.7", 56324, "192.0.2.1", 443),
        b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n",
    ),
    "IPv6 as text": (
        V1,
        Ends("2001:db8::7", 1, "2001:db8::1", 2),
        b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n",
    ),
    "a client whose port is not known": (
        V1,
        Ends("192.0.2.7", 0, "192.0.2.1", 80),
        b"PROXY TCP4 192.0.2.7 192.0.2.1 0 80\r\n",
    ),
    "two families as text": (
        V1,
        Ends("192.0.2.7", 1, "2001:db8::1", 2),
        b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n",
    ),
    "the relay's own connection as text": (V1, None, b"PROXY UNKNOWN\r\n"),
    "IPv4 in binary": (
        V2,
        Ends("192.0.2.7", 56324, "192.0.2.1", 443),
        SIGNATURE + bytes.fromhex("2111000c c0000207 c0000201 dc04 01bb"),
    ),
    "IPv6 in binary": (
        V2,
        Ends("2001:db8::7", 1, "2001:db8::1", 2),
        SIGNATURE
        + bytes.fromhex(
            "21210024 20010db8000000000000000000000007 20010db8000000000000000000000001 0001 0002"
        ),
    ),
    "two families in binary": (
        V2,
        Ends("2001:db8::7", 1, "192.0.2.1", 2),
        SIGNATURE
        + bytes.fromhex(
            "21210024 20010db8000000000000000000000007 00000000000000000000ffffc0000201 0001 0002"
        ),
    ),
    "the relay's own connection in binary": (V2, None, SIGNATURE + bytes.fromhex("20000000")),
}


@pytest.mark.parametrize("case", HEADERS)
def test_header(case: str) -> None:
    """The header is the first bytes that an origin receives."""
    version, ends, expected = HEADERS[case]
    assert header(version, ends) == expected
