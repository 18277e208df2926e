"""The CRDs over time: no older one over a newer one, and the way from v1alpha1 to v1."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.operator.cluster import until
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed
from wsedge_operator.api.generation.crd import WEBSOCKET_DOMAIN, definition
from wsedge_operator.api.meta import RELEASE, RELEASE_ANNOTATION

Definition = dict[str, Any]
DOMAINS = "websocketdomains.wsedge.io"
NEXT = "nextdomains.next.example.com"


def own() -> Definition:
    return copy.deepcopy(definition(WEBSOCKET_DOMAIN))


def fields(made: Definition) -> dict[str, Any]:
    properties: dict[str, Any] = spec_schema(made)["properties"]
    return properties


def spec_schema(made: Definition) -> dict[str, Any]:
    (version,) = made["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def without(made: Definition, field: str) -> None:
    """Remove a field of the spec, with the rules about it."""
    del fields(made)[field]
    schema = spec_schema(made)
    rules = schema["x-kubernetes-validations"]
    schema["x-kubernetes-validations"] = [rule for rule in rules if f"self.{field}" not in rule["rule"]]


def of_release(release: str | None, *, drop: str = "", add: str = "") -> Definition:
    """Return the definition of another release, without a field or with one more."""
    made = own()
    made["metadata"]["annotations"] = {RELEASE_ANNOTATION: release} if release else {}
    if drop:
        without(made, drop)
    if add:
        fields(made)[add] = {"type": "string"}
    return made


def applied(cluster: Cluster, made: Definition, manager: str = "kubectl") -> str:
    """Return the answer to a replacement that stores nothing: admission is the same.

    A server-side apply by another client than the last drops no field, because that one still owns it.
    """
    options = ("--dry-run=server", f"--field-manager={manager}")
    try:
        return cluster.kubectl("replace", *options, "--filename=-", input=json.dumps(made))
    except CommandFailed as refusal:
        return refusal.stderr


@pytest.fixture(scope="module")
def guarded(installed: Cluster) -> Cluster:
    """Wait until the API server enforces the chart's policy."""
    older = of_release("0.0.1", drop="exposure")
    until("an older definition is refused", lambda: "would drop fields" in applied(installed, older))
    return installed


REFUSED: dict[str, Callable[[], Definition]] = {
    "of an older release": lambda: of_release("0.0.9", drop="exposure"),
    "of an older release, with a field more": lambda: of_release("0.0.9", add="other"),
    "of the first release, which has no annotation": lambda: of_release(None, drop="exposure"),
    "with an annotation that is no version": lambda: of_release("newest", drop="exposure"),
    "of this release, with a field less": lambda: of_release(RELEASE, drop="exposure"),
}


@pytest.mark.parametrize("made", REFUSED.values(), ids=REFUSED)
def test_an_older_definition_is_refused(guarded: Cluster, made: Callable[[], Definition]) -> None:
    """The refusal says what is stored, what would be lost, what to do, and how to do it all the same."""
    answer = applied(guarded, made())
    assert f"{DOMAINS} is of wsedge {RELEASE}; an older definition" in answer
    assert "Keep the newer one: older programs run under it." in answer
    assert f"kubectl annotate crd {DOMAINS} wsedge.io/allow-older=true" in answer


TAKEN: dict[str, Callable[[], Definition]] = {
    "of a newer release": lambda: of_release("100.0.0", add="other"),
    "of a newer release that removes a field": lambda: of_release("100.0.0", drop="exposure"),
    "of this release, with a field more": lambda: of_release(RELEASE, add="other"),
    "the same again": own,
}


@pytest.mark.parametrize("made", TAKEN.values(), ids=TAKEN)
def test_another_definition_is_taken(guarded: Cluster, made: Callable[[], Definition]) -> None:
    """A newer one may remove a field, which is a decision of its release."""
    assert "replaced" in applied(guarded, made())


def test_helm_may_roll_back(guarded: Cluster) -> None:
    """`helm rollback` applies what it stored: the program's way back does not fail at the definitions."""
    assert "replaced" in applied(guarded, of_release(None, drop="exposure"), "helm")


