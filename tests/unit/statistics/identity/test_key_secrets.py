"""The Secrets with access keys, followed at an API server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from support.statistics.process import until_true
from support.statistics.secrets import SecretServer, secret_server
from wsedge_statistics.identity.access_keys import AccessKeys
from wsedge_statistics.identity.key_secrets import BYTES_PER_SECOND, ApiServer, KeySecrets

SECRET = "0123456789abcdef"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[SecretServer]:
    with secret_server(tmp_path) as server:
        yield server


class Following:
    """Secrets that are followed, and the numbers of keys that were told."""

    def __init__(self, api: SecretServer, *namespaces: str) -> None:
        self.told: list[int] = []
        server = ApiServer(api.url, api.ca_file, api.token_file)
        self.waits: list[float] = []

        def wait(stop: threading.Event, seconds: float) -> object:
            self.waits.append(seconds)
            return stop.wait(min(seconds, 0.05))

        self.secrets = KeySecrets(server, namespaces, changed=self.told.append, wait=wait)

    def __enter__(self) -> Following:
        self.secrets.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.secrets.close()

    def ids(self) -> list[str] | None:
        keys = self.secrets.keys
        return None if keys is None else sorted(keys.by_id)

    def awaits(self, *ids: str) -> AccessKeys:
        until_true(lambda: self.ids() == sorted(ids))
        assert self.secrets.keys is not None
        return self.secrets.keys


def test_keys_come_and_go_with_their_secrets(api: SecretServer) -> None:
    """Listed in pages, then watched: created, changed, deleted."""
    api.put("team-a", {"one": SECRET})
    api.put("team-b", {"two": SECRET})
    api.put("team-c", {"three": SECRET})
    with Following(api) as following:
        following.awaits("one", "two", "three")
        api.put("team-d", {"four": SECRET})
        api.put("team-a", {"five": SECRET})
        following.awaits("two", "three", "four", "five")
        api.delete("team-b")
        keys = following.awaits("three", "four", "five")
        assert keys.named("five")[0].account == "team-a"
        assert following.told[-1] == 3


def test_only_secrets_of_the_name_are_asked_for(api: SecretServer) -> None:
    """The right is on this name alone: another list is 403."""
    with Following(api) as following:
        following.awaits()
        until_true(lambda: any("watch=1" in request for request in api.requests))
    selector = "fieldSelector=metadata.name=wsedge-access-keys,type=wsedge.io/access-keys"
    assert all(selector in unquote(request) for request in api.requests)


def test_a_watch_that_ends_goes_on_from_its_last_version(api: SecretServer) -> None:
    """No new list, and nothing is missed between."""
    with Following(api) as following:
        following.awaits()
        api.put("team-a", {"one": SECRET})
        following.awaits("one")
        api.end_watches()
        api.put("team-b", {"two": SECRET})
        following.awaits("one", "two")
    assert len([request for request in api.requests if "watch=1" not in request]) == 1


def test_a_version_that_is_too_old_leads_to_a_new_list(api: SecretServer) -> None:
    """410 in the watch."""
    with Following(api) as following:
        following.awaits()
        api.compacted = True
        api.end_watches()
        until_true(lambda: len([request for request in api.requests if "watch=1" not in request]) == 2)
        api.put("team-a", {"one": SECRET})
        following.awaits("one")


def test_keys_stay_while_the_api_server_fails(api: SecretServer) -> None:
    """Revocations of that time hold once it answers."""
    api.put("team-a", {"one": SECRET})
    api.put("team-b", {"two": SECRET})
    with Following(api) as following:
        following.awaits("one", "two")
        api.refuse = 500
        before = len(api.requests)
        api.end_watches()
        until_true(lambda: len(api.requests) > before)
        assert following.ids() == ["one", "two"]
        api.delete("team-a")
        api.refuse = 0
        following.awaits("two")


def test_nothing_is_known_before_the_first_list(api: SecretServer) -> None:
    """A missing right is tried again."""
    api.put("team-a", {"one": SECRET})
    api.refuse = 403
    with Following(api) as following:
        until_true(lambda: api.requests)
        assert following.ids() is None
        api.refuse = 0
        following.awaits("one")


def test_some_namespaces_are_read_each_by_itself(api: SecretServer) -> None:
    """Where the program has rights in these alone."""
    for name in ("team-a", "team-b", "team-c"):
        api.put(name, {f"key-of-{name}": SECRET})
    with Following(api, "team-a", "team-c") as following:
        following.awaits("key-of-team-a", "key-of-team-c")
        api.delete("team-c")
        following.awaits("key-of-team-a")
    assert all("/namespaces/team-" in request for request in api.requests)


def test_the_deletion_of_a_former_secret_leaves_the_new_one(api: SecretServer) -> None:
    """Events of two objects of one name; the uid tells them apart."""
    api.put("team-a", {"one": SECRET})
    with Following(api) as following:
        following.awaits("one")
        api.put("team-a", {"two": SECRET}, uid="of-the-new-namespace")
        following.awaits("two")
        api.tell("DELETED", "team-a", {"one": SECRET}, uid="uid-of-team-a")
        api.put("team-b", {"three": SECRET})
        following.awaits("two", "three")


def test_a_token_with_a_line_break_is_not_sent(api: SecretServer) -> None:
    """Nor repeated in an error."""
    api.token_file.write_text("first\nsecond")
    server = ApiServer(api.url, api.ca_file, api.token_file)
    with pytest.raises(ValueError, match="does not contain a token") as caught:
        server.open("/api/v1/secrets")
    assert "second" not in str(caught.value)
    assert api.requests == []


def test_another_server_gets_no_token(api: SecretServer, tmp_path: Path) -> None:
    """Its certificate is not of the cluster's authority."""
    other = tmp_path / "other"
    other.mkdir()
    with secret_server(other) as stranger:
        server = ApiServer(stranger.url, api.ca_file, api.token_file)
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            server.open("/api/v1/secrets")
        assert stranger.requests == []


def test_large_secrets_are_read_at_a_bounded_rate(api: SecretServer) -> None:
    """A tenant that writes a megabyte again and again takes a few percent of a core, not all of it."""
    with Following(api) as following:
        following.awaits()
        api.put("team-a", {f"id{number}": "x" * 20_000 for number in range(40)})
        api.put("team-b", {"one": SECRET})
        following.awaits("one")
        assert max(following.waits) >= 40 * 20_000 / BYTES_PER_SECOND


def test_the_end_does_not_wait_for_the_server(api: SecretServer) -> None:
    """A watch that is open is interrupted, and its thread ends."""
    with Following(api) as following:
        following.awaits()
        until_true(lambda: any("watch=1" in request for request in api.requests))
    assert not any(thread.is_alive() for thread in following.secrets._threads)
