"""The two endpoints of ingest, without a socket."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from support.statistics.application import BUCKET, NOW, MemoryLedger, request, services_over, two_accounts
from support.statistics.build import UID, directory, report, row
from wsedge_statistics.app import build
from wsedge_statistics.contract import DIRECTORY_PATH, USAGE_PATH
from wsedge_statistics.errors import LedgerUnwritableError
from wsedge_statistics.identity.callers import Policy
from wsedge_statistics.ingest import routes

OPERATOR = "system:serviceaccount:wsedge-system:operator"


class Claims:
    """A verifier that returns fixed claims."""

    def __init__(self, subject: str, namespace: str) -> None:
        pod = {"name": "chat-1", "uid": UID}
        self._claims = {"sub": subject, "iat": 0, "kubernetes.io": {"namespace": namespace, "pod": pod}}

    async def claims(self, token: str) -> dict[str, Any]:
        return self._claims


RELAY: Any = Claims("system:serviceaccount:team-a:chat-relay", "team-a")
READER: Any = Claims("system:serviceaccount:team-a:default", "team-a")


def value(text: str, name: str) -> float:
    """A metric's value."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
    return float(line.rpartition(" ")[2])


async def test_a_stored_report_is_204_and_counted() -> None:
    """Its rows are in the ledger when the answer leaves."""
    ledger = MemoryLedger()
    services = services_over(ledger)
    answer = await request(
        build(services), "POST", USAGE_PATH, report(row(BUCKET, sentBytes=7), row(BUCKET, isp="unicom"))
    )
    assert (answer.status, answer.text) == (204, b"")
    assert sum(count for (*_, measure), count in ledger.largest.items() if measure == "sent") == 7
    metrics = services.metrics.text().decode()
    assert value(metrics, "wsedge_statistics_ingested_reports_total") == 1
    assert value(metrics, "wsedge_statistics_ingested_rows_total") == 2
    assert ledger.rooms == [None]  # a laptop has no limit of rows


async def test_a_relay_that_falls_silent_shows_in_answers() -> None:
    """Of its own account alone, from the promised time of its next report on, until it reports again."""
    clock = [0.0]
    services = services_over(
        MemoryLedger(), two_accounts(), verifier=RELAY, monotonic=lambda: clock[-1], policy=Policy()
    )
    app = build(services)

    async def silent() -> int:
        services.verifier = READER
        return int((await request(app, "GET", "/v1/traffic", token="t")).json["silentRelays"])

    async def tell(document: Any, seconds: int | None) -> None:
        services.verifier = RELAY
        sent = document if seconds is None else document | {"nextWithinSeconds": seconds}
        assert (await request(app, "POST", USAGE_PATH, sent, token="t")).status == 204

    await tell(report(row(BUCKET)), 330)
    found = []
    for now in (330.0, 331.0):
        clock.append(now)
        found.append(await silent())
    await tell(report(), 330)
    found.append(await silent())
    clock.append(3000.0)
    found.append(await silent())
    assert services.presence is not None
    assert services.presence.relays("team-b", now=3000.0).silent == 0
    await tell(report(), None)  # an older relay's report changes nothing
    found.append(await silent())
    await tell(report(), 0)
    found.append(await silent())
    assert found == [0, 1, 0, 1, 1, 0]


async def test_pods_that_share_a_ledger_miss_no_relay() -> None:
    """Each sees a part of the reports, so no answer says which relays are silent."""
    services = services_over(MemoryLedger(), presence=None)
    sent = report(row(BUCKET)) | {"nextWithinSeconds": 0}
    assert (await request(build(services), "POST", USAGE_PATH, sent)).status == 204
    assert (await request(build(services), "GET", "/v1/traffic")).json["silentRelays"] is None


async def test_a_report_without_rows_needs_no_commit() -> None:
    """A relay that shows its presence writes nothing; the lag is that of reports with rows."""
    ledger = MemoryLedger(error=LedgerUnwritableError("full"))
    services = services_over(ledger)
    assert (await request(build(services), "POST", USAGE_PATH, report())).status == 204
    metrics = services.metrics.text().decode()
    assert value(metrics, "wsedge_statistics_ingest_lag_seconds_count") == 0


