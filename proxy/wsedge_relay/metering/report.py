"""The format of a usage report, the meaning of its answer, and the time of a retry. Pure."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final

from wsedge_relay.metering.usage import UsageCount

ROWS_PER_REPORT: Final = 500  # the contract allows 5000; to encode 500 blocks the loop for 1 to 2 ms
MAX_RETRY_AFTER_SECONDS: Final = 600.0
_POINTER = re.compile(r"^#?/rows/(\d+)(?:/|$)")


@dataclass(frozen=True, slots=True)
class ReportTimes:
    """Intervals and limits of reports, in seconds.

    `flush` is the interval of reports, `call` the deadline of one report, `slow` the longest retry delay,
    `spread` the longest random delay after a bucket's end.
    """

    flush: float = 10.0
    call: float = 10.0
    first_retry: float = 1.0
    slow: float = 60.0
    spread: float = 2.0

    @classmethod
    def of_flush(cls, seconds: float) -> ReportTimes:
        """Return the times of a relay that reports every `seconds`."""
        return cls(
            flush=seconds,
            call=10.0,
            first_retry=min(1.0, seconds / 2),
            slow=6 * seconds,
            spread=min(2.0, seconds / 5),
        )

    def retry_delay(self, failures: int, chance: float) -> float:
        """Return the delay after `failures` in a row; `chance` (0 to 1) spreads retries of many relays."""
        longest = min(self.slow, self.first_retry * 2.0 ** min(failures - 1, 30))
        return longest * (0.5 + chance / 2)


class Fate(Enum):
    """The meaning of an answer for the rows of its report."""

    TAKEN = "taken"
    TOO_LARGE = "too large"
    INVALID_ROWS = "invalid rows"
    HELD_ROWS = "held rows"
    LATER = "later"
    SLOWLY = "slowly"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a report.

    INVALID_ROWS: `rows` (indexes in the report) will never be accepted; the other rows were not committed
    either, and must be sent again without them. HELD_ROWS: the same, but `rows` may be accepted later. LATER:
    retry with back-off. SLOWLY: a person has to act (token, address, rights), so retry at the slow interval.
    `service_time` is the service's clock, in seconds since 1970 UTC, if the answer has a Date.
    """

    fate: Fate
    reason: str = ""
    rows: tuple[int, ...] = ()
    retry_after: float | None = None
    service_time: float | None = None

    def comes_in_time(self, row: UsageCount) -> bool:
        """Return whether a row was rejected because the relay's clock is ahead of the service's clock."""
        return self.service_time is not None and row.bucket > self.service_time


def batches(rows: Sequence[UsageCount], limit: int) -> Iterator[tuple[UsageCount, ...]]:
    """Split rows into reports of one epoch and at most `limit` rows each, in the given order."""
    by_epoch: dict[str, list[UsageCount]] = {}
    for row in rows:
        by_epoch.setdefault(row.epoch, []).append(row)
    for same in by_epoch.values():
        for start in range(0, len(same), limit):
            yield tuple(same[start : start + limit])


def encode(pod: str, uid: str, rows: Sequence[UsageCount]) -> bytes:
    """Return the gzipped UsageReport of `rows`, which have one epoch."""
    report = {
        "version": 1,
        "source": {"pod": pod, "uid": uid, "epoch": rows[0].epoch},
        "rows": [_row(row) for row in rows],
    }
    return gzip.compress(json.dumps(report, separators=(",", ":")).encode(), compresslevel=1)


def judge(status: int, headers: Mapping[str, str], body: bytes, *, sent: int, now: float) -> Verdict:
    """Return the meaning of an answer to a report of `sent` rows; `now` is in seconds since 1970 UTC."""
    if 200 <= status < 300:
        return Verdict(Fate.TAKEN)
    retry_after = _retry_after(headers.get("retry-after"), now)
    problem = _problem(body)
    reason = f"{status} {_text(problem, body)}".strip()
    if status == 413 and sent > 1:
        return Verdict(Fate.TOO_LARGE, reason)
    rows = tuple(sorted({row for row in _named_rows(problem) if row < sent}))
    if rows and status in (400, 422):
        return Verdict(Fate.INVALID_ROWS, reason, rows, service_time=_http_date(headers.get("date", "")))
    if rows and 400 <= status < 500:
        return Verdict(Fate.HELD_ROWS, reason, rows)
    if 400 <= status < 500 or 300 <= status < 400:
        return Verdict(Fate.SLOWLY, reason, retry_after=retry_after)
    return Verdict(Fate.LATER, reason, retry_after=retry_after)


def _row(row: UsageCount) -> dict[str, object]:
    key = row.key
    return {
        "bucket": datetime.fromtimestamp(row.bucket, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "domain": key.domain,
        "account": key.account,
        "region": key.region,
        "isp": key.isp,
        "area": key.area,
        "sentBytes": row.sent_bytes,
        "receivedBytes": row.received_bytes,
        "sentMessages": row.sent_messages,
        "receivedMessages": row.received_messages,
        "openedConnections": row.opened_connections,
        "peakConnections": row.peak_connections,
        "codes": {str(status): times for status, times in row.codes},
    }


def _retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110 section 10.2.3), limited; None without one."""
    if value is None:
        return None
    if value.strip().isdecimal():
        seconds = float(value) if len(value) < 10 else MAX_RETRY_AFTER_SECONDS
    else:
        date = _http_date(value)
        if date is None:
            return None
        seconds = date - now
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


def _http_date(value: str) -> float | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date.replace(tzinfo=date.tzinfo or UTC).timestamp()


def _problem(body: bytes) -> dict[str, object]:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return problem if isinstance(problem, dict) else {}


def _text(problem: Mapping[str, object], body: bytes) -> str:
    for field in ("detail", "title"):
        text = problem.get(field)
        if isinstance(text, str) and text:
            return text[:500]
    return body[:200].decode("utf-8", "replace")


def _named_rows(problem: Mapping[str, object]) -> Iterator[int]:
    """Yield the rows that a problem names: `errors[].row` or `errors[].pointer` (RFC 9457 section 3)."""
    errors = problem.get("errors")
    for error in errors if isinstance(errors, list) else ():
        match error:
            case {"row": bool()}:
                continue
            case {"row": int(row)} if row >= 0:
                yield row
            case {"pointer": str(pointer)} if found := _POINTER.match(pointer):
                yield int(found[1][:9])
