"""Authorization of orders on the admin port, by the relay's token.

Every pod of a cluster can reach a relay's address, and a relay that drains refuses new clients. So the port
answers GET without a token, but an order (POST) needs the token in the relay's secrets folder. The token is
read for each order, so that it can be replaced while the relay runs.
"""

from __future__ import annotations

import hmac
import ipaddress
from pathlib import Path
from typing import Final

from wsedge_relay.contract import ADMIN_TOKEN_FILE
from wsedge_relay.errors import TokenUnreadableError
from wsedge_relay.server.admin import Call, Reply, text_reply

_MOST_BYTES: Final = 4096
_OF_PROXIES: Final = ("via", "forwarded", "x-forwarded-for", "x-real-ip", "cdn-loop")
_UNAUTHORIZED: Final = (
    "This request needs the relay's admin token: Authorization: Bearer TOKEN. In a cluster the token is"
    f" the key {ADMIN_TOKEN_FILE} of the Secret that the relay's pod mounts, and"
    " `kubectl exec POD -- wsedge-relay drain` sends it."
)
_LOOPBACK_ONLY: Final = (
    f"This relay has no admin token (the file {ADMIN_TOKEN_FILE} in its secrets folder), so it accepts orders"
    " from the loopback address of its own machine only. Create that file, or send the relay SIGTERM."
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
    scheme, _, given = (call.header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), token):
        return None
    return Reply(401, _UNAUTHORIZED.encode() + b"\n", extra=("WWW-Authenticate: Bearer",))


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
