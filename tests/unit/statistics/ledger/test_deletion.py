"""The time of deletion, from three clocks."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from support.statistics.build import instant
from wsedge_statistics.ledger.deletion import IDLE, deletion_time

NOW = instant("2026-06-15T12:00:00Z")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# name: (clock, newest counts, remembered, seconds of the process; remembered after, trusted)
TIMES: dict[str, tuple[datetime, datetime | None, datetime | None, float, datetime, datetime]] = {
    "all clocks agree": (NOW, NOW, NOW - HOUR, 3600, NOW, NOW),
    "a clock 400 days ahead for six seconds": (
        NOW + 400 * DAY,
        NOW,
        NOW,
        6,
        NOW + timedelta(minutes=1),
        NOW + timedelta(minutes=1),
    ),
    "a clock and relays 400 days ahead for an hour": (
        NOW + 400 * DAY,
        NOW + 400 * DAY,
        NOW,
        3600,
        NOW + 10 * HOUR,
        NOW + 10 * HOUR,
    ),
    "a clock 400 days ahead for 100 days": (
        NOW + 400 * DAY,
        NOW,
        NOW,
        8_640_000,
        NOW + 400 * DAY,
        NOW + IDLE,
    ),
    "a clock that is set back": (NOW - 200 * DAY, NOW, NOW, 3600, NOW, NOW - 200 * DAY),
    "an outage of ten days": (NOW + 10 * DAY, NOW + 10 * DAY, NOW, 3600, NOW + 10 * HOUR, NOW + 10 * HOUR),
    "a day after an outage of ten days": (
        NOW + 11 * DAY,
        NOW + 11 * DAY,
        NOW + DAY,
        86400,
        NOW + 11 * DAY,
        NOW + 11 * DAY,
    ),
    "no reports any more": (NOW + 9 * DAY, NOW, NOW + 9 * DAY, 0, NOW + 9 * DAY, NOW + IDLE),
    "a ledger that remembers nothing": (NOW + 400 * DAY, NOW, None, 0, NOW + IDLE, NOW + IDLE),
    "a ledger without counts": (NOW, None, None, 0, NOW, NOW),
    "remembered time without counts": (NOW, None, NOW, 9, NOW, NOW),
}


@pytest.mark.parametrize(
    ("now", "newest", "remembered", "ran", "after", "trusted"), TIMES.values(), ids=TIMES.keys()
)
def test_the_time_of_deletion(
    now: datetime,
    newest: datetime | None,
    remembered: datetime | None,
    ran: float,
    after: datetime,
    trusted: datetime,
) -> None:
    """The earliest of the clock, the newest counts and the remembered time, which runs ten times as fast."""
    settled = deletion_time(now, newest=newest, remembered=remembered, ran=ran)
    assert (settled.remembered, settled.trusted) == (after, trusted)
    assert settled.behind(now) == max(timedelta(), now - trusted)
