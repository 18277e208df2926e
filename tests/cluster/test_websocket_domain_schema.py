"""The API server's answers to valid and invalid WebSocketDomains, as a user reads them."""

from __future__ import annotations

import json

import pytest

from support.operator.crds import answers, ensure_crds
from support.operator.manifests.domains import INVALID_DOMAINS, VALID_DOMAINS
from support.operator.manifests.manifest import DOMAIN, Invalid, changed
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed

TABLE = {name: invalid.changes for name, invalid in INVALID_DOMAINS.items()} | VALID_DOMAINS


@pytest.fixture(scope="module")
def said(cluster: Cluster) -> dict[str, str]:
    """Return the API server's answer to each manifest of the tables."""
    ensure_crds(cluster)
    return answers(cluster, "default", {name: changed(DOMAIN, changes) for name, changes in TABLE.items()})


@pytest.fixture
def domain(cluster: Cluster, said: dict[str, str], namespace: str) -> str:
    """Store a domain that is switched off, so that no operator serves it; return its namespace."""
    del said  # the CRDs are established
    # A name of its own, because the oldest object that claims a name owns it in the whole cluster.
    manifest = changed(
        DOMAIN, {"spec.websocket": {"enabled": False}, "spec.domain": f"{namespace}.example.com"}
    )
    cluster.kubectl("create", f"--namespace={namespace}", "--filename=-", input=json.dumps(manifest))
    return namespace


@pytest.mark.parametrize("sentence", VALID_DOMAINS)
def test_valid_domain(said: dict[str, str], sentence: str) -> None:
    """The API server accepts a valid domain."""
    assert said[sentence].endswith(" created (server dry run)\n"), said[sentence]


@pytest.mark.parametrize(("sentence", "invalid"), INVALID_DOMAINS.items(), ids=INVALID_DOMAINS.keys())
def test_invalid_domain(said: dict[str, str], sentence: str, invalid: Invalid) -> None:
    """The API server refuses an invalid domain with the rule in words."""
    assert invalid.text in said[sentence]
    assert all(text in said[sentence] for text in invalid.also)


def test_the_domain_cannot_be_changed(cluster: Cluster, domain: str) -> None:
    """spec.domain is immutable; the refusal names the alternative."""
    patch = json.dumps({"spec": {"domain": "other.example.com"}})
    with pytest.raises(CommandFailed, match="domain cannot be changed: create another WebSocketDomain"):
        cluster.kubectl("patch", "wsd/chat", f"--namespace={domain}", "--type=merge", "--patch", patch)


def test_defaults_are_stored(cluster: Cluster, domain: str) -> None:
    """The API server stores the defaults in the object, except in lists, which stay as written."""
    spec = json.loads(cluster.kubectl("get", "wsd/chat", f"--namespace={domain}", "--output=json"))["spec"]
    assert spec["websocket"] == {"enabled": False, "heartbeatSeconds": 60}
    assert spec["origins"] == [{"host": "10.0.0.7"}]
    assert spec["originRequest"] == {"connectTimeoutSeconds": 5, "loadBalancing": "RoundRobin"}
    assert spec["originTLS"] == {"insecureSkipVerify": False}
    assert spec["lifecycle"] == {"drainSeconds": 30}
    assert spec["clients"] == {
        "allowedOrigins": [],
        "allowedPaths": [],
        "trustedProxies": [],
        "proxyProtocol": False,
    }
    assert spec["limits"] == {"stallSeconds": 30, "headerBytes": 16384}
    assert spec["relay"] == {"replicas": 2, "workers": 1}


def test_scale(cluster: Cluster, domain: str) -> None:
    """`kubectl scale` sets the number of relays, within the bounds."""
    cluster.kubectl("scale", "wsd/chat", f"--namespace={domain}", "--replicas=5")
    path = "--output=jsonpath={.spec.relay.replicas}"
    assert cluster.kubectl("get", "wsd/chat", f"--namespace={domain}", path) == "5"
    with pytest.raises(CommandFailed, match="should be greater than or equal to 1"):
        cluster.kubectl("scale", "wsd/chat", f"--namespace={domain}", "--replicas=0")


def test_a_domain_in_kubectl(cluster: Cluster, domain: str) -> None:
    """`kubectl get wsedge` finds the domain, and shows its columns."""
    head, row = cluster.kubectl("get", "wsedge", f"--namespace={domain}").strip().splitlines()
    assert head.split() == ["NAME", "DOMAIN", "ENABLED", "PROTOCOL", "HEARTBEAT", "READY", "REASON", "AGE"]
    assert row.split()[1:4] == [f"{domain}.example.com", "false", "60"]


def test_explain_a_domain(cluster: Cluster, said: dict[str, str]) -> None:
    """`kubectl explain` shows a field's unit, bounds and default."""
    del said
    text = " ".join(cluster.kubectl("explain", "wsd.spec.websocket.heartbeatSeconds").split())
    assert "The longest silence in seconds on either side of a connection" in text
    assert "1 to 300" in text
    assert "Default 60" in text
