"""A client of the RPC by the original's documents, written apart from the product: three wire forms."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from support.statistics.process import Answer

VERSION = "2018-01-15"
_BARE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


def percent(text: str) -> str:
    """RFC 3986: only unreserved characters stay."""
    return "".join(chr(byte) if byte in _BARE else f"%{byte:02X}" for byte in text.encode())


def plus_form(pairs: Mapping[str, str]) -> str:
    """A form's encoding, in which a space is a plus."""
    return "&".join(
        f"{percent(k).replace('%20', '+')}={percent(v).replace('%20', '+')}" for k, v in pairs.items()
    )


def _sorted_query(pairs: Mapping[str, str]) -> str:
    return "&".join(f"{percent(name)}={percent(pairs[name])}" for name in sorted(pairs))


def time_stamp(at: datetime | None = None) -> str:
    return (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def rpc_signature(method: str, pairs: Mapping[str, str], secret: str) -> str:
    text = f"{method}&%2F&{percent(_sorted_query(pairs))}"
    return base64.b64encode(hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()).decode()


def rpc_parameters(
    action: str, key: tuple[str, str], method: str = "POST", more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """All parameters of an RPC call with their signature; `more` add to common ones or replace them."""
    common = {
        "Action": action,
        "Version": VERSION,
        "Format": "JSON",
        "AccessKeyId": key[0],
        "Timestamp": time_stamp(),
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureType": "",
        "SignatureNonce": uuid.uuid4().hex,
    }
    pairs = {**common, **(more or {})}
    return {**pairs, "Signature": rpc_signature(method, pairs, key[1])}


def acs3_headers(
    action: str,
    key: tuple[str, str],
    host: str,
    /,
    query: Mapping[str, str] | None = None,
    body: bytes = b"",
    method: str = "POST",
    changes: Mapping[str, str] | None = None,
    leave_out: str = "",
) -> dict[str, str]:
    """The headers of an ACS3 call; `leave_out` is the name of a header that is sent but not signed."""
    headers = {
        "host": host,
        "accept": "application/json",
        "x-acs-action": action,
        "x-acs-version": VERSION,
        "x-acs-date": time_stamp(),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        **(changes or {}),
    }
    names = sorted(name for name in headers if name != leave_out)
    signed = ";".join(names)
    canonical = f"{method}\n/\n{_sorted_query(query or {})}\n"
    canonical += "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    canonical += f"\n{signed}\n{hashlib.sha256(body).hexdigest()}"
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key[1].encode(), text.encode(), hashlib.sha256).hexdigest()
    authorization = f"ACS3-HMAC-SHA256 Credential={key[0]},SignedHeaders={signed},Signature={signature}"
    return {**headers, "Authorization": authorization}


class RpcClient:
    """Calls one RPC with one key."""

    def __init__(self, port: int, key: tuple[str, str]) -> None:
        self.port, self.key = port, key
        self.host = f"127.0.0.1:{port}"

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def in_query(self, action: str, method: str = "POST", /, **parameters: str) -> Answer:
        """Form A: everything in the query."""
        pairs = rpc_parameters(action, self.key, method, parameters)
        return self.send(method, f"/?{plus_form(pairs)}")

    def in_form(self, action: str, /, **parameters: str) -> Answer:
        """Form C: common parameters in the query, those of the operation in a form."""
        pairs = rpc_parameters(action, self.key, "POST", parameters)
        body = {name: pairs.pop(name) for name in parameters}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", f"/?{plus_form(pairs)}", plus_form(body).encode(), headers)

    def in_headers(self, action: str, /, **parameters: str) -> Answer:
        """Form B: action and signature in headers, those of the operation in the query."""
        headers = acs3_headers(action, self.key, self.host, parameters)
        return self.send("POST", f"/?{plus_form(parameters)}", headers=headers)
