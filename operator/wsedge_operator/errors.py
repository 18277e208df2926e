"""The errors of the operator.

OperatorError
├── ApiError               the API server answered with an error status
│   ├── NotFoundError      404
│   ├── ConflictError      409
│   ├── UnauthorizedError  401: the credentials are not accepted
│   ├── ForbiddenError     403: a right is missing
│   ├── ExpiredError       410: a watch or a list cannot go on from its resource version
│   ├── UndeclaredError    the definition of the kind in the cluster lacks a field: it is older
│   ├── NamespaceGoneError 403, 404: the namespace is being deleted, or is deleted
│   └── InvalidError       400, 422: the object is refused
├── UnreachableError       no answer within the deadline, or no connection
│   └── RefusedError       422 from the statistics: a field of the message is unknown to them
├── LeaseLostError         another operator leads, or the Lease was not renewed in time
├── AccessError            no usable kubeconfig, and no ServiceAccount token of a pod
├── UnknownZoneError       a time zone that the IANA database does not have
├── AccountError           an account's record is damaged, or written by a newer version
├── UnreadableError        a stored object that this version of the operator cannot parse
├── ManifestError          a file that is no manifest, or one that the API server would refuse
├── KubectlError           kubectl failed, or is not there
├── AccessKeyError         an access key that does not exist, or cannot be made
└── PluginError            a verb of `kubectl wsedge` cannot do its work
    └── NoRelayError       a pod that exists is no relay
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
    retry_after: float | None = None
    """Seconds that the answer asks to wait before the next call."""

    def __str__(self) -> str:
        return f"{self.call}: {self.status} {self.reason}: {self.message}"


class NotFoundError(ApiError):
    """404: the object, or its kind, does not exist."""


class ConflictError(ApiError):
    """409: the object exists already, or another client changed it since it was read."""


class ExpiredError(ApiError):
    """410: the API server does not have the changes since a resource version any more."""


class UnauthorizedError(ApiError):
    """401: the API server does not accept the operator's token or certificate."""


class ForbiddenError(ApiError):
    """403: the operator's ServiceAccount lacks a right, a quota is used up, or a policy refuses."""


class NamespaceGoneError(ApiError):
    """The namespace of the object is being deleted, or is deleted: nothing can be written there."""


class UndeclaredError(ApiError):
    """The definition of the object's kind lacks a field, so that server-side apply refuses all of it."""


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
    """The statistics answered 422: they are of another version, which lacks a field of the message."""


class LeaseLostError(OperatorError):
    """The process holds the Lease no longer, so it must not write."""


class AccessError(OperatorError):
    """No API server can be called: KUBECONFIG, the pod's token or a certificate is missing or unusable."""


@dataclass(eq=False)
class UnknownZoneError(OperatorError):
    """The IANA time zone database of this system has no zone `name`."""

    name: str

    def __str__(self) -> str:
        return f"{self.name!r} is no time zone of the IANA database; write for example Asia/Shanghai or UTC"


@dataclass(eq=False)
class AccountError(OperatorError):
    """The record of an account cannot be parsed; `where` names the place in it.

    The operator never guesses a value instead: the record is the billing history.
    """

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(eq=False)
class UnreadableError(OperatorError):
    """A stored object cannot be parsed by this version; each of `problems` names a field and the reason.

    The text has the first ten of them: it becomes the message of a condition, which is bounded.
    """

    problems: tuple[str, ...]

    def __str__(self) -> str:
        more = len(self.problems) - 10
        return "; ".join(self.problems[:10]) + (f"; and {more} more" if more > 0 else "")


@dataclass(eq=False)
class ManifestError(OperatorError):
    """A manifest is refused; `where` names the file and the field."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


class KubectlError(OperatorError):
    """kubectl failed; the text is its own."""


class AccessKeyError(OperatorError):
    """An access key does not exist, or cannot be made; the text is for a person."""


@dataclass(eq=False)
class PluginError(OperatorError):
    """A verb of `kubectl wsedge` failed: a sentence for a person, and the exit code.

    `more` has lines to print below it, such as the Role that gives a missing right.
    """

    sentence: str
    code: int = 1
    more: str = ""

    def __str__(self) -> str:
        return self.sentence


class NoRelayError(PluginError):
    """A pod that exists is no relay of a domain."""


# The message of structured-merge-diff; the status of the answer is 500 or 400, by release.
_UNDECLARED = "field not declared in schema"
_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: ExpiredError,
    422: InvalidError,
}


def api_error(call: str, status: int, body: Mapping[str, Any], retry_after: float | None = None) -> ApiError:
    """Return the error of an answer, by its HTTP status and its body (a `Status` of meta/v1, or any JSON)."""
    kind = NamespaceGoneError if _is_namespace_gone(status, body) else _BY_STATUS.get(status, ApiError)
    if status >= 400 and _UNDECLARED in str(body.get("message")):
        kind = UndeclaredError
    return kind(call, status, str(body.get("reason") or ""), str(body.get("message") or ""), retry_after)


def _is_namespace_gone(status: int, body: Mapping[str, Any]) -> bool:
    """Return whether an answer says that the namespace accepts no objects any more.

    The admission plugin NamespaceLifecycle answers 403 with the cause NamespaceTerminating while the
    namespace is being deleted, and 404 with details of kind `namespaces` afterwards.
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
    """Return a sentence for the operator's administrator: why the call failed, and what to check."""
    match error:
        case UnauthorizedError():
            return "The API server does not accept the operator's credentials; check its token or kubeconfig."
        case ForbiddenError():
            return "The operator lacks a right; check the Roles of the chart (rbac.create)."
        case NotFoundError():
            return "The API server does not serve this; apply the CustomResourceDefinitions."
        case ApiError(status=429):
            return "The API server has more calls than it can answer; the operator waits as it asks."
        case UnreachableError():
            return "The API server is not reachable; check its address and the network."
        case _:
            return "The API server failed; see its log."
