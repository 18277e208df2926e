"""Authorization of orders on the admin port, by the relay's token.

Every pod of a cluster can reach a relay's address, and a relay that drains serves no new client. So the port
answers GET without a token, and carries out orders only with the token of the relay's secrets folder. The
token is read for each order, so that it can be replaced while the relay runs.
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
_ASK_FOR_IT: Final = (
    "This needs the relay's admin token: Authorization: Bearer TOKEN. In a cluster it is the key"
    f" {ADMIN_TOKEN_FILE} of the Secret that the relay's pod mounts, and"
    " `kubectl exec POD -- wsedge-relay drain` sends it."
)
_NO_TOKEN: Final = (
    f"This relay has no admin token (the file {ADMIN_TOKEN_FILE} in its secrets folder), so it accepts orders"
    " from the loopback address of its own machine only. Create the token, or use a signal."
)


def refusal(call: Call, secrets_dir: Path) -> Reply | None:
    """Return the answer that rejects a call without authorization; None: the call is authorized."""
    try:
        token = read_token(secrets_dir)
    except TokenUnreadableError as error:
        return text_reply(503, str(error))
    if token is None:
        # On a laptop any web page can send a POST to loopback; its browser then adds an Origin header.
        is_local = ipaddress.ip_address(call.peer).is_loopback and call.header("origin") is None
        return None if is_local else text_reply(403, _NO_TOKEN)
    scheme, _, given = (call.header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), token):
        return None
    return Reply(401, _ASK_FOR_IT.encode() + b"\n", extra=("WWW-Authenticate: Bearer",))


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
        raise TokenUnreadableError("The file of the admin token holds no token.")
    return token
