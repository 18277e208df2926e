"""Accepted rows: owners of domains over time, namespaces made again, and the limit of rows per account."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.statistics.build import recent_bucket, report, row
from support.statistics.cluster import Signer, key_server
from support.statistics.fixtures import ADMIN, OPERATOR, Cluster
from support.statistics.process import Statistics, statistics
from wsedge_statistics.contract import bucket_of

OLD, NEW = "11111111-aaaa-4000-8000-000000000001", "22222222-bbbb-4000-8000-000000000002"


def text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sent_bytes(program: Statistics, token: str, **asked: Any) -> int:
    program.token = token
    return int(program.get("/v1/traffic", **asked).json["total"]["sentBytes"])


def test_a_namespace_without_domains_stores_nothing(cluster: Cluster) -> None:
    """Rows of invented domains are refused and counted."""
    cluster.put_directory()
    stranger = cluster.signer.relay_token("stranger")
    for batch in range(6):
        rows = [
            row(recent_bucket(1), account="stranger", domain=f"d{batch}-{number}.example", sentBytes=1)
            for number in range(5000)
        ]
        answer = cluster.program.post(report(*rows, pod="stranger/x"), compressed=True, token=stranger)
        assert (answer.status, answer.json["type"]) == (403, "urn:wsedge:problem:foreign-rows")
        assert len(answer.json["errors"]) == 100
    metrics = cluster.program.get("/metrics").text.decode()
    assert 'wsedge_statistics_refused_rows_total{reason="foreign-rows"} 30000.0' in metrics
    cluster.program.token = cluster.signer.token("admin", "ops")
    listed = cluster.program.get("/v1/domains").json["domains"]
    assert [domain["domain"] for domain in listed] == ["chat.example.com"]


def test_a_report_before_the_first_directory_is_503(cluster: Cluster) -> None:
    """With Retry-After; after the Directory the same report is accepted."""
    token, document = cluster.signer.relay_token(), report(row(recent_bucket(1), sentBytes=5))
    answer = cluster.program.post(document, token=token)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    cluster.put_directory()
    assert cluster.program.post(document, token=token).status == 204


def test_a_new_domain_is_named_and_accepted_once_the_directory_lists_it(cluster: Cluster) -> None:
    """403 names the row, so that a relay sends the other rows at once and repeats this row."""
    cluster.put_directory()
    document = report(
        row(recent_bucket(1), sentBytes=1), row(recent_bucket(1), domain="new.example", sentBytes=2)
    )
    token = cluster.signer.relay_token()
    answer = cluster.program.post(document, token=token)
    assert answer.status == 403
    assert [(error["row"], error["field"]) for error in answer.json["errors"]] == [(1, "domain")]
    cluster.put_directory(
        domains={"chat.example.com": "team-a", "new.example": "team-a"}, written_at="2026-01-02T00:00:00Z"
    )
    assert cluster.program.post(document, token=token).status == 204


def test_a_domain_that_was_deleted_or_moved_is_reported_late(cluster: Cluster, tmp_path: Path) -> None:
    """The relays of both owners report the counts of their own time alone, also after a restart."""
    now = datetime.now(UTC)
    both = {"gone.example": "team-a", "moved.example": "team-a"}
    cluster.put_directory(domains=both, written_at=text(now - timedelta(hours=1)))
    cluster.put_directory(domains={"moved.example": "team-b"}, written_at=text(now))
    late = report(*(row(recent_bucket(1), domain=domain, sentBytes=1) for domain in both))
    cluster.program.stop()
    subjects = ("--operator-subject", OPERATOR, "--admin-subject", ADMIN)
    with statistics(tmp_path / "data", *cluster.keys.arguments, *subjects) as program:
        assert program.post(late, token=cluster.signer.relay_token()).status == 204
        theirs = report(
            row(recent_bucket(1), account="team-b", domain="moved.example", sentBytes=5), pod="team-b/x"
        )
        assert program.post(theirs, token=cluster.signer.relay_token("team-b")).status == 204
        before = row(
            bucket_of(now - timedelta(hours=3)), account="team-b", domain="moved.example", sentBytes=9
        )
        foreign = program.post(report(before, pod="team-b/x"), token=cluster.signer.relay_token("team-b"))
        assert (foreign.status, foreign.json["errors"][0]["field"]) == (403, "domain")
        own = report(row(bucket_of(now - timedelta(hours=3)), domain="moved.example"))
        assert program.post(own, token=cluster.signer.relay_token()).status == 204
        assert sent_bytes(program, cluster.signer.token("default", "team-a")) == 2
        assert sent_bytes(program, cluster.signer.token("default", "team-b")) == 5


def test_a_namespace_made_again_reads_nothing_of_its_predecessor(cluster: Cluster) -> None:
    """Late rows of old relays count for the predecessor; administrators read both accounts."""
    program, signer = cluster.program, cluster.signer
    now = int(time.time())
    cluster.put_directory(lives={"team-a": {"uid": OLD, "since": text(recent_bucket(1) - timedelta(days=9))}})
    old = signer.relay_token(iat=now - 3000)
    assert program.post(report(row(recent_bucket(1), sentBytes=7)), token=old).status == 204
    gone = {"uid": OLD, "until": text(datetime.fromtimestamp(now - 100, UTC))}
    cluster.put_directory(lives={"team-a": gone}, domains={}, written_at=gone["until"])
    reader = signer.token("default", "team-a")
    assert sent_bytes(program, reader) == 0
    assert program.get("/v1/domains").json["domains"] == []
    assert program.get("/v1/options").json["regions"] == []
    again = {"uid": NEW, "since": text(datetime.fromtimestamp(now - 50, UTC))}
    cluster.put_directory(
        lives={"team-a": again}, domains={"new.example": "team-a"}, written_at=again["since"]
    )
    new = signer.relay_token()
    assert (
        program.post(report(row(recent_bucket(1), domain="new.example", sentBytes=1)), token=new).status
        == 204
    )
    assert (
        program.post(report(row(recent_bucket(1), sentBytes=8)), token=new).status == 403
    )  # the predecessor's domain
    assert program.post(report(row(recent_bucket(1), sentBytes=9)), token=old).status == 204
    assert sent_bytes(program, reader) == 1
    assert [domain["domain"] for domain in program.get("/v1/domains").json["domains"]] == ["new.example"]
    assert program.get("/v1/traffic", domain="chat.example.com").status == 404
    program.token = signer.token("default", "team-a", iat=now - 3000)
    assert program.get("/v1/traffic").status == 403
    admin = signer.token("admin", "ops")
    assert sent_bytes(program, admin) == 10
    assert sent_bytes(program, admin, account="team-a") == 1
    former = program.get("/v1/traffic", account="team-a@11111111").json
    assert (former["account"], former["total"]["sentBytes"]) == ("team-a@11111111", 9)
    listed = program.get("/v1/domains").json["domains"]
    assert {(d["account"], d["domain"]) for d in listed} == {
        ("team-a@11111111", "chat.example.com"),
        ("team-a", "new.example"),
    }


def test_rows_beyond_the_limit_of_an_account_are_refused(tmp_path: Path) -> None:
    """Invented regions of an own domain are 429 beyond the limit; stored rows still grow."""
    signer = Signer("first")
    with key_server(tmp_path, signer) as keys:
        few = ("--operator-subject", OPERATOR, "--account-bucket-rows", "100")
        with statistics(tmp_path / "data", *keys.arguments, *few) as program:
            cluster = Cluster(program, keys, signer, signer)
            cluster.put_directory()
            token = signer.relay_token()
            full = report(*(row(recent_bucket(1), region=f"r{number}", sentBytes=1) for number in range(100)))
            assert program.post(full, token=token).status == 204
            answer = program.post(
                report(row(recent_bucket(1), region="r0"), row(recent_bucket(1), region="more")), token=token
            )
            assert (answer.status, answer.json["type"]) == (429, "urn:wsedge:problem:account-full")
            assert [error["row"] for error in answer.json["errors"]] == [1]
            grown = report(
                *(row(recent_bucket(1), region=f"r{number}", sentBytes=2) for number in range(100))
            )
            assert program.post(grown, token=token).status == 204
            other_epoch = report(row(recent_bucket(1), region="r0"), epoch="0123456789")
            assert program.post(other_epoch, token=token).status == 429
            assert program.post(report(row(recent_bucket(2))), token=token).status == 204
            assert sent_bytes(program, signer.token("default", "team-a")) == 200
