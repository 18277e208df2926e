"""The RPC as an ASGI application: one HTTP request in, one answer of the original's form out.

    read ──▶ action ──▶ timestamp, key, signature, nonce ──▶ calls per second ──▶ operation ──▶ render

Every answer has the form that the request asks for, errors too: an SDK that gets another hides the cause.
"""

from __future__ import annotations

import asyncio
import math
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wsedge_statistics.dcdn import faults
from wsedge_statistics.dcdn.incoming import Incoming, read_incoming
from wsedge_statistics.dcdn.operations import OPERATIONS, VERSION, Call
from wsedge_statistics.dcdn.rendering import render
from wsedge_statistics.dcdn.replays import TOLERANCE, Nonces, Rates
from wsedge_statistics.dcdn.signatures import Signed, read_signed
from wsedge_statistics.errors import (
    ForbiddenError,
    LedgerDeadlineError,
    QueryError,
    RpcError,
    StatisticsError,
    UnknownDomainError,
)
from wsedge_statistics.identity.access_keys import AccessKey, AccessKeys
from wsedge_statistics.identity.callers import Caller
from wsedge_statistics.services import Services

MAX_BODY: Final = 64 << 10  # parameters of one call; a head of uvicorn has the same bound
READ_SECONDS: Final = 10.0
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")

log = structlog.get_logger()


@dataclass
class Rpc:
    """Answers calls that are signed with the access keys that `keys` returns (None: not read yet)."""

    services: Services
    keys: Callable[[], AccessKeys | None]
    nonces: Nonces = field(default_factory=Nonces)
    rates: Rates = field(default_factory=Rates)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        request_id = str(uuid.uuid4()).upper()
        host = request.headers.get("host", "")
        framing = {"RequestId": request_id, "HostId": host if _HOST.fullmatch(host) else "unknown"}
        action, incoming = "other", None
        try:
            incoming = await _incoming(request)
            signed = read_signed(incoming)
            if signed.action not in OPERATIONS:
                raise faults.unknown_action()
            action = signed.action
            tree = await self._called(signed)
            status, root, code = 200, f"{action}Response", "OK"
            tree, headers = {"RequestId": request_id, **tree}, {}
        except Exception as error:  # noqa: BLE001  an answer of another form would hide every cause from SDKs
            fault = _fault(error)
            status, root, code = fault.status, "Error", fault.code
            tree, headers = {**framing, "Code": fault.code, "Message": fault.text}, _retry(fault)
        self.services.metrics.questions.rpc_calls.labels(action, code).inc()
        as_json = incoming.wants_json if incoming is not None else _looks_for_json(request)
        body, media_type = render(tree, root, as_json=as_json)
        headers |= {"x-acs-request-id": request_id, "Cache-Control": "no-store", "Content-Type": media_type}
        return Response(body, status, headers)

    async def _called(self, signed: Signed) -> dict[str, Any]:
        if signed.version != VERSION:
            raise faults.unknown_version()
        now = self.services.clock()
        key = self._verified(signed, now)
        operation = OPERATIONS[signed.action]
        self.rates.check(key.account, signed.action, operation.per_second, now)
        caller = Caller(f"access-key:{key.key_id}", key.account, issued=key.created)
        return await operation.run(Call(self.services, caller, signed.parameters, now))

    def _verified(self, signed: Signed, now: datetime) -> AccessKey:
        """Return the key that signed a request. Raises RpcError."""
        if abs(signed.timestamp - now) > TOLERANCE:
            raise faults.expired()
        keys = self.keys()
        if keys is None:
            raise faults.unavailable()
        named = keys.named(signed.key_id)
        if not named:
            raise faults.unknown_key()
        key = next((each for each in named if signed.matches(each.secret)), None)
        if key is None:
            raise faults.mismatch(signed.string_to_sign)
        if not key.active:
            raise faults.inactive_key()
        self.nonces.use(key.account, f"{key.key_id}/{signed.nonce}", signed.timestamp, now)
        return key


async def _incoming(request: Request) -> Incoming:
    if request.method not in ("GET", "POST"):
        raise RpcError(405, "UnsupportedHTTPMethod", "This http method is not supported.")
    if request.scope["path"] != "/":
        raise faults.unknown_action()
    body = await _body(request)
    scope = request.scope
    return read_incoming(request.method, "/", scope["headers"], scope["query_string"], body)


async def _body(request: Request) -> bytes:
    """Return the body, bounded in size and time. Raises RpcError."""
    body = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise RpcError(413, "RequestTooLarge", f"The body is larger than {MAX_BODY} bytes.")
    except ClientDisconnect:
        raise faults.unreadable("the body was cut off") from None
    except TimeoutError:
        raise RpcError(408, "RequestTimeout", f"The body took more than {READ_SECONDS:g} s.") from None
    return bytes(body)


def _fault(error: Exception) -> RpcError:
    """Return the RPC's error for an error of the tree; a defect is logged."""
    match error:
        case RpcError():
            return error
        case UnknownDomainError():
            return faults.unknown_domain()
        case QueryError():  # a range that the ledger does not keep for these filters
            return faults.unsupported("StartTime", error.reason)
        case ForbiddenError():  # a key of a namespace that was deleted and made again since
            return faults.unknown_key()
        case LedgerDeadlineError():
            return faults.unavailable(str(error))
        case StatisticsError():
            log.warning("rpc not answered", error=str(error)[:300])
            return faults.unavailable()
    log.exception("rpc failed", exc_info=error)
    return faults.internal()


def _retry(fault: RpcError) -> dict[str, str]:
    """Return the headers that tell when a later call helps, in the SDKs' unit and in HTTP's."""
    if fault.retry_after is None:
        return {}
    seconds = max(fault.retry_after, 0.001)
    return {"x-acs-retry-after": str(math.ceil(seconds * 1000)), "Retry-After": str(math.ceil(seconds))}


def _looks_for_json(request: Request) -> bool:
    """Return whether a request that cannot be read asks for JSON."""
    query: bytes = request.scope["query_string"]
    return b"format=json" in query.lower() or "json" in request.headers.get("accept", "").lower()


def by_port(first: Any, second: Any, port: int) -> Callable[[Scope, Receive, Send], Any]:
    """Return an application that hands connections to local port `port` to `second`, others to `first`.

    The local port of a connection is the kernel's word; a Host header is the client's.
    """

    async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        server = scope.get("server")
        chosen = second if scope["type"] == "http" and server and server[1] == port else first
        await chosen(scope, receive, send)

    return application
