"""Verification of ServiceAccount tokens."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from jwt import PyJWK

from support.statistics.cluster import ISSUER, Signer
from wsedge_statistics.errors import TokenRefusedError
from wsedge_statistics.identity.jwks import parse_keys
from wsedge_statistics.identity.tokens import LEEWAY_SECONDS, MAX_TOKEN, Verifier, issuer_of, key_id_of

SIGNER = Signer("first")


class Known:
    """The keys of SIGNER."""

    async def key(self, key_id: str) -> PyJWK:
        return parse_keys(json.dumps({"keys": [SIGNER.published]}).encode())[key_id]


async def claims_of(**changes: Any) -> Any:
    return await Verifier(Known(), issuer=ISSUER).claims(SIGNER.token(**changes))


async def test_the_claims_of_a_valid_token_are_returned() -> None:
    """Signature, issuer, audience and times are those of the cluster."""
    assert (await claims_of())["sub"] == "system:serviceaccount:team-a:default"


async def test_clocks_may_differ_by_the_leeway() -> None:
    """A token that expired less than LEEWAY_SECONDS ago is valid."""
    await claims_of(exp=int(time.time()) - LEEWAY_SECONDS + 8)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://elsewhere"}, "Invalid issuer"),
    "another audience": ({"aud": ["kubernetes"]}, "Audience doesn't match"),
    "expired": ({"exp": 1}, "Signature has expired"),
    "without expiry": ({"exp": None}, 'missing the "exp" claim'),
    "without a subject": ({"sub": None}, 'missing the "sub" claim'),
}


@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED.keys())
async def test_an_invalid_token_is_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    """The text is a sentence, without the token."""
    with pytest.raises(TokenRefusedError, match=f"^The token is not valid: .*{reason}.*\\.$"):
        await claims_of(**changes)


NO_KEY: dict[str, tuple[str, str]] = {
    "a text": ("hello", "not a JSON Web Token"),
    "too long": ("a" * (MAX_TOKEN + 1), "longer than 16384"),
    "another algorithm": (jwt.encode({}, "k" * 32, "HS256", {"kid": "first"}), "not one of RS256, ES256"),
    "no key id": (jwt.encode({}, SIGNER.key, "RS256"), "names no key"),
    "an empty key id": (jwt.encode({}, SIGNER.key, "RS256", {"kid": ""}), "names no key"),
}


@pytest.mark.parametrize(("token", "reason"), NO_KEY.values(), ids=NO_KEY.keys())
def test_a_token_without_a_usable_key_id_is_refused(token: str, reason: str) -> None:
    """No key is fetched for it."""
    with pytest.raises(TokenRefusedError, match=reason):
        key_id_of(token)


def test_the_issuer_of_the_own_token_is_read_without_a_key() -> None:
    """The file is trusted; a cluster issues all its tokens under one name."""
    assert issuer_of(SIGNER.token()) == ISSUER
    for token, reason in (
        ("hello", "Not enough segments"),
        (SIGNER.token(iss=None), "the claim iss is missing"),
        (SIGNER.token(iss=""), "the claim iss is missing"),
    ):
        with pytest.raises(TokenRefusedError, match=reason):
            issuer_of(token)
