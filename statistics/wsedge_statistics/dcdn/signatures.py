"""The wire forms of a signed request. Pure.

    RPC     every parameter is signed with HMAC-SHA1. The signature is a parameter; all parameters are in the
            query (the old SDK), or those of the operation in a form body (the first Tea SDKs).
    ACS3    `Authorization: ACS3-HMAC-SHA256 …`: the query, the body's SHA-256 and the named headers are
            signed with HMAC-SHA256. Operation, version, date and nonce are headers x-acs-….

No part that decides an answer is taken from an unsigned place.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from wsedge_statistics.dcdn import faults
from wsedge_statistics.dcdn.incoming import Incoming

ACS3: Final = "ACS3-HMAC-SHA256"
RPC_METHOD: Final = "HMAC-SHA1"
LONGEST_NONCE: Final = 128
_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_AUTHORIZATION: Final = re.compile(
    ACS3
    + r"\s+Credential=(?P<key>[^,\s]+),\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>\S+)"
)
# Each of them decides the answer, so it must be signed.
_NEEDED: Final = (
    "x-acs-action",
    "x-acs-version",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-content-sha256",
)


@dataclass(frozen=True, slots=True)
class Signed:
    """A request with its signature, which is not verified yet."""

    is_acs3: bool
    action: str
    version: str
    key_id: str
    nonce: str
    timestamp: datetime
    string_to_sign: str
    signature: str
    parameters: Mapping[str, str]

    def matches(self, secret: str) -> bool:
        """Return whether a secret made the signature; the time taken does not tell where it differs."""
        text = self.string_to_sign.encode()
        if self.is_acs3:
            expected = hmac.digest(secret.encode(), text, "sha256").hex().encode()
        else:
            expected = base64.b64encode(hmac.digest(f"{secret}&".encode(), text, "sha1"))
        return hmac.compare_digest(expected, self.signature.encode("utf-8", "surrogatepass"))


def read_signed(request: Incoming) -> Signed:
    """Return the signed parts of a request. Raises RpcError."""
    authorization = request.headers.get("authorization", "")
    return _acs3(request, authorization) if authorization.startswith(ACS3) else _rpc(request)


def _rpc(request: Incoming) -> Signed:
    given = request.parameters
    for name in ("Action", "Version", "AccessKeyId", "Timestamp", "SignatureNonce", "Signature"):
        if not given.get(name):
            raise faults.missing(name)
    if given.get("SignatureMethod", RPC_METHOD).upper() != RPC_METHOD:
        raise faults.incomplete(f"the SignatureMethod is not {RPC_METHOD}")
    if given.get("SignatureVersion", "1.0") != "1.0":
        raise faults.incomplete("the SignatureVersion is not 1.0")
    signed = {name: value for name, value in given.items() if name != "Signature"}
    return Signed(
        is_acs3=False,
        action=given["Action"],
        version=given["Version"],
        key_id=given["AccessKeyId"],
        nonce=_nonce(given["SignatureNonce"]),
        timestamp=_instant(given["Timestamp"]),
        string_to_sign=f"{request.method}&{_encoded('/')}&{_encoded(_canonical(signed))}",
        signature=given["Signature"],
        parameters=given,
    )


def _acs3(request: Incoming, authorization: str) -> Signed:
    parsed = _AUTHORIZATION.fullmatch(authorization)
    if parsed is None:
        raise faults.incomplete(f"the form is {ACS3} Credential=…,SignedHeaders=…,Signature=…")
    headers = request.headers
    for name in _NEEDED:
        if not headers.get(name):
            raise faults.incomplete(f"the header {name} is missing")
    names = parsed["headers"].lower().split(";")
    for name in headers:
        if name.startswith("x-acs-") and name not in names:
            raise faults.incomplete(f"the header {name} is not signed")
    digest = hashlib.sha256(request.body).hexdigest()
    lines = [f"{name}:{headers.get(name, '')}\n" for name in names]
    parts = [
        request.method,
        request.path,
        _canonical(request.query),
        "".join(lines),
        parsed["headers"],
        digest,
    ]
    canonical = "\n".join(parts).encode()
    return Signed(
        is_acs3=True,
        action=headers["x-acs-action"],
        version=headers["x-acs-version"],
        key_id=parsed["key"],
        nonce=_nonce(headers["x-acs-signature-nonce"]),
        timestamp=_instant(headers["x-acs-date"]),
        string_to_sign=f"{ACS3}\n{hashlib.sha256(canonical).hexdigest()}",
        signature=parsed["signature"],
        parameters=request.parameters,
    )


def _canonical(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{_encoded(name)}={_encoded(parameters[name])}" for name in sorted(parameters))


def _encoded(text: str) -> str:
    """Return a text in RFC 3986's percent-encoding, as signatures have it: only unreserved letters bare."""
    return quote(text, safe="")


def _nonce(text: str) -> str:
    if len(text) > LONGEST_NONCE:
        raise faults.incomplete(f"the nonce is longer than {LONGEST_NONCE} characters")
    return text


def _instant(text: str) -> datetime:
    if not _INSTANT.fullmatch(text):
        raise faults.bad_time_stamp()
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise faults.bad_time_stamp() from None
