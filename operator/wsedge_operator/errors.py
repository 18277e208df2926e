"""What can go wrong in the operator.

OperatorError
├── ApiError               the API server answered with an error status
│   ├── NotFoundError      404
│   ├── ConflictError      409
│   ├── ForbiddenError     401, 403: a right is missing
│   └── InvalidError       400, 422: the object was refused
├── UnreachableError       no answer within the deadline, or no connection
├── LeaseLostError         another operator leads, or the Lease could not be renewed in time
├── AccessError            no usable kubeconfig and not in a cluster
├── WatchError             the watches ended, though nobody asked them to
├── UnknownZoneError       a time zone that the IANA database does not have
├── AccountError           an account's record is damaged, or from a newer version
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
    """409: it exists already, or was changed by somebody else meanwhile."""


class ForbiddenError(ApiError):
    """401 or 403: the operator's ServiceAccount lacks a right, or a quota is used up."""


class InvalidError(ApiError):
    """400 or 422: the API server refused the object."""


@dataclass(eq=False)
class UnreachableError(OperatorError):
    """`call` got no answer: no connection, or none within the deadline."""

    call: str
    why: str

    def __str__(self) -> str:
        return f"{self.call}: {self.why}"


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
class ManifestError(OperatorError):
    """A manifest cannot be taken; `where` names the file and the field."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidError,
}


def api_error(call: str, status: int, body: Mapping[str, Any]) -> ApiError:
    """Return the error that fits an answer's status and its `Status` body."""
    kind = _BY_STATUS.get(status, ApiError)
    return kind(call, status, str(body.get("reason") or ""), str(body.get("message") or ""))
