"""PROXY headers: a length once known does not change, and writing the parsed header gives the same."""

from __future__ import annotations

from ipaddress import ip_address

from wsedge_relay.contract import ProxyProtocol
from wsedge_relay.errors import ProxyHeaderError
from wsedge_relay.protocol.proxy_protocol import LONGEST, Ends, header, length_of, source_of


def proxy(data: bytes) -> None:
    """Read `data` as a load balancer's first bytes."""
    length = _length(data)
    for cut in range(min(len(data), 20)):
        part = _length(data[:cut])
        # Further bytes never change the result: a length, or that it is no header.
        assert part in (0, length)
    if length <= 0 or length > len(data):
        return
    assert length <= LONGEST
    assert _length(data[:length]) == length
    try:
        source = source_of(data[:length])
    except ProxyHeaderError:
        return
    if source is None:
        return
    assert str(ip_address(source.address)) == source.address
    assert 0 <= source.port <= 65535
    for version in ProxyProtocol:
        told = header(version, Ends(source.address, source.port, "10.0.0.1", 443))
        assert length_of(told) == len(told)
        assert source_of(told) == source


def _length(data: bytes) -> int:
    """Return the header's length; -1: it can be no header."""
    try:
        return length_of(data)
    except ProxyHeaderError:
        return -1
