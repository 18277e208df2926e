"""Verification of ServiceAccount tokens: JWTs that the cluster signed for this audience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import jwt
from jwt import PyJWK

from wsedge_statistics.contract import TOKEN_AUDIENCE
from wsedge_statistics.errors import TokenRefusedError
from wsedge_statistics.identity.jwks import ALGORITHMS

LEEWAY_SECONDS: Final = 10  # clocks of nodes differ by seconds
MAX_TOKEN: Final = 16384


class Keys(Protocol):
    """Look-up of a token's key."""

    async def key(self, key_id: str) -> PyJWK:
        """Return the key of an id. Raises TokenRefusedError or KeysUnavailableError."""


class Verifier:
    """Verifies signature, issuer, audience and times of tokens."""

    def __init__(self, keys: Keys, *, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    async def claims(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a valid token. Raises TokenRefusedError or KeysUnavailableError."""
        key = await self._keys.key(key_id_of(token))
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key=key,
                algorithms=list(ALGORITHMS),
                audience=TOKEN_AUDIENCE,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefusedError(f"The token is not valid: {error}.") from None
        return claims


def key_id_of(token: str) -> str:
    """Return the key id that a token names; nothing is verified yet. Raises TokenRefusedError."""
    if len(token) > MAX_TOKEN:
        raise TokenRefusedError(f"The token is longer than {MAX_TOKEN} characters.")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise TokenRefusedError("The token is not a JSON Web Token.") from None
    if header.get("alg") not in ALGORITHMS:
        raise TokenRefusedError(f"The token's algorithm is not one of {', '.join(ALGORITHMS)}.")
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise TokenRefusedError("The token names no key (kid).")
    return key_id


def issuer_of(token: str) -> str:
    """Return the issuer of a token from a trusted file; nothing is verified. Raises TokenRefusedError."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.InvalidTokenError as error:
        raise TokenRefusedError(str(error)) from None
    if not isinstance(issuer, str) or not issuer:
        raise TokenRefusedError("the claim iss is missing")
    return issuer


def is_of_user(token: str, issuer: str) -> bool:
    """Return whether a token was not issued by `issuer` for this program's audience. Nothing is verified."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False, "verify_aud": False})
    except jwt.PyJWTError:
        return True  # not a JSON Web Token: the API server may know it
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    return claims.get("iss") != issuer or TOKEN_AUDIENCE not in named
