"""BillingPlan: activates WebSocket acceleration for an account (a namespace) and asks for its terms."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from wsedge_operator.api.meta import (
    OBSERVED_TEXT,
    Conditions,
    Instant,
    Lenient,
    Matches,
    Resource,
    SpecPart,
    cel,
    validations,
)

KIND: Final = "BillingPlan"
PLURAL: Final = "billingplans"

# Condition types of this kind.
ACCEPTED: Final = "Accepted"
EFFECTIVE: Final = "Effective"
READY: Final = "Ready"
STALLED: Final = "Stalled"


class BillingCycle(StrEnum):
    """The unit of a bill. A change of terms takes effect at the first instant of a day or of a month."""

    DAILY = "Daily"
    MONTHLY = "Monthly"


class MeteringMethod(StrEnum):
    """The quantity that is billed."""

    TRAFFIC = "Traffic"
    DAILY_PEAK = "DailyPeakBandwidth"
    MONTH_95 = "Month95Bandwidth"
    MONTH_AVERAGE_PEAK = "MonthAveragePeakBandwidth"
    MONTH_4TH_PEAK = "Month4thPeakBandwidth"
    MONTH_AVERAGE_95 = "MonthAverage95Bandwidth"
    MONTH_95_NIGHT_HALF = "Month95NightHalfBandwidth"

    @property
    def cycle(self) -> BillingCycle | None:
        """The only billing cycle in which this method can be settled; None: both are possible."""
        if self is MeteringMethod.TRAFFIC:
            return None
        return BillingCycle.DAILY if self is MeteringMethod.DAILY_PEAK else BillingCycle.MONTHLY


_ZONE: Final = r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*"
TimeZone = Annotated[
    str,
    Field(min_length=1, max_length=64),
    Matches(
        rf"(?!(localtime|Factory)$){_ZONE}",
        "give a time zone of the IANA database, for example Asia/Shanghai or UTC",
        # Two files of a zoneinfo folder that are no zones: `localtime` is the machine's own zone, `Factory`
        # says that none is set.
        rule=f"self.matches('^(?:{_ZONE})$') && !(self in ['localtime', 'Factory'])",
    ),
]
_CYCLE_TEXT: Final = (
    "The billing cycle: Daily or Monthly. A later change of terms takes effect at the first instant of the "
    "next day or of the next month."
)
_METERING_TEXT: Final = (
    "The quantity that is billed. Traffic: bytes (either cycle). DailyPeakBandwidth: the day's highest "
    "five-minute value (Daily). The others need Monthly. Month95Bandwidth: the month's 95th percentile. "
    "MonthAveragePeakBandwidth: the mean of the daily peaks. Month4thPeakBandwidth: the fourth highest daily "
    "peak. MonthAverage95Bandwidth: the mean of the daily 95th percentiles. Month95NightHalfBandwidth: the "
    "95th percentile with night values counted half."
)
_ZONE_TEXT: Final = (
    "The time zone in which days and months are billed, an IANA name. Default: the operator's default time "
    "zone."
)


class BillingPlanSpec(SpecPart):
    """The terms that are asked for."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "self.meteringMethod == 'Traffic' || self.meteringMethod == 'DailyPeakBandwidth'"
                " || self.billingCycle == 'Monthly'",
                "this metering method is settled per month: set billingCycle to Monthly",
                expression="self.meteringMethod + ' is settled per month: set billingCycle to Monthly'",
                field="meteringMethod",
            ),
            cel(
                "self.meteringMethod != 'DailyPeakBandwidth' || self.billingCycle == 'Daily'",
                "DailyPeakBandwidth is settled per day: set billingCycle to Daily",
                field="meteringMethod",
            ),
        )
    )

    billingCycle: Annotated[BillingCycle, Field(description=_CYCLE_TEXT)]
    meteringMethod: Annotated[MeteringMethod, Field(description=_METERING_TEXT)]
    timeZone: Annotated[TimeZone | None, Field(description=_ZONE_TEXT)] = None
    existingCycle: Annotated[
        BillingCycle | None,
        Field(
            description="Only for an account that an earlier system billed: its billing cycle there. The "
            "plan then takes effect at that cycle's next boundary instead of at once. Ignored when the "
            "account has a history in wsedge."
        ),
    ] = None

    @model_validator(mode="after")
    def settles_in_its_cycle(self) -> Self:
        """Refuse a metering method that cannot be settled in the billing cycle (CEL: the same)."""
        needed = self.meteringMethod.cycle
        if needed is not None and needed is not self.billingCycle:
            unit = "day" if needed is BillingCycle.DAILY else "month"
            raise ValueError(f"{self.meteringMethod} is settled per {unit}: set billingCycle to {needed}")
        return self


class TermsStatus(Lenient):
    """Terms in force."""

    billingCycle: Annotated[BillingCycle, Field(description="The billing cycle in force.")]
    meteringMethod: Annotated[MeteringMethod, Field(description="The metering method in force.")]
    timeZone: Annotated[str, Field(description="The time zone in which days and months are billed.")]


class PendingStatus(Lenient):
    """Terms that a plan asked for and that come into force later."""

    billingCycle: Annotated[BillingCycle, Field(description="The next billing cycle.")]
    meteringMethod: Annotated[MeteringMethod, Field(description="The next metering method.")]
    timeZone: Annotated[str, Field(description="The next time zone.")]
    requestTime: Annotated[Instant, Field(description="The instant at which a plan asked for these terms.")]
    effectiveTime: Annotated[Instant, Field(description="The instant at which these terms come into force.")]


class BillingPlanStatus(Lenient):
    """The state of the plan, as the operator reconciled it."""

    observedGeneration: Annotated[int | None, Field(ge=-1, description=OBSERVED_TEXT)] = None
    conditions: Conditions = ()
    effectiveTime: Annotated[
        Instant | None,
        Field(description="The instant at which the current terms came into force; absent without terms."),
    ] = None
    current: Annotated[TermsStatus | None, Field(description="The terms in force now.")] = None
    pending: Annotated[
        PendingStatus | None, Field(description="The terms that come into force next, and when.")
    ] = None


class BillingPlan(Resource):
    """Activates WebSocket acceleration for a namespace (an account) and states how it is metered."""

    kind: Literal["BillingPlan"] = KIND
    spec: Annotated[BillingPlanSpec, Field(description="The terms that are asked for.")]
    status: Annotated[
        BillingPlanStatus,
        Field(description="The terms in force and the next terms; written by the operator."),
    ] = BillingPlanStatus()
