"""Small geo databases, in the formats of their makers."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping
from typing import Any

_TABLE = 256 + 256 * 256 * 8


def xdb(
    ranges: Mapping[str, str], *, version: int = 2, ip_version: int = 4, inclusive: bool = False
) -> bytes:
    """Return an xdb file of "first-last" to record; `inclusive` lets table entries end at the last entry."""
    records: dict[str, int] = {}
    body = bytearray()
    for record in ranges.values():
        if record not in records:
            records[record] = _TABLE + len(body)
            body += record.encode()
    table = bytearray(256 * 256 * 8)
    index = bytearray()
    start = _TABLE + len(body)
    for text, record in ranges.items():
        first, last = (int(ipaddress.IPv4Address(end)) for end in text.split("-"))
        for prefix in range(first >> 16, (last >> 16) + 1):
            at = start + len(index)
            low, high = max(first, prefix << 16), min(last, (prefix << 16) + 0xFFFF)
            index += struct.pack("<IIHI", low, high, len(record.encode()), records[record])
            begin, _ = struct.unpack_from("<II", table, prefix * 8)
            struct.pack_into("<II", table, prefix * 8, begin or at, at if inclusive else at + 14)
    header = struct.pack("<HHIII", version, 1, 1700000000, start, start + len(index) - 14)
    if version == 3:
        header += struct.pack("<HH", ip_version, 4)
    return header.ljust(256, b"\0") + bytes(table + body + index)


def mmdb(networks: Mapping[str, Mapping[str, Any]], *, kind: str = "GeoLite2-City") -> bytes:
    """Return a MaxMind database (IPv6, with IPv4 below ::/96) of network to record."""
    data = bytearray()
    nodes: list[list[int | None]] = [[None, None]]
    leaves: list[tuple[int, int, int]] = []  # node, side, offset in the data
    for text, record in networks.items():
        network = ipaddress.ip_network(text)
        bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
        if network.version == 4:
            bits = "0" * 96 + bits
        node = 0
        for bit in bits[:-1]:
            child = nodes[node][int(bit)]
            if child is None:
                nodes.append([None, None])
                child = nodes[node][int(bit)] = len(nodes) - 1
            node = child
        leaves.append((node, int(bits[-1]), len(data)))
        data += _encoded(record)
    count = len(nodes)
    for node, side, offset in leaves:
        nodes[node][side] = count + 16 + offset
    tree = b"".join(
        struct.pack(">II", *(count if child is None else child for child in children)) for children in nodes
    )
    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1700000000,
        "database_type": kind,
        "description": {"en": "a test"},
        "ip_version": 6,
        "languages": ["en"],
        "node_count": count,
        "record_size": 32,
    }
    return tree + b"\0" * 16 + bytes(data) + b"\xab\xcd\xefMaxMind.com" + _encoded(metadata)


def _encoded(value: object) -> bytes:
    """Encode a value in the data section's format of MaxMind DB, version 2."""
    if isinstance(value, str):
        raw = value.encode()
        return _control(2, len(raw)) + raw
    if isinstance(value, int):
        raw = value.to_bytes(8, "big").lstrip(b"\0")
        return _control(9, len(raw)) + raw
    if isinstance(value, list):
        return _control(11, len(value)) + b"".join(map(_encoded, value))
    assert isinstance(value, Mapping)
    pairs = (_encoded(key) + _encoded(child) for key, child in value.items())
    return _control(7, len(value)) + b"".join(pairs)


def _control(kind: int, size: int) -> bytes:
    shown = min(29, size)
    more = bytes([size - 29]) if size >= 29 else b""
    if kind < 8:
        return bytes([kind << 5 | shown]) + more
    return bytes([shown, kind - 7]) + more
