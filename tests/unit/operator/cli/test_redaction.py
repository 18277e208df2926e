"""What looks like a secret is masked in a report, and what a support case needs stays."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from support.cpu import at_most_cpu_seconds
from wsedge_operator.cli import redaction
from wsedge_operator.cli.redaction import MASK

KEY: Final = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIE\n-----END EC PRIVATE KEY-----"
TOKEN: Final = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
# A text with a secret in it, and the secret.
PLANTED: Final[dict[str, tuple[str, str]]] = {
    "a private key": (f"before {KEY} after", "MHcCAQEEIE"),
    "the start of a private key": ("-----BEGIN PRIVATE KEY-----\nMHcCAQEEIE", "MHcCAQEEIE"),
    "a JSON Web Token": (f"got {TOKEN}.", TOKEN),
    "a bearer header": ("Authorization: Bearer abcdef123456", "abcdef123456"),
    "a basic header": ("sent basic dXNlcjpwYXNz to it", "dXNlcjpwYXNz"),
    "a token in a query": ("GET /room?token=s3cr3t&x=1", "s3cr3t"),
    "a password in a text": ("password: hunter2, then", "hunter2"),
    "a password in JSON in a text": ('{"db_password": "hunter2"}', "hunter2"),
    "a password in escaped JSON": (r'{"body": "{\"password\": \"hunter2\"}"}', "hunter2"),
    "the last word of a password in JSON": ('{"password": "correct horse"}', "horse"),
    "the last word of a password in quotes": ("password='correct horse'", "horse"),
    "a password after a quote of its own": (r'{"password": "a\"hunter2"}', "hunter2"),
    "a password in a value": ("path=/room?password=hunter2", "hunter2"),
    "a secret after another": ("token=token: s3cr3t", "s3cr3t"),
    "a cookie": ("Cookie: session=abc", "abc"),
    "the second cookie": ("Cookie: theme=dark; sid=x9y8z7", "x9y8z7"),
    "a cookie in JSON": ('{"cookie": "theme=dark; sid=x9y8z7"}', "x9y8z7"),
    "a scheme of authorization that is not known": ("Authorization: Custom abc def", "def"),
    "a password in a URL": ("redis://user:hunter2@cache:6379/0", "hunter2"),
    "a key of AWS": ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "an access key of ours": ("LTAI5tFirstSecondThird", "LTAI5tFirstSecondThird"),
    "a token of GitHub": (
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    ),
    "an admin token of a relay": ("x q8Jv3n-2kd_0sLw9ZtQ4mBfC7yXuR1aE6hGpNiVoTzY x", "q8Jv3n-2kd_0sLw9"),
    "a hexadecimal secret": ("key 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c x", "9f86d081884c7d65"),
    "a secret of base64": ("v3JrZg8n+Qk1bT0Yx9Lw/2uHcA5sPdEfGmNoRtVz==", "v3JrZg8n"),
}


@pytest.mark.parametrize(("text", "secret"), PLANTED.values(), ids=PLANTED)
def test_a_secret_in_a_text_is_masked(text: str, secret: str) -> None:
    """Wherever in a line or in a field of an object it is."""
    assert secret in text
    for cleaned in (
        redaction.text(text),
        json.dumps(redaction.document({"message": text, "list": [text]})),
    ):
        assert secret not in cleaned
        assert MASK in cleaned


KEPT: Final = {
    "an event": "pod chat-relay-6b7f-x2x4z: Back-off restarting failed container",
    "a name of a Secret": 'spec.tls: Secret "chat-tls" does not exist',
    "a digest of an image": "ghcr.io/x/y@sha256:" + "ab" * 32,
    "a uid": "b0d4c1de-7a53-4c44-9d2c-0f6c1c9b8f11",
    "a time": "2026-11-22T10:00:00.123456Z",
    "a generation": "team-a/chat@3-9f86d081",
    "a metric": 'wsedge_relay_open_connections{domain="chat.example.com"} 12.0',
    "a URL": "http://room.team-a.svc:8080/a/long/path/that/has/many/parts/of/letters",
    "a pair of no secret with a text": """{"reason": "the origin's answer"}""",
    "a zero byte": "a?b",
    "nothing": "",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_what_a_case_needs_stays(text: str) -> None:
    """Names, digests, times and numbers."""
    assert redaction.text(text) == text


OBJECTS: Final[dict[str, tuple[Any, Any]]] = {
    "a variable with the name of a secret": (
        {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "LEVEL", "value": "info"}]},
        {"env": [{"name": "DB_PASSWORD", "value": MASK}, {"name": "LEVEL", "value": "info"}]},
    ),
    "a field with the name of a secret": ({"apiKey": "abc", "token": ""}, {"apiKey": MASK, "token": ""}),
    "a reference to a Secret": (
        {"tls": {"secretName": "chat-tls"}, "authority": "x", "serviceAccountToken": {"path": "t"}},
        {"tls": {"secretName": "chat-tls"}, "authority": "x", "serviceAccountToken": {"path": "t"}},
    ),
    "a Secret, if one is there nevertheless": (
        {"items": [{"kind": "Secret", "metadata": {"name": "x"}, "data": {"a": "YQ=="}}]},
        {"items": [{"kind": "Secret", "metadata": {"name": "x"}, "data": MASK}]},
    ),
    "a Secret without metadata": (
        {"kind": "Secret"},
        {"kind": "Secret", "metadata": {"name": None}, "data": MASK},
    ),
    "what repeats the whole object": (
        {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}, "managedFields": []},
        {"annotations": {}},
    ),
    "numbers and nothing": ({"a": 1, "b": None, "c": True}, {"a": 1, "b": None, "c": True}),
    "a harmless pair in a text": ({"m": "secretName: chat-tls"}, {"m": "secretName: chat-tls"}),
}


@pytest.mark.parametrize(("value", "cleaned"), OBJECTS.values(), ids=OBJECTS)
def test_objects(value: Any, cleaned: Any) -> None:
    """By the names of fields and of variables, too."""
    assert redaction.document(value) == cleaned


# What a client may write into a log line, of a size for which work that grows with its square takes hours.
LONG: Final = {
    "the starts of names": "a." * 500_000,
    "words of secrets": "token" * 200_000,
    "the starts of tokens": "eyJaaaaaaaa-" * 80_000,
    "the starts of URLs": "a+" * 500_000,
    "a space after a name": "token" + " " * 1_000_000,
    "backslashes after a name": "token" + "\\" * 1_000_000,
    "quotes that do not close": "token='" * 100_000,
    "the starts of keys": "-----BEGIN A-----" * 60_000,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_long_text_is_read_about_once(text: str) -> None:
    """No client makes a report endless."""
    with at_most_cpu_seconds(30):
        assert redaction.text(text)


def test_a_zero_byte_brings_no_digest_back() -> None:
    """The place of a kept text cannot be written by somebody else."""
    assert redaction.text("\x000\x00") == "?0?"
