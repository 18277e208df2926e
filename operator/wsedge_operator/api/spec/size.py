"""Of a WebSocketDomain's spec: the number of relays by their open connections, and their balance.

Names and meaning of `behavior` are those of autoscaling/v2 (Kubernetes API, HorizontalPodAutoscalerBehavior).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from wsedge_operator.api.meta import Matches, SpecPart, cel, validations

_BOUNDS_MESSAGE: Final = "minReplicas may not be more than maxReplicas"
_SCHEDULE_MESSAGE: Final = "minReplicas of a schedule may not be more than maxReplicas"
_ATOMIC: Final = {"x-kubernetes-list-type": "atomic"}

_MONTHS: Final = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_DAYS: Final = "SUN|MON|TUE|WED|THU|FRI|SAT"


def _field(value: str) -> str:
    """Return the pattern of one field of a schedule: a list of values, ranges and steps."""
    item = rf"(?:(?:\*|{value}-{value})(?:/[1-9][0-9]?)?|{value})"
    return rf"{item}(?:,{item})*"


_CRON: Final = " +".join(
    (
        _field("[0-5]?[0-9]"),
        _field("(?:[01]?[0-9]|2[0-3])"),
        _field("(?:0?[1-9]|[12][0-9]|3[01])"),
        _field(f"(?:0?[1-9]|1[0-2]|(?i:{_MONTHS}))"),
        _field(f"(?:[0-7]|(?i:{_DAYS}))"),
    )
)


class PolicyType(StrEnum):
    """What the value of a policy counts."""

    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    """Which of several policies counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class ScalingPolicy(SpecPart):
    """A limit of the change within a period."""

    type: Annotated[PolicyType, Field(description="What value counts: Pods or Percent.")]
    value: Annotated[
        int,
        Field(
            ge=1,
            le=1000000,
            description="The largest change within the period: relays, or percent of the relays at its "
            "beginning; 1 to 1000000.",
        ),
    ]
    periodSeconds: Annotated[
        int, Field(ge=1, le=1800, description="The length of the period in seconds; 1 to 1800.")
    ]


class ScalingRules(SpecPart):
    """How fast the number changes in one direction."""

    stabilizationWindowSeconds: Annotated[
        int | None,
        Field(
            ge=0,
            le=3600,
            description="Seconds of past recommendations that count: relays are added up to the lowest of "
            "them, and removed down to the highest; 0 to 3600. By default 0 for scaleUp and 300 for "
            "scaleDown.",
        ),
    ] = None
    selectPolicy: Annotated[
        SelectPolicy | None,
        Field(
            description="Which policy counts: Max (the one that allows the largest change), Min, or "
            "Disabled: no change in this direction. Max if it is not set."
        ),
    ] = None
    policies: Annotated[
        tuple[ScalingPolicy, ...] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Limits of the change within periods, 1 to 16. If it is not set, scaleUp has 4 Pods "
            "and 100 Percent in 15 seconds, and scaleDown has 100 Percent in 15 seconds.",
            json_schema_extra=_ATOMIC,
        ),
    ] = None


class Behavior(SpecPart):
    """How fast the number of relays changes."""

    scaleUp: Annotated[
        ScalingRules | None, Field(description="How fast relays are added; as in autoscaling/v2.")
    ] = None
    scaleDown: Annotated[
        ScalingRules | None, Field(description="How fast relays are removed; as in autoscaling/v2.")
    ] = None


class Schedule(SpecPart):
    """A minimum that begins at the instants of a cron schedule."""

    cron: Annotated[
        str,
        Field(
            min_length=9,
            max_length=100,
            description="The instants at which this minimum begins: minute, hour, day of the month, month "
            "and day of the week, as in a CronJob, for example `0 8 * * MON-FRI`. It holds until the next "
            "instant of any schedule.",
        ),
        Matches(
            _CRON,
            "give five fields: minute, hour, day of the month, month, day of the week; each a list of values,"
            " ranges and steps, for example 0 8 * * MON-FRI",
        ),
    ]
    timeZone: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            description="The IANA time zone of the schedule, for example Europe/Berlin. A local time that a "
            "clock change skips counts as before the change; of one that occurs twice, the first counts.",
        ),
        Matches(r"[A-Za-z0-9+_/-]+", "give an IANA time zone, for example Europe/Berlin"),
    ]
    minReplicas: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="The smallest number of relays from these instants on, in place of "
            "autoscaling.minReplicas; 1 to 100.",
        ),
    ]


class Autoscaling(SpecPart):
    """The operator's own controller of the number of relays."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
                _BOUNDS_MESSAGE,
                field="minReplicas",
            ),
            cel(
                "!has(self.schedules) || self.schedules.all(s, s.minReplicas <= self.maxReplicas)",
                _SCHEDULE_MESSAGE,
                field="schedules",
            ),
        )
    )

    minReplicas: Annotated[
        int | None,
        Field(
            ge=1,
            le=100,
            description="The smallest number of relays; 1 to 100. 2 if it is not set, or maxReplicas if that "
            "is less.",
        ),
    ] = None
    maxReplicas: Annotated[int, Field(ge=1, le=100, description="The largest number of relays; 1 to 100.")]
    connectionsPerReplica: Annotated[
        int,
        Field(
            ge=1,
            le=1000000,
            description="The open connections of one relay for which the number is chosen; 1 to 1000000. A "
            "difference of up to 10 % changes nothing. It is no limit: see limits.connections.",
        ),
    ]
    behavior: Annotated[
        Behavior | None, Field(description="How fast the number changes; as in autoscaling/v2.")
    ] = None
    schedules: Annotated[
        tuple[Schedule, ...] | None,
        Field(
            max_length=16,
            description="Other smallest numbers at certain times, at most 16.",
            json_schema_extra=_ATOMIC,
        ),
    ] = None

    @model_validator(mode="after")
    def minima_are_below_the_maximum(self) -> Self:
        """Refuse a minimum above the maximum (CEL: the same)."""
        if self.minReplicas is not None and self.minReplicas > self.maxReplicas:
            raise ValueError(_BOUNDS_MESSAGE)
        if any(schedule.minReplicas > self.maxReplicas for schedule in self.schedules or ()):
            raise ValueError(_SCHEDULE_MESSAGE)
        return self


class Rebalance(SpecPart):
    """The closing of some connections after a scale-out, so that their clients spread over all relays."""

    maxImbalancePercent: Annotated[
        int | None,
        Field(
            ge=5,
            le=1000,
            description="How many percent more connections than the mean a relay may carry; 5 to 1000. 20 "
            "if it is not set.",
        ),
    ] = None
    connectionsPerSecond: Annotated[
        int,
        Field(
            ge=1,
            le=10000,
            description="Connections that all relays together close in a second, with 1001; 1 to 10000. "
            "Their clients reconnect at this rate.",
        ),
    ]
