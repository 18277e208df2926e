"""The header of the PROXY protocol by which an origin learns the client's address, versions 1 and 2.

Pure. The rules are those of HAProxy's proxy-protocol.txt, sections 2.1 and 2.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from wsedge_relay.contract import ProxyProtocol

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_TCP4: Final = 0x11
_TCP6: Final = 0x21


@dataclass(frozen=True, slots=True)
class Ends:
    """The client's end of a connection and the relay's: IP addresses as text, and ports (0: not known)."""

    client: str
    client_port: int
    relay: str
    relay_port: int


def header(version: ProxyProtocol, ends: Ends | None) -> bytes:
    """Return what precedes all else on a connection to an origin; `ends` None: it is the relay's own."""
    if version is ProxyProtocol.V1:
        return _text(ends)
    if ends is None:
        return _SIGNATURE + bytes((_LOCAL, 0, 0, 0))
    source, destination = _alike(ends)
    body = source.packed + destination.packed + struct.pack("!HH", ends.client_port, ends.relay_port)
    family = _TCP4 if source.version == 4 else _TCP6
    return _SIGNATURE + struct.pack("!BBH", _PROXY, family, len(body)) + body


def _text(ends: Ends | None) -> bytes:
    if ends is None:
        return b"PROXY UNKNOWN\r\n"
    source, destination = _alike(ends)
    return (
        f"PROXY TCP{source.version} {_written(source)} {_written(destination)}"
        f" {ends.client_port} {ends.relay_port}\r\n"
    ).encode()


def _written(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return f"::ffff:{mapped}" if mapped is not None else str(address)  # as newer Pythons write it anyway


def _alike(ends: Ends) -> tuple[IPv4Address, IPv4Address] | tuple[IPv6Address, IPv6Address]:
    """Return both addresses in one family: a header has room for one, and IPv6 has room for IPv4."""
    source, destination = ip_address(ends.client), ip_address(ends.relay)
    if isinstance(source, IPv4Address) and isinstance(destination, IPv4Address):
        return source, destination
    return _mapped(source), _mapped(destination)


def _mapped(address: IPv4Address | IPv6Address) -> IPv6Address:
    return IPv6Address(f"::ffff:{address}") if isinstance(address, IPv4Address) else address
