"""Addresses of origins: hosts, Services, and networks that relays do not dial."""

from __future__ import annotations

import pytest

from support.operator.snapshots import (
    NOW,
    answer,
    config,
    live_domain,
    message,
    served,
    service,
    snapshot,
)
from wsedge_operator.reconcile.domain.decide import decide


def test_a_service_is_reached_at_its_cluster_ip() -> None:
    """service.port is both ports, unless httpPort or httpsPort is set."""
    origins = [{"service": {"name": "room", "port": 8000}, "httpsPort": 8443, "weight": 3}]
    services = {"room": service("room", 8000, 8443)}
    (origin,) = (
        config(decide(snapshot(live=live_domain(origins=origins), services=services), NOW)).domains[0].origins
    )
    assert (origin.host, origin.httpPort, origin.httpsPort, origin.weight) == ("127.96.0.7", 8000, 8443, 3)


def test_a_service_of_an_external_name_is_that_name() -> None:
    """An ExternalName Service needs no cluster IP."""
    services = {"room": service("room", type="ExternalName", externalName="room.example.net")}
    live = live_domain(origins=[{"service": {"name": "room", "port": 80}}])
    (origin,) = config(decide(snapshot(live=live, services=services), NOW)).domains[0].origins
    assert origin.host == "room.example.net"


@pytest.mark.parametrize(
    ("host", "networks", "denied"),
    [
        ("169.254.169.254", None, True),
        ("fe80::1", None, True),
        ("127.0.0.1", None, False),  # which a relay that listens there may dial
        ("127.0.0.1", ("127.0.0.0/8",), True),
        ("10.0.0.7", None, False),
        ("room.example.net", ("192.0.2.0/24",), False),  # only the relay knows its address
        ("169.254.169.254", (), False),
    ],
)
def test_an_origin_in_a_denied_network_is_a_warning(
    host: str, networks: tuple[str, ...] | None, denied: bool
) -> None:
    """The condition names its field; other origins and other changes are applied."""
    live = live_domain(origins=[{"host": "10.0.0.8"}, {"host": host}])
    before = served(live=live, denied_networks=networks)
    outcome = decide(before, NOW)
    reason = "OriginDenied" if denied else "Current"
    assert answer(outcome, before, "ConfigurationCurrent") == ("True", reason)
    assert answer(outcome, before, "Ready") == ("True", "Serving")
    if denied:
        assert message(outcome, before, "ConfigurationCurrent").startswith("spec.origins[1].host: ")
