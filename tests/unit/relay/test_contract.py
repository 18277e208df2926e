"""RelayConfig: rules over several fields, and forms of values that a pattern cannot state."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from wsedge_relay.contract import Clients, Domain, Listen, RelayConfig

DOMAIN: dict[str, Any] = {
    "domain": "chat.example.com",
    "account": "team-a",
    "originProtocol": "HTTP",
    "origins": [{"host": "o"}],
}
TLS = {"certificateFile": "tls.crt", "keyFile": "tls.key"}

NETWORKS: dict[str, tuple[str, bool]] = {
    "an IPv4 network": ("10.0.0.0/8", True),
    "an IPv6 network": ("2001:db8::/32", True),
    "a network with bits of a host": ("10.0.0.1/8", True),
    "an address without bits": ("10.0.0.1", False),
    "an address with a zone": ("fe80::1%eth0/64", False),
    "a name": ("proxy.example/24", False),
    "too many bits": ("10.0.0.0/33", False),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_is_address_and_bits(case: str) -> None:
    """A zone names an interface of one machine, so it is no part of a network."""
    text, valid = NETWORKS[case]
    if valid:
        assert Clients(trustedProxies=(text,)).trustedProxies == (text,)
    else:
        with pytest.raises(ValidationError):
            Clients(trustedProxies=(text,))


@pytest.mark.parametrize("name", ["*", "Relay.example.com", "relay.example.com:9090", "::1", "a..b/", ""])
def test_an_admin_name_is_a_name_alone(name: str) -> None:
    """The admin port compares the Host header's name in lower case and without its port."""
    assert Listen(adminNames=("relay_1.example.com",)).adminNames == ("relay_1.example.com",)
    with pytest.raises(ValidationError):
        Listen(adminNames=(name,))


def test_web_origins_of_every_kind() -> None:
    """With a host, any name below a host, of a scheme without hosts, and of pages without an origin."""
    origins = ("https://a.example", "http://*.b.example:81", "ws://[::1]", "file://", "x-app://", "null")
    assert Clients(allowedOrigins=origins).allowedOrigins == origins
    with pytest.raises(ValidationError, match="give the host"):
        Clients(allowedOrigins=("https://",))


def test_a_proxy_header_needs_a_trusted_proxy() -> None:
    """Without a trusted proxy the relay would refuse every connection."""
    with pytest.raises(ValidationError, match="proxyProtocol: needs trustedProxies"):
        Clients(proxyProtocol=True)
    assert Clients(proxyProtocol=True, trustedProxies=("10.0.0.0/8",)).proxyProtocol


def test_plain_requests_are_not_passed_over_http2() -> None:
    """Each of the two fields is accepted without the other."""
    with pytest.raises(ValidationError, match=r"tls\.http2 must be off"):
        Domain.model_validate({**DOMAIN, "tls": {**TLS, "http2": True}, "passThrough": {}})
    valid: list[dict[str, Any]] = [
        {"tls": {**TLS, "http2": True}},
        {"tls": TLS, "passThrough": {}},
        {"passThrough": {}},
    ]
    for fields in valid:
        assert Domain.model_validate({**DOMAIN, **fields}).domain == "chat.example.com"


DOMAIN_NAMES: dict[str, tuple[str, str | None]] = {
    "a name": ("chat.example.com", "chat.example.com"),
    "a name without a dot": ("localhost", "localhost"),
    "underscores": ("_chat.my_app.example", "_chat.my_app.example"),
    "an IPv4 address": ("192.0.2.7", "192.0.2.7"),
    "an IPv6 address": ("2001:DB8:0::7", "2001:db8::7"),
    "every name": ("*", "*"),
    "an IPv6 address in brackets": ("[::1]", None),
    "a name with a port": ("chat.example.com:443", None),
    "an address that is none": ("1::2::3", None),
    "a name in upper case": ("Chat.example.com", None),
    "names of a pattern": ("*.example.com", None),
    "a label that ends in a dash": ("chat-.example.com", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("name", "expected"), DOMAIN_NAMES.values(), ids=DOMAIN_NAMES)
def test_a_domain_is_a_name_an_address_or_every_name(name: str, expected: str | None) -> None:
    """An address is in the form in which Hosts are compared."""
    if expected is None:
        with pytest.raises(ValidationError):
            Domain.model_validate({**DOMAIN, "domain": name})
    else:
        assert Domain.model_validate({**DOMAIN, "domain": name}).domain == expected


def test_one_certificate_is_the_default() -> None:
    """A second `tls.default: true` is refused; false may be repeated."""
    named = [
        {**DOMAIN, "domain": name, "tls": {**TLS, "default": default}}
        for name, default in (("a.example", True), ("b.example", False), ("c.example", False))
    ]
    document = {"version": 1, "generation": "g", "domains": named}
    assert RelayConfig.model_validate(document).domains[0].tls is not None
    named[1]["tls"]["default"] = True
    with pytest.raises(ValidationError, match=r"tls.default is true for a.example and for b.example"):
        RelayConfig.model_validate(document)


def test_a_domain_is_named_once() -> None:
    """The error names the second entry."""
    with pytest.raises(ValidationError, match=r"domains\.1\.domain: chat\.example\.com is named twice"):
        RelayConfig.model_validate({"version": 1, "generation": "g", "domains": [DOMAIN, DOMAIN]})
    other = {**DOMAIN, "domain": "b.example"}
    config = RelayConfig.model_validate({"version": 1, "generation": "g", "domains": [DOMAIN, other]})
    assert [domain.domain for domain in config.domains] == ["chat.example.com", "b.example"]
