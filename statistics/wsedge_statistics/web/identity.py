"""The caller of a request: its bearer token, verified."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from wsedge_statistics.contract import DIRECTORY_PATH, TOKEN_AUDIENCE, TOKEN_HEADER, USAGE_PATH
from wsedge_statistics.errors import QueryError, TokenRefusedError
from wsedge_statistics.identity.callers import LAPTOP, Caller, Policy, caller_of
from wsedge_statistics.identity.reviews import Reviews
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
    """Return the caller of a request. Raises a TokenError, ForbiddenError or QueryError."""
    services = services_of(request)
    verifier = services.verifier
    if verifier is None:
        return LAPTOP
    token = _token_of(request, credentials)
    # Only questions are a user's: reports and Directories need a token for this program.
    may_be_user = services.reviews is not None and request.url.path not in (USAGE_PATH, DIRECTORY_PATH)
    if may_be_user and services.reviews is not None and services.reviews.concerns(token):
        caller = await _user(services.reviews, services.policy, token, request.query_params.get("account"))
    else:
        caller = caller_of(await verifier.claims(token))
    request.state.subject = caller.subject
    return caller


def _token_of(request: Request, credentials: HTTPAuthorizationCredentials | None) -> str:
    """Return the token of a request; of a question also in a header that an API server's proxy passes."""
    if credentials is not None:
        return credentials.credentials
    own = request.headers.getlist(TOKEN_HEADER) if request.method == "GET" else []
    if len(own) != 1:
        raise TokenRefusedError(
            f"The request has no bearer token. Send a ServiceAccount token of the audience {TOKEN_AUDIENCE}."
        )
    return own[0]


async def _user(reviews: Reviews, policy: Policy, token: str, account: str | None) -> Caller:
    """Return a user of the cluster as the reader of the account that the request names."""
    user = await reviews.user(token)
    caller = Caller(user.name, reviewed=True)
    if policy.reads_every_account(caller):
        return caller
    if account is None:
        raise QueryError("account", "missing: a user's token belongs to no account", "a namespace")
    return await reviews.reader(user, account)


CallerOf = Annotated[Caller, Depends(identify)]
