"""Errors as problem documents (RFC 9457): the reason, the parameter or row, and the allowed values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from wsedge_statistics.contract import DIRECTORY_PATH, USAGE_PATH
from wsedge_statistics.errors import (
    BillingError,
    DirectoryAwaitedError,
    ForbiddenError,
    KeysUnavailableError,
    LedgerBusyError,
    LedgerDeadlineError,
    LedgerUnreadableError,
    LedgerUnwritableError,
    NoRoomError,
    QueryError,
    RowsRefusedError,
    TokenRefusedError,
    UnknownAccountError,
    UnknownDomainError,
    UnknownStatementError,
)
from wsedge_statistics.web.services import services_of

MEDIA_TYPE: Final = "application/problem+json"
MAX_FAULTS: Final = 100
log = structlog.get_logger()


class Fault(BaseModel):
    """One fault and its place in the request."""

    model_config = ConfigDict(extra="forbid")

    row: int | None = Field(None, description="index of the report's row, from 0")
    field: str | None = Field(None, description="field of the row or message")
    parameter: str | None = Field(None, description="query parameter")
    reason: str = Field(description="why the request is refused")
    allowed: str | None = Field(None, description="values that are allowed")


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field("about:blank", description="kind of problem, stable: urn:wsedge:problem:NAME")
    title: str
    status: int
    detail: str
    errors: list[Fault] | None = Field(None, description="each fault (the first 100)")


class ProblemError(Exception):
    """A problem as an exception, raised where the tree of errors has no class for it."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: list[Fault] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers


def document_of(error: ProblemError) -> bytes:
    """Return a problem as its document."""
    problem = Problem(
        type=f"urn:wsedge:problem:{error.kind}",
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.detail,
        errors=error.errors[:MAX_FAULTS] if error.errors else None,
    )
    return json.dumps(problem.model_dump(exclude_none=True), ensure_ascii=True).encode()


def answer(error: ProblemError) -> Response:
    """Return the HTTP answer of a problem."""
    headers = dict(error.headers or {}) | {"Cache-Control": "no-store"}
    return Response(document_of(error), error.status, headers, MEDIA_TYPE)


def problem_of(error: Exception) -> ProblemError:
    """Return the problem of an error of the tree; 500 for any other."""
    match error:
        case ProblemError():
            return error
        case QueryError():
            fault = Fault(parameter=error.parameter, reason=error.reason, allowed=error.allowed)
            return ProblemError(400, "bad-parameter", str(error), errors=[fault])
        case UnknownDomainError():
            fault = Fault(parameter="domain", reason=str(error), allowed="a domain that /v1/domains lists")
            return ProblemError(404, "unknown-domain", str(error), errors=[fault])
        case UnknownStatementError():
            fault = Fault(parameter="period", reason=str(error), allowed="a period that /v1/statements lists")
            return ProblemError(404, "unknown-statement", str(error), errors=[fault])
        case UnknownAccountError():
            fault = Fault(parameter="account", reason=str(error), allowed="an account that /v1/domains lists")
            return ProblemError(404, "unknown-account", str(error), errors=[fault])
        case BillingError():
            return ProblemError(503, "statements-unavailable", f"{error}.", headers={"Retry-After": "300"})
        case TokenRefusedError():
            return ProblemError(401, "token-refused", str(error), headers=challenge(str(error)))
        case KeysUnavailableError():
            return ProblemError(503, "keys-unavailable", str(error), headers={"Retry-After": "5"})
        case ForbiddenError():
            return ProblemError(403, "forbidden", str(error))
        case DirectoryAwaitedError():
            return ProblemError(503, "directory-awaited", str(error), headers={"Retry-After": "5"})
        case RowsRefusedError():
            faults = [Fault(row=f.row, field=f.field, reason=f.reason) for f in error.faults]
            if isinstance(error, NoRoomError):
                return ProblemError(429, "account-full", str(error), errors=faults)
            if error.forbidden:
                return ProblemError(403, "foreign-rows", str(error), errors=faults)
            return ProblemError(422, "rows-refused", str(error), errors=faults)
        case LedgerBusyError():
            return ProblemError(503, "busy", str(error), headers={"Retry-After": "2"})
        case LedgerUnwritableError():
            # The cause names files of the server: it is logged and not answered.
            detail = (
                "The ledger is not available now, and nothing of this request was stored. Try again later."
            )
            return ProblemError(503, "ledger-unavailable", detail, headers={"Retry-After": "10"})
        case LedgerDeadlineError():
            return ProblemError(503, "too-slow", str(error), headers={"Retry-After": "10"})
        case LedgerUnreadableError():
            detail = "The ledger cannot be read now. Try again later."
            return ProblemError(503, "ledger-unavailable", detail, headers={"Retry-After": "10"})
    return ProblemError(500, "internal", "The program has a defect; its log has the cause.")


