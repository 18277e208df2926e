"""The RelayConfig of a domain: files, fingerprints, the generation, and the configuration of a drain."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.operator.snapshots import NOW, RESOLVED, live_domain, snapshot
from wsedge_operator.api.websocket_domain import WebSocketDomain, WebSocketDomainSpec
from wsedge_operator.desired.names import HTTPS_PORT
from wsedge_operator.desired.relay_config import Resolved, config_map, draining_config, indented, relay_config
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.outcome import Outcome
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


DRAINS: dict[str, tuple[Any, int]] = {
    "the time of the spec": ({"drainSeconds": 6}, 6),
    "no time in the spec": ({}, 30),
    "a time that is not a number": ({"drainSeconds": "long"}, 30),
    "a time that is negative": ({"drainSeconds": -1}, 30),
    "a lifecycle that is not a map": ("long", 30),
}


@pytest.mark.parametrize(("lifecycle", "seconds"), DRAINS.values(), ids=DRAINS.keys())
def test_a_drain_has_the_drain_time_of_the_spec_if_that_is_valid(lifecycle: Any, seconds: int) -> None:
    """Else that of the last configuration, whose other fields are retained; the domain is off."""
    last = config()
    end = draining_config(live_domain(lifecycle=lifecycle), last)
    (before,), (after,) = last.domains, end.domains
    assert (before.enabled, after.enabled) == (True, False)
    assert after.lifecycle.drainSeconds == seconds
    assert after.origins == before.origins
    assert end.generation.startswith("team-a/chat@7.")
    assert end.generation != last.generation


def test_the_config_map_has_the_start_of_a_drain() -> None:
    """Without a drain it has no such annotation."""
    made = config()
    quiet = config_map(live_domain(), made, draining_since=None)["metadata"]["annotations"]
    assert quiet == {"wsedge.io/generation": made.generation}
    since = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    draining = config_map(live_domain(), made, draining_since=since)["metadata"]["annotations"]
    assert draining == {**quiet, "wsedge.io/draining-since": "2026-11-22T12:00:00Z"}


def spec(**parts: Any) -> WebSocketDomainSpec:
    return WebSocketDomain.model_validate(live_domain(**parts)).spec


def test_the_generation_names_object_edit_and_content() -> None:
    """`namespace/name@generation.hash`: equal content has an equal name, other content another."""
    first = relay_config(live_domain(), spec(), RESOLVED)
    assert first.generation == relay_config(live_domain(), spec(), RESOLVED).generation
    name, _, digest = first.generation.partition(".")
    assert name == "team-a/chat@7"
    assert len(digest) == 8
    moved = Resolved((contract.Origin(host="10.0.0.8"),), {}, None)
    assert relay_config(live_domain(), spec(), moved).generation != first.generation


def test_origin_request_and_origin_tls_reach_the_relays() -> None:
    """Each field of the spec is in the configuration."""
    asked = {
        "host": "preserve",
        "xRealIP": True,
        "connectTimeoutSeconds": 9,
        "loadBalancing": "ClientHash",
        "proxyProtocol": "V1",
    }
    config = relay_config(live_domain(), spec(originRequest=asked), RESOLVED)
    assert config.domains[0].originRequest == contract.OriginRequest.model_validate(asked)


def test_a_field_without_a_value_is_absent() -> None:
    """Relays of the last release refuse a configuration with a field that they do not know."""
    config = relay_config(live_domain(), spec(), RESOLVED)
    text = config_map(live_domain(), config, draining_since=None)["data"]["relay.json"]
    assert "xRealIP" not in text


def test_a_sticky_cookie_has_a_key_that_clients_cannot_know() -> None:
    """The key is made from the object's uid: equal for all its relays, another for a new object."""
    wanted = spec(originRequest={"stickyCookie": {"name": "home", "maxAgeSeconds": 60}})

    def cookie(uid: str) -> contract.StickyCookie:
        owner = live_domain()
        owner["metadata"]["uid"] = uid
        made = relay_config(owner, wanted, RESOLVED).domains[0].originRequest.stickyCookie
        assert made is not None
        return made

    assert (cookie("a").name, cookie("a").maxAgeSeconds) == ("home", 60)
    assert cookie("a") == cookie("a")
    assert cookie("a").key != cookie("b").key


def test_pass_through_reaches_the_relays() -> None:
    """Absent by default; an empty map has the CRD's defaults, which are the relay's as well."""
    assert relay_config(live_domain(), spec(), RESOLVED).domains[0].passThrough is None
    made = relay_config(live_domain(), spec(passThrough={}), RESOLVED).domains[0].passThrough
    assert made == contract.PassThrough()
    asked = {"paths": ["/socket.io/*"], "methods": ["PUT"], "maxBodyBytes": 0, "timeoutSeconds": 1}
    made = relay_config(live_domain(), spec(passThrough=asked), RESOLVED).domains[0].passThrough
    assert made == contract.PassThrough.model_validate(asked)


def test_heartbeat_legs_reach_the_relays() -> None:
    """They are absent unless they are set: relays of the last release refuse an unknown field."""
    text = config_map(live_domain(), config(), draining_since=None)["data"]["relay.json"]
    assert "heartbeatLegs" not in text
    for legs in contract.HeartbeatLegs:
        (domain,) = config(
            websocket={"enabled": True, "originProtocol": "HTTP", "heartbeatLegs": str(legs)}
        ).domains
        assert domain.heartbeatLegs is legs


