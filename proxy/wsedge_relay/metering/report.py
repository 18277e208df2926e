"""The format of a usage report, the meaning of its answer, and the time of a retry. Pure."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final

from wsedge_relay.metering.usage import CLOCKS_DIFFER_SECONDS, UsageCount
from wsedge_statistics.contract import BUCKET_SECONDS

# Fields that the first release's statistics do not have, which rejects a report with an unknown field.
NEW_FIELDS: Final = frozenset({"connectionSeconds", "cluster", "nextWithinSeconds"})
ROWS_PER_REPORT: Final = 500  # the contract allows 5000; to encode 500 blocks the loop for 1 to 2 ms
MAX_RETRY_AFTER_SECONDS: Final = 600.0
_POINTER = re.compile(r"^#?/rows/(\d+)(?:/([^/]*)|$)")


@dataclass(frozen=True, slots=True)
class ReportTimes:
    """Intervals and limits of reports, in seconds.

    `flush` is the interval of reports, `call` the deadline of one report, `slow` the longest retry delay,
    `spread` the longest random delay after a bucket's end. After `presence` without a report one without rows
    is sent, so that the statistics can tell an idle relay from a relay that is cut off. A row that is too old
    for both clocks is only lost when it is so again after `doubt`.
    """

    flush: float = 10.0
    call: float = 10.0
    first_retry: float = 1.0
    slow: float = 60.0
    spread: float = 2.0
    presence: float = BUCKET_SECONDS
    doubt: float = 5.0

    @property
    def promise(self) -> int:
        """The seconds within which another report follows, unless the relay or its way is broken."""
        return math.ceil(self.presence + 2 * self.flush + self.spread + self.call)

    @classmethod
    def of_flush(cls, seconds: float) -> ReportTimes:
        """Return the times of a relay that reports every `seconds`."""
        return cls(
            flush=seconds,
            call=10.0,
            first_retry=min(1.0, seconds / 2),
            slow=6 * seconds,
            spread=min(2.0, seconds / 5),
            presence=max(BUCKET_SECONDS, seconds),
        )

    def retry_delay(self, failures: int, chance: float) -> float:
        """Return the delay after `failures` in a row; `chance` (0 to 1) spreads retries of many relays."""
        longest = min(self.slow, self.first_retry * 2.0 ** min(failures - 1, 30))
        return longest * (0.5 + chance / 2)


class Fate(Enum):
    """The meaning of an answer for the rows of its report."""

    TAKEN = "taken"
    TOO_LARGE = "too large"
    TOO_NEW = "too new"
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
    TOO_NEW: the service does not have one of NEW_FIELDS, so the report must be sent without them.
    `untimely` are those of `rows` that were rejected for their time alone. `service_time` is the service's
    clock, in seconds since 1970 UTC, if the answer has a Date; `ahead` is the relay's clock minus this.
    """

    fate: Fate
    reason: str = ""
    rows: tuple[int, ...] = ()
    untimely: frozenset[int] = frozenset()
    retry_after: float | None = None
    service_time: float | None = None
    ahead: float | None = None

    @property
    def clocks_differ(self) -> bool:
        """Whether the relay's clock or the service's clock is wrong."""
        return self.ahead is not None and abs(self.ahead) > CLOCKS_DIFFER_SECONDS

    def is_untimely(self, place: int) -> bool:
        """Return whether a row was rejected for its time alone, while the clocks agree."""
        return self.fate is Fate.INVALID_ROWS and place in self.untimely and not self.clocks_differ

    def is_final(self, place: int, row: UsageCount) -> bool:
        """Return whether a rejected row, at its index in the report, will never be accepted.

        A row that was rejected for its time may be accepted once the clocks agree, and a row that is ahead of
        the service's clock may be accepted once its time has come.
        """
        if self.fate is not Fate.INVALID_ROWS:
            return False
        comes_in_time = self.service_time is not None and row.bucket > self.service_time
        return not comes_in_time and not (place in self.untimely and self.clocks_differ)


@dataclass(frozen=True, slots=True)
class Sender:
    """The source of a report, apart from its epoch. `next_within` is the promise of another report."""

    pod: str
    uid: str
    cluster: str | None = None
    next_within: int | None = None


