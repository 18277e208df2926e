"""The rights of verbs, and the Roles that give them and nothing more."""

from __future__ import annotations

import pytest
import yaml

from wsedge_operator.cli import rights
from wsedge_operator.cli.arguments import parser


def verbs_of_the_command_line() -> set[str]:
    actions = parser()._subparsers
    assert actions is not None
    return set(actions._group_actions[0].choices or ())


def test_each_verb_has_its_rights() -> None:
    """Except for those that only print."""
    assert verbs_of_the_command_line() - set(rights.OF_VERBS) <= {"rbac", "completion"}
    for verb, less in rights.OPTIONAL.items():
        assert set(less) < set(rights.OF_VERBS[verb])


def rules(verbs: list[str], domain: str) -> dict[tuple[str, str], tuple[list[str], list[str] | None]]:
    (role,) = [
        one
        for one in rights.roles(verbs, namespace="team-a", domain=domain)
        if one["metadata"]["namespace"] == "team-a"
    ]
    return {
        (rule["apiGroups"][0], rule["resources"][0]): (rule["verbs"], rule.get("resourceNames"))
        for rule in role["rules"]
    }


@pytest.mark.parametrize("verb", rights.OF_VERBS)
def test_no_verb_may_list_secrets_or_write_but_what_it_says(verb: str) -> None:
    """One Secret by its name; writes are orders to relays, a token of one account, access keys."""
    writes = {("", "pods/proxy"), ("", "serviceaccounts/token"), ("", "secrets")}
    if verb == "explain":
        assert rights.roles([verb], namespace="team-a") == []
        return
    for (group, resource), (verbs, names) in rules([verb], "chat").items():
        if resource == "secrets" and verb != "accesskey":
            assert (verbs, names) == (["get"], ["chat-relay-admin"])
        if set(verbs) - {"get", "list"}:
            assert (group, resource) in writes
        assert "*" not in (group, resource, *verbs)


def test_readers_give_no_orders() -> None:
    """A person who looks may not close or drain."""
    for verb in ("status", "connections", "logs", "report"):
        assert rules([verb], "chat").get(("", "pods/proxy"), (["get"], None))[0] == ["get"]


def test_rights_of_several_verbs_are_joined() -> None:
    """One rule for a resource with the verbs of all; other names stay apart."""
    both = rules(["connections", "close"], "chat")
    assert both["", "pods/proxy"] == (["get", "create"], None)
    assert both["", "pods"] == (["list", "get"], None)


def test_without_a_domain_the_secrets_have_no_name() -> None:
    """It is printed for all domains of a namespace; the page says what that includes."""
    assert rules(["connections"], "")["", "secrets"] == (["get"], None)


def test_a_statement_needs_one_pod_of_another_namespace() -> None:
    """Its Role there names the pod and the port: no other pod is reached."""
    here, there = rights.roles(["statement"], namespace="team-a", statistics="billing")
    assert there["metadata"] == {"name": "kubectl-wsedge-statement", "namespace": "billing"}
    assert there["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["pods/proxy"],
            "verbs": ["get"],
            "resourceNames": ["wsedge-statistics-0:8080"],
        }
    ]
    assert here["rules"][0]["resourceNames"] == ["default"]
    assert list(yaml.safe_load_all(rights.as_yaml([here, there]))) == [here, there]


PLACES = {
    "edge": [{"pods/proxy": ["wsedge-statistics-0:8080"]}],
    "edge/edge-wsedge-statistics-0:8080": [{"pods/proxy": ["edge-wsedge-statistics-0:8080"]}],
    "edge/*": [{"pods/proxy": None}, {"pods": None}],
}


@pytest.mark.parametrize(("place", "wanted"), PLACES.items(), ids=PLACES)
def test_statistics_may_be_another_pod_or_any(place: str, wanted: list[dict[str, list[str] | None]]) -> None:
    """Of another release, or of a Deployment, whose pods have names that are not known in advance."""
    _, there = rights.roles(["statement"], namespace="team-a", statistics=place)
    assert there["metadata"]["namespace"] == "edge"
    assert [{rule["resources"][0]: rule.get("resourceNames")} for rule in there["rules"]] == wanted


def test_a_right_is_a_sentence() -> None:
    """As an error names it."""
    (first, *_) = rights.rights_of("close", domain="chat")
    assert first.sentence() == "get pods"
    token = rights.rights_of("close", domain="chat")[-1]
    assert token.sentence() == "get secrets (chat-relay-admin)"
    assert rights.DOMAINS.sentence() == "get and list websocketdomains.wsedge.io"


@pytest.mark.parametrize("verb", rights.OPTIONAL)
def test_what_a_verb_can_do_without_is_named_for_the_domain(verb: str) -> None:
    """Each is one of its rights, with the names of objects."""
    needed = rights.rights_of(verb, domain="chat")
    less = rights.optional_of(verb, domain="chat")
    assert less
    assert all(right in needed for right in less)
    assert "get secrets (chat-relay-admin)" in [right.sentence() for right in less]
