"""Errors of the RPC: the codes, statuses and texts of the original, since programs compare codes. Pure.

Codes of the gateway are common to all of Alibaba Cloud's products; `Missing<Parameter>` is its form for a
parameter that an operation requires.
"""

from __future__ import annotations

from typing import Final

from wsedge_statistics.errors import RpcError

UNAVAILABLE_SECONDS: Final = 5
_TEMPORARY: Final = "The request has failed due to a temporary failure of the server."


def missing(name: str) -> RpcError:
    """Return the error for a parameter that must be given."""
    return RpcError(400, f"Missing{name}", f"{name} is mandatory for this action.")


def malformed(name: str, reason: str) -> RpcError:
    """Return the error for a parameter that cannot be parsed."""
    return RpcError(400, f"Invalid{name}.Malformed", f"Specified parameter {name} is malformed: {reason}.")


def unsupported(name: str, reason: str) -> RpcError:
    """Return the error for a parameter with a value outside of the supported ones."""
    text = f"Specified parameter {name} is not supported: {reason}."
    return RpcError(400, f"Invalid{name}.ValueNotSupported", text)


def incomplete(reason: str) -> RpcError:
    """Return the error for a signature that cannot be verified."""
    text = f"The request signature does not conform to the standard: {reason}."
    return RpcError(400, "IncompleteSignature", text)


def mismatch(string_to_sign: str) -> RpcError:
    """Return the error for a wrong signature.

    The old Python SDK takes the text after the first colon, and compares it with its own string to sign.
    """
    text = "Specified signature is not matched with our calculation. server string to sign is:"
    return RpcError(400, "SignatureDoesNotMatch", text + string_to_sign)


def unreadable(reason: str) -> RpcError:
    """Return the error for a request that two readers could understand differently."""
    return RpcError(400, "InvalidParameter", f"The request is refused: {reason}.")


def unknown_key() -> RpcError:
    """Return the error for an access key that does not exist, or not any more."""
    return RpcError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")


def inactive_key() -> RpcError:
    """Return the error for an access key that is disabled."""
    return RpcError(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")


def unknown_action() -> RpcError:
    """Return the error for an operation, version or path that is not served."""
    text = "Specified api is not found, please check your url and method."
    return RpcError(404, "InvalidAction.NotFound", text)


def unknown_version() -> RpcError:
    """Return the error for another version of the API."""
    return RpcError(400, "InvalidVersion", "Specified parameter Version is not valid.")


def bad_time_stamp() -> RpcError:
    """Return the error for a timestamp in another form."""
    text = "Specified time stamp or date value is not well formatted."
    return RpcError(400, "InvalidTimeStamp.Format", text)


def expired() -> RpcError:
    """Return the error for a timestamp that differs too much from the clock."""
    text = "Specified time stamp or date value is expired."
    return RpcError(400, "InvalidTimeStamp.Expired", text)


def used_nonce() -> RpcError:
    """Return the error for a nonce that was used."""
    return RpcError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")


def throttled(seconds: float) -> RpcError:
    """Return the error for too many calls; the next may be sent in `seconds`."""
    text = "Request was denied due to request throttling."
    return RpcError(503, "Throttling", text, retry_after=seconds)


def unknown_domain() -> RpcError:
    """Return the error for a domain that the account never had; the same for a domain of another account."""
    return RpcError(404, "InvalidDomain.NotFound", "The specified domain is not found in your account.")


def not_activated() -> RpcError:
    """Return the error for an account without a BillingPlan."""
    return RpcError(404, "DcdnServiceNotFound", "The DCDN service is not activated: create a BillingPlan.")


def unavailable(text: str = _TEMPORARY) -> RpcError:
    """Return the error for a question that cannot be answered now."""
    return RpcError(503, "ServiceUnavailable", text, retry_after=UNAVAILABLE_SECONDS)


def internal() -> RpcError:
    """Return the error for a defect of the program."""
    text = "The request processing has failed due to some unknown error."
    return RpcError(500, "InternalError", text)
