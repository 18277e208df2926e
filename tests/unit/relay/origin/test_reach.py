"""The addresses that origins may have."""

from __future__ import annotations

import pytest

from wsedge_relay.origin.reach import Reach

POD = "10.1.2.3"


def in_pod(networks: list[str] | None = None, host: str = POD) -> Reach:
    """Return the rules of a relay in a pod."""
    reach = Reach(in_pod=True)
    reach.deny(networks)
    reach.set_own(host, [8080], admin=(host, 9090))
    return reach


DENIED = {
    "loopback": "127.0.0.1",
    "all of loopback": "127.9.8.7",
    "loopback of IPv6": "::1",
    "this host": "0.0.0.0",
    "this host, another form": "0.0.0.7",
    "the unspecified address of IPv6": "::",
    "a metadata service": "169.254.169.254",
    "link-local of IPv6 with a zone": "fe80::1%eth0",
    "multicast": "224.0.0.251",
    "multicast of IPv6": "ff02::1",
    "broadcast": "255.255.255.255",
    "Alibaba Cloud's metadata": "100.100.100.200",
    "AWS's metadata over IPv6": "fd00:ec2::254",
    "an IPv4-mapped address": "::ffff:169.254.169.254",
    "an IPv4-compatible address": "::169.254.169.254",
    "NAT64": "64:ff9b::a9fe:a9fe",
    "NAT64 of a local prefix": "64:ff9b:1::7f00:1",
    "6to4": "2002:a9fe:a9fe::1",
    "the relay's own address, any port": POD,
    "the relay's own address, mapped": f"::ffff:{POD}",
}


@pytest.mark.parametrize("address", DENIED.values(), ids=DENIED)
def test_a_pod_dials_nothing_inside(address: str) -> None:
    """Loopback, link-local and metadata addresses are denied in every notation."""
    assert in_pod().refusal(address, 80)


ALLOWED = {
    "a Service": "10.96.0.7",
    "a pod": "10.1.2.4",
    "a private network": "192.168.1.1",
    "carrier-grade NAT beside a metadata service": "100.100.100.201",
    "the internet": "198.51.100.7",
    "a local address of IPv6": "fd00::7",
    "IPv6": "2001:db8::1",
    "mapped": "::ffff:198.51.100.7",
    "NAT64": "64:ff9b::c633:6407",
}


@pytest.mark.parametrize("address", ALLOWED.values(), ids=ALLOWED)
def test_a_pod_dials_what_is_on_the_network(address: str) -> None:
    """Private networks have origins, so they are allowed."""
    assert in_pod().refusal(address, 80) is None


def test_networks_of_the_configuration_replace_the_usual_ones() -> None:
    """The configuration's list replaces the default list; the relay's own address is denied in addition."""
    reach = in_pod(["192.168.0.0/16", "::ffff:198.51.100.0/120"])
    assert reach.refusal("192.168.3.4", 80)
    assert reach.refusal("198.51.100.9", 80)
    assert reach.refusal("127.0.0.1", 80) is None
    assert reach.refusal(POD, 80)
    reach.deny(None)
    assert reach.refusal("127.0.0.1", 80)
    assert reach.refusal("192.168.3.4", 80) is None


def test_an_empty_list_denies_the_listeners_alone() -> None:
    """A listener of the relay is always denied: a connection to it would be a loop."""
    reach = in_pod([])
    assert reach.refusal("169.254.169.254", 80) is None
    assert reach.refusal(POD, 80) is None
    assert reach.refusal(POD, 9090)
    assert reach.refusal(f"::ffff:{POD}", 8080)


def test_loopback_may_be_dialled_from_loopback() -> None:
    """A relay that a person runs beside its origins, or that listens on loopback, may dial loopback."""
    alone = Reach()
    alone.deny(None)
    alone.set_own("0.0.0.0", [8080], admin=("0.0.0.0", 9090))
    assert alone.refusal("127.0.0.1", 9000) is None
    assert alone.refusal("127.0.0.2", 9090)  # its own admin port, which listens on all addresses
    assert alone.refusal("169.254.169.254", 80)
    beside = in_pod(host="127.97.0.5")
    assert beside.refusal("127.97.0.6", 8080) is None
    assert beside.refusal("127.97.0.5", 8080)
    assert beside.refusal("169.254.169.254", 80)


def test_a_connection_to_the_own_machine_is_seen_by_its_ends() -> None:
    """A relay that listens on the wildcard learns its own address only from a connection."""
    reach = in_pod(host="::")
    assert reach.is_wildcard
    assert reach.refusal_of_own("10.1.2.3", "10.1.2.3", 80)
    assert reach.refusal_of_own("10.1.2.3", "10.1.2.4", 80) is None
    assert reach.refusal_of_own("127.0.0.1", "127.0.0.1", 80) is None
    reach.deny([])
    assert reach.refusal_of_own("10.1.2.3", "10.1.2.3", 80) is None
    assert reach.refusal_of_own("10.1.2.3", "10.1.2.3", 9090)


ADMIN = {
    "on loopback": ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
    "on loopback, mapped": ("127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"),
    "on loopback of IPv6": ("::1", "::1", "127.0.0.1"),
    "on another address": ("10.0.0.5", "10.0.0.5", "10.0.0.6"),
    "on all addresses": ("0.0.0.0", "127.0.0.2", "10.0.0.5"),
}


@pytest.mark.parametrize(("admin", "denied", "allowed"), ADMIN.values(), ids=ADMIN)
def test_the_admin_port_is_no_origin(admin: str, denied: str, allowed: str) -> None:
    """A request that the relay forwards to it would come from this machine, and could give orders."""
    alone = Reach()
    alone.deny([])
    alone.set_own("192.0.2.1", [8080], admin=(admin, 9090))
    assert alone.refusal(denied, 9090)
    assert alone.refusal(denied, 8080) is None
    assert alone.refusal(allowed, 9090) is None


def test_an_admin_port_on_all_addresses_is_seen_by_the_ends_of_a_connection() -> None:
    """Other ports of this machine may be origins: the listeners for clients have one known address."""
    alone = Reach()
    alone.deny(None)
    alone.set_own("192.0.2.1", [8080], admin=("::", 9090))
    assert alone.is_wildcard
    assert alone.refusal_of_own("10.0.0.5", "10.0.0.5", 9090)
    assert alone.refusal_of_own("10.0.0.5", "10.0.0.5", 9000) is None
    assert alone.refusal_of_own("10.0.0.5", "10.0.0.6", 9090) is None


def test_verdicts_do_not_pile_up() -> None:
    """A name that always resolves to new addresses does not use more memory."""
    reach = in_pod()
    for number in range(10_000):
        reach.refusal(f"10.9.{number // 256}.{number % 256}", 80)
    assert len(reach._known) <= 4096
