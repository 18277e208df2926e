"""Address ranges in 127.0.0.0/8: one pair per cluster, and the addresses handed out of one."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from wsedge_devcluster.errors import NoFreeRangeError, StartError

# From 127.64 upwards: 127.0 and 127.1 are used by hand, 127.0.0.53 by systemd-resolved.
_FIRST, _PAIRS = 64, 95


@dataclass(frozen=True, slots=True)
class Pair:
    """One cluster's ranges, both /16."""

    number: int

    @property
    def services(self) -> ipaddress.IPv4Network:
        """ClusterIPs."""
        return ipaddress.IPv4Network(f"127.{_FIRST + 2 * self.number}.0.0/16")

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """Pods (upwards from .1.0), and nodes (.0.x)."""
        return ipaddress.IPv4Network(f"127.{_FIRST + 2 * self.number + 1}.0.0/16")

    @property
    def nodes(self) -> list[str]:
        """Addresses for nodes, as many as a cluster may have."""
        return [str(self.pods[number]) for number in range(1, 101)]


class Claim:
    """Holds a pair of ranges for as long as this object, or its process, lives.

    The lock is an abstract unix socket: it belongs to the network namespace, as loopback addresses do, is
    shared by all users of the machine, needs no file, and the kernel frees it when the process has gone.
    """

    def __init__(self, pair: Pair, lock: socket.socket) -> None:
        self.pair, self._lock = pair, lock

    def release(self) -> None:
        """Release the ranges."""
        self._lock.close()


def claim(number: int | None = None) -> Claim:
    """Return a free pair, or the pair of this number. Raises NoFreeRangeError or StartError (pair in use)."""
    for candidate in range(_PAIRS) if number is None else (number,):
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lock.bind(f"\0wsedge-devcluster-ranges-{candidate}")
        except OSError:
            lock.close()
            continue
        return Claim(Pair(candidate), lock)
    if number is not None:
        raise StartError("address ranges", f"{Pair(number).services}, which this folder uses, is taken")
    raise NoFreeRangeError


def reachable_port(port: int) -> int:
    """Return the port at which a Service's port is reachable: 8000 higher where this user may not listen.

    Linux keeps ports below net.ipv4.ip_unprivileged_port_start (1024 unless set, 0 in most containers) for
    root.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    return port if port >= first or os.geteuid() == 0 else port + 8000


class Addresses:
    """Hands out pod addresses, least recently used first, so that a freed address is not reused soon."""

    def __init__(self, network: ipaddress.IPv4Network) -> None:
        self._network = network
        self._next = 256  # .0.x belongs to nodes
        self._used: set[int] = set()

    def allocate(self) -> str:
        """Return a free address; raises NoFreeRangeError when all 65,000 are in use."""
        for _ in range(self._network.num_addresses):
            offset = self._next
            self._next = offset + 1 if offset + 2 < self._network.num_addresses else 256
            if offset not in self._used:
                self._used.add(offset)
                return str(self._network[offset])
        raise NoFreeRangeError

    def free(self, address: str) -> None:
        """Free an address."""
        self._used.discard(int(ipaddress.IPv4Address(address)) - int(self._network.network_address))


def reserve_port(host: str) -> socket.socket:
    """Return a port chosen by the kernel, kept for a server that binds it with SO_REUSEPORT.

    The socket is bound but never listens, so no connection reaches it, and nobody else gets the port while
    the server is down (a restarted API server comes back at its address).
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((host, 0))
    return holder
