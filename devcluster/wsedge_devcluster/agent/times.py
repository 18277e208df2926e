"""Times as the API writes them."""

from __future__ import annotations

import datetime as dt


def stamp(moment: dt.datetime) -> str:
    """Return metav1.Time: RFC 3339, seconds, UTC."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_stamp(moment: dt.datetime) -> str:
    """Return metav1.MicroTime: RFC 3339 with six digits, UTC."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc_now() -> dt.datetime:
    """Return the time of the wall clock."""
    return dt.datetime.now(dt.UTC)
