"""The DCDN-compatible RPC in a cluster: keys by kubectl, revocation, and the rights of the statistics."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.operator.cluster import Place, domain, plan, until
from support.statistics.dcdn import plus_form, rpc_parameters
from support.statistics.process import Answer
from support.statistics.released import ask, with_setting
from wsedge_devcluster.binaries.build import ensure_binaries
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster, quiet
from wsedge_devcluster.errors import CommandFailed
from wsedge_operator.kube.kinds import SECRET

FIRST = ("LTAI5tFirst", "the-first-secret-key")
SECOND = ("LTAI5tSecond", "the-second-secret-key")
DOMAINS = "DescribeDcdnUserDomains"
STATISTICS = f"--as=system:serviceaccount:{SYSTEM}:wsedge-statistics"
SELECTOR = "metadata.name=wsedge-access-keys"


@pytest.fixture(scope="module")
def rpc(installed: Cluster) -> Iterator[tuple[str, int]]:
    """Switch the RPC on in the release; return its address."""
    with with_setting(installed, "statistics.dcdn.enabled=true", "wsedge-statistics-dcdn") as address:
        yield address


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Place:
    return Place(installed, namespace)


def call(rpc: tuple[str, int], key: tuple[str, str], action: str = DOMAINS) -> Answer:
    return ask(rpc, "POST", f"/?{plus_form(rpc_parameters(action, key))}")


def create_keys(place: Place, *keys: tuple[str, str], user: str = "") -> None:
    """The command of docs/dcdn.md."""
    place.kubectl(
        "create",
        "secret",
        "generic",
        "wsedge-access-keys",
        "--type=wsedge.io/access-keys",
        *(f"--from-literal={key_id}={secret}" for key_id, secret in keys),
        *([user] if user else []),
    )


def has_code(rpc: tuple[str, int], key: tuple[str, str], code: str | None) -> None:
    until(f"{key[0]} gets {code}", lambda: call(rpc, key).json.get("Code") == code, seconds=60)


def listed(answer: Answer) -> list[str]:
    return [each["DomainName"] for each in answer.json["Domains"]["PageData"]]


def test_a_tenant_makes_and_revokes_keys_with_kubectl(rpc: tuple[str, int], place: Place) -> None:
    """With the role edit; a key reads its namespace's domains and terms, and ends when its entry does."""
    host = f"{place.namespace}.example.com"
    place.apply(plan(), domain(host=host))
    place.await_reason("wsd/chat", "PlanEffective", "Effective")
    place.kubectl("create", "serviceaccount", "tenant")
    subject = f"{place.namespace}:tenant"
    place.kubectl("create", "rolebinding", "tenant", "--clusterrole=edit", f"--serviceaccount={subject}")
    create_keys(place, FIRST, user=f"--as=system:serviceaccount:{subject}")
    has_code(rpc, FIRST, None)
    added = {"stringData": {SECOND[0]: SECOND[1]}}
    place.kubectl("patch", "secret", "wsedge-access-keys", "--patch", json.dumps(added))
    names = 'go-template={{range $id, $_ := .data}}{{$id}}{{"\\n"}}{{end}}'
    ids = place.kubectl("get", "secret", "wsedge-access-keys", "--output", names).split()
    assert ids == [FIRST[0], SECOND[0]]
    has_code(rpc, SECOND, None)
    until("the domain is listed", lambda: listed(call(rpc, FIRST)) == [host])
    assert call(rpc, SECOND, "DescribeDcdnService").json["WebsocketType"] == "websockettraffic"
    entry = [{"op": "remove", "path": f"/data/{FIRST[0]}"}]
    place.kubectl("patch", "secret/wsedge-access-keys", "--type=json", "--patch", json.dumps(entry))
    has_code(rpc, FIRST, "InvalidAccessKeyId.NotFound")
    inactive = f"wsedge.io/inactive-access-keys={SECOND[0]}"
    place.kubectl("annotate", "secret/wsedge-access-keys", inactive)
    has_code(rpc, SECOND, "InvalidAccessKeyId.Inactive")
    place.kubectl("annotate", "secret/wsedge-access-keys", "wsedge.io/inactive-access-keys-")
    has_code(rpc, SECOND, None)
    place.kubectl("delete", "secret/wsedge-access-keys")
    has_code(rpc, SECOND, "InvalidAccessKeyId.NotFound")


