"""The web pages that may connect, by the Origin header."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from wsedge_relay.contract import Clients
from wsedge_relay.policy.allowed_origins import AllowedOrigins

ALLOWED = AllowedOrigins(
    ["https://app.example.com", "http://dev.example.com:3000", "https://*.example.org", "http://[::1]:80"]
)
CASES = {
    "the same origin": (b"https://app.example.com", True),
    "the same origin with its usual port": (b"https://app.example.com:443", True),
    "the same origin in capitals": (b"HTTPS://App.Example.com", True),
    "another scheme": (b"http://app.example.com", False),
    "another port": (b"https://app.example.com:8443", False),
    "a named port": (b"http://dev.example.com:3000", True),
    "a named port left out": (b"http://dev.example.com", False),
    "an address with its usual port left out": (b"http://[::1]", True),
    "a name below a wildcard": (b"https://a.example.org", True),
    "a name far below a wildcard": (b"https://a.b.c.example.org", True),
    "the wildcard's own host": (b"https://example.org", False),
    "a name that only ends like a wildcard's": (b"https://evilexample.org", False),
    "a name below a wildcard with another port": (b"https://a.example.org:444", False),
    "a host hidden in a path": (b"https://evil.com/a.example.org", False),
    "a host hidden behind a user": (b"https://evil.com@a.example.org", False),
    "a host hidden in a query": (b"https://evil.com?.example.org", False),
    "a wildcard itself": (b"https://*.example.org", False),
    "two origins": (b"https://app.example.com https://evil.com", False),
    "a path": (b"https://app.example.com/", False),
    "a page without an origin": (b"null", False),
    "an empty header": (b"", False),
    "bytes that are no ASCII": (b"https://\xe9.example.org", False),
    "no header": (None, True),
}


@pytest.mark.parametrize(("value", "allowed"), CASES.values(), ids=CASES.keys())
def test_origins(value: bytes | None, allowed: bool) -> None:
    """Scheme, host and port are compared, each as a whole."""
    assert ALLOWED.allow(value) is allowed


def test_all_are_allowed_when_none_is_named() -> None:
    """Even a malformed origin is admitted, because no rule requires a check."""
    assert AllowedOrigins().allow(b"anything at all")


def test_pages_without_an_origin_are_allowed_by_name() -> None:
    """`null` is an entry for pages without an origin, and does not allow all pages."""
    allowed = AllowedOrigins(["null"])
    assert allowed.allow(b"null")
    assert not allowed.allow(b"https://app.example.com")


def test_pages_of_a_scheme_without_hosts_are_allowed_by_name() -> None:
    """Pages from files, and an app's own schemes; such an entry allows no host of the scheme."""
    allowed = AllowedOrigins(["file://", "x-app://", "app://main"])
    for value in (b"file://", b"FILE://", b"x-app://", b"app://main"):
        assert allowed.allow(value)
    for value in (b"file:///", b"file://host", b"file:", b"app://", b"https://", b"://", b"null"):
        assert not allowed.allow(value)
    assert not AllowedOrigins(["https://a"]).allow(b"https://")


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "https://a/",
        "a.example.com",
        "https://A.example.com",
        "https://a*.b",
        "https://",
        "http://",
        "ws://",
        "wss://",
        "file:",
        "file:///",
        "file://:80",
        "file://*.",
        "://",
    ],
)
def test_a_malformed_origin_is_no_entry(entry: str) -> None:
    """A malformed entry would never match, so it is an error; so is a scheme that has hosts, without one."""
    with pytest.raises(ValidationError):
        Clients(allowedOrigins=(entry,))
    with pytest.raises(ValueError, match="not an origin"):
        AllowedOrigins([entry])
