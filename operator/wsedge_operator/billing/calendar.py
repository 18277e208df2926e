"""Natural days and months of a time zone: the cycles of a bill.

A natural day begins at the first instant whose local date is that day (product rule, docs/activation.md). Two
changes of local time need this definition:

    a skipped midnight (America/Sao_Paulo, spring)      the day begins at the instant of the skip, 01:00
    a repeated midnight (America/Havana, autumn)        the day begins at the first of the two; instants after
                                                        it belong to the new day, even while local clocks show
                                                        the old date again
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
    """Return the zone with this name of the IANA database. Raises UnknownZoneError when there is none."""
    if (zone := zone_named(name)) is None:
        raise UnknownZoneError(name)
    return zone


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant (UTC) of the natural day."""
    midnight = datetime.combine(day, time.min)
    latest = midnight.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if latest.astimezone(zone).replace(tzinfo=None) == midnight:
        return latest
    # Local time skips this midnight (PEP 495: a gap). Converted with the offset after the skip (fold=1) it
    # lies before the skip, with the offset before (`latest`, fold=0) at the skip or after it. zoneinfo does
    # not say where the skip is, so bisect between the two, in whole seconds.
    earliest = midnight.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while latest - earliest > SECOND:
        middle = earliest + (latest - earliest) // SECOND // 2 * SECOND
        if middle.astimezone(zone).replace(tzinfo=None) < midnight:
            earliest = middle
        else:
            latest = middle
    return latest


def day_of(instant: datetime, zone: ZoneInfo) -> date:
    """Return the natural day that contains `instant` (aware): the last day that began at or before it."""
    shown = instant.astimezone(zone).date()
    return shown + DAY if day_start(shown + DAY, zone) <= instant else shown


def next_boundary(instant: datetime, cycle: BillingCycle, zone: ZoneInfo) -> datetime:
    """Return the first instant (UTC) of the natural day or month after the one that contains `instant`.

    A boundary belongs to the day that begins there, so the result is always later than `instant`.
    """
    day = day_of(instant, zone)
    if cycle is BillingCycle.DAILY:
        return day_start(day + DAY, zone)
    # 31 days after the first of a month lie in the next month, whatever its length.
    return day_start((day.replace(day=1) + 31 * DAY).replace(day=1), zone)
