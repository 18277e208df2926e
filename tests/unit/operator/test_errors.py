"""Errors: which one an answer of the API server is, and the text that people read of each."""

from __future__ import annotations

from typing import Any

import pytest

from wsedge_operator.errors import (
    AccountError,
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    LeaseLostError,
    ManifestError,
    NamespaceGoneError,
    NotFoundError,
    OperatorError,
    UnauthorizedError,
    UnknownZoneError,
    UnreachableError,
    UnreadableError,
    advice,
    api_error,
)

CALL = "PATCH /api/v1/namespaces/team-a/services/chat-relay"
TERMINATING = {"reason": "NamespaceTerminating", "field": "metadata.namespace"}

ANSWERS: dict[str, tuple[int, dict[str, Any], type[ApiError]]] = {
    "400 is a refused object": (400, {"reason": "BadRequest"}, InvalidError),
    "422 is a refused object": (422, {"reason": "Invalid"}, InvalidError),
    "401 is refused credentials": (401, {"reason": "Unauthorized"}, UnauthorizedError),
    "403 is a missing right": (403, {"reason": "Forbidden", "details": {"kind": "services"}}, ForbiddenError),
    "404 is a missing object": (404, {"reason": "NotFound", "details": {"kind": "services"}}, NotFoundError),
    "409 is another client's change": (409, {"reason": "Conflict"}, ConflictError),
    "any other status has no class of its own": (500, {"reason": "InternalError"}, ApiError),
    "a body without details decides nothing": (404, {}, NotFoundError),
    "details that are no object decide nothing": (403, {"details": "NamespaceTerminating"}, ForbiddenError),
    "403 with the cause is a namespace that is being deleted": (
        403,
        {"details": {"causes": ["?", {"reason": "Other"}, TERMINATING]}},
        NamespaceGoneError,
    ),
    "403 with another cause is a missing right": (
        403,
        {"details": {"causes": [{"reason": "Other"}]}},
        ForbiddenError,
    ),
    "403 with causes that are no list is a missing right": (
        403,
        {"details": {"causes": TERMINATING}},
        ForbiddenError,
    ),
    "409 with the cause is a conflict all the same": (
        409,
        {"details": {"causes": [TERMINATING]}},
        ConflictError,
    ),
    "404 about a namespace is a namespace that is deleted": (
        404,
        {"details": {"kind": "namespaces", "name": "team-a"}},
        NamespaceGoneError,
    ),
}


@pytest.mark.parametrize(("status", "body", "kind"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_class_of_an_answer(status: int, body: dict[str, Any], kind: type[ApiError]) -> None:
    """The status decides, but for answers about a namespace that accepts no objects."""
    error = api_error(CALL, status, {"message": "why", **body})
    assert type(error) is kind
    assert (error.call, error.status) == (CALL, status)
    assert (error.reason, error.message) == (body.get("reason", ""), "why")


def test_an_answer_without_a_reason_has_empty_texts() -> None:
    """The error page of a proxy is no `Status`: reason and message may be missing or null."""
    error = api_error(CALL, 502, {"reason": None, "message": None})
    assert (error.reason, error.message) == ("", "")


TEXTS: dict[str, tuple[OperatorError, str]] = {
    "an answer with an error status": (
        ConflictError(CALL, 409, "Conflict", "changed"),
        f"{CALL}: 409 Conflict: changed",
    ),
    "no answer": (UnreachableError(CALL, "no answer within 10 s"), f"{CALL}: no answer within 10 s"),
    "an unknown time zone": (
        UnknownZoneError("Mars/Olympus"),
        "'Mars/Olympus' is no time zone of the IANA database; write for example Asia/Shanghai or UTC",
    ),
    "a damaged record": (AccountError("periods[0].start", "is no time"), "periods[0].start: is no time"),
    "a refused manifest": (ManifestError("plan.yaml", "not YAML"), "plan.yaml: not YAML"),
    "one field that cannot be parsed": (UnreadableError(("spec.a: x",)), "spec.a: x"),
    "ten fields that cannot be parsed": (
        UnreadableError(tuple(f"f{n}" for n in range(10))),
        "f0; f1; f2; f3; f4; f5; f6; f7; f8; f9",
    ),
    "twelve fields that cannot be parsed": (
        UnreadableError(tuple(f"f{n}" for n in range(12))),
        "f0; f1; f2; f3; f4; f5; f6; f7; f8; f9; and 2 more",
    ),
}


@pytest.mark.parametrize(("error", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_the_text_of_an_error(error: OperatorError, text: str) -> None:
    """The text has the place or the call before the cause; a condition's message is bounded."""
    assert str(error) == text


ADVICE: dict[str, tuple[OperatorError, str]] = {
    "refused credentials": (UnauthorizedError(CALL, 401, "", ""), "check its token or kubeconfig"),
    "a missing right": (ForbiddenError(CALL, 403, "", ""), "check the Roles of the chart"),
    "a kind that is not served": (NotFoundError(CALL, 404, "", ""), "apply the CustomResourceDefinitions"),
    "no answer": (UnreachableError(CALL, "timeout"), "check its address and the network"),
    "too many calls": (ApiError(CALL, 429, "", ""), "the operator waits as it asks"),
    "any other answer": (ApiError(CALL, 500, "", ""), "see its log"),
    "any other error": (LeaseLostError("held by another"), "see its log"),
}


@pytest.mark.parametrize(("error", "part"), ADVICE.values(), ids=ADVICE.keys())
def test_the_advice_for_an_error(error: OperatorError, part: str) -> None:
    """Each failure of a call has a sentence that says what to check."""
    text = advice(error)
    assert part in text
    assert text.endswith(".")
