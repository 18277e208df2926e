"""Address ranges in 127.0.0.0/8."""

from __future__ import annotations

from wsedge_devcluster.machine.ranges import Addresses, Pair


def test_ranges_do_not_overlap() -> None:
    """Pairs of ranges are different, in 127/8, and end before its last addresses."""
    networks = [network for n in range(95) for network in (Pair(n).services, Pair(n).pods)]
    assert len(set(networks)) == 190
    assert str(networks[0]) == "127.64.0.0/16"
    assert str(networks[-1]) == "127.253.0.0/16"


def test_a_freed_address_is_not_reused_soon() -> None:
    """A freed address is used again only after all others; an address of a node never is."""
    addresses = Addresses(Pair(0).pods)
    first = addresses.allocate()
    addresses.free(first)
    assert (first, addresses.allocate()) == ("127.65.1.0", "127.65.1.1")
