"""The RPC in memory: signed calls without a socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support.statistics.application import NOW, MemoryLedger, services_over, two_accounts
from support.statistics.dcdn import plus_form, rpc_parameters, time_stamp
from support.statistics.process import Answer
from support.statistics.secrets import key_secret
from wsedge_statistics.contract import Directory
from wsedge_statistics.dcdn.rpc import Rpc
from wsedge_statistics.identity.access_keys import AccessKeys, KeySecret, read_secret

KEY = ("LTAI5owner", "the_secret_of_team-a")
OTHER = ("LTAI5other", "the_secret_of_team-b")
OFF = ("LTAI5off", "a_secret_that_is_off")


def keys_of(*secrets: dict[str, Any]) -> AccessKeys:
    found = (read_secret(secret) for secret in secrets)
    return AccessKeys.of(each for each in found if isinstance(each, KeySecret))


TWO_KEYS = keys_of(
    key_secret("team-a", dict([KEY, OFF]), annotations={"wsedge.io/inactive-access-keys": OFF[0]}),
    key_secret("team-b", dict([OTHER])),
)


def rpc_over(
    ledger: MemoryLedger | None = None,
    directory: Directory | None = None,
    *,
    keys: AccessKeys | None = TWO_KEYS,
    **changes: Any,
) -> Rpc:
    """The RPC of a program at NOW with two accounts."""
    services = services_over(ledger or MemoryLedger(), directory or two_accounts(), **changes)
    return Rpc(services, lambda: keys)


async def send(
    rpc: Rpc,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    messages: list[dict[str, Any]] | None = None,
) -> Answer:
    """Send one request; `messages` replace the body's."""
    place, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": place,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    arriving = iter(messages or [{"type": "http.request", "body": body, "more_body": False}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(arriving)

    async def take(message: Any) -> None:
        sent.append(message)

    await rpc(scope, receive, take)
    head = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], head, b"".join(part.get("body", b"") for part in sent[1:]))


async def call(
    rpc: Rpc,
    action: str,
    key: tuple[str, str] = KEY,
    changes: Mapping[str, str] | None = None,
    /,
    **parameters: str,
) -> Answer:
    """Send a signed call at NOW; `changes` replace common parameters."""
    common = {"Timestamp": time_stamp(NOW), **parameters, **(changes or {})}
    pairs = rpc_parameters(action, key, "POST", common)
    return await send(rpc, "POST", f"/?{plus_form(pairs)}", headers={"Host": "dcdn.example:8090"})
