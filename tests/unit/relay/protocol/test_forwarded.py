"""The client's address behind proxies."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wsedge_relay.contract import Clients
from wsedge_relay.protocol.forwarded import MOST_HOPS, Networks, Way, forwarding_headers, way_of
from wsedge_relay.protocol.http1 import Headers

PROXIES = Networks(["10.0.0.0/8", "2001:db8:1::/48"])
PROXY, CLIENT, LIAR = "10.0.0.1", "192.0.2.7", "203.0.113.9"


def headers(*lines: tuple[str, str]) -> Headers:
    """Return header lines."""
    return Headers(tuple((name.encode(), value.encode("latin-1")) for name, value in lines))


CASES = {
    "no header": ([], PROXY),
    "one address": ([("X-Forwarded-For", CLIENT)], CLIENT),
    "what the client wrote itself": ([("X-Forwarded-For", f"{LIAR}, {CLIENT}")], CLIENT),
    "a client that claims to be a proxy": ([("X-Forwarded-For", f"10.9.9.9, {CLIENT}")], CLIENT),
    "two trusted proxies": ([("X-Forwarded-For", f"{LIAR}, {CLIENT}, 10.0.0.2")], CLIENT),
    "several lines": ([("X-Forwarded-For", LIAR), ("x-forwarded-for", CLIENT)], CLIENT),
    "only proxies": ([("X-Forwarded-For", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
    "a port": ([("X-Forwarded-For", f"{CLIENT}:4711")], CLIENT),
    "IPv6": ([("X-Forwarded-For", "2001:DB8::7")], "2001:db8::7"),
    "IPv6 with a port": ([("X-Forwarded-For", "[2001:db8::7]:4711")], "2001:db8::7"),
    "IPv4 within IPv6": ([("X-Forwarded-For", f"::ffff:{CLIENT}")], CLIENT),
    "an IPv6 proxy": ([("X-Forwarded-For", f"{CLIENT}, 2001:db8:1::5")], CLIENT),
    "nobody known": ([("X-Forwarded-For", f"{CLIENT}, unknown")], PROXY),
    "a name": ([("X-Forwarded-For", f"{CLIENT}, evil.example.com")], PROXY),
    "no address at all": ([("X-Forwarded-For", "1.2.3")], PROXY),
    "empty members": ([("X-Forwarded-For", f", {CLIENT}, ,")], CLIENT),
    "an empty header": ([("X-Forwarded-For", "")], PROXY),
    "Forwarded": ([("Forwarded", f"for={LIAR}, for={CLIENT};proto=https")], CLIENT),
    "Forwarded with every pair": (
        [("Forwarded", f'By=x;HOST="a,b;c";for="{CLIENT}:80"; proto=http')],
        CLIENT,
    ),
    "Forwarded with IPv6": ([("Forwarded", 'for="[2001:db8::7]:4711"')], "2001:db8::7"),
    "Forwarded with an escape": ([("Forwarded", 'for="192.0.2\\\\.7"'.replace("\\\\", "\\"))], CLIENT),
    "Forwarded that hides its client": ([("Forwarded", f"for={CLIENT}, for=_hidden")], PROXY),
    "Forwarded without for": ([("Forwarded", f"for={CLIENT}, proto=https")], PROXY),
    "Forwarded that names twice": ([("Forwarded", f"for={CLIENT};for={LIAR}")], PROXY),
    "Forwarded that does not end": ([("Forwarded", f'for="{CLIENT}')], PROXY),
    "Forwarded that ends in a comma": ([("Forwarded", f"for={CLIENT},")], PROXY),
    "Forwarded without quotes where they must be": ([("Forwarded", "for=[2001:db8::7]")], PROXY),
    "both of one mind": ([("X-Forwarded-For", CLIENT), ("Forwarded", f"for={LIAR}, for={CLIENT}")], CLIENT),
    "both of two minds": ([("X-Forwarded-For", CLIENT), ("Forwarded", f"for={LIAR}")], PROXY),
    "a broken Forwarded beside the other": ([("X-Forwarded-For", CLIENT), ("Forwarded", "for=;")], CLIENT),
}


@pytest.mark.parametrize(("lines", "client"), CASES.values(), ids=CASES.keys())
def test_the_client_is_the_right_most_address_of_no_proxy(lines: list[tuple[str, str]], client: str) -> None:
    """Addresses to the left of it may be forged; a malformed address ends the search."""
    assert way_of(headers(*lines), PROXY, PROXIES).client == client


@pytest.mark.parametrize("proxies", [PROXIES, Networks()])
def test_headers_of_untrusted_peers_are_ignored(proxies: Networks) -> None:
    """A peer that is no trusted proxy is the client."""
    said = headers(("X-Forwarded-For", CLIENT), ("Forwarded", f"for={CLIENT}"))
    assert way_of(said, LIAR, proxies) == Way(LIAR, LIAR)


@pytest.mark.parametrize("network", ["10.0.0.1/32", "10.9.9.9/8", "::ffff:10.0.0.0/104", "0.0.0.0/0"])
def test_a_network_holds_its_addresses_however_it_is_written(network: str) -> None:
    """With host bits, or as IPv4-mapped IPv6."""
    assert PROXY in Networks([network])
    assert "2001:db8::1" not in Networks([network])


def test_the_search_is_bounded() -> None:
    """A client can write more addresses of proxies than the relay checks."""
    said = headers(("X-Forwarded-For", ", ".join([CLIENT, *["10.0.0.2"] * MOST_HOPS])))
    assert way_of(said, PROXY, PROXIES).client == "10.0.0.2"


TOLD = {
    "nobody before": ([], PROXY, "10.0.0.1", "for=10.0.0.1"),
    "one header": ([("X-Forwarded-For", f"{LIAR},{CLIENT}")], PROXY, f"{LIAR},{CLIENT}, 10.0.0.1",
                   f"for={LIAR}, for={CLIENT}, for=10.0.0.1"),
    "the other header": ([("Forwarded", f"for=_x;proto=https, for={CLIENT}")], PROXY,
                         f"unknown, {CLIENT}, 10.0.0.1", f"for=_x;proto=https, for={CLIENT}, for=10.0.0.1"),
    "both": ([("X-Forwarded-For", CLIENT), ("Forwarded", f"for={CLIENT};by=_p")], PROXY,
             f"{CLIENT}, 10.0.0.1", f"for={CLIENT};by=_p, for=10.0.0.1"),
    "both of two minds": ([("X-Forwarded-For", CLIENT), ("Forwarded", f"for={LIAR}")], PROXY,
                          "10.0.0.1", "for=10.0.0.1"),
    "an IPv6 client": ([("X-Forwarded-For", "2001:db8::7")], PROXY, "2001:db8::7, 10.0.0.1",
                       'for="[2001:db8::7]", for=10.0.0.1'),
    "one who is not trusted": ([("X-Forwarded-For", CLIENT), ("Forwarded", f"for={CLIENT}")], LIAR,
                               LIAR, f"for={LIAR}"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "peer", "x_for", "forwarded"), TOLD.values(), ids=TOLD.keys())
def test_the_origin_gets_all_hops(
    lines: list[tuple[str, str]], peer: str, x_for: str, forwarded: str
) -> None:
    """The origin gets both headers with this hop appended, even if the proxy sent only one."""
    said = headers(*lines)
    told = dict(forwarding_headers(said, way_of(said, peer, PROXIES), host=b"a.example", secure=True))
    assert told[b"X-Forwarded-For"].decode() == x_for
    assert told[b"Forwarded"].decode() == f'{forwarded};host="a.example";proto=https'


EXTRAS = [
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "www.example.com:8443"),
    ("X-Forwarded-Port", "8443"),
]


def test_headers_of_a_trusted_proxy_are_kept() -> None:
    """Its X-Forwarded-… headers are kept; those of other peers are replaced or dropped."""
    said = headers(*EXTRAS)
    told = dict(forwarding_headers(said, way_of(said, PROXY, PROXIES), host=b"a.example", secure=False))
    assert told[b"X-Forwarded-Proto"] == b"https"
    assert told[b"X-Forwarded-Host"] == b"www.example.com:8443"
    assert told[b"X-Forwarded-Port"] == b"8443"
    told = dict(forwarding_headers(said, way_of(said, LIAR, PROXIES), host=b"a.example", secure=False))
    assert told[b"X-Forwarded-Proto"] == b"http"
    assert told[b"X-Forwarded-Host"] == b"a.example"
    assert b"X-Forwarded-Port" not in told


@pytest.mark.parametrize(("peer", "expected"), [(PROXY, CLIENT.encode()), (LIAR, LIAR.encode())])
def test_x_real_ip_is_the_client_on_demand(peer: str, expected: bytes) -> None:
    """It is the address that the relay counts, whatever the request says; without demand it is absent."""
    said = headers(("X-Forwarded-For", CLIENT), ("X-Real-IP", "6.6.6.6"))
    way = way_of(said, peer, PROXIES)
    told = forwarding_headers(said, way, host=b"a.example", secure=True, real_ip=True)
    assert [value for name, value in told if name == b"X-Real-IP"] == [expected]
    quiet = forwarding_headers(said, way, host=b"a.example", secure=True)
    assert b"X-Real-IP" not in dict(quiet)


@pytest.mark.parametrize("line", [("X-Forwarded-Proto", "https, http"), ("X-Forwarded-Host", "a/b")])
def test_a_repeated_or_malformed_value_is_replaced(line: tuple[str, str]) -> None:
    """Even from a trusted proxy, which may only forward the client's header."""
    told = dict(forwarding_headers(headers(line), Way(PROXY, PROXY, True), host=b"a.example", secure=True))
    assert told[b"X-Forwarded-Proto"] == b"https"
    assert told[b"X-Forwarded-Host"] == b"a.example"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["X-Forwarded-For", "Forwarded"]), st.text('10.:[]",;=for \\_', max_size=40)
        )
    )
)
def test_no_header_makes_a_client_of_nonsense(lines: list[tuple[str, str]]) -> None:
    """With any headers the client is a valid address, and the origin's headers are well-formed."""
    said = headers(*lines)
    way = way_of(said, PROXY, PROXIES)
    assert str(ip_address(way.client)) == way.client
    for _, value in forwarding_headers(said, way, host=b"a.example", secure=True):
        assert value.isascii()


@pytest.mark.parametrize("network", ["10.0.0.1", "10.0.0.0/33", "1::2::3/64", "fe80::1%eth0/64", "a/8"])
def test_a_malformed_network_is_refused(network: str) -> None:
    """A malformed network would never match, so it is an error."""
    with pytest.raises(ValidationError):
        Clients(trustedProxies=(network,))
