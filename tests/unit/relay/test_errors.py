"""Exceptions: the text of each, which the log or the client gets."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from wsedge_relay import errors
from wsedge_relay.errors import OriginError, OriginsFailedError

FULL = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

TEXTS: dict[str, tuple[errors.RelayError, str]] = {
    "settings": (
        errors.SettingsError(["--a: is required", "--b: is no number"]),
        "--a: is required; --b: is no number",
    ),
    "a configuration": (
        errors.ConfigRefusedError(Path("relay.json"), ["version: is required", "domains: is no list"]),
        "relay.json: version: is required; domains: is no list",
    ),
    "a listener": (errors.CannotListenError(FULL), "cannot listen: [Errno 98] Address already in use"),
    "a spool": (
        errors.SpoolUnavailableError(Path("/spool"), "it is locked"),
        "spool folder /spool: it is locked",
    ),
    "a POST": (errors.PostFailedError("http://a/", "no answer"), "http://a/: no answer"),
    "a refusal": (errors.HandshakeRefusedError(404, "path", "No such path."), "404 (path): No such path."),
    "an origin": (OriginError("tls", "expired"), "tls: expired"),
    "an answer": (errors.BadAnswerError("101 with a body"), "answer: 101 with a body"),
    "no descriptor": (errors.NoDescriptorError("EMFILE"), "descriptors: EMFILE"),
    "a cut answer": (errors.AnswerCutError("origin", "reset"), "origin: reset"),
    "a silent worker": (errors.WorkerSilentError("no answer within 5 s"), "no answer within 5 s"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_an_error_has_one_line_of_text(case: str) -> None:
    """The text names the thing and the reason."""
    error, text = TEXTS[case]
    assert str(error) == text


ORIGINS: dict[str, tuple[list[str], int, str]] = {
    "all attempts timed out": (["timeout", "timeout"], 504, "it did not answer in time"),
    "one attempt timed out and one was refused": (
        ["timeout", "refused"],
        502,
        "it refused the connection, it did not answer in time",
    ),
    "the address is denied": (["denied"], 502, "its address is denied to origins"),
    "TLS failed": (["tls"], 502, "no trusted TLS connection could be made"),
    "the name does not resolve": (["unresolvable"], 502, "its name does not resolve"),
    "the connection was closed": (["closed"], 502, "it closed the connection without an answer"),
    "the answer was malformed": (["answer"], 502, "it sent an invalid answer"),
}


@pytest.mark.parametrize("case", ORIGINS)
def test_the_client_gets_the_causes_of_a_failed_origin(case: str) -> None:
    """Each cause is named once; 504 only when every attempt timed out (RFC 9110 section 15.6.5)."""
    reasons, status, causes = ORIGINS[case]
    failed = OriginsFailedError(OriginError(reason, "detail") for reason in reasons)
    assert (failed.status, failed.reason) == (status, "origin")
    assert failed.text == f"The origin cannot be used: {causes}."


def test_a_domain_without_a_usable_origin_is_502() -> None:
    """No attempt was made, because every origin has the weight 0."""
    failed = OriginsFailedError([])
    assert failed.status == 502
    assert failed.text.startswith("The origin cannot be used: ")


def test_a_refusal_without_room_has_retry_after() -> None:
    """The header is added behind the other headers (RFC 9110 section 10.2.3)."""
    refused = errors.no_room(7)
    assert (refused.status, refused.reason) == (503, "descriptors")
    assert refused.headers == ((b"Retry-After", b"7"),)
    other = errors.HandshakeRefusedError(503, "drain", "Later.", headers=[(b"A", b"b")], retry_after=1)
    assert other.headers == ((b"A", b"b"), (b"Retry-After", b"1"))


def test_an_origin_that_answered_was_connected() -> None:
    """A malformed answer proves that the origin received the request."""
    assert errors.BadAnswerError("x").connected
    assert not OriginError("refused", "x").connected
    assert OriginError("closed", "x", connected=True).connected
    assert not OriginError("closed", "x", connected=True).answered


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:secret@a.example/x", "http://a.example/x"),
        ("http://a@b@c/", "http://c/"),
        ("http://a.example/x@y", "http://a.example/x@y"),
        ("no URL", "no URL"),
    ],
)
def test_a_url_is_shown_without_user_and_password(text: str, shown: str) -> None:
    """The userinfo ends at the last @ of the authority (RFC 3986 section 3.2.1)."""
    assert errors.without_userinfo(text) == shown


def test_a_worker_that_ended_is_distinguished_from_a_silent_one() -> None:
    """The supervisor restarts the first and waits for the second."""
    assert errors.WorkerSilentError("ended", has_ended=True).has_ended
    assert not errors.WorkerSilentError("late").has_ended


def test_a_refused_configuration_has_its_generation_and_files() -> None:
    """`GET /config` shows the generation; the watch polls the files."""
    refused = errors.ConfigRefusedError(
        Path("relay.json"), ["x"], generation="g2", files=[Path("tls.crt")], transient=True
    )
    assert (refused.file, refused.generation, refused.files) == (Path("relay.json"), "g2", (Path("tls.crt"),))
    assert refused.transient
