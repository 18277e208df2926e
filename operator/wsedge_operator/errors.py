"""What can go wrong in the operator.

OperatorError
├── ApiError               the API server answered with an error status
│   ├── NotFoundError      404
│   ├── ConflictError      409
│   ├── UnauthorizedError  401: the credentials are not accepted
│   ├── ForbiddenError     403: a right is missing
│   ├── NamespaceGoneError 403, 404: the namespace is being deleted, or is deleted
│   └── InvalidError       400, 422: the object was refused
├── UnreachableError       no answer within the deadline, or no connection
│   └── RefusedError       the statistics did not understand what they were sent
├── LeaseLostError         another operator leads, or the Lease could not be renewed in time
├── AccessError            no usable kubeconfig and not in a cluster
├── WatchError             the watches ended, though nobody asked them to
├── UnknownZoneError       a time zone that the IANA database does not have
├── AccountError           an account's record is damaged, or from a newer version
├── UnreadableError        a stored object is of a version that this operator does not understand
└── ManifestError          a file is no manifest of ours, or one that the API server would refuse
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class OperatorError(Exception):
    """Base of all errors of the operator."""


@dataclass(eq=False)
class ApiError(OperatorError):
    """The API server answered `call` with an error status."""

    call: str
    status: int
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.call}: {self.status} {self.reason}: {self.message}"


class NotFoundError(ApiError):
    """404: the object, or its kind, does not exist."""


class ConflictError(ApiError):
    """409: it exists already, or another client changed it meanwhile."""


class UnauthorizedError(ApiError):
    """401: the API server does not accept the operator's token or certificate."""


class ForbiddenError(ApiError):
    """403: the operator's ServiceAccount lacks a right, a quota is used up, or a policy refuses."""


class NamespaceGoneError(ApiError):
    """The namespace of the object is being deleted, or is deleted: nothing is left to be done in it."""


class InvalidError(ApiError):
    """400 or 422: the API server refused the object."""


@dataclass(eq=False)
class UnreachableError(OperatorError):
    """`call` got no answer: no connection, or none within the deadline."""

    call: str
    why: str

    def __str__(self) -> str:
        return f"{self.call}: {self.why}"


class RefusedError(UnreachableError):
    """The statistics answered that the message is none that they know: they are of another version."""


class LeaseLostError(OperatorError):
    """The Lease is gone: this process no longer leads and must not write any more."""


class AccessError(OperatorError):
    """There is no way to reach an API server from here."""


class WatchError(OperatorError):
    """The watches ended by themselves."""


@dataclass(eq=False)
class UnknownZoneError(OperatorError):
    """The IANA time zone database of this system has no zone `name`."""

    name: str

    def __str__(self) -> str:
        return f"{self.name!r} is no time zone of the IANA database; write for example Asia/Shanghai or UTC"


@dataclass(eq=False)
class AccountError(OperatorError):
    """The record of an account cannot be read; `where` names the place in it.

    Nothing may be guessed here: the record is the billing history.
    """

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(eq=False)
class UnreadableError(OperatorError):
    """A stored object cannot be read by this version; `problems` name each field and why.

    The text names the first ten: it goes into a condition, whose message is bounded.
    """

    problems: tuple[str, ...]

    def __str__(self) -> str:
        more = len(self.problems) - 10
        return "; ".join(self.problems[:10]) + (f"; and {more} more" if more > 0 else "")


@dataclass(eq=False)
class ManifestError(OperatorError):
    """A manifest cannot be taken; `where` names the file and the field."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidError,
}


def api_error(call: str, status: int, body: Mapping[str, Any]) -> ApiError:
    """Return the error that fits an answer's status and its `Status` body."""
    kind = NamespaceGoneError if _is_namespace_gone(status, body) else _BY_STATUS.get(status, ApiError)
    return kind(call, status, str(body.get("reason") or ""), str(body.get("message") or ""))


def _is_namespace_gone(status: int, body: Mapping[str, Any]) -> bool:
    """Tell whether an answer is that of a namespace which no longer takes objects.

    Admission (NamespaceLifecycle) answers so: 403 with a cause while it is being deleted, 404 about a
    namespace afterwards.
    """
    details = body.get("details")
    if not isinstance(details, Mapping):
        return False
    if status == 404:
        return details.get("kind") == "namespaces"
    causes = details.get("causes")
    return status == 403 and any(
        isinstance(cause, Mapping) and cause.get("reason") == "NamespaceTerminating"
        for cause in (causes if isinstance(causes, list) else ())
    )


def advice(error: OperatorError) -> str:
    """Return why a call of the API server failed, in a sentence that says what to check."""
    match error:
        case UnauthorizedError():
            return "The API server does not accept the operator's credentials; check its token or kubeconfig."
        case ForbiddenError():
            return "The operator lacks a right; check the Roles of the chart (rbac.create)."
        case NotFoundError():
            return "The API server does not serve this; apply the CustomResourceDefinitions."
        case UnreachableError():
            return "The API server is not reachable; check its address and the network."
        case _:
            return "The API server failed; see its log."
