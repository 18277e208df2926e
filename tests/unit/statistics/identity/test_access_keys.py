"""Access keys from Secrets."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from support.statistics.secrets import key_secret
from wsedge_statistics.contract import MOST_ACCESS_KEYS
from wsedge_statistics.identity.access_keys import MOST_READ, AccessKeys, KeySecret, read_secret

SECRET = "a secret of 24 letters!!"
ANNOTATION = {"wsedge.io/inactive-access-keys": "LTAI2, LTAI3"}


def read(live: dict[str, Any]) -> KeySecret:
    found = read_secret(live)
    assert found is not None
    return found


def test_an_entry_is_a_key_of_the_namespace() -> None:
    """Nothing in the Secret names the account; an annotation disables keys."""
    live = key_secret(
        "team-a", {"LTAI1": SECRET.replace(" ", "_"), "LTAI2": "0123456789abcdef"}, annotations=ANNOTATION
    )
    first, second = read(live).keys
    assert (first.key_id, first.account, first.active) == ("LTAI1", "team-a", True)
    assert (second.secret, second.active) == ("0123456789abcdef", False)
    assert first.created.isoformat() == "2026-01-01T00:00:00+00:00"


def test_a_line_break_at_the_end_is_not_of_the_secret() -> None:
    """`echo` and editors add one."""
    assert read(key_secret("a", {"id": "0123456789abcdef\r\n"})).keys[0].secret == "0123456789abcdef"


def test_no_text_of_a_key_has_its_secret() -> None:
    """Logs and errors show keys by their repr."""
    found = read(key_secret("a", {"LTAI1": "0123456789abcdef"}))
    assert "LTAI1" in repr(found)
    assert "0123456789abcdef" not in repr(found) + repr(AccessKeys.of([found]))


@pytest.mark.parametrize(
    "live",
    [
        key_secret("a", {"tls.crt": "0123456789abcdef"}, name="chat-relay"),
        {**key_secret("a", {"tls.crt": "0123456789abcdef"}), "type": "kubernetes.io/tls"},
        {**key_secret("a", {"tls.crt": "0123456789abcdef"}), "type": "Opaque"},
    ],
    ids=["another name", "a certificate", "another purpose"],
)
def test_another_secret_has_no_keys(live: dict[str, Any]) -> None:
    """A certificate is public: as a secret key it would open the account to everyone."""
    assert read_secret(live) is None


IGNORED: dict[str, tuple[dict[str, str], str]] = {
    "a short secret": ({"id": "0123456789abcde"}, "id: the secret is not 16 to 256 printable characters"),
    "a long secret": ({"id": "x" * 257}, "id: the secret is not"),
    "a secret with a space": ({"id": "0123456789abcdef x"}, "id: the secret is not"),
    "a secret that is not ASCII": ({"id": "0123456789abcdefé"}, "id: the secret is not"),
    "an id that begins with a dot": ({".id": "0123456789abcdef"}, "an entry's name is not a key id"),
    "an id without an end": ({"i" * 129: "0123456789abcdef"}, "an entry's name is not a key id"),
}


@pytest.mark.parametrize(("keys", "reason"), IGNORED.values(), ids=IGNORED.keys())
def test_a_useless_entry_is_ignored_with_its_reason(keys: dict[str, str], reason: str) -> None:
    """Other keys of the Secret stay; the reason does not have the secret."""
    found = read(key_secret("a", {**keys, "other": "0123456789abcdef"}))
    assert [key.key_id for key in found.keys] == ["other"]
    assert found.ignored[0].startswith(reason)
    assert not any(secret in found.ignored[0] for secret in keys.values())


@pytest.mark.parametrize("encoded", ["!", "YQ", None, 7, "/w=="])
def test_an_entry_that_is_no_base64_is_ignored(encoded: Any) -> None:
    """The API server encodes; another server may not."""
    live = key_secret("a", {}) | {"data": {"id": encoded}}
    assert read(live).keys == ()
    assert len(read(live).ignored) == 1
    assert read({**live, "data": None}) == read(key_secret("a", {}))


def test_an_account_has_a_bounded_number_of_keys() -> None:
    """The first by name count."""
    found = read(key_secret("a", {f"id{number:03}": "0123456789abcdef" for number in range(100)}))
    assert [key.key_id for key in found.keys] == [f"id{number:03}" for number in range(MOST_ACCESS_KEYS)]
    assert len(found.ignored) == MOST_ACCESS_KEYS
    assert found.ignored[0] == f"id020: the account has {MOST_ACCESS_KEYS} keys already"


def test_a_full_secret_is_read_in_part() -> None:
    """Of entries without end the first are looked at."""
    ignored = {f"a{number:05}": "short" for number in range(MOST_READ)}
    found = read(key_secret("a", {**ignored, "b": "0123456789abcdef"}))
    assert (found.keys, len(found.ignored)) == ((), MOST_ACCESS_KEYS)
    fewer = dict(list(ignored.items())[1:])
    assert [key.key_id for key in read(key_secret("a", {**fewer, "b": "0123456789abcdef"})).keys] == ["b"]


def test_a_stranger_with_the_same_id_takes_nothing_away() -> None:
    """Both are keys; the older comes first."""
    owner = read(key_secret("team-b", {"LTAI": "b" * 16}))
    stranger = read(key_secret("team-a", {"LTAI": "a" * 16}, creationTimestamp="2026-02-01T00:00:00Z"))
    keys = AccessKeys.of([stranger, owner])
    assert [key.account for key in keys.named("LTAI")] == ["team-b", "team-a"]
    assert (keys.named("other"), len(keys)) == ((), 2)
    assert base64.b64decode(key_secret("a", {"x": "y"})["data"]["x"]) == b"y"
