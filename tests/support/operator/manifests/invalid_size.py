"""Refused WebSocketDomains: the number of relays by their load, and their balance."""

from __future__ import annotations

from typing import Any, Final

from support.operator.manifests.manifest import Invalid


def _autoscaling(**fields: Any) -> dict[str, Any]:
    return {"spec.relay": {"autoscaling": {"maxReplicas": 5, "connectionsPerReplica": 100, **fields}}}


def _scheduled(cron: str, zone: str = "UTC") -> dict[str, Any]:
    return _autoscaling(schedules=[{"cron": cron, "timeZone": zone, "minReplicas": 1}])


INVALID_SIZE: Final[dict[str, Invalid]] = {
    "a number beside autoscaling": Invalid(
        {"spec.relay": {"replicas": 3, "autoscaling": {"maxReplicas": 5, "connectionsPerReplica": 100}}},
        "relay.autoscaling decides the number of relays",
    ),
    "a minimum above the maximum": Invalid(
        _autoscaling(minReplicas=6), "minReplicas may not be more than maxReplicas"
    ),
    "a schedule's minimum above the maximum": Invalid(
        _autoscaling(schedules=[{"cron": "0 8 * * *", "timeZone": "UTC", "minReplicas": 6}]),
        "minReplicas of a schedule may not be more than maxReplicas",
    ),
    "autoscaling without a maximum": Invalid(
        {"spec.relay": {"autoscaling": {"connectionsPerReplica": 100}}},
        "Required value",
        "Field required",
        field="maxReplicas",
    ),
    "a relay for no connection": Invalid(
        _autoscaling(connectionsPerReplica=0),
        "should be greater than or equal to 1",
        field="connectionsPerReplica",
    ),
    "a window above an hour": Invalid(
        _autoscaling(behavior={"scaleDown": {"stabilizationWindowSeconds": 3601}}),
        "should be less than or equal to 3600",
        field="stabilizationWindowSeconds",
    ),
    "a direction without policies": Invalid(
        _autoscaling(behavior={"scaleUp": {"policies": []}}),
        "should have at least 1 items",
        "should have at least 1 item",
        field="policies",
    ),
    "a policy of another type": Invalid(
        _autoscaling(
            behavior={"scaleUp": {"policies": [{"type": "Nodes", "value": 1, "periodSeconds": 15}]}}
        ),
        'Unsupported value: "Nodes"',
        "Input should be 'Pods' or 'Percent'",
        field="type",
    ),
    "a schedule of four fields": Invalid(_scheduled("0 8,20 * *"), "give five fields"),
    "a schedule with a macro": Invalid(_scheduled("@every 1h"), "give five fields"),
    "a minute that no hour has": Invalid(_scheduled("60 8 * * *"), "give five fields"),
    "a month without a name": Invalid(_scheduled("0 8 * XYZ *"), "give five fields"),
    "a zone with a space": Invalid(_scheduled("0 8 * * *", "New York"), "give an IANA time zone"),
    "balance within a percent": Invalid(
        {"spec.relay": {"rebalance": {"maxImbalancePercent": 1, "connectionsPerSecond": 1}}},
        "should be greater than or equal to 5",
        field="maxImbalancePercent",
    ),
    "balance without a rate": Invalid(
        {"spec.relay": {"rebalance": {}}}, "Required value", "Field required", field="connectionsPerSecond"
    ),
}