def challenge(reason: str) -> dict[str, str]:
    """Return the WWW-Authenticate header (RFC 6750 §3)."""
    quoted = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "'" for c in reason)
    scheme = 'Bearer realm="wsedge-statistics", error="invalid_token"'
    return {"WWW-Authenticate": f'{scheme}, error_description="{quoted}"'}


def _of_validation(error: RequestValidationError, parameters: list[str]) -> ProblemError:
    faults = []
    for fault in error.errors():
        name = str(fault["loc"][1]) if len(fault["loc"]) > 1 else str(fault["loc"][0])
        if fault["type"] == "extra_forbidden":
            allowed = ", ".join(parameters)
            faults.append(Fault(parameter=name, reason="not a parameter of this endpoint", allowed=allowed))
        else:
            expected = (fault.get("ctx") or {}).get("expected")
            reason = str(fault["msg"]).removeprefix("Value error, ")
            faults.append(Fault(parameter=name, reason=reason, allowed=str(expected) if expected else None))
    text = "; ".join(f"{fault.parameter}: {fault.reason}" for fault in faults[:5])
    return ProblemError(400, "bad-parameter", text, errors=faults)


def _of_http(error: HTTPException, path: str) -> ProblemError:
    texts = {
        404: ("not-found", f"{path} does not exist. /openapi.json lists the paths."),
        405: (
            "method-not-allowed",
            f"{path} does not support this method. The Allow header lists the methods.",
        ),
    }
    kind, detail = texts.get(error.status_code, ("http", str(error.detail)))
    return ProblemError(error.status_code, kind, detail, headers=error.headers)


async def _handle(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        problem = _of_validation(error, _parameters(request))
    elif isinstance(error, HTTPException):
        problem = _of_http(error, request.url.path)
    else:
        problem = problem_of(error)
    if request.url.path in (USAGE_PATH, DIRECTORY_PATH):
        _report(request, problem, str(error))
    return answer(problem)


def _report(request: Request, problem: ProblemError, reason: str) -> None:
    """Log and count a refused message: the sender retains its counts until the cause is removed."""
    if request.url.path == USAGE_PATH:
        metrics = services_of(request).metrics
        metrics.ingest.refused.labels(problem.kind).inc()
        named = {fault.row for fault in problem.errors or () if fault.row is not None}
        metrics.ingest.refused_rows.labels(problem.kind).inc(len(named))
    log.warning(
        "message refused",
        path=request.url.path,
        caller=getattr(request.state, "subject", None),
        status=problem.status,
        kind=problem.kind,
        reason=reason[:500],
    )


def _parameters(request: Request) -> list[str]:
    """Return the query parameters of a request's endpoint."""
    described = request.app.openapi()["paths"].get(request.url.path, {}).get(request.method.lower(), {})
    return [each["name"] for each in described.get("parameters", []) if each["in"] == "query"]


def install(app: FastAPI) -> None:
    """Make the application answer every error as a problem."""
    kinds: tuple[Any, ...] = (
        RequestValidationError,
        HTTPException,
        ProblemError,
        QueryError,
        UnknownAccountError,
        UnknownDomainError,
        UnknownStatementError,
        BillingError,
        TokenRefusedError,
        KeysUnavailableError,
        ForbiddenError,
        DirectoryAwaitedError,
        RowsRefusedError,
        LedgerBusyError,
        LedgerDeadlineError,
        LedgerUnreadableError,
        LedgerUnwritableError,
        Exception,
    )
    for kind in kinds:
        app.add_exception_handler(kind, _handle)
