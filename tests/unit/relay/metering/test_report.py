"""Reports: the format, the meaning of answers, the time of a retry."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from wsedge_relay.metering.report import Fate, ReportTimes, batches, encode, judge
from wsedge_relay.metering.usage import UsageCount, UsageKey
from wsedge_statistics.contract import UsageReport

NOW = 1_700_000_000.0


def row(bucket: int = 1_700_000_100, epoch: str = "0123abcd", **counts: Any) -> UsageCount:
    """Return a row of chat.example.com."""
    return UsageCount(epoch, bucket, UsageKey("chat.example.com", "team-a"), **counts)


def test_a_report_is_what_the_contract_takes() -> None:
    """The encoded report validates as UsageReport and has every count."""
    sent = row(
        sent_bytes=1,
        received_bytes=2,
        sent_messages=3,
        received_messages=4,
        opened_connections=5,
        peak_connections=6,
        codes=((101, 5), (403, 1)),
    )
    report = UsageReport.model_validate_json(gzip.decompress(encode("team-a/chat", "uid", [sent])))
    assert report.source.epoch == "0123abcd"
    (got,) = report.rows
    assert got.bucket.isoformat() == "2023-11-14T22:15:00+00:00"
    assert (got.sentBytes, got.receivedBytes, got.sentMessages, got.receivedMessages) == (1, 2, 3, 4)
    assert (got.openedConnections, got.peakConnections, got.codes) == (5, 6, {"101": 5, "403": 1})
    assert (got.region, got.isp, got.area) == ("unknown", "unknown", "unknown")


def test_a_report_has_one_epoch_and_a_bounded_size() -> None:
    """Rows are split by epoch, then by number, in order."""
    rows = [row(epoch="aaaaaaaa"), row(epoch="bbbbbbbb"), row(epoch="aaaaaaaa"), row(epoch="aaaaaaaa")]
    cut = list(batches(rows, 2))
    assert [[one.epoch[0] for one in batch] for batch in cut] == [["a", "a"], ["a"], ["b"]]


def problem(**fields: object) -> bytes:
    """Return a problem+json body."""
    return json.dumps(fields).encode()


JUDGEMENTS = {
    "204 is taken": (204, b"", Fate.TAKEN, ()),
    "200 is taken": (200, b"whatever", Fate.TAKEN, ()),
    "a redirect needs a person": (302, b"", Fate.SLOWLY, ()),
    "401 needs a person": (401, b"", Fate.SLOWLY, ()),
    "403 without rows needs a person": (403, b"", Fate.SLOWLY, ()),
    "404 needs a person": (404, b"", Fate.SLOWLY, ()),
    "408 needs patience": (408, b"", Fate.SLOWLY, ()),
    "409 needs patience": (409, b"", Fate.SLOWLY, ()),
    "429 needs patience": (429, b"", Fate.SLOWLY, ()),
    "400 without a row drops nothing": (400, problem(detail="?"), Fate.SLOWLY, ()),
    "422 that names rows by number": (422, problem(errors=[{"row": 1}]), Fate.INVALID_ROWS, (1,)),
    "422 that names rows by pointer": (
        422,
        problem(errors=[{"pointer": "#/rows/2/bucket"}, {"pointer": "/rows/0"}]),
        Fate.INVALID_ROWS,
        (0, 2),
    ),
    "422 that names a row that was not sent": (422, problem(errors=[{"row": 7}]), Fate.SLOWLY, ()),
    "422 with nonsense for rows": (
        422,
        problem(errors=[{"row": True}, {"row": -1}, {"pointer": "/rowsy/1"}, 5, {"row": "1"}]),
        Fate.SLOWLY,
        (),
    ),
    "422 whose errors are no list": (422, problem(errors="all of it"), Fate.SLOWLY, ()),
    "403 that names a row holds it": (403, problem(errors=[{"row": 0}]), Fate.HELD_ROWS, (0,)),
    "413 is cut smaller": (413, b"", Fate.TOO_LARGE, ()),
    "500 is tried again": (500, b"", Fate.LATER, ()),
    "503 is tried again": (503, b"<html>", Fate.LATER, ()),
    "a body that nests without end": (400, b"[" * 200_000, Fate.SLOWLY, ()),
    "a body of hostile bytes": (400, b"\xff\x00\xfe", Fate.SLOWLY, ()),
}


@pytest.mark.parametrize("case", JUDGEMENTS)
def test_judgement(case: str) -> None:
    """The verdict of an answer to a report of three rows."""
    status, body, fate, rows = JUDGEMENTS[case]
    verdict = judge(status, {}, body, sent=3, now=NOW)
    assert (verdict.fate, verdict.rows) == (fate, rows)


def test_a_single_row_cannot_be_cut() -> None:
    """A 413 for one row needs a person, so retries are slow."""
    assert judge(413, {}, b"", sent=1, now=NOW).fate is Fate.SLOWLY


def test_the_reason_is_the_problems_detail() -> None:
    """The log shows the service's explanation."""
    assert judge(401, {}, problem(detail="the token has expired"), sent=1, now=NOW).reason == (
        "401 the token has expired"
    )
    assert judge(401, {}, problem(title="Unauthorized"), sent=1, now=NOW).reason == "401 Unauthorized"
    assert judge(502, {}, b"Bad Gateway", sent=1, now=NOW).reason == "502 Bad Gateway"


def test_a_row_ahead_of_the_services_clock_is_not_lost() -> None:
    """Rows that are rejected because the relay's clock is ahead are sent later; Date shows the difference."""
    body = problem(errors=[{"row": 0}])
    told = judge(422, {"date": "Tue, 14 Nov 2023 22:13:20 GMT"}, body, sent=1, now=NOW)
    assert told.comes_in_time(row(bucket=int(NOW) + 400))
    assert not told.comes_in_time(row(bucket=int(NOW) - 400))
    for headers in ({}, {"date": "today"}):
        assert not judge(422, headers, body, sent=1, now=NOW).comes_in_time(row(bucket=int(NOW) + 400))


RETRY_AFTER = {
    "seconds": ("7", 7.0),
    "a date ahead": ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
    "a date that no clock has": ("Tue, 14 Nov 2023 22:13:50 +99999999999999999999", None),
    "a date gone by": ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
    "very long": ("999999999999999", 600.0),
    "a century": ("3155760000"[:9], 600.0),
    "nonsense": ("soon", None),
    "negative": ("-5", None),
    "empty": ("", None),
}


@pytest.mark.parametrize("case", RETRY_AFTER)
def test_retry_after(case: str) -> None:
    """Retry-After is respected in both forms, within limits (RFC 9110 section 10.2.3)."""
    value, seconds = RETRY_AFTER[case]
    assert judge(503, {"retry-after": value}, b"", sent=1, now=NOW).retry_after == seconds


def test_retries_slow_down_and_spread() -> None:
    """Each failure doubles the delay up to the slow interval; chance reduces it to half at most."""
    times = ReportTimes(first_retry=1.0, slow=60.0)
    assert [times.retry_delay(failures, 1.0) for failures in (1, 2, 3, 7, 1000)] == [1, 2, 4, 60, 60]
    assert times.retry_delay(1, 0.0) == 0.5


def test_the_pace_follows_the_flush_interval() -> None:
    """A shorter interval retries sooner."""
    assert ReportTimes.of_flush(10.0) == ReportTimes()
    assert ReportTimes.of_flush(0.2).slow == pytest.approx(1.2)
