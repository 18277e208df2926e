"""Rights to report and to read, with real tokens and a real server of keys."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from support.statistics.build import directory, recent_bucket, report, row
from support.statistics.cluster import ISSUER, Signer, key_server
from support.statistics.fixtures import Cluster
from support.statistics.process import statistics, until_true
from wsedge_statistics.identity.jwks import RETRY_SECONDS


def hmac_with_the_public_key(signer: Signer) -> str:
    """Return a token signed by HS256 whose secret is the published RSA key (algorithm confusion)."""
    header = {"alg": "HS256", "typ": "JWT", "kid": signer.key_id}
    claims = jwt.decode(signer.relay_token(), options={"verify_signature": False})
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        b".".join(parts), signer.public_pem()
    )
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def unsigned(signer: Signer) -> str:
    """Return a token with the algorithm `none`."""
    claims = jwt.decode(signer.relay_token(), options={"verify_signature": False})
    return jwt.encode(claims, "", "none", {"kid": signer.key_id})


def tampered(signer: Signer) -> str:
    """Return another namespace's claims with a valid signature of other claims."""
    head, _, signature = signer.relay_token().split(".")
    _, claims, _ = signer.relay_token("team-b").split(".")
    return f"{head}.{claims}.{signature}"


BAD_TOKENS: dict[str, Any] = {
    "another audience": lambda signer: signer.relay_token(aud=["kubernetes"]),
    "no audience": lambda signer: signer.relay_token(aud=None),
    "another issuer": lambda signer: signer.relay_token(iss="https://elsewhere"),
    "expired": lambda signer: signer.relay_token(exp=int(time.time()) - 60),
    "without expiry": lambda signer: signer.relay_token(exp=None),
    "not valid yet": lambda signer: signer.relay_token(nbf=int(time.time()) + 600),
    "another key under the same id": lambda _: Signer("first").relay_token(),
    "a key that is not published": lambda _: Signer("unknown").relay_token(),
    "HMAC with the public key": hmac_with_the_public_key,
    "no signature": unsigned,
    "tampered claims": tampered,
    "not a token": lambda _: "hello",
    "a person's": lambda signer: signer.relay_token(sub="jane"),
}


def test_bad_tokens_are_refused(cluster: Cluster) -> None:
    """401 with the reason and the challenge of RFC 6750, for reports and for questions."""
    began, before = time.monotonic(), cluster.keys.requests
    for name, make in BAD_TOKENS.items():
        token = make(cluster.signer)
        cluster.program.token = token
        for answer in (
            cluster.program.post(report(row(recent_bucket(1)))),
            cluster.program.get("/v1/traffic"),
        ):
            assert answer.status == 401, name
            assert answer.headers["www-authenticate"].startswith("Bearer realm="), name
            assert answer.json["detail"], name
            assert token not in answer.text.decode(), name
    # Unknown key ids lead to one fetch per RETRY_SECONDS at most.
    assert cluster.keys.requests - before <= 1 + (time.monotonic() - began) / RETRY_SECONDS


def test_without_a_token_no_number_is_answered(cluster: Cluster) -> None:
    """401 except for liveness, readiness, metrics and the description."""
    program = cluster.program
    paths = ("/v1/traffic", "/v1/bandwidth", "/v1/codes", "/v1/domains", "/v1/options")
    assert {program.get(path).status for path in paths} == {401}
    assert program.post(report()).status == program.put_directory(directory()).status == 401
    open_paths = ("/healthz", "/readyz", "/metrics", "/openapi.json")
    assert {program.get(path).status for path in open_paths} == {200}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_relay_reports_with_its_pods_token(cluster: Cluster, algorithm: str) -> None:
    """RSA and elliptic keys of the cluster are both verified; an account's reader reads the numbers."""
    signer = cluster.signer if algorithm == "RS256" else cluster.elliptic
    cluster.put_directory()
    assert (
        cluster.program.post(report(row(recent_bucket(1), sentBytes=9)), token=signer.relay_token()).status
        == 204
    )
    cluster.program.token = signer.token("default", "team-a")
    assert cluster.program.get("/v1/traffic").json["total"]["sentBytes"] == 9


FOREIGN: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a token without a pod": (lambda s: s.token("default"), {}, "not bound to a pod"),
    "another pod's": (lambda s: s.relay_token(), {"uid": "another"}, "source.uid"),
    "a pod of another namespace": (lambda s: s.relay_token(), {"pod": "team-b/chat-1"}, "source.pod"),
    "another namespace's account": (lambda s: s.relay_token("team-b"), {"pod": "team-b/x"}, "account"),
}


def test_foreign_reports_are_refused(cluster: Cluster) -> None:
    """403 with the reason; nothing is stored."""
    cluster.put_directory()
    for name, (make, source, text) in FOREIGN.items():
        answer = cluster.program.post(
            report(row(recent_bucket(1), sentBytes=1), **source), token=make(cluster.signer)
        )
        assert answer.status == 403, name
        assert text in answer.text.decode(), name
    cluster.program.token = cluster.signer.token("admin", "ops")
    assert cluster.program.get("/v1/traffic").json["total"]["sentBytes"] == 0


