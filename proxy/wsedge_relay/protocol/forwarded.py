"""A client's address behind proxies, by X-Forwarded-For and Forwarded (RFC 7239). Pure.

Each proxy appends the address of its own peer at the right. The client is the right-most address that is no
trusted proxy: the client itself may have written every address to the left of it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from wsedge_relay.protocol.http1 import Header, Headers

# Each trusted hop costs a search, and a client can write as many hops as fit in a head.
MOST_HOPS: Final = 32

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PAIR: Final = re.compile(rb"[ \t]*(" + _TOKEN + rb")=(" + _TOKEN + rb'|"(?:[^"\\]|\\.)*")[ \t]*')
_NODE: Final = re.compile(r"([0-9.]+)(?::[0-9]{1,5})?|\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)")
_PROTO: Final = re.compile(rb"[A-Za-z]{1,10}")
_HOST: Final = re.compile(rb"[A-Za-z0-9._~:\[\]-]{1,261}")

# An address; None for "unknown" and obfuscated identifiers (RFC 7239 sections 6.2 and 6.3).
Hop = str | None


class Networks:
    """A set of networks, of `address/bits` each."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(map(_network, networks))

    def __contains__(self, address: object) -> bool:
        if not self._networks:
            return False
        parsed = ipaddress.ip_address(str(address))
        return any(parsed in network for network in self._networks)


class Way(NamedTuple):
    """The hops of a request: `peer` connected to the relay, `client` is the address that sent the request.

    `chain` has the hops before the peer, the client's side first; `x_forwarded_for` and `forwarded` say
    which headers listed them. When the peer is not trusted, `chain` is empty and the client is the peer.
    """

    peer: str
    client: str
    trusted: bool = False
    chain: tuple[Hop, ...] = ()
    x_forwarded_for: bool = False
    forwarded: bool = False


def way_of(headers: Headers, peer: str, proxies: Networks) -> Way:
    """Return the hops of a request with these headers from `peer`, where `proxies` are trusted.

    Most proxies write one of the two headers and pass the other as the client wrote it. So when both are
    present and name different clients, both are ignored: the client is the peer.
    """
    if peer not in proxies:
        return Way(peer, peer)
    lists = {
        name: chain
        for name, chain in (
            (b"x-forwarded-for", _x_forwarded_for(headers.all(b"x-forwarded-for"))),
            (b"forwarded", _forwarded(headers.all(b"forwarded"))),
        )
        if chain
    }
    clients = {_client(chain, peer, proxies) for chain in lists.values()}
    if len(clients) != 1:
        return Way(peer, peer, trusted=True)
    return Way(
        peer,
        clients.pop(),
        trusted=True,
        chain=next(iter(lists.values())),
        x_forwarded_for=b"x-forwarded-for" in lists,
        forwarded=b"forwarded" in lists,
    )


def forwarding_headers(
    headers: Headers, way: Way, *, host: bytes, secure: bool, real_ip: bool = False
) -> list[Header]:
    """Return the forwarding headers for the origin: those of trusted proxies, with this hop appended.

    `host` is the request's Host, `secure` says whether the peer connected by TLS, `real_ip` adds X-Real-IP
    with the client's address.
    """
    lines = _forwarding_headers(headers, way, host=host, secure=secure)
    if real_ip:
        lines.append((b"X-Real-IP", way.client.encode()))
    return lines


def _forwarding_headers(headers: Headers, way: Way, *, host: bytes, secure: bool) -> list[Header]:
    scheme = b"https" if secure else b"http"
    own = b'for=%b;host="%b";proto=%b' % (_node(way.peer), host, scheme)
    peer = way.peer.encode()
    if not way.trusted:
        return [
            (b"X-Forwarded-For", peer),
            (b"X-Forwarded-Proto", scheme),
            (b"X-Forwarded-Host", host),
            (b"Forwarded", own),
        ]
    proto = _single(headers, b"x-forwarded-proto", _PROTO) or scheme
    asked = _single(headers, b"x-forwarded-host", _HOST) or host
    x_for = headers.all(b"x-forwarded-for") if way.x_forwarded_for else [_text(hop) for hop in way.chain]
    elements = headers.all(b"forwarded") if way.forwarded else [b"for=" + _node(hop) for hop in way.chain]
    known = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")
    return [
        (b"X-Forwarded-For", b", ".join([*x_for, peer])),
        (b"X-Forwarded-Proto", proto),
        (b"X-Forwarded-Host", asked),
        (b"Forwarded", b", ".join([*elements, own])),
        *(line for name, line in headers.items() if name.startswith(b"x-forwarded-") and name not in known),
    ]


def says_way(name: bytes) -> bool:
    """Return whether a header, by its name in lower case, is a forwarding header.

    Origins that map headers to CGI variables (RFC 3875) cannot distinguish "_" from "-", so they would trust
    a client's X_Forwarded_For.
    """
    if not name.startswith((b"x-", b"x_")):
        return name == b"forwarded"
    plain = name.replace(b"_", b"-")
    return plain.startswith(b"x-forwarded-") or plain == b"x-real-ip"


def was_secure(headers: Headers, way: Way, *, secure: bool) -> bool:
    """Return whether the client used TLS: to the relay (`secure`), or to a trusted proxy by its header."""
    said = _single(headers, b"x-forwarded-proto", _PROTO) if way.trusted else None
    return said.lower() == b"https" if said is not None else secure


def address_of(text: str) -> str:
    """Return an IP address in its usual form, an IPv4-mapped IPv6 address as IPv4; raises ValueError."""
    parsed = ipaddress.ip_address(text)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:  # in the form in which `address_of` returns its addresses
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def _client(chain: Sequence[Hop], peer: str, proxies: Networks) -> str:
    client = peer
    for hop in reversed(chain[-MOST_HOPS:]):
        if hop is None or client not in proxies:
            break
        client = hop
    return client


def _x_forwarded_for(values: Sequence[bytes]) -> tuple[Hop, ...]:
    text = b",".join(values)
    return tuple(_hop(part.strip(b" \t")) for part in text.split(b",") if part.strip(b" \t"))


def _forwarded(values: Sequence[bytes]) -> tuple[Hop, ...]:
    """Return the `for` of each element; empty when the header breaks the grammar of RFC 7239 section 4."""
    text = b",".join(values)
    hops: list[Hop] = []
    at = 0
    pairs: dict[bytes, bytes] = {}
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None or match[1].lower() in pairs:
            return ()
        pairs[match[1].lower()] = match[2]
        at = match.end()
        separator = text[at : at + 1]
        at += 1
        if separator != b";":
            hops.append(_hop(_unquoted(pairs.get(b"for", b""))))
            pairs = {}
        if separator not in (b";", b",", b"") or (separator and at == len(text)):
            return ()
    return tuple(hops)


def _unquoted(value: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", value[1:-1]) if value.startswith(b'"') else value


def _hop(node: bytes) -> Hop:
    match = _NODE.fullmatch(node.decode("latin-1"))
    if match is None:
        return None
    try:
        return address_of(match[1] or match[2] or match[3])
    except ValueError:
        return None


def _single(headers: Headers, name: bytes, form: re.Pattern[bytes]) -> bytes | None:
    values = headers.all(name)
    return values[0] if len(values) == 1 and form.fullmatch(values[0]) else None


def _text(hop: Hop) -> bytes:
    return hop.encode() if hop is not None else b"unknown"


def _node(hop: Hop) -> bytes:
    if hop is None:
        return b"unknown"
    return b'"[%s]"' % hop.encode() if ":" in hop else hop.encode()