def batches(rows: Sequence[UsageCount], limit: int) -> Iterator[tuple[UsageCount, ...]]:
    """Split rows into reports of one epoch and at most `limit` rows each, in the given order."""
    by_epoch: dict[str, list[UsageCount]] = {}
    for row in rows:
        by_epoch.setdefault(row.epoch, []).append(row)
    for same in by_epoch.values():
        for start in range(0, len(same), limit):
            yield tuple(same[start : start + limit])


def encode(sender: Sender, epoch: str, rows: Sequence[UsageCount], *, plain: bool = False) -> bytes:
    """Return the gzipped UsageReport of `rows`, which have one epoch; `plain` leaves out NEW_FIELDS."""
    source = {"pod": sender.pod, "uid": sender.uid, "epoch": epoch}
    report: dict[str, object] = {"version": 1, "source": source}
    if not plain and sender.cluster is not None:
        source["cluster"] = sender.cluster
    if not plain and sender.next_within is not None:
        report["nextWithinSeconds"] = sender.next_within
    report["rows"] = [_row(row, plain=plain) for row in rows]
    return gzip.compress(json.dumps(report, separators=(",", ":")).encode(), compresslevel=1)


def judge(
    status: int, headers: Mapping[str, str], body: bytes, *, sent: int, now: float, plain: bool = False
) -> Verdict:
    """Return the meaning of an answer to a report of `sent` rows; `now` is in seconds since 1970 UTC.

    `plain` is whether the report was sent without NEW_FIELDS.
    """
    verdict = _judge(status, headers, body, sent=sent, now=now, plain=plain)
    service_time = _http_date(headers.get("date", ""))
    ahead = None if service_time is None else now - service_time
    return replace(verdict, service_time=service_time, ahead=ahead)


def _judge(
    status: int, headers: Mapping[str, str], body: bytes, *, sent: int, now: float, plain: bool
) -> Verdict:
    if 200 <= status < 300:
        return Verdict(Fate.TAKEN)
    retry_after = _retry_after(headers.get("retry-after"), now)
    problem = _problem(body)
    reason = f"{status} {_text(problem, body)}".strip()
    if status == 413 and sent > 1:
        return Verdict(Fate.TOO_LARGE, reason)
    places = list(_places(problem))
    if status in (400, 422) and not plain and any(field in NEW_FIELDS for _, field in places):
        return Verdict(Fate.TOO_NEW, reason)
    rows = tuple(sorted({row for row, _ in places if row is not None and row < sent}))
    if rows and status in (400, 422):
        otherwise = {row for row, field in places if field != "bucket"}
        untimely = frozenset(row for row in rows if row not in otherwise)
        return Verdict(Fate.INVALID_ROWS, reason, rows, untimely)
    if rows and 400 <= status < 500:
        return Verdict(Fate.HELD_ROWS, reason, rows)
    if 400 <= status < 500 or 300 <= status < 400:
        return Verdict(Fate.SLOWLY, reason, retry_after=retry_after)
    return Verdict(Fate.LATER, reason, retry_after=retry_after)


def _row(row: UsageCount, *, plain: bool) -> dict[str, object]:
    key = row.key
    added = {} if plain or not row.connection_seconds else {"connectionSeconds": row.connection_seconds}
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
        **added,
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


def _places(problem: Mapping[str, object]) -> Iterator[tuple[int | None, str]]:
    """Yield the row and the last name of the field of each fault that has either.

    A fault has `row` and `field`, or a `pointer` (RFC 9457 section 3).
    """
    errors = problem.get("errors")
    for error in errors if isinstance(errors, list) else ():
        match error:
            case {"row": int(row), **rest} if row >= 0 and not isinstance(row, bool):
                yield row, _last_name(rest.get("field"))
            case {"pointer": str(pointer)} if found := _POINTER.match(pointer):
                yield int(found[1][:9]), found[2] or ""
            case {"field": str(field)} if "row" not in error:
                yield None, _last_name(field)


def _last_name(field: object) -> str:
    return field.rpartition(".")[2] if isinstance(field, str) else ""
