"""Errors as problem documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wsedge_statistics.errors import (
    DirectoryAwaitedError,
    ForbiddenError,
    KeysUnavailableError,
    LedgerBusyError,
    LedgerDeadlineError,
    LedgerPlaceError,
    LedgerUnreadableError,
    LedgerUnwritableError,
    NoRoomError,
    QueryError,
    RowFault,
    RowsRefusedError,
    StatisticsError,
    TokenRefusedError,
    UnknownDomainError,
    UnknownStatementError,
    UnknownZoneError,
)
from wsedge_statistics.web.problems import MAX_FAULTS, Fault, ProblemError, answer, challenge, problem_of

FAULTS = [RowFault(3, "bucket", "too old")]
PROBLEMS: dict[str, tuple[Exception, int, str, dict[str, str], list[dict[str, Any]] | None]] = {
    "a wrong parameter names the allowed values": (
        QueryError("end", "not later than start", "later instants"),
        400,
        "bad-parameter",
        {},
        [{"parameter": "end", "reason": "not later than start", "allowed": "later instants"}],
    ),
    "an unknown domain": (
        UnknownDomainError("a.example"),
        404,
        "unknown-domain",
        {},
        [
            {
                "parameter": "domain",
                "reason": "domain 'a.example' is not configured and has no counts",
                "allowed": "a domain that /v1/domains lists",
            }
        ],
    ),
    "a statement that does not exist": (
        UnknownStatementError("2026-13"),
        404,
        "unknown-statement",
        {},
        [
            {
                "parameter": "period",
                "reason": "there is no statement of '2026-13'",
                "allowed": "a period that /v1/statements lists",
            }
        ],
    ),
    "terms of a zone that this program does not have": (
        UnknownZoneError("Mars/Olympus"),
        503,
        "statements-unavailable",
        {"Retry-After": "300"},
        None,
    ),
    "a refused token carries the challenge": (
        TokenRefusedError("The token has expired."),
        401,
        "token-refused",
        challenge("The token has expired."),
        None,
    ),
    "keys that cannot be fetched": (
        KeysUnavailableError("Try again."),
        503,
        "keys-unavailable",
        {"Retry-After": "5"},
        None,
    ),
    "a missing right": (ForbiddenError("No."), 403, "forbidden", {}, None),
    "a report before the first Directory": (
        DirectoryAwaitedError("Try again."),
        503,
        "directory-awaited",
        {"Retry-After": "5"},
        None,
    ),
    "wrong rows": (
        RowsRefusedError(FAULTS),
        422,
        "rows-refused",
        {},
        [{"row": 3, "field": "bucket", "reason": "too old"}],
    ),
    "foreign rows": (
        RowsRefusedError(FAULTS, forbidden=True),
        403,
        "foreign-rows",
        {},
        [{"row": 3, "field": "bucket", "reason": "too old"}],
    ),
    "rows beyond the account's limit": (
        NoRoomError(FAULTS),
        429,
        "account-full",
        {},
        [{"row": 3, "field": "bucket", "reason": "too old"}],
    ),
    "a full queue": (LedgerBusyError("Try again."), 503, "busy", {"Retry-After": "2"}, None),
    "a full disk": (
        LedgerUnwritableError("/data/ledger: disk full"),
        503,
        "ledger-unavailable",
        {"Retry-After": "10"},
        None,
    ),
    "a question that took too long": (
        LedgerDeadlineError(10),
        503,
        "too-slow",
        {"Retry-After": "10"},
        None,
    ),
    "a damaged ledger": (
        LedgerUnreadableError("/data/ledger: malformed"),
        503,
        "ledger-unavailable",
        {"Retry-After": "10"},
        None,
    ),
    "a problem itself": (
        ProblemError(415, "media-type", "Not JSON.", headers={"Accept": "application/json"}),
        415,
        "media-type",
        {"Accept": "application/json"},
        None,
    ),
    "any other error": (LedgerPlaceError("/data: damaged"), 500, "internal", {}, None),
    "an error of the tree without a case": (StatisticsError("x"), 500, "internal", {}, None),
}


@pytest.mark.parametrize(
    ("error", "status", "kind", "headers", "faults"), PROBLEMS.values(), ids=PROBLEMS.keys()
)
def test_an_error_is_answered_by_its_problem(
    error: Exception, status: int, kind: str, headers: dict[str, str], faults: list[dict[str, Any]] | None
) -> None:
    """Status, stable type, headers and faults; files of the server are not disclosed."""
    response = answer(problem_of(error))
    document = json.loads(bytes(response.body))
    assert (response.status_code, response.media_type) == (status, "application/problem+json")
    assert (document["status"], document["type"]) == (status, f"urn:wsedge:problem:{kind}")
    assert document.get("errors") == faults
    assert document["detail"]
    assert "/data" not in document["detail"]
    assert {name: response.headers[name] for name in headers} == headers
    assert response.headers["cache-control"] == "no-store"


def test_a_document_has_the_first_faults_only() -> None:
    """A report with thousands of wrong rows has a short answer."""
    faults = [Fault(row=number, reason="wrong") for number in range(MAX_FAULTS + 1)]
    document = json.loads(bytes(answer(ProblemError(422, "rows-refused", "wrong", errors=faults)).body))
    assert [fault["row"] for fault in document["errors"]] == list(range(MAX_FAULTS))


def test_the_challenge_is_a_header_whatever_the_reason_contains() -> None:
    """Quotes, backslashes, line breaks and letters beyond ASCII would break the quoted string."""
    assert challenge('a "b" \\ c\r\nd é') == {
        "WWW-Authenticate": 'Bearer realm="wsedge-statistics", error="invalid_token", '
        "error_description=\"a 'b' ' c''d '\""
    }
