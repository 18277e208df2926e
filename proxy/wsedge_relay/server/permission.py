"""Authorization of orders on the admin port, by the relay's token.

Every pod of a cluster can reach a relay's address, and a relay that drains refuses new clients. So the port
answers GET without a token, but an order (POST) needs the token in the relay's secrets folder, and so does
the list of connections, since the addresses of clients are personal data. The token is read for each request,
so that it can be replaced while the relay runs.
"""

from __future__ import annotations

import hmac
import ipaddress
from pathlib import Path
from typing import Final

from wsedge_relay.contract import ADMIN_TOKEN_FILE, ADMIN_TOKEN_HEADER
from wsedge_relay.errors import TokenUnreadableError
from wsedge_relay.server.admin import Call, Reply, text_reply

_MOST_BYTES: Final = 4096
_HEADER: Final = ADMIN_TOKEN_HEADER.lower()
_OF_PROXIES: Final = ("via", "forwarded", "x-forwarded-for", "x-real-ip", "cdn-loop")
_UNAUTHORIZED: Final = (
    "This request needs the relay's admin token: Authorization: Bearer TOKEN, or"
    f" {ADMIN_TOKEN_HEADER}: TOKEN. In a cluster the token is the key"
    f" {ADMIN_TOKEN_FILE} of the Secret that the relay's pod mounts, and"
    " `kubectl exec POD -- wsedge-relay drain` sends it."
)
_LOOPBACK_ONLY: Final = (
    f"This relay has no admin token (the file {ADMIN_TOKEN_FILE} in its secrets folder), so it accepts such"
    " requests from the loopback address of its own machine only. Create that file, or send it SIGTERM."
)


def refusal(call: Call, secrets_dir: Path) -> Reply | None:
    """Return the answer that rejects a call, None when the call is authorized."""
    try:
        token = read_token(secrets_dir)
    except TokenUnreadableError as error:
        return text_reply(503, str(error))
    if token is None:
        is_local = ipaddress.ip_address(call.peer).is_loopback and not _came_through_a_proxy(call)
        return None if is_local else text_reply(403, _LOOPBACK_ONLY)
    if _is_given(call, token):
        return None
    return Reply(401, _UNAUTHORIZED.encode() + b"\n", extra=("WWW-Authenticate: Bearer",))


def is_vouched_for(call: Call, secrets_dir: Path) -> bool:
    """Return whether a call has the token in a header of its own; no web page of a stranger knows it."""
    if not call.values(_HEADER):
        return False
    try:
        token = read_token(secrets_dir)
    except TokenUnreadableError:
        return False
    return token is not None and _is_given(call, token)


def _is_given(call: Call, token: bytes) -> bool:
    own = call.values(_HEADER)
    if own:
        return len(own) == 1 and hmac.compare_digest(own[0].encode("latin-1"), token)
    scheme, _, given = (call.header("authorization") or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), token)


def _came_through_a_proxy(call: Call) -> bool:
    """Return whether a proxy on this machine forwarded the call: its client may be on any machine."""
    return any(call.values(name) for name in _OF_PROXIES)


def read_token(secrets_dir: Path) -> bytes | None:
    """Return the token, None when the file does not exist; raises TokenUnreadableError."""
    path = secrets_dir / ADMIN_TOKEN_FILE
    try:
        with path.open("rb") as stream:
            token = stream.read(_MOST_BYTES + 1).strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TokenUnreadableError(f"The admin token cannot be read: {error.strerror}.") from error
    if not token or len(token) > _MOST_BYTES or not token.isascii():
        raise TokenUnreadableError("The file of the admin token does not contain a token.")
    return token