def test_an_administrator_may_allow_it(guarded: Cluster) -> None:
    """With the annotation that the refusal names, the older definition is taken."""
    guarded.kubectl("annotate", "crd", DOMAINS, "wsedge.io/allow-older=true")
    try:
        assert "replaced" in applied(guarded, of_release("0.0.9", drop="exposure"))
    finally:
        guarded.kubectl("annotate", "crd", DOMAINS, "wsedge.io/allow-older-")


@pytest.fixture
def coming(guarded: Cluster) -> Iterator[Definition]:
    """Install a copy of the definition in a group of its own, which the test may change."""
    made = own()
    made["metadata"] = {"name": NEXT, "annotations": {RELEASE_ANNOTATION: RELEASE}}
    made["spec"]["group"] = "next.example.com"
    # Names of its own: kubectl would find `websocketdomain` in two groups, also for tests that come later.
    names = {
        "plural": "nextdomains",
        "singular": "nextdomain",
        "kind": "NextDomain",
        "listKind": "NextDomainList",
    }
    made["spec"]["names"] |= {**names, "shortNames": [], "categories": []}
    replace(guarded, made)
    yield made
    guarded.kubectl("delete", "crd", NEXT)


def replace(cluster: Cluster, made: Definition) -> None:
    """Apply the definition, and wait until it is served."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", input=json.dumps(made))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{made['metadata']['name']}")


def test_definitions_of_others_are_not_touched(guarded: Cluster, coming: Definition) -> None:
    """Another group's definition may become older, whatever annotation it has."""
    older = copy.deepcopy(coming)
    without(older, "exposure")
    older["metadata"]["annotations"] = {RELEASE_ANNOTATION: "0.0.1"}
    assert "replaced" in applied(guarded, older)


def test_v1_replaces_v1alpha1_without_a_webhook(guarded: Cluster, coming: Definition, namespace: str) -> None:
    """The steps of docs/upgrades.md: serve both, store v1, write the objects again, serve v1 alone."""
    domain = {
        "apiVersion": "next.example.com/v1alpha1",
        "kind": "NextDomain",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": {
            "domain": "chat.example.com",
            "websocket": {"enabled": True, "originProtocol": "HTTP"},
            "origins": [{"host": "127.0.0.1", "httpPort": 9}],
        },
    }
    guarded.kubectl("create", "--filename=-", input=json.dumps(domain))

    def read(version: str) -> Definition:
        text = guarded.kubectl(
            "get", f"nextdomains.{version}.next.example.com/chat", f"--namespace={namespace}", "-ojson"
        )
        found: Definition = json.loads(text)
        return found

    def stored() -> list[str]:
        return json.loads(guarded.kubectl("get", "crd", NEXT, "-ojson"))["status"]["storedVersions"]

    before = read("v1alpha1")
    (old,) = coming["spec"]["versions"]
    both = copy.deepcopy(coming)
    both["spec"]["versions"] = [{**old, "name": "v1", "storage": False}, old]
    replace(guarded, both)
    until("v1 is served", lambda: NEXT.split(".", 1)[0] in resources(guarded, "v1"))
    assert read("v1")["spec"] == before["spec"]

    both["spec"]["versions"] = [{**old, "name": "v1"}, {**old, "storage": False}]
    replace(guarded, both)
    assert sorted(stored()) == ["v1", "v1alpha1"]
    live = guarded.kubectl(
        "get", "nextdomains.v1.next.example.com/chat", f"--namespace={namespace}", "-ojson"
    )
    guarded.kubectl("replace", "--filename=-", input=live)
    guarded.kubectl(
        "patch",
        "crd",
        NEXT,
        "--subresource=status",
        "--type=merge",
        '--patch={"status":{"storedVersions":["v1"]}}',
    )
    assert read("v1alpha1")["spec"] == before["spec"]

    both["spec"]["versions"] = [{**old, "name": "v1"}]
    replace(guarded, both)
    assert stored() == ["v1"]
    after = read("v1")
    assert (after["metadata"]["uid"], after["spec"]) == (before["metadata"]["uid"], before["spec"])


def resources(cluster: Cluster, version: str) -> str:
    """Return the names of the group's resources in a version; empty while it is not served."""
    try:
        return cluster.kubectl("get", "--raw", f"/apis/next.example.com/{version}")
    except CommandFailed:
        return ""
