"""Natural days and months of a time zone, as a bill knows them.

A natural day begins at the first instant whose local date is that day. So a midnight that the clocks skip is
replaced by the instant of the skip, and of a midnight that comes twice the first counts; an instant after it
belongs to the new day even if the clocks show the old date for a while once more.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from wsedge_operator.api.billing_plan import BillingCycle
from wsedge_operator.errors import UnknownZoneError
from wsedge_statistics.contract import zone_named

SECOND: Final = timedelta(seconds=1)
DAY: Final = timedelta(days=1)


def zone_of(name: str) -> ZoneInfo:
    """Return the zone that the IANA database calls `name`; raise UnknownZoneError when there is none."""
    if (zone := zone_named(name)) is None:
        raise UnknownZoneError(name)
    return zone


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant (UTC) of the natural day."""
    midnight = datetime.combine(day, time.min)
    latest = midnight.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if latest.astimezone(zone).replace(tzinfo=None) == midnight:
        return latest
    # The clocks skip this midnight. Read with the offset after the skip it lies before the skip, read with
    # the offset before (`latest`) at the skip or after it: the skip is in between.
    earliest = midnight.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while latest - earliest > SECOND:
        middle = earliest + (latest - earliest) // SECOND // 2 * SECOND
        if middle.astimezone(zone).replace(tzinfo=None) < midnight:
            earliest = middle
        else:
            latest = middle
    return latest


def day_of(instant: datetime, zone: ZoneInfo) -> date:
    """Return the natural day that `instant` (aware) belongs to: the last one that has begun."""
    shown = instant.astimezone(zone).date()
    return shown + DAY if day_start(shown + DAY, zone) <= instant else shown


def next_boundary(instant: datetime, cycle: BillingCycle, zone: ZoneInfo) -> datetime:
    """Return the first instant (UTC) of the natural day, or of the month, that comes after `instant`'s.

    An instant exactly on a boundary belongs to the new day, so the answer is always later than `instant`.
    """
    day = day_of(instant, zone)
    if cycle is BillingCycle.DAILY:
        return day_start(day + DAY, zone)
    return day_start((day.replace(day=1) + 31 * DAY).replace(day=1), zone)
