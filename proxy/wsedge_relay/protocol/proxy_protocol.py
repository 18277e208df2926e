"""The PROXY protocol's header, versions 1 and 2: parsed from load balancers, built for origins. Pure.

The rules are those of HAProxy's proxy-protocol.txt, sections 2.1 and 2.2. The parser rejects forms that a
receiver "may" accept, and skips the fields of a version 2 header behind the addresses.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from wsedge_relay.contract import ProxyProtocol
from wsedge_relay.errors import ProxyHeaderError
from wsedge_relay.protocol.forwarded import address_of

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_TCP4: Final = 0x11
_TCP6: Final = 0x21

LONGEST_TEXT: Final = 107  # version 1, its CRLF included
LONGEST: Final = 4096  # version 2: larger than the extra fields of known load balancers

_FIXED: Final = 16
_PREFIX: Final = b"PROXY "
_TEXT: Final = re.compile(
    rb"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n"
)
_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN( [\x20-\x7e]*)?\r\n")
# Bytes of addresses by family. Headers of the families 0x00 (unspecified) and 0x31 (local socket) have no IP
# address: the connection counts as the proxy's own.
_ADDRESS_BYTES: Final = {0x00: 0, _TCP4: 12, _TCP6: 36, 0x31: 216}


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a client's connection to the relay: IP addresses as text, and ports (0: not known)."""

    client: str
    client_port: int
    relay: str
    relay_port: int


def header(version: ProxyProtocol, ends: Ends | None) -> bytes:
    """Return the header for a connection to an origin; `ends` None: a connection without a client."""
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
    # The form of newer versions of Python; older ones write a mapped address in hexadecimal digits.
    return f"::ffff:{mapped}" if mapped is not None else str(address)


def _alike(ends: Ends) -> tuple[IPv4Address, IPv4Address] | tuple[IPv6Address, IPv6Address]:
    """Return both addresses in one family, as a header requires: IPv4 as mapped IPv6 where they differ."""
    source, destination = ip_address(ends.client), ip_address(ends.relay)
    if isinstance(source, IPv4Address) and isinstance(destination, IPv4Address):
        return source, destination
    return _mapped(source), _mapped(destination)


def _mapped(address: IPv4Address | IPv6Address) -> IPv6Address:
    return IPv6Address(f"::ffff:{address}") if isinstance(address, IPv4Address) else address


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """The source address of a proxied connection."""

    address: str
    port: int


def length_of(data: bytes) -> int:
    """Return the length of the header at the start of `data`; 0: more bytes are needed.

    All of `data` belongs to the header while 0 is returned. Raises ProxyHeaderError as soon as no further
    bytes can make a valid header.
    """
    if data[:1] == b"P":
        return _length_of_text(data)
    if not _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        raise ProxyHeaderError("it does not begin with a PROXY header")
    if len(data) < _FIXED:
        return 0
    length = _FIXED + int.from_bytes(data[14:16], "big")
    if length > LONGEST:
        raise ProxyHeaderError(f"its PROXY header is longer than {LONGEST} bytes")
    return length


def source_of(header: bytes) -> SourceAddress | None:
    """Return the source address of a complete header; raises ProxyHeaderError.

    None: the header has no address (LOCAL, UNKNOWN, local sockets), so the connection is the proxy's own.
    """
    return _text_source(header) if header.startswith(_PREFIX) else _binary_source(header)


def _length_of_text(data: bytes) -> int:
    if not _PREFIX.startswith(data[: len(_PREFIX)]):
        raise ProxyHeaderError("it does not begin with a PROXY header")
    end = data.find(b"\n", 0, LONGEST_TEXT) + 1
    if not end and len(data) >= LONGEST_TEXT:
        raise ProxyHeaderError("its PROXY line does not end")
    return end


def _text_source(header: bytes) -> SourceAddress | None:
    if _UNKNOWN.fullmatch(header):
        return None
    match = _TEXT.fullmatch(header)
    if match is None:
        raise ProxyHeaderError("its PROXY line is malformed")
    kind = IPv4Address if match[1] == b"4" else IPv6Address
    try:
        source, _ = kind(match[2].decode()), kind(match[3].decode())
    except ValueError as error:
        raise ProxyHeaderError("its PROXY line has a malformed address") from error
    if int(match[4]) > 65535 or int(match[5]) > 65535:
        raise ProxyHeaderError("its PROXY line has no such port")
    return SourceAddress(address_of(str(source)), int(match[4]))


def _binary_source(header: bytes) -> SourceAddress | None:
    command, family = header[12], header[13]
    if command == _LOCAL:
        return None
    size = _ADDRESS_BYTES.get(family)
    if command != _PROXY or size is None:
        raise ProxyHeaderError("its PROXY header is of another version, command or protocol")
    body = header[_FIXED:]
    _check_notes(body, size)
    if family == _TCP4:
        return SourceAddress(str(IPv4Address(body[:4])), int.from_bytes(body[8:10], "big"))
    if family == _TCP6:
        return SourceAddress(address_of(str(IPv6Address(body[:16]))), int.from_bytes(body[32:34], "big"))
    return None


def _check_notes(body: bytes, at: int) -> None:
    """Check that the fields behind the addresses (type, length, value) end with the header."""
    while at + 3 <= len(body):
        at += 3 + int.from_bytes(body[at + 1 : at + 3], "big")
    if at != len(body):
        raise ProxyHeaderError("its PROXY header has fields that do not match its length")
