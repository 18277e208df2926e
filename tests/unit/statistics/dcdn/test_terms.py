"""An account's terms in the original's words."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from support.statistics.build import instant
from wsedge_statistics.contract import DirectoryAccount, Terms
from wsedge_statistics.dcdn.terms import bill_types, service

NOW = instant("2026-06-15T00:00:00Z")


def account(*periods: tuple[str, str, str | None], **fields: Any) -> DirectoryAccount:
    """An account with periods of a metering method, a start and an end."""
    made = [
        {
            "terms": {
                "billingCycle": "Daily" if "Daily" in method else "Monthly",
                "meteringMethod": method,
                "timeZone": "UTC",
            },
            "start": start,
            **({"end": end} if end else {}),
        }
        for method, start, end in periods
    ]
    return DirectoryAccount.model_validate_json(
        __import__("json").dumps({"account": "team-a", "periods": made, **fields})
    )


CHANGING = account(
    ("Traffic", "2026-01-01T00:00:00Z", "2026-06-30T16:00:00Z"),
    ("Month95Bandwidth", "2026-06-30T16:00:00Z", None),
    uid="u-1",
)


def test_a_pending_change_is_told_with_its_time() -> None:
    """As the original's console shows it while it lies in the future."""
    assert service(CHANGING, NOW) == {
        "InstanceId": "u-1",
        "OpeningTime": "2026-01-01T00:00:00Z",
        "InternetChargeType": "PayByTraffic",
        "WebsocketType": "websockettraffic",
        "ChangingChargeType": "PayByBandwidth95",
        "ChangingAffectTime": "2026-06-30T16:00:00Z",
        "WebsocketChangingType": "websocketbps",
        "WebsocketChangingTime": "2026-06-30T16:00:00Z",
        "OperationLocks": {"LockReason": []},
    }


def test_after_the_change_nothing_is_pending() -> None:
    """At the instant itself the new terms hold."""
    found = service(CHANGING, instant("2026-06-30T16:00:00Z"))
    assert (found["InternetChargeType"], found["WebsocketType"]) == ("PayByBandwidth95", "websocketbps")
    assert found["ChangingChargeType"] is found["WebsocketChangingTime"] is None


def test_terms_that_ended_or_have_not_begun_are_not_in_force() -> None:
    """The instance stays; an older operator sends no uid."""
    ended = service(account(("Traffic", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")), NOW)
    assert (ended["InstanceId"], ended["WebsocketType"]) == ("team-a", None)
    coming = service(account(("Traffic", "2026-07-01T00:00:00Z", None)), NOW)
    assert (coming["WebsocketType"], coming["WebsocketChangingType"]) == (None, "websockettraffic")


BILL_TYPES = {
    "Traffic": "hour_flow",
    "DailyPeakBandwidth": "day_bandwidth",
    "Month95Bandwidth": "month_95",
    "MonthAveragePeakBandwidth": "month_avg_day_bandwidth",
    "Month4thPeakBandwidth": "month_4th_day_bandwidth",
    "MonthAverage95Bandwidth": "month_avg_day_95",
    "Month95NightHalfBandwidth": "month_95_night_half",
}


def test_every_metering_method_has_its_words() -> None:
    """Each BillType belongs to one method."""
    assert set(get_args(Terms.model_fields["meteringMethod"].annotation)) == set(BILL_TYPES)


@pytest.mark.parametrize(("method", "bill_type"), BILL_TYPES.items(), ids=BILL_TYPES.keys())
def test_a_method_is_a_bill_type(method: str, bill_type: str) -> None:
    """With its cycle; terms without an end have one that programs can parse."""
    one = account((method, "2026-01-01T00:00:00Z", None))
    (found,) = bill_types(one.periods, NOW, instant("2026-07-01T00:00:00Z"))
    assert (found["BillType"], found["EndTime"]) == (bill_type, "9999-12-31T23:59:59Z")
    assert found["BillingCycle"] == ("day" if "Daily" in method else "month")
    assert (found["Product"], found["Dimension"]) == ("dcdn", "websocket")


RANGES: dict[str, tuple[str, str, int]] = {
    "all of both": ("2025-01-01T00:00:00Z", "2027-01-01T00:00:00Z", 2),
    "up to the change": ("2026-06-01T00:00:00Z", "2026-06-30T16:00:00Z", 1),
    "from the change on": ("2026-06-30T16:00:00Z", "2026-07-30T16:00:00Z", 1),
    "before the first": ("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 0),
}


@pytest.mark.parametrize(("start", "end", "count"), RANGES.values(), ids=RANGES.keys())
def test_a_range_has_the_terms_that_hold_within_it(start: str, end: str, count: int) -> None:
    """Half-open on both sides."""
    assert len(bill_types(CHANGING.periods, instant(start), instant(end))) == count
