"""RelayConfig: rules over several fields, and forms of values that a pattern cannot state."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from wsedge_relay.contract import Clients, Domain, RelayConfig

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


def test_a_domain_is_named_once() -> None:
    """The error names the second entry."""
    with pytest.raises(ValidationError, match=r"domains\.1\.domain: chat\.example\.com is named twice"):
        RelayConfig.model_validate({"version": 1, "generation": "g", "domains": [DOMAIN, DOMAIN]})
    other = {**DOMAIN, "domain": "b.example"}
    config = RelayConfig.model_validate({"version": 1, "generation": "g", "domains": [DOMAIN, other]})
    assert [domain.domain for domain in config.domains] == ["chat.example.com", "b.example"]
