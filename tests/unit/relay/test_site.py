"""A site: rules in force, changed in place. No socket is opened."""

from __future__ import annotations

from typing import Any, Final

import pytest

from support.relay_process import domain
from wsedge_relay.config.material import Material
from wsedge_relay.contract import Domain
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.geo.labels import NOWHERE, Place
from wsedge_relay.site import Site
from wsedge_relay.telemetry.counters import DomainCounters
from wsedge_relay.timeouts import Timeouts

HANGZHOU = Place("zhejiang", "telecom", "cn")
WS_ONLY: Final = {"clients": {"allowedPaths": ["/ws", "/socket.io/*"]}}
PASSED: Final = {"passThrough": {"paths": ["/poll/*"]}}
# The domain's fields, a target, and its path or the refusal's status and reason.
TARGETS: Final[dict[str, tuple[dict[str, Any], bytes, bytes | tuple[int, str]]]] = {
    "without rules every path": ({}, b"/a/../b?c", b"/a/../b"),
    "an exact rule": (WS_ONLY, b"/ws?token=1", b"/ws"),
    "a prefix": (WS_ONLY, b"/socket.io/?EIO=4", b"/socket.io/"),
    "another path": (WS_ONLY, b"/admin", (403, "allowedPaths")),
    "the whole server": (WS_ONLY, b"*", (403, "allowedPaths")),
    "bytes above ASCII": (WS_ONLY, "/socket.io/é?é".encode(), b"/socket.io/%C3%A9"),
    "bytes above ASCII that decode to a dot": (WS_ONLY, b"/socket.io/\xc0\xae", (400, "path")),
    "a path below an exact rule": (WS_ONLY, b"/ws/x", (403, "allowedPaths")),
    "dot segments, with rules": (WS_ONLY, b"/socket.io/../admin", (400, "path")),
    "an encoded slash, with rules": (WS_ONLY, b"/socket.io/%2fadmin", (400, "path")),
    "dot segments, with rules for plain requests": (PASSED, b"/poll/../admin", (400, "path")),
    "another path, with rules for plain requests": (PASSED, b"/ws", b"/ws"),
}


def made(**fields: Any) -> Domain:
    """Return a domain of the configuration."""
    return Domain.model_validate(domain(**fields))


def site(**fields: Any) -> Site:
    """Return a site of a domain."""
    return Site(made(**fields), Material(), timeouts=Timeouts(), counters=DomainCounters())


@pytest.mark.parametrize(("fields", "target", "expected"), TARGETS.values(), ids=TARGETS)
def test_check_path(fields: dict[str, Any], target: bytes, expected: bytes | tuple[int, str]) -> None:
    """With rules, a path that an origin could decode to another one is refused before it is compared."""
    if isinstance(expected, bytes):
        assert site(**fields).check_path(target) == expected
        return
    with pytest.raises(HandshakeRefusedError) as refused:
        site(**fields).check_path(target)
    assert (refused.value.status, refused.value.reason) == expected


def test_clients_of_one_place_share_a_usage_key() -> None:
    """One object per place saves memory; another place and another account have other keys."""
    one = site()
    key = one.key_of(HANGZHOU)
    assert one.key_of(Place("zhejiang", "telecom", "cn")) is key
    assert (key.domain, key.account, key.region, key.isp, key.area) == (
        *("chat.example.com", "team-a"),
        *("zhejiang", "telecom", "cn"),
    )
    assert one.key_of(NOWHERE) is not key
    one.apply(made(account="team-b"), Material())
    assert one.key_of(HANGZHOU).account == "team-b"


@pytest.mark.parametrize(
    ("fields", "changed"),
    [({"heartbeatSeconds": 60}, False), ({"heartbeatSeconds": 20}, True), ({"account": "team-b"}, False)],
)
def test_apply_returns_whether_the_heartbeat_changed(fields: dict[str, Any], changed: bool) -> None:
    """Only then do the pings of open tunnels have to be scheduled anew."""
    assert site(heartbeatSeconds=60).apply(made(**fields), Material()) is changed


def test_apply_changes_the_rules_in_place() -> None:
    """Open tunnels refer to the site, so it stays the same object."""
    one = site(**WS_ONLY)
    assert one.sticky is None
    one.apply(made(originRequest={"stickyCookie": {}}, **PASSED), Material())
    assert one.check_path(b"/admin") == b"/admin"
    assert one.sticky is not None
    assert (one.passed_paths.allow(b"/poll/1"), one.passed_paths.allow(b"/ws")) == (True, False)
