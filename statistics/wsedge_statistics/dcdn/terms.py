"""An account's terms in the original's words: its base type, its WebSocket type, its bill types. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from wsedge_statistics.contract import DirectoryAccount, Period
from wsedge_statistics.numbers.ranges import instant_text

# By metering method: InternetChargeType, BillType.
_WORDS: Final = {
    "Traffic": ("PayByTraffic", "hour_flow"),
    "DailyPeakBandwidth": ("PayByBandwidth", "day_bandwidth"),
    "Month95Bandwidth": ("PayByBandwidth95", "month_95"),
    "MonthAveragePeakBandwidth": ("PayByBandwidth_monthavg", "month_avg_day_bandwidth"),
    "Month4thPeakBandwidth": ("PayByBandwidth_month4th", "month_4th_day_bandwidth"),
    "MonthAverage95Bandwidth": ("PayByBandwidth_monthday95avg", "month_avg_day_95"),
    "Month95NightHalfBandwidth": ("PayByBandwidth_nighthalf95", "month_95_night_half"),
}
_CYCLES: Final = {"Daily": "day", "Monthly": "month"}
# Programs parse the end of validity as a time, also of terms that have none.
NO_END: Final = "9999-12-31T23:59:59Z"


def service(account: DirectoryAccount, now: datetime) -> dict[str, Any]:
    """Return the answer of DescribeDcdnService, of an account with periods."""
    periods = account.periods
    current = next((each for each in periods if _holds(each, now)), None)
    coming = next((each for each in periods if each.start > now), None)
    return {
        "InstanceId": account.uid or account.account,
        "OpeningTime": instant_text(periods[0].start),
        "InternetChargeType": _charge_type(current),
        "WebsocketType": _websocket_type(current),
        "ChangingChargeType": _charge_type(coming),
        "ChangingAffectTime": instant_text(coming.start) if coming else None,
        "WebsocketChangingType": _websocket_type(coming),
        "WebsocketChangingTime": instant_text(coming.start) if coming else None,
        "OperationLocks": {"LockReason": []},
    }


def bill_types(periods: Sequence[Period], start: datetime, end: datetime) -> list[dict[str, str]]:
    """Return the terms that are in force at some time of [start, end), oldest first."""
    return [
        {
            "StartTime": instant_text(each.start),
            "EndTime": instant_text(each.end) if each.end else NO_END,
            "Product": "dcdn",
            "BillingCycle": _CYCLES[each.terms.billingCycle],
            "Dimension": "websocket",
            "BillType": _WORDS[each.terms.meteringMethod][1],
        }
        for each in periods
        if each.start < end and (each.end is None or each.end > start)
    ]


def _holds(period: Period, now: datetime) -> bool:
    return period.start <= now and (period.end is None or period.end > now)


def _charge_type(period: Period | None) -> str | None:
    return _WORDS[period.terms.meteringMethod][0] if period else None


def _websocket_type(period: Period | None) -> str | None:
    if period is None:
        return None
    return "websockettraffic" if period.terms.meteringMethod == "Traffic" else "websocketbps"
