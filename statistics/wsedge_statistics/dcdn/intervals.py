"""The range of a statistics call: its times, and the length of its slots. Pure.

The rules are those of the original's API pages of 2023, which are not those of its console: five minutes up
to 3 days, an hour up to 31, a day up to 366, each as far back as the ledger keeps it. Another `Interval`, or
one that the span does not offer, is no error: the default of the span is used, and `DataInterval` tells it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from wsedge_statistics.dcdn import faults
from wsedge_statistics.errors import RpcError
from wsedge_statistics.numbers.calendars import Calendar
from wsedge_statistics.numbers.granularity import DEFAULT_SPAN, FINE_SPAN, MIDDLE_SPAN, REACH, Granularity
from wsedge_statistics.numbers.ranges import Range, cut, span_of
from wsedge_statistics.numbers.series import BUCKET

LONGEST_SPAN: Final = timedelta(days=366)
SECONDS: Final = {Granularity.FIVE_MINUTES: "300", Granularity.HOUR: "3600", Granularity.DAY: "86400"}
_BY_SECONDS: Final = {text: granularity for granularity, text in SECONDS.items()}
_SPANS: Final = (
    (FINE_SPAN, Granularity.FIVE_MINUTES),
    (MIDDLE_SPAN, Granularity.HOUR),
    (LONGEST_SPAN, Granularity.DAY),
)
_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def times(parameters: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """Return start and end of a call; without both the last 24 hours. Raises RpcError."""
    start, end = parameters.get("StartTime"), parameters.get("EndTime")
    if not start and not end:
        last = datetime.fromtimestamp(-(-int(now.timestamp()) // BUCKET) * BUCKET, tz=UTC)
        return last - DEFAULT_SPAN, last
    if not start or not end:
        raise RpcError(400, "MissingTimeParameter", "StartTime and EndTime must be given together.")
    first, last = instant("StartTime", start), instant("EndTime", end)
    if last <= first:
        raise RpcError(400, "InvalidEndTime.Mismatch", "The EndTime is not later than the StartTime.")
    return first, last


def instant(name: str, text: str) -> datetime:
    """Return a time parameter, which has the form yyyy-MM-ddTHH:mm:ssZ. Raises RpcError."""
    malformed = faults.malformed(name, "the form is yyyy-MM-ddTHH:mm:ssZ")
    if not _INSTANT.fullmatch(text):
        raise malformed
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:  # the thirtieth of February
        raise malformed from None


def settle(start: datetime, end: datetime, interval: str | None, calendar: Calendar, now: datetime) -> Range:
    """Return the slots of a call: 300 and 3600 are cut in UTC, 86400 at the midnights of the zones.

    Raises RpcError when the span is too long, or begins before or after all that can be counted.
    """
    if not now - LONGEST_SPAN <= start <= now + LONGEST_SPAN:
        raise faults.unsupported("StartTime", "it is more than 366 days from now")
    span = span_of(start, end, calendar)
    if span > LONGEST_SPAN:
        raise faults.unsupported("StartTime", "the span is longer than 366 days")
    granularity = _chosen(interval, span, now - start)
    return Range(granularity, cut(start, end, granularity, calendar))


def _chosen(interval: str | None, span: timedelta, age: timedelta) -> Granularity:
    offered = [each for longest, each in _SPANS if span <= longest and age <= REACH[each]]
    asked = _BY_SECONDS.get(interval or "")
    if asked in offered:
        return asked
    # At exactly 3 or 31 days the finer length is offered, and the coarser one is the default.
    default = next((each for longest, each in _SPANS if span < longest), Granularity.DAY)
    return default if default in offered else offered[0]
