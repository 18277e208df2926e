"""Names, ports and protocols of origins."""

from __future__ import annotations

from typing import Any

import pytest

from wsedge_relay.contract import Domain, Origin
from wsedge_relay.origin import address as addressing


def domain(**fields: Any) -> Domain:
    """Return a domain with one origin and these fields."""
    fields = {"originProtocol": "Follow", "origins": [{"host": "o"}], **fields}
    return Domain.model_validate({"domain": "a.example", "account": "a", **fields})


@pytest.mark.parametrize(
    ("fields", "secure", "expected"),
    [
        ({"host": "o.example"}, False, "o.example"),
        ({"host": "o.example"}, True, "o.example"),
        ({"host": "o.example", "httpPort": 8080}, False, "o.example:8080"),
        ({"host": "o.example", "httpPort": 443}, False, "o.example:443"),
        ({"host": "o.example", "httpsPort": 8443}, True, "o.example:8443"),
        ({"host": "::1", "httpPort": 81}, False, "[::1]:81"),
    ],
)
def test_origins_are_called_by_host_and_unusual_port(fields: Any, secure: bool, expected: str) -> None:
    """The Host header has the port only if it is not the scheme's default port."""
    one = Origin.model_validate(fields)
    assert addressing.host_header(domain(), one, secure=secure, client_host=b"c") == expected
    named = domain(originRequest={"host": "inner"})
    assert addressing.host_header(named, one, secure=secure, client_host=b"c") == "inner"


@pytest.mark.parametrize(
    ("client_host", "expected"), [(b"A.Example:8443", "A.Example:8443"), (None, "a.example")]
)
def test_a_clients_host_is_preserved_on_demand(client_host: bytes | None, expected: str) -> None:
    """Byte for byte, since a server compares it with the Origin header; a health check names the domain."""
    one = domain(originRequest={"host": "preserve"})
    host = addressing.host_header(one, one.origins[0], secure=True, client_host=client_host)
    assert host == expected


@pytest.mark.parametrize(
    ("protocol", "secure", "expected"),
    [
        ("HTTP", True, False),
        ("HTTPS", False, True),
        ("Follow", False, False),
        ("Follow", True, True),
    ],
)
def test_origin_protocols(protocol: str, secure: bool, expected: bool) -> None:
    """HTTP and HTTPS are fixed; Follow uses the client's protocol."""
    assert addressing.speaks_tls(domain(originProtocol=protocol), client_secure=secure) is expected


@pytest.mark.parametrize(
    ("protocol", "secure", "expected"),
    [("HTTP", True, "o:80"), ("HTTPS", False, "o:443"), ("Follow", False, "o:80"), ("Follow", True, "o:443")],
)
def test_an_address_has_the_port_that_is_dialled(protocol: str, secure: bool, expected: str) -> None:
    """The protocol towards the origin selects the port, for Follow the client's protocol."""
    one = domain(originProtocol=protocol)
    assert addressing.address(one, one.origins[0], client_secure=secure) == expected


@pytest.mark.parametrize(("name", "expected"), [("2001:db8::7", "[2001:db8::7]"), ("*", "o:81")])
def test_a_health_check_preserves_what_a_client_could_send(name: str, expected: str) -> None:
    """A domain for every name has no name of its own, so the check names the origin."""
    one = domain(domain=name, origins=[{"host": "o", "httpPort": 81}], originRequest={"host": "preserve"})
    assert addressing.host_header(one, one.origins[0], secure=False, client_host=None) == expected
