"""Which addresses of origins may be dialled. Pure.

The user who names an origin is not the operator of the relay: a user of a namespace could name the metadata
service of a node, a loopback port of a sidecar, or the relay itself. Each address is checked after resolution
and at each dial, because a name may resolve to another address at any time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from wsedge_relay.contract import DENIED_NETWORKS, LOOPBACK_NETWORKS
from wsedge_relay.protocol.forwarded import Networks

# NAT64 (RFC 6052 section 2.1, RFC 8215): the last 32 bits are the IPv4 address that is reached.
_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_LOOPBACK: Final = Networks(LOOPBACK_NETWORKS)
_MOST_KNOWN: Final = 4096  # cached results; a name may resolve to ever new addresses

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Listener = tuple[_Address, int]


class Reach:
    """Check the addresses of origins against denied networks and the relay's own addresses.

    `in_pod` says that the relay runs in a pod for users of a cluster. Such a relay must not dial loopback
    unless the configuration allows it: only containers of the pod listen there. A relay on a person's machine
    often has its origins on loopback, and clients of a relay that listens on loopback are on this machine
    already, so both may.
    """

    __slots__ = ("_denied", "_host", "_in_pod", "_known", "_listeners", "_networks")

    def __init__(self, *, in_pod: bool = False) -> None:
        self._in_pod = in_pod
        self._host: _Address | None = None
        self._listeners: tuple[_Listener, ...] = ()
        self._networks: tuple[str, ...] | None = None
        self._known: dict[tuple[str, int], str | None] = {}
        self._reset()

    def deny(self, networks: Sequence[str] | None) -> None:
        """Deny these networks from now on; None: the default networks of the contract."""
        self._networks = tuple(networks) if networks is not None else None
        self._reset()

    def set_own(self, host: str, ports: Collection[int], *, admin: tuple[str, int]) -> None:
        """Deny the relay's own address: its listeners' IP address, which may be the wildcard, and ports.

        `admin` is the address of the admin port, on which a request from this machine may give orders.
        """
        self._host = _parsed(host)
        self._listeners = (*((self._host, port) for port in ports), (_parsed(admin[0]), admin[1]))
        self._reset()

    def refusal(self, address: str, port: int) -> str | None:
        """Return the reason why an address is not dialled, for the log; None: it may be dialled."""
        key = address, port
        try:
            return self._known[key]
        except KeyError:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[key] = self._check(address, port)
            return found

    @property
    def is_wildcard(self) -> bool:
        """Whether a listener has the wildcard address, so that the relay's own addresses are not known."""
        return any(host.is_unspecified for host, _ in self._listeners)

    def refusal_of_own(self, local: str, peer: str, port: int) -> str | None:
        """Return the reason why a connection from `local` to a port of `peer` is not used; None: it may be.

        To an address of this machine the kernel chooses the same address as the source.
        """
        if local != peer or peer in _LOOPBACK:
            return None
        if any(host.is_unspecified and port == number for host, number in self._listeners):
            return f"{peer} port {port} is a listener of this relay"
        is_wildcard = self._host is not None and self._host.is_unspecified
        return f"{peer} is an address of this relay" if is_wildcard and self._denies_own else None

    def _reset(self) -> None:
        self._known.clear()
        networks = DENIED_NETWORKS if self._networks is None else self._networks
        if self._networks is None and self._may_dial_loopback:
            networks = tuple(network for network in networks if network not in LOOPBACK_NETWORKS)
        self._denied = Networks(networks)

    @property
    def _may_dial_loopback(self) -> bool:
        return not self._in_pod or (self._host is not None and self._host.is_loopback)

    @property
    def _denies_own(self) -> bool:
        """Whether all ports of the relay's own address are denied: not with an empty list of networks."""
        return self._networks != ()

    def _check(self, address: str, port: int) -> str | None:
        for reading in _readings(_parsed(address)):
            if self._is_listener(reading, port):
                return f"{address} port {port} is a listener of this relay"
            if str(reading) in self._denied:
                return f"{address} is in a network that is denied to origins (deniedNetworks)"
            if self._denies_own and reading == self._host and not reading.is_loopback:
                return f"{address} is an address of this relay"
        return None

    def _is_listener(self, reading: _Address, port: int) -> bool:
        return any(
            port == number
            and (reading == host or (host.is_unspecified and (reading.is_loopback or reading.is_unspecified)))
            for host, number in self._listeners
        )


def _parsed(address: str) -> _Address:
    """Return an IP address that may have a zone."""
    return ipaddress.ip_address(address.partition("%")[0])


def _readings(address: _Address) -> Iterator[_Address]:
    """Yield an address, and the IPv4 address that an IPv6 address carries."""
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    for carried in (address.ipv4_mapped, address.sixtofour):
        if carried is not None:
            yield carried
    number = int(address)
    # RFC 4291 section 2.5.5.1: IPv4-compatible addresses, which :: and ::1 are not.
    if 1 < number < 1 << 32 or any(address in prefix for prefix in _NAT64):
        yield ipaddress.IPv4Address(number & 0xFFFFFFFF)