def test_the_access_log_reaches_the_relays() -> None:
    """New fields are absent unless they are set: relays of the last release refuse an unknown field."""
    text = config_map(live_domain(), config(accessLog={"samplePercent": 5}), draining_since=None)["data"][
        "relay.json"
    ]
    assert json.loads(text)["domains"][0]["accessLog"] == {"samplePercent": 5}
    asked = {"samplePercent": 5, "everySeconds": 60, "path": True, "query": False}
    (domain,) = config(accessLog=asked).domains
    assert domain.accessLog == contract.AccessLog.model_validate(asked)


def test_health_checks_reach_the_relays() -> None:
    """Absent by default; an empty map has the CRD's defaults, which are the relay's as well."""
    assert relay_config(live_domain(), spec(), RESOLVED).domains[0].originHealthCheck is None
    asked = relay_config(live_domain(), spec(originHealthCheck={}), RESOLVED).domains[0].originHealthCheck
    assert asked == contract.OriginHealthCheck()
    asked = (
        relay_config(live_domain(), spec(originHealthCheck={"path": "/up", "unhealthyAfter": 1}), RESOLVED)
        .domains[0]
        .originHealthCheck
    )
    assert asked == contract.OriginHealthCheck(path="/up", unhealthyAfter=1)


def test_clients_and_limits_reach_the_relays() -> None:
    """Each field of the spec is in the configuration."""
    pages = ("https://app.example.com",)
    made = relay_config(
        live_domain(),
        spec(
            clients={
                "allowedOrigins": pages,
                "allowedPaths": ["/ws"],
                "trustedProxies": ["10.0.0.0/8"],
                "proxyProtocol": True,
            },
            limits={
                "connections": 3,
                "connectionsPerClient": 2,
                "handshakesPerSecond": 4,
                "messageBytes": 5,
                "bytesPerSecond": 6000,
                "framesPerSecond": 70,
                "messagesPerSecond": 80,
                "stallSeconds": 7,
                "headerBytes": 2048,
            },
        ),
        RESOLVED,
    ).domains[0]
    assert made.clients == contract.Clients(
        allowedOrigins=pages, allowedPaths=("/ws",), trustedProxies=("10.0.0.0/8",), proxyProtocol=True
    )
    assert made.limits == contract.Limits(
        connections=3,
        connectionsPerClient=2,
        handshakesPerSecond=4,
        messageBytes=5,
        bytesPerSecond=6000,
        framesPerSecond=70,
        messagesPerSecond=80,
        stallSeconds=7,
        headerBytes=2048,
    )


def test_listeners_never_change() -> None:
    """Another listener would need a restart, so the one for wss exists from the start."""
    assert relay_config(live_domain(), spec(), RESOLVED).listen.https == HTTPS_PORT


def test_a_drain_changes_nothing_but_the_switch() -> None:
    """It is made from the last configuration, whatever the spec has now."""
    last = relay_config(live_domain(), spec(), RESOLVED)
    end = draining_config(live_domain(), last)
    assert [domain.enabled for domain in end.domains] == [False]
    assert end.domains[0].model_copy(update={"enabled": True}) == last.domains[0]
    assert end.generation != last.generation


def made(outcome: Outcome, kind: str) -> Any:
    (found,) = (manifest for manifest in outcome.apply if manifest["kind"] == kind)
    return found


def test_the_label_of_the_installation_is_absent_unless_set() -> None:
    """Relays of the first release refuse it, and no pod template depends on it."""
    without, with_label = decide(snapshot(), NOW), decide(snapshot(cluster="north-1"), NOW)
    targets = [
        json.loads(made(outcome, "ConfigMap")["data"]["relay.json"])["statistics"]
        for outcome in (without, with_label)
    ]
    assert targets == [{"url": targets[0]["url"]}, {"url": targets[0]["url"], "cluster": "north-1"}]
    assert made(without, "Deployment") == made(with_label, "Deployment")


def test_denied_networks_are_absent_unless_set() -> None:
    """Relays of the first release refuse a configuration with an unknown field."""

    def document(outcome: Outcome) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(made(outcome, "ConfigMap")["data"]["relay.json"])
        return config

    assert "deniedNetworks" not in document(decide(snapshot(), NOW))
    assert document(decide(snapshot(denied_networks=("10.0.0.0/8",)), NOW))["deniedNetworks"] == [
        "10.0.0.0/8"
    ]
    assert document(decide(snapshot(denied_networks=()), NOW))["deniedNetworks"] == []


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXTS,
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(TEXTS, parts, max_size=4),
    max_leaves=20,
)


@given(DOCUMENTS)
@example({"b": [], "a": {}, "c": ["\x7f", '\x00\n"\\/', "é", "\u2028"]})
def test_a_configuration_is_written_as_the_standard_library_writes_it(document: Any) -> None:
    """Byte for byte: its generation is a digest of the text, and another one would reach all relays."""
    assert indented(document) == json.dumps(document, indent=2, sort_keys=True)


def test_a_configuration_has_no_floats() -> None:
    """Libraries write them in different ways."""
    assert '"number"' not in json.dumps(contract.RelayConfig.model_json_schema())
