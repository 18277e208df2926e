"""The RelayConfig of a domain: files, fingerprints, the generation, and the configuration of a drain."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from support.operator.snapshots import RESOLVED, live_domain
from wsedge_operator.api.websocket_domain import WebSocketDomain
from wsedge_operator.desired.relay_config import Resolved, config_map, draining_config, relay_config
from wsedge_relay import contract

FILES = {
    "tls.crt": b"chain",
    "tls.key": b"key",
    "origin-ca.crt": b"authority",
    "origin-client.crt": b"client",
    "origin-client.key": b"client key",
}


def config(resolved: Resolved = RESOLVED, **spec: Any) -> contract.RelayConfig:
    live = live_domain(**spec)
    return relay_config(live, WebSocketDomain.model_validate(live).spec, resolved)


def sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def test_key_material_is_named_by_file_and_fingerprint() -> None:
    """The configuration has no key material itself; the fingerprint is of all files of an entry, in order."""
    (domain,) = config(replace(RESOLVED, secrets=FILES), tls={"secretName": "x", "http2": False}).domains
    assert domain.tls == contract.ServerTLS(
        certificateFile="tls.crt", keyFile="tls.key", fingerprint=sha256(b"chainkey"), http2=False
    )
    assert domain.originTLS.authority == contract.AuthorityFile(
        file="origin-ca.crt", fingerprint=sha256(b"authority")
    )
    assert domain.originTLS.clientCertificate == contract.CertificateFiles(
        certificateFile="origin-client.crt",
        keyFile="origin-client.key",
        fingerprint=sha256(b"clientclient key"),
    )


def test_without_key_material_no_file_is_named() -> None:
    """Relays serve ws, and trust their own list of authorities."""
    (domain,) = config().domains
    assert (domain.tls, domain.originTLS.authority, domain.originTLS.clientCertificate) == (None, None, None)


OPTIONAL: dict[str, tuple[str, dict[str, Any]]] = {
    "passThrough": ("passThrough", {"passThrough": {}}),
    "originHealthCheck": ("originHealthCheck", {"originHealthCheck": {"path": "/alive"}}),
}


@pytest.mark.parametrize(("field", "spec"), OPTIONAL.values(), ids=OPTIONAL.keys())
def test_a_part_that_the_spec_lacks_is_absent(field: str, spec: dict[str, Any]) -> None:
    """Relays of the last release refuse a field that they do not know."""
    assert getattr(config().domains[0], field) is None
    assert getattr(config(**spec).domains[0], field) is not None


CHANGES: dict[str, Resolved] = {
    "another address of an origin": replace(RESOLVED, origins=(contract.Origin(host="10.0.0.8"),)),
    "another authority": replace(RESOLVED, secrets={"origin-ca.crt": b"x"}),
    "a place to report to": replace(RESOLVED, statistics_url="http://127.96.0.9"),
    "other networks that are denied": replace(RESOLVED, denied_networks=("10.0.0.0/8",)),
}


@pytest.mark.parametrize("resolved", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_outside_the_object_is_another_generation(resolved: Resolved) -> None:
    """metadata.generation does not change with it; the hash of the configuration does."""
    first, second = config().generation, config(resolved).generation
    assert first.rpartition(".")[0] == second.rpartition(".")[0] == "team-a/chat@7"
    assert first != second


def test_the_sticky_cookies_key_is_the_objects_own() -> None:
    """Two domains with one cookie name have different keys; a key does not change with other fields."""
    cookie: dict[str, Any] = {"originRequest": {"stickyCookie": {"name": "room"}}}
    first = config(**cookie).domains[0].originRequest.stickyCookie
    second = config(**cookie, limits={"connections": 1}).domains[0].originRequest.stickyCookie
    other = live_domain(**cookie)
    other["metadata"]["uid"] = "uid-other"
    third = (
        relay_config(other, WebSocketDomain.model_validate(other).spec, RESOLVED)
        .domains[0]
        .originRequest.stickyCookie
    )
    assert first is not None
    assert third is not None
    assert first == second
    assert first.key != third.key
    assert config().domains[0].originRequest.stickyCookie is None


DRAINS: dict[str, tuple[Any, int]] = {
    "the time of the spec": ({"drainSeconds": 6}, 6),
    "no time in the spec": ({}, 30),
    "a time that is not a number": ({"drainSeconds": "long"}, 30),
    "a time that is negative": ({"drainSeconds": -1}, 30),
    "a lifecycle that is not a map": ("long", 30),
}


@pytest.mark.parametrize(("lifecycle", "seconds"), DRAINS.values(), ids=DRAINS.keys())
def test_a_drain_takes_the_specs_time_if_that_is_valid(lifecycle: Any, seconds: int) -> None:
    """Else the time of the last configuration; everything else of that stays, but the domain is off."""
    last = config()
    end = draining_config(live_domain(lifecycle=lifecycle), last)
    (before,), (after,) = last.domains, end.domains
    assert (before.enabled, after.enabled) == (True, False)
    assert after.lifecycle.drainSeconds == seconds
    assert after.origins == before.origins
    assert end.generation.startswith("team-a/chat@7.")
    assert end.generation != last.generation


def test_the_config_map_says_since_when_relays_drain() -> None:
    """Without a drain it has no such annotation."""
    made = config()
    quiet = config_map(live_domain(), made, draining_since=None)["metadata"]["annotations"]
    assert quiet == {"wsedge.io/generation": made.generation}
    since = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    draining = config_map(live_domain(), made, draining_since=since)["metadata"]["annotations"]
    assert draining == {**quiet, "wsedge.io/draining-since": "2026-11-22T12:00:00Z"}