async def test_the_lag_of_reports_is_measured() -> None:
    """From the end of the oldest bucket; 0 within it."""
    services = services_over(MemoryLedger())
    for rows in ([row(BUCKET)], [row(BUCKET), row(BUCKET - timedelta(hours=1))]):
        assert (await request(build(services), "POST", USAGE_PATH, report(*rows))).status == 204
    metrics = services.metrics.text().decode()
    assert value(metrics, 'wsedge_statistics_ingest_lag_seconds_bucket{le="1.0"}') == 1
    assert value(metrics, "wsedge_statistics_ingest_lag_seconds_sum") == (NOW - BUCKET).total_seconds() + 3300


async def test_rows_beyond_the_limit_are_named() -> None:
    """429; the sender of the report is limited, unlike a laptop."""
    ledger = MemoryLedger(refused=(1,))
    services = services_over(ledger, two_accounts(), verifier=RELAY)
    with capture_logs() as logged:
        answer = await request(
            build(services), "POST", USAGE_PATH, report(row(BUCKET), row(BUCKET, isp="unicom")), token="t"
        )
    assert (answer.status, answer.json["type"]) == (429, "urn:wsedge:problem:account-full")
    assert [(fault["row"], fault["field"]) for fault in answer.json["errors"]] == [(1, "row")]
    assert ledger.rooms == [services.room]
    (line,) = (line for line in logged if line["event"] == "message refused")
    assert (line["caller"], line["kind"], line["status"]) == (
        "system:serviceaccount:team-a:chat-relay",
        "account-full",
        429,
    )
    metrics = services.metrics.text().decode()
    assert value(metrics, 'wsedge_statistics_ingest_refused_total{reason="account-full"}') == 1
    assert value(metrics, 'wsedge_statistics_refused_rows_total{reason="account-full"}') == 1


BAD: dict[str, tuple[Any, int | None, str, str]] = {
    "a negative count": (report(row(BUCKET, sentBytes=-1)), 0, "sentBytes", "greater than or equal to 0"),
    "a bucket off the grid": (
        report(row(BUCKET) | {"bucket": "2026-06-15T12:01:00Z"}),
        0,
        "bucket",
        "the bucket must start on a whole five minutes of UTC",
    ),
    "a code that is none": (report(row(BUCKET, codes={"999": 1})), 0, "codes.999", "should match pattern"),
    "no source": ({"version": 1, "rows": []}, None, "source", "Field required"),
    "a list": ([], None, "body", "should be an object"),
    "more rows than a report may have": (
        {"version": 1, "rows": [{}] * (routes.MOST_OBJECTS + 1)},
        None,
        "body",
        "more parts than a report of 5000 rows",
    ),
    "more fields than a report can have": (
        {"version": 1, "rows": [0] * (routes.MOST_COMMAS + 1)},
        None,
        "body",
        "more parts than a report of 5000 rows",
    ),
    "thousands of faults": (
        {"version": 1, "rows": [0] * (routes.MOST_FAULTS + 1)},
        None,
        "body",
        "faults: it is not a message of this endpoint",
    ),
}


@pytest.mark.parametrize(("document", "at", "field", "reason"), BAD.values(), ids=BAD.keys())
async def test_a_fault_has_its_row_and_its_field(
    document: Any, at: int | None, field: str, reason: str
) -> None:
    """422 with the first fault; nothing is stored."""
    ledger = MemoryLedger()
    app = build(services_over(ledger, max_body=8 << 20))
    answer = await request(app, "POST", USAGE_PATH, document)
    assert (answer.status, answer.json["type"]) == (422, "urn:wsedge:problem:rows-refused")
    fault = answer.json["errors"][0]
    assert (fault.get("row"), fault["field"]) == (at, field)
    assert reason in fault["reason"]
    assert not ledger.largest


