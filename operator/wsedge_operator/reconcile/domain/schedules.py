"""The smallest number of relays that holds at an instant, by the schedules of `relay.autoscaling`. Pure.

A schedule's minReplicas holds from each of its instants until the next instant of any schedule, in place of
autoscaling.minReplicas. So two schedules make a day and a night, and no moment is without an answer. (KEDA's
cron scaler has a start and an end instead, and the largest of overlapping ones wins; with one beginning only,
nothing overlaps.) Of schedules with the same instant the largest minimum holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wsedge_operator.api.meta import instant_text
from wsedge_operator.api.spec.size import Autoscaling
from wsedge_operator.reconcile.domain import cron
from wsedge_statistics.contract import zone_named

_DEFAULT_MINIMUM: Final = 2


@dataclass(frozen=True, slots=True)
class Minimum:
    """The smallest number of relays, the field that it is from, and the faults of schedules."""

    replicas: int
    source: str
    faults: tuple[str, ...] = ()


def minimum_at(rules: Autoscaling, now: datetime) -> Minimum:
    """Return the smallest number that holds at `now`. A schedule with a fault is skipped."""
    least = rules.minReplicas if rules.minReplicas is not None else min(_DEFAULT_MINIMUM, rules.maxReplicas)
    held: tuple[datetime, int, str] | None = None
    faults = []
    for index, schedule in enumerate(rules.schedules or ()):
        path = f"spec.relay.autoscaling.schedules[{index}]"
        zone = zone_named(schedule.timeZone)
        if zone is None:
            faults.append(f"{path}.timeZone: {schedule.timeZone!r} is not a zone of the IANA database")
            continue
        try:
            began = cron.last_instant(cron.parse(schedule.cron), zone, now)
        except ValueError as error:
            faults.append(f"{path}.cron: {error}")
            continue
        if held is None or (began, schedule.minReplicas) > held[:2]:
            held = began, schedule.minReplicas, f"schedules[{index}] since {instant_text(began)}"
    if held is None:
        return Minimum(least, "minReplicas", tuple(faults))
    return Minimum(held[1], held[2], tuple(faults))
