"""Valid and invalid BillingPlans."""

from __future__ import annotations

from typing import Any, Final

from support.operator.manifests.manifest import ABSENT, Invalid

VALID_PLANS: Final[dict[str, dict[str, Any]]] = {
    "the smallest plan": {},
    "traffic per day": {"spec.billingCycle": "Daily", "spec.meteringMethod": "Traffic"},
    "traffic per month": {"spec.meteringMethod": "Traffic"},
    "daily peak per day": {"spec.billingCycle": "Daily", "spec.meteringMethod": "DailyPeakBandwidth"},
    "average peak": {"spec.meteringMethod": "MonthAveragePeakBandwidth"},
    "fourth peak": {"spec.meteringMethod": "Month4thPeakBandwidth"},
    "average of daily 95ths": {"spec.meteringMethod": "MonthAverage95Bandwidth"},
    "night at half": {"spec.meteringMethod": "Month95NightHalfBandwidth"},
    "with a zone": {"spec.timeZone": "Asia/Shanghai"},
    "with a zone of three parts": {"spec.timeZone": "America/Argentina/Buenos_Aires"},
    "with a zone of digits and signs": {"spec.timeZone": "Etc/GMT+8"},
    "with a cycle of an earlier provider": {"spec.existingCycle": "Daily"},
}
INVALID_PLANS: Final[dict[str, Invalid]] = {
    "a cycle is required": Invalid(
        {"spec.billingCycle": ABSENT}, "spec.billingCycle: Required value", "Field required", "billingCycle"
    ),
    "a metering method is required": Invalid(
        {"spec.meteringMethod": ABSENT},
        "spec.meteringMethod: Required value",
        "Field required",
        "meteringMethod",
    ),
    "a spec is required": Invalid({"spec": ABSENT}, "spec: Required value", "Field required", "spec"),
    "a cycle is Daily or Monthly": Invalid(
        {"spec.billingCycle": "Weekly"},
        'spec.billingCycle: Unsupported value: "Weekly": supported values: "Daily", "Monthly"',
        "Input should be 'Daily' or 'Monthly'",
        "billingCycle",
    ),
    "a metering method is one of seven": Invalid(
        {"spec.meteringMethod": "Requests"},
        'spec.meteringMethod: Unsupported value: "Requests": supported values: "Traffic", "DailyPeak',
        "Input should be 'Traffic', 'DailyPeakBandwidth'",
        "meteringMethod",
    ),
    "a month's method needs a monthly cycle": Invalid(
        {"spec.billingCycle": "Daily"},
        "Month95Bandwidth is settled per month: set billingCycle to Monthly",
        field="spec",
    ),
    "an average of a month needs a monthly cycle": Invalid(
        {"spec.billingCycle": "Daily", "spec.meteringMethod": "MonthAveragePeakBandwidth"},
        "MonthAveragePeakBandwidth is settled per month: set billingCycle to Monthly",
        field="spec",
    ),
    "the daily peak needs a daily cycle": Invalid(
        {"spec.meteringMethod": "DailyPeakBandwidth"},
        "DailyPeakBandwidth is settled per day: set billingCycle to Daily",
        field="spec",
    ),
    "a time zone is not the machine's setting": Invalid(
        {"spec.timeZone": "localtime"},
        "give a time zone of the IANA database, for example Asia/Shanghai or UTC",
        field="timeZone",
    ),
    "a time zone is not the placeholder for none": Invalid(
        {"spec.timeZone": "Factory"},
        "give a time zone of the IANA database, for example Asia/Shanghai or UTC",
        field="timeZone",
    ),
    "a time zone is a name, not an offset": Invalid(
        {"spec.timeZone": "+08:00"},
        "give a time zone of the IANA database, for example Asia/Shanghai or UTC",
        field="timeZone",
    ),
    "a time zone is no path out of the database": Invalid(
        {"spec.timeZone": "../../etc/passwd"},
        "give a time zone of the IANA database, for example Asia/Shanghai or UTC",
        field="timeZone",
    ),
    "a time zone is not empty": Invalid(
        {"spec.timeZone": ""}, "should be at least 1 chars long", "at least 1 character", "timeZone"
    ),
    "a time zone's name is short": Invalid(
        {"spec.timeZone": "A" * 65}, "may not be more than 64", "at most 64 characters", "timeZone"
    ),
    "the cycle of an earlier provider is Daily or Monthly": Invalid(
        {"spec.existingCycle": "None"},
        'spec.existingCycle: Unsupported value: "None"',
        "Input should be 'Daily' or 'Monthly'",
        "existingCycle",
    ),
    "an unknown field is refused": Invalid(
        {"spec.currency": "EUR"},
        'unknown field "spec.currency"',
        "unknown field",
        "currency",
    ),
}
