"""Requests that a web page caused a browser to send to the admin port."""

from __future__ import annotations

from typing import Final

import pytest

from wsedge_relay.server.admin import Call
from wsedge_relay.server.web_pages import refusal

OWN: Final = ("relay-1.example.com",)
# Header lines of requests that are answered.
PASSING: Final[dict[str, tuple[str, ...]]] = {
    "a probe of the kubelet, the operator or a scraper, by the pod's address": ("Host: 10.1.2.3:9090",),
    "an address of IPv6": ("Host: [2001:db8::7]:9090",),
    "a short form of loopback": ("Host: 127.1:9090",),
    "localhost": ("Host: LocalHost:9090",),
    "a name below localhost": ("Host: relay.localhost",),
    "a name without a dot": ("Host: relay:9090",),
    "a Service": ("Host: chat-admin.team-a.svc:9090",),
    "a Service by its whole name": ("Host: chat-admin.team-a.svc.cluster.local.",),
    "the admin port's own name": ("host: Relay-1.Example.Com:9090",),
    "no Host, as in HTTP/1.0": (),
    "an empty Host": ("Host:",),
    "an address that a person typed": ("Host: 127.0.0.1", "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"),
    "the admin port's own page": ("Host: 127.0.0.1", "Sec-Fetch-Site: same-origin"),
}
REFUSED: Final[dict[str, tuple[tuple[str, ...], int]]] = {
    "a page by Origin": (("Host: 127.0.0.1", "Origin: https://evil.example"), 403),
    "a page without an origin": (("Host: 127.0.0.1", "Origin: null"), 403),
    "a page by two Origins": (("Origin: http://127.0.0.1", "Origin: https://evil.example"), 403),
    "a script that the page loads": (("Host: 127.0.0.1", "Sec-Fetch-Site: cross-site"), 403),
    "a page of the same site": (("Host: a.example.com", "Sec-Fetch-Site: same-site"), 403),
    "a page whose name resolves to the port": (("Host: evil.example:9090",), 421),
    "a page below a private zone's name": (("Host: svc.cluster.local.evil.example",), 421),
    "a page on a name that has an address in it": (("Host: 127.0.0.1.evil.example",), 421),
    "a page below the port's own name": (("Host: x.relay-1.example.com",), 421),
    "two Hosts": (("Host: 127.0.0.1", "Host: evil.example"), 400),
}


@pytest.mark.parametrize("lines", PASSING.values(), ids=PASSING)
def test_programs_and_persons_pass(lines: tuple[str, ...]) -> None:
    """No request of a page has these headers: a page is at a name, and a browser marks its requests."""
    assert refusal(Call({}, "127.0.0.1", lines), OWN) is None


@pytest.mark.parametrize(("lines", "status"), REFUSED.values(), ids=REFUSED)
def test_web_pages_are_refused(lines: tuple[str, ...], status: int) -> None:
    """The answer is a sentence."""
    refused = refusal(Call({}, "127.0.0.1", lines), OWN)
    assert refused is not None
    assert (refused.status, refused.body[-2:]) == (status, b".\n")


def test_a_token_stands_for_a_name_but_not_for_a_page() -> None:
    """The API server's proxy keeps the name of its own URL; a browser's marks are refused nevertheless."""
    named, marked = ("Host: api.example.com",), ("Host: api.example.com", "Origin: https://evil.example")
    refused = refusal(Call({}, "127.0.0.1", marked), OWN, is_vouched_for=lambda _: True)
    assert refusal(Call({}, "127.0.0.1", named), OWN, is_vouched_for=lambda _: True) is None
    assert refused is not None
    assert refused.status == 403
