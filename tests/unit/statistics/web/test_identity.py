"""The caller of a request."""

from __future__ import annotations

import json
from typing import Any

from support.statistics.application import MemoryLedger, request, services_over, two_accounts
from support.statistics.cluster import ISSUER, Signer
from wsedge_statistics.app import Application, build
from wsedge_statistics.identity.jwks import KeySet
from wsedge_statistics.identity.tokens import Verifier

SIGNER = Signer("first")


def app() -> Application:
    keys = KeySet(lambda: json.dumps({"keys": [SIGNER.published]}).encode())
    return build(services_over(MemoryLedger(), two_accounts(), verifier=Verifier(keys, issuer=ISSUER)))


async def ask(token: str | None) -> Any:
    return await request(app(), "GET", "/v1/domains", token=token)


async def test_a_token_reads_its_own_account() -> None:
    """The namespace of the ServiceAccount is the account."""
    answer = await ask(SIGNER.token("default", "team-b"))
    assert (answer.status, answer.json["account"]) == (200, "team-b")
    assert [domain["domain"] for domain in answer.json["domains"]] == ["b.example"]


async def test_a_request_without_a_token_is_answered_with_the_token_to_send() -> None:
    """401 with the challenge of RFC 6750."""
    answer = await ask(None)
    assert answer.status == 401
    assert answer.json["detail"] == (
        "The request has no bearer token. Send a ServiceAccount token of the audience wsedge-statistics."
    )
    assert answer.headers["www-authenticate"].startswith('Bearer realm="wsedge-statistics"')


async def test_a_question_may_have_its_token_in_a_header_that_proxies_pass() -> None:
    """One such header, and of a question alone; `Authorization` comes first."""
    own = SIGNER.token("default", "team-b")
    answer = await request(app(), "GET", "/v1/domains", headers={"wsedge-token": own})
    assert (answer.status, answer.json["account"]) == (200, "team-b")
    answer = await request(app(), "GET", "/v1/domains", headers={"wsedge-token": "nonsense"})
    assert answer.status == 401
    answer = await request(app(), "POST", "/ingest/v1/usage", headers={"wsedge-token": own})
    assert answer.status == 401
    answer = await request(app(), "GET", "/v1/domains", token="nonsense", headers={"wsedge-token": own})
    assert answer.status == 401


async def test_an_invalid_token_is_refused() -> None:
    """The answer does not repeat the token."""
    token = SIGNER.token(iss="https://elsewhere")
    answer = await ask(token)
    assert (answer.status, answer.json["detail"]) == (401, "The token is not valid: Invalid issuer.")
    assert token not in answer.text.decode()


async def test_a_missing_right_is_403() -> None:
    """The detail names the subject and the account."""
    answer = await request(
        app(), "GET", "/v1/domains", token=SIGNER.token("default", "team-b"), account="team-a"
    )
    assert answer.status == 403
    assert answer.json["detail"] == (
        "system:serviceaccount:team-b:default may read account 'team-b' only, not 'team-a'."
    )
