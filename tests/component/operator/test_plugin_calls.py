"""How many calls of the API server `kubectl wsedge` makes, and which pods get the token."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.fake_api import TOKEN, Answer, Call, FakeApi, Plugin, domain, relay

MANY: Final = 300
AT_ONCE: Final = 16


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def plugin(api: FakeApi, tmp_path: Path) -> Iterator[Plugin]:
    with api.running() as url:
        yield Plugin(tmp_path, url)


def test_the_calls_for_hundreds_of_domains_are_few_lists_and_many_at_a_time(
    api: FakeApi, plugin: Plugin
) -> None:
    """No list for each domain; one call for each Secret, two for each relay, at most 16 at a time."""
    for number in range(MANY):
        api.serve(f"d{number:03}")
    first, together = iter(range(AT_ONCE)), threading.Barrier(AT_ONCE)

    def wait_for_the_others(call: Call) -> Answer:
        if next(first, None) is not None:
            together.wait(60)
        return relay(call)

    api.pods = wait_for_the_others
    code, out, err = plugin.run("status", "--output=json")
    assert (code, err) == (0, "")
    assert [one["connections"] for one in json.loads(out)] == [1] * MANY
    lists = [call for call in api.calls if "limit=" in call.query]
    assert len(lists) == 4
    assert Counter(call.path for call in api.of_pods()) == {"config": MANY, "metrics": MANY}
    assert len(api.calls) == len(lists) + MANY + 2 * MANY
    assert api.most == AT_ONCE


def test_lists_are_read_in_pages(api: FakeApi, plugin: Plugin) -> None:
    """A namespace with more objects than a page has is whole."""
    for number in range(501):
        api.add("websocketdomains", domain(f"d{number}"))
    code, out, _ = plugin.run("status", "--output=json")
    assert len(json.loads(out)) == 501
    assert code == 0
    assert len(api.calls) <= 4, "and what no pod needs is not read"


def test_one_domain_asks_for_its_own_objects(api: FakeApi, plugin: Plugin) -> None:
    """Whatever else is in the namespace."""
    for name in ("chat", "live", "news"):
        api.serve(name, relays=2)
    assert plugin.run("status", "live")[0] == 0
    assert {call.pod for call in api.of_pods()} == {"live-relay-1-0", "live-relay-1-1"}
    assert len([call for call in api.calls if "/secrets/" in call.path]) == 1


def test_a_pod_that_only_looks_like_a_relay_gets_no_token(api: FakeApi, plugin: Plugin) -> None:
    """Whoever may create pods may label one so; it is named, and not asked by any verb."""
    api.serve("chat")
    (pod,) = api.objects["pods"].values()
    pod["metadata"].pop("ownerReferences")
    name = pod["metadata"]["name"]
    code, out, _ = plugin.run("status", "chat")
    assert code == 0
    assert f"do not belong to the domain's Deployment are not asked: {name}." in out
    code, out, err = plugin.run("connections", "chat")
    assert (code, out.splitlines()[-1]) == (0, "0 connections")
    assert f"are not asked: {name}." in err
    for verb, target, wanted in (
        ("close", f"{name}/1-1", "it does not belong to the Deployment chat-relay, so it gets no token."),
        ("drain", name, "it does not belong to the Deployment chat-relay, so it gets no token."),
        ("drain", "chat", "The domain chat has no relays that run."),
    ):
        code, out, err = plugin.run(verb, target)
        assert (code, out) == (4, ""), (verb, err)
        assert err.endswith(f"{wanted}\n")
    assert plugin.run("report", f"--file={plugin.kubeconfig.parent / 'report'}")[0] == 0
    assert api.of_pods() == []


def test_the_relays_beside_a_stranger_get_it(api: FakeApi, plugin: Plugin) -> None:
    """A stranger stops nothing."""
    api.serve("chat", relays=2)
    stranger, other = api.objects["pods"].values()
    stranger["metadata"].pop("ownerReferences")
    assert plugin.run("connections", "chat")[1].splitlines()[-1] == "1 connection"
    assert plugin.run("drain", "chat")[0] == 0
    assert plugin.run("close", f"{other['metadata']['name']}/1-1")[0] == 0
    assert {(call.pod, call.token) for call in api.of_pods()} == {(other["metadata"]["name"], TOKEN)}


def test_who_may_not_read_owners_sends_no_token(api: FakeApi, plugin: Plugin) -> None:
    """`status` asks without it; a list needs it, so the right is named."""
    api.serve("chat")
    api.refused.add("replicasets")
    code, out, _ = plugin.run("status", "chat", "--output=json")
    assert (code, json.loads(out)["connections"]) == (0, 1)
    assert {call.token for call in api.of_pods()} == {None}
    code, _, err = plugin.run("connections", "chat")
    assert code == 3
    assert "lacks a right in namespace team-a: list replicasets.apps." in err.splitlines()[0]
    assert "- replicasets" in err
    assert {call.token for call in api.of_pods()} == {None}


def test_a_pod_that_ends_is_shown_without_its_deployment(api: FakeApi, plugin: Plugin) -> None:
    """The operator deletes the Deployment first. Anybody's pod can be in this state, so it is not asked."""
    api.serve("chat")
    (pod,) = api.objects["pods"].values()
    pod["metadata"]["deletionTimestamp"] = "2026-11-22T09:00:00Z"
    api.objects["deployments"].clear()
    code, out, _ = plugin.run("status", "chat", "--output=json")
    assert (code, len(json.loads(out)["relays"])) == (0, 1)
    assert api.of_pods() == []


def test_nobody_needs_a_private_key(api: FakeApi, plugin: Plugin) -> None:
    """The token has a Secret of its own; the relays' is not read by any verb."""
    api.serve("chat")
    api.refused.add("secrets/chat-relay")
    for arguments in (
        ("status", "chat"),
        ("connections", "chat"),
        ("close", "chat-relay-1-0/1-1"),
        ("drain", "chat"),
    ):
        assert plugin.run(*arguments)[0] == 0, arguments
    assert plugin.run("report", f"--file={plugin.kubeconfig.parent / 'report'}")[0] == 0
    assert {call.path.rpartition("/")[2] for call in api.calls if "/secrets/" in call.path} == {
        "chat-relay-admin"
    }


def test_the_token_of_an_older_operator_is_beside_the_keys(api: FakeApi, plugin: Plugin) -> None:
    """It is read there by those who may, and the others are told why they need more."""
    api.serve("chat")
    api.objects["secrets"].pop("chat-relay-admin")
    assert plugin.run("connections", "chat")[1].endswith("\n1 connection\n")
    api.refused.add("secrets/chat-relay")
    code, out, err = plugin.run("connections", "chat")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "beside the private keys, in the Secret chat-relay, which you may not get." in err
    assert plugin.run("status", "chat")[0] == 0


def test_a_name_belongs_to_one_namespace(api: FakeApi, plugin: Plugin) -> None:
    """`status NAME -A` asks nobody."""
    code, out, err = plugin.run("status", "chat", "-A")
    assert (code, out, api.calls) == (2, "", [])
    assert "status takes a NAME or --all-namespaces, not both" in err