async def test_a_document_with_too_many_faults_is_one_fault() -> None:
    """Each fault needs half a kilobyte: beyond MOST_FAULTS they are counted only."""
    accounts = [{"account": "A", "periods": [0, 0, 0]} for _ in range(routes.MOST_FAULTS // 4 + 1)]
    app = build(services_over(MemoryLedger(), max_body=8 << 20))
    answer = await request(
        app, "PUT", DIRECTORY_PATH, {"version": 1, "writtenAt": "2026-01-01T00:00:00Z", "accounts": accounts}
    )
    assert answer.status == 422
    assert answer.json["errors"] == [
        {"field": "body", "reason": "has 10004 faults: it is not a message of this endpoint"}
    ]


async def test_a_full_disk_is_503_and_counted() -> None:
    """The cause is logged, and not answered: it names files."""
    services = services_over(MemoryLedger(error=LedgerUnwritableError("/data is full")))
    with capture_logs() as logged:
        answer = await request(build(services), "POST", USAGE_PATH, report(row(BUCKET)))
    assert (answer.status, answer.headers["retry-after"]) == (503, "10")
    assert b"/data" not in answer.text
    assert any("/data is full" in line.get("reason", "") for line in logged)


class SlowLedger(MemoryLedger):
    """A ledger that never commits."""

    def commit(self, *_: Any) -> Future[tuple[int, ...]]:
        return Future()


async def test_a_commit_that_takes_too_long_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report may be committed later; the sender repeats it, and a repeat does not double."""
    monkeypatch.setattr(routes, "COMMIT_SECONDS", 0.01)
    answer = await request(build(services_over(SlowLedger())), "POST", USAGE_PATH, report(row(BUCKET)))
    assert (answer.status, answer.json["type"]) == (503, "urn:wsedge:problem:busy")
    assert answer.json["detail"] == "The ledger has not committed within 0.01 s. Send the same message again."


async def test_a_directory_is_in_force_at_once() -> None:
    """The services have its accounts and domains, and an unknown time zone is logged."""
    services = services_over(MemoryLedger())
    with capture_logs() as logged:
        answer = await request(build(services), "PUT", DIRECTORY_PATH, directory(zone="Mars/Olympus"))
    assert answer.status == 204
    assert services.directory.owner("chat.example.com") == "team-a"
    assert services.tenures.began
    assert [(line["event"], line.get("zone")) for line in logged] == [
        ("unknown time zone replaced by the default", "Mars/Olympus"),
        ("directory stored", None),
    ]


async def test_an_older_directory_changes_nothing() -> None:
    """204, and the newer Directory stays in force."""
    services = services_over(MemoryLedger(), two_accounts())
    older = directory(domains={}, written_at="2025-01-01T00:00:00Z")
    assert (await request(build(services), "PUT", DIRECTORY_PATH, older)).status == 204
    assert services.directory.owner("chat.example.com") == "team-a"


async def test_only_the_operator_writes_the_directory() -> None:
    """Any other subject is 403, before the body is read."""
    policy = Policy(operators=frozenset({OPERATOR}))
    for verifier, status in ((RELAY, 403), (Claims(OPERATOR, "wsedge-system"), 204)):
        services = services_over(MemoryLedger(), verifier=verifier, policy=policy)
        answer = await request(build(services), "PUT", DIRECTORY_PATH, directory(), token="t")
        assert answer.status == status


async def test_unknown_fields_are_ignored_counted_and_logged_once() -> None:
    """A relay of a later version reports to this version."""
    services = services_over(MemoryLedger())
    app = build(services)
    document = report(row(BUCKET, fromTheFuture=5))
    with capture_logs() as logged:
        for _ in range(2):
            assert (await request(app, "POST", USAGE_PATH, document)).status == 204
    assert [line["fields"] for line in logged if line["event"] == "unknown fields ignored"] == [
        ["rows[].fromTheFuture"]
    ]
    name = 'wsedge_statistics_ingested_with_unknown_fields_total{message="UsageReport"}'
    assert value(services.metrics.text().decode(), name) == 2
