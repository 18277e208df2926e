"""Reports: the format, the meaning of answers, the time of a retry."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from last_release import statistics_contract as last_statistics
from wsedge_relay.metering.report import (
    Fate,
    ReportTimes,
    Sender,
    batches,
    encode,
    judge,
)
from wsedge_relay.metering.usage import CLOCKS_DIFFER_SECONDS, UsageCount, UsageKey
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
    report = UsageReport.model_validate_json(
        gzip.decompress(encode(Sender("team-a/chat", "uid"), sent.epoch, [sent]))
    )
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


BEHIND, AHEAD, EQUAL = (
    "Tue, 14 Nov 2023 20:13:20 GMT",
    "Fri, 16 Feb 2024 22:13:20 GMT",
    "Tue, 14 Nov 2023 22:13:25 GMT",
)
OF_BUCKET, OF_COUNT = {"row": 0, "field": "bucket"}, {"row": 0, "field": "sentBytes"}
FINAL: dict[str, tuple[str | None, list[object], int, bool]] = {
    "too old by a clock that is 94 days ahead": (AHEAD, [OF_BUCKET], -400, False),
    "too old by a clock that is 94 days ahead, as a pointer": (
        AHEAD,
        [{"pointer": "/rows/0/bucket"}],
        0,
        False,
    ),
    "in the future of a clock that is two hours behind": (BEHIND, [OF_BUCKET], -400, False),
    "in the future of both clocks": (EQUAL, [OF_BUCKET], 4000, False),
    "too old although the clocks agree": (EQUAL, [OF_BUCKET], -400, True),
    "too old by an answer without a Date": (None, [OF_BUCKET], -400, True),
    "too old by an answer with a nonsensical Date": ("today", [OF_BUCKET], -400, True),
    "a wrong count, whatever the clocks": (AHEAD, [OF_COUNT], -400, True),
    "a wrong count beside the time": (AHEAD, [OF_BUCKET, OF_COUNT], -400, True),
}


@pytest.mark.parametrize(("date", "errors", "age", "final"), FINAL.values(), ids=FINAL.keys())
def test_a_row_that_was_rejected_for_its_time(
    date: str | None, errors: list[object], age: int, final: bool
) -> None:
    """It is lost only when both clocks agree; Date is the service's clock."""
    headers = {} if date is None else {"date": date}
    verdict = judge(422, headers, problem(errors=errors), sent=1, now=NOW)
    assert verdict.rows == (0,)
    assert verdict.is_final(0, row(bucket=int(NOW) + age)) is final


def test_a_row_that_may_be_accepted_later_is_never_lost() -> None:
    """A 403 names rows of domains that the next Directory may list."""
    verdict = judge(403, {"date": EQUAL}, problem(errors=[OF_COUNT]), sent=1, now=NOW)
    assert not verdict.is_final(0, row(bucket=int(NOW) - 400))


def test_the_difference_of_the_clocks_is_told_by_each_answer() -> None:
    """Positive when the relay's clock is ahead."""
    assert judge(204, {"date": BEHIND}, b"", sent=1, now=NOW).ahead == 7200
    assert judge(503, {"date": EQUAL}, b"", sent=1, now=NOW).ahead == -5
    assert judge(204, {}, b"", sent=1, now=NOW).ahead is None
    edge = judge(204, {"date": EQUAL}, b"", sent=1, now=NOW + 5 + CLOCKS_DIFFER_SECONDS)
    assert (edge.ahead, edge.clocks_differ) == (CLOCKS_DIFFER_SECONDS, False)


TOO_NEW: dict[str, list[object]] = {
    "of a row": [{"row": 0, "field": "connectionSeconds"}],
    "of a row, as a pointer": [{"pointer": "/rows/1/connectionSeconds"}],
    "of the source": [{"field": "source.cluster", "reason": "Extra inputs are not permitted"}],
    "of the report, beside another fault": [{"row": 2, "field": "domain"}, {"field": "nextWithinSeconds"}],
}


@pytest.mark.parametrize("errors", TOO_NEW.values(), ids=TOO_NEW.keys())
def test_a_field_that_older_statistics_reject_is_left_out(errors: list[object]) -> None:
    """No row is lost for it; a report without new fields is judged by its other faults."""
    body = problem(errors=errors)
    assert judge(422, {}, body, sent=3, now=NOW).fate is Fate.TOO_NEW
    assert judge(422, {}, body, sent=3, now=NOW, plain=True).fate is not Fate.TOO_NEW
    assert judge(403, {}, body, sent=3, now=NOW).fate is not Fate.TOO_NEW


def test_new_fields_are_sent_where_they_are_set_and_not_in_a_plain_report() -> None:
    """The first release rejects a report that has one of them."""
    sender = Sender("team-a/chat", "uid", cluster="north", next_within=310)
    rows = [row(connection_seconds=7), row()]
    full = json.loads(gzip.decompress(encode(sender, "0123abcd", rows)))
    assert (full["source"]["cluster"], full["nextWithinSeconds"]) == ("north", 310)
    assert [sent.get("connectionSeconds") for sent in full["rows"]] == [7, None]
    UsageReport.model_validate_json(json.dumps(full), extra="forbid")
    plain = gzip.decompress(encode(sender, "0123abcd", rows, plain=True))
    last_statistics.UsageReport.model_validate_json(plain)


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
    assert ReportTimes().promise == 332
    assert ReportTimes.of_flush(3600.0).promise == 3600 + 2 * 3600 + 2 + 10
    assert ReportTimes.of_flush(0.2).slow == pytest.approx(1.2)
