"""The caller of a request: its bearer token, verified."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from wsedge_statistics.contract import TOKEN_AUDIENCE
from wsedge_statistics.errors import TokenRefusedError
from wsedge_statistics.identity.callers import LAPTOP, Caller, caller_of
from wsedge_statistics.web.services import services_of

_bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    description="ServiceAccount token: "
    f"kubectl create token NAME --namespace ACCOUNT --audience {TOKEN_AUDIENCE}",
)


async def identify(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """Return the caller of a request. Raises TokenRefusedError or KeysUnavailableError."""
    verifier = services_of(request).verifier
    if verifier is None:
        return LAPTOP
    if credentials is None:
        raise TokenRefusedError(
            f"The request has no bearer token. Send a ServiceAccount token of the audience {TOKEN_AUDIENCE}."
        )
    caller = caller_of(await verifier.claims(credentials.credentials))
    request.state.subject = caller.subject
    return caller


CallerOf = Annotated[Caller, Depends(identify)]