def test_the_plugin_of_kubectl_makes_lists_and_revokes_keys(rpc: tuple[str, int], place: Place) -> None:
    """`kubectl wsedge accesskey`: the key that it prints is valid until it revokes it."""
    programs = Path(sys.executable).parent
    kubectl = ensure_binaries(quiet)["kubectl"]
    environment = place.cluster.environment()
    environment["PATH"] = f"{Path(kubectl).parent}:{programs}:{environment['PATH']}"

    def run(*arguments: str) -> str:
        command = [str(kubectl), "wsedge", "accesskey", *arguments, f"--namespace={place.namespace}"]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, check=True, timeout=60
        ).stdout

    made = dict(line.split(": ") for line in run("create").splitlines())
    first = (made["AccessKeyId"], made["AccessKeySecret"])
    has_code(rpc, first, None)
    made = dict(line.split(": ") for line in run("create").splitlines())
    second = (made["AccessKeyId"], made["AccessKeySecret"])
    has_code(rpc, second, None)
    assert sorted(line.split()[0] for line in run("list").splitlines()[1:]) == sorted([first[0], second[0]])
    run("revoke", first[0])
    has_code(rpc, first, "InvalidAccessKeyId.NotFound")
    assert call(rpc, second).status == 200


def test_a_namespace_made_again_has_none_of_its_former_keys(rpc: tuple[str, int], place: Place) -> None:
    """Its new key sees nothing of the former account."""
    host = f"{place.namespace}.example.com"
    place.apply(plan(), domain(host=host))
    create_keys(place, FIRST)
    has_code(rpc, FIRST, None)
    until("the domain is listed", lambda: listed(call(rpc, FIRST)) == [host])
    place.cluster.kubectl("delete", "namespace", place.namespace, "--timeout=180s")
    place.cluster.kubectl("create", "namespace", place.namespace)
    has_code(rpc, FIRST, "InvalidAccessKeyId.NotFound")
    create_keys(place, SECOND)
    has_code(rpc, SECOND, None)
    until(
        "the Directory has the deletion",
        lambda: call(rpc, SECOND, "DescribeDcdnService").json.get("Code") == "DcdnServiceNotFound",
    )
    assert listed(call(rpc, SECOND)) == []


def test_secrets_of_another_kind_are_no_keys(rpc: tuple[str, int], place: Place) -> None:
    """Of another type under the name, or of the type under another name."""
    opaque, renamed, marker = ((f"{place.namespace}-{each}", f"the-secret-of-{each}-key") for each in "abc")
    place.kubectl(
        "create", "secret", "generic", "wsedge-access-keys", f"--from-literal={opaque[0]}={opaque[1]}"
    )
    named = ("create", "secret", "generic", "mine", "--type=wsedge.io/access-keys")
    place.kubectl(*named, f"--from-literal={renamed[0]}={renamed[1]}")
    other = Place(place.cluster, "default")
    create_keys(other, marker)
    try:
        has_code(rpc, marker, None)
        for key in (opaque, renamed):
            assert call(rpc, key).json["Code"] == "InvalidAccessKeyId.NotFound"
    finally:
        other.kubectl("delete", "secret/wsedge-access-keys")


def test_the_statistics_may_read_secrets_of_one_name_alone(rpc: tuple[str, int], place: Place) -> None:
    """They list that name, and neither all Secrets, nor another, nor write any."""
    create_keys(place, FIRST)
    named = (
        "get",
        "secrets",
        "--all-namespaces",
        "--output=name",
        f"--field-selector={SELECTOR}",
        STATISTICS,
    )
    assert "secret/wsedge-access-keys" in place.cluster.kubectl(*named)
    for arguments in (
        ("get", "secrets", "--all-namespaces"),
        ("get", "secrets"),
        ("get", "secrets", "--field-selector=metadata.name=other"),
        ("get", "secrets", f"--field-selector=type=wsedge.io/access-keys,metadata.name!={SELECTOR}"),
        ("get", "secret/wsedge-access-keys"),
        ("delete", "secret/wsedge-access-keys"),
        ("get", "configmaps"),
    ):
        with pytest.raises(CommandFailed, match="orbidden"):
            place.kubectl(*arguments, STATISTICS)


def test_access_keys_do_not_reach_the_operator(place: Place) -> None:
    """Its lists and watches of Secrets leave out their type."""
    create_keys(place, FIRST)
    place.kubectl("create", "secret", "generic", "other", "--from-literal=a=b")
    found = place.kubectl("get", "secrets", "--output=name", f"--field-selector={SECRET.fields}").split()
    assert found == ["secret/other"]


def test_the_rpc_is_on_a_service_of_its_own(rpc: tuple[str, int], place: Place) -> None:
    """The native API's Service does not have the port, and the RPC's has no other path."""
    native = Place(place.cluster, SYSTEM).get("service/wsedge-statistics")
    assert native is not None
    assert [port["name"] for port in native["spec"]["ports"]] == ["http"]
    assert ask(rpc, "GET", "/ingest/v1/usage").status == 404
