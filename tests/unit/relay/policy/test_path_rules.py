"""Allowed paths, and ambiguous paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.policy.path_rules import PathRules, is_plain, path_of

RULES = PathRules(["/ws", "/socket.io/*", "/v*"])


@pytest.mark.parametrize("path", [b"/ws", b"/socket.io/", b"/socket.io/x/y", b"/v", b"/v2/x"])
def test_allowed(path: bytes) -> None:
    """An exact path, or a path with an allowed prefix."""
    assert RULES.allow(path)


@pytest.mark.parametrize("path", [b"/", b"/ws/", b"/WS", b"/%77s", b"/socket.io", b"//ws", b"/socket.ioo/"])
def test_not_allowed(path: bytes) -> None:
    """Paths are compared without decoding, change of case or completion."""
    assert not RULES.allow(path)


def test_without_rules_all_are_allowed() -> None:
    """An empty set of rules is false, so that callers do not check for ambiguous paths."""
    assert PathRules().allow(b"/x")
    assert not PathRules()
    assert PathRules(["/*"])


def test_a_path_ends_where_the_query_begins() -> None:
    """The path ends at the first question mark."""
    assert path_of(b"/a?b?c=/../") == b"/a"
    assert path_of(b"/a") == b"/a"


def test_bytes_above_ascii_are_compared_in_their_encoded_form() -> None:
    """A client that does not encode its path gets the rule of the encoded path, also for doubtful bytes."""
    assert path_of("/café?é".encode()) == b"/caf%C3%A9"
    assert PathRules(["/caf%C3%A9"]).allow(path_of("/café".encode()))
    assert PathRules(["/caf%C3%A9/*"]).allow(path_of("/café/é".encode()))
    assert not PathRules(["/caf%C3%A9"]).allow(path_of(b"/caf\xe9"))
    for doubtful in (b"/a\xc0\xaf", b"/\xc0\xae\xc0\xae/b", b"/a\xe0\x80\xaf", b"/\xf0\x80\x80\xaf"):
        assert not is_plain(path_of(doubtful))


PLAIN = [
    b"/",
    b"/a/b",
    b"/a.b/..c/d..",
    b"/...",
    b"/.well-known/x",
    b"/a;v=1/b",
    b"/%20%C3%A9",
    b"//",
    b"/a%2eb",
]
DOUBTFUL = [
    b"/.",
    b"/..",
    b"/a/./b",
    b"/a/../b",
    b"/a/%2E%2e/b",
    b"/a/.%2e",
    b"/a/..;x/b",
    b"/a/.%3Bx",
    b"/a%2Fb",
    b"/a%5cb",
    b"/a\\b",
    b"/a%00",
    b"/%c0%af",
    b"/%C1%9c",
    b"/%",
    b"/a%4",
    b"/%g0",
]


@pytest.mark.parametrize("path", PLAIN)
def test_plain(path: bytes) -> None:
    """Dots within a name, parameters and other encodings are unambiguous."""
    assert is_plain(path)


@pytest.mark.parametrize("path", DOUBTFUL)
def test_in_doubt(path: bytes) -> None:
    """An origin could read these as another path."""
    assert not is_plain(path)


def decoded(path: bytes) -> bytes:
    """Normalize a path as the most lenient origin would: decode it, drop parameters, resolve dot segments."""
    out: list[bytes] = []
    plain = bytearray()
    at = 0
    while at < len(path):
        try:
            plain.append(int(path[at + 1 : at + 3], 16) if path[at : at + 1] == b"%" else path[at])
            at += 3 if path[at : at + 1] == b"%" else 1
        except ValueError:
            plain.append(path[at])
            at += 1
    for segment in bytes(plain).replace(b"\\", b"/").split(b"/"):
        name = segment.partition(b";")[0]
        if name == b"..":
            del out[-1:]
        elif name != b".":
            out.append(segment)
    return b"/".join(out)


@given(
    st.lists(st.sampled_from([b".", b"..", b"/", b"%2e", b"%2F", b";", b"%3b", b"a", b"\\", b"%5C", b"%"]))
)
def test_no_plain_path_leaves_its_prefix(pieces: list[bytes]) -> None:
    """Even for an origin that decodes and normalizes, the path stays below the allowed prefix."""
    path = b"/in/" + b"".join(pieces)
    if is_plain(path):
        assert decoded(path).startswith(b"/in/")