def test_a_row_of_a_foreign_domain_is_named_and_nothing_is_stored(cluster: Cluster) -> None:
    """A report is stored whole or not at all."""
    cluster.put_directory(domains={"chat.example.com": "team-a", "b.example": "team-b"})
    rows = [row(recent_bucket(1), sentBytes=1), row(recent_bucket(1), domain="b.example")]
    answer = cluster.program.post(report(*rows), token=cluster.signer.relay_token())
    assert answer.status == 403
    assert [(e["row"], e["field"]) for e in answer.json["errors"]] == [(1, "domain")]
    cluster.program.token = cluster.signer.token("default", "team-a")
    assert cluster.program.get("/v1/traffic").json["total"]["sentBytes"] == 0


def test_only_the_operator_writes_the_directory(cluster: Cluster) -> None:
    """A relay, a reader and an administrator are refused."""
    signer = cluster.signer
    tokens = [signer.relay_token(), signer.token(), signer.token("admin", "ops")]
    assert {cluster.program.put_directory(directory(), token=token).status for token in tokens} == {403}


def test_readers_read_their_own_account(cluster: Cluster) -> None:
    """Another account is 403, its domain gets the answer of an unknown domain; administrators read all."""
    program, signer = cluster.program, cluster.signer
    cluster.put_directory(domains={"team-a.example": "team-a", "team-b.example": "team-b"})
    for account, sent in (("team-a", 1), ("team-b", 2)):
        counted = row(recent_bucket(1), account=account, domain=f"{account}.example", sentBytes=sent)
        assert (
            program.post(report(counted, pod=f"{account}/x"), token=signer.relay_token(account)).status == 204
        )
    program.token = signer.token("default", "team-a")
    own = program.get("/v1/traffic").json
    assert (own["account"], own["total"]["sentBytes"]) == ("team-a", 1)
    assert program.get("/v1/traffic", account="team-b").status == 403
    foreign, missing = (program.get("/v1/traffic", domain=d).json for d in ("team-b.example", "none.example"))
    assert foreign["detail"].replace("team-b", "none") == missing["detail"]
    assert [domain["domain"] for domain in program.get("/v1/domains").json["domains"]] == ["team-a.example"]
    program.token = signer.token("admin", "ops")
    assert program.get("/v1/traffic").json["total"]["sentBytes"] == 3
    assert program.get("/v1/traffic", account="team-b").json["total"]["sentBytes"] == 2


def test_keys_are_retained_while_the_api_server_is_down(cluster: Cluster) -> None:
    """Known keys verify, an unknown key is 503; a rotated key is found once the server runs again."""
    program, rotated = cluster.program, Signer("rotated")
    cluster.put_directory()
    document = report(row(recent_bucket(1)))
    assert program.post(document, token=cluster.signer.relay_token()).status == 204
    cluster.keys.stop()
    assert program.post(document, token=cluster.signer.relay_token()).status == 204

    def unknown_is_503() -> bool:
        answer = program.post(document, token=rotated.relay_token())
        return answer.status == 503 and int(answer.headers["retry-after"]) > 0

    until_true(unknown_is_503)
    cluster.keys.signers = [rotated]
    cluster.keys.start()
    until_true(lambda: program.post(document, token=rotated.relay_token()).status == 204)
    assert program.post(document, token=cluster.signer.relay_token()).status == 401  # published no longer


def test_a_start_without_the_api_server_recovers(tmp_path: Path) -> None:
    """Before the first keys every token is 503, never 401; once the server runs it is accepted."""
    signer = Signer("first")
    with key_server(tmp_path, signer) as keys:
        keys.stop()
        with statistics(tmp_path / "data", *keys.arguments) as program:
            assert program.post(report(), token=signer.relay_token()).status == 503
            assert program.get("/readyz").status == 200
            keys.start()
            until_true(lambda: program.post(report(), token=signer.relay_token()).status == 204)


def test_the_issuer_is_that_of_the_own_token(tmp_path: Path) -> None:
    """Without --issuer, tokens must have the issuer of the program's own token."""
    signer = Signer("first")
    with key_server(tmp_path, signer) as keys:
        keys.token_file.write_text(signer.token("wsedge-statistics", "wsedge-system"))
        arguments = [a for a in keys.arguments if a not in ("--issuer", ISSUER)]
        with statistics(tmp_path / "data", *arguments) as program:
            assert program.get("/v1/traffic").status == 401
            assert program.post(report(), token=signer.relay_token()).status == 204
            assert program.post(report(), token=signer.relay_token(iss="https://elsewhere")).status == 401


def test_a_key_server_of_another_ca_is_refused(tmp_path: Path) -> None:
    """Keys are accepted only from a server with a certificate of the CA file."""
    signer = Signer("first")
    other = tmp_path / "other"
    other.mkdir()
    with key_server(tmp_path, signer) as keys, key_server(other) as stranger:
        arguments = [str(stranger.ca_file) if part == str(keys.ca_file) else part for part in keys.arguments]
        with statistics(tmp_path / "data", *arguments) as program:
            assert program.post(report(), token=signer.relay_token()).status == 503
        assert keys.requests == 0


def test_no_token_is_ever_logged(cluster: Cluster) -> None:
    """Accepted tokens, refused tokens and the program's own token are secret."""
    good, bad = cluster.signer.relay_token(), Signer("unknown").relay_token()
    cluster.program.post(report(row(recent_bucket(1))), token=good)
    cluster.program.post(report(), token=bad)
    cluster.program.stop()
    logged = "".join(cluster.program.lines)
    assert "message refused" in logged
    for secret in (good, bad, cluster.keys.token_file.read_text().strip()):
        assert secret not in logged
