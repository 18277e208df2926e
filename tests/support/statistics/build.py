"""Builders of messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from wsedge_statistics.contract import Directory, UsageReport, bucket_of

UID = "4b1c3a52-0000-4000-8000-000000000001"


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def seconds(text: str) -> int:
    return int(instant(text).timestamp())


class _Present:
    """The present bucket, read from the clock once: a test may run over the end of a bucket."""

    bucket = bucket_of(datetime.now(UTC))


def begin_test() -> None:
    """Read the clock again: half an hour may lie between the import of a test and its run."""
    _Present.bucket = bucket_of(datetime.now(UTC))


def recent_bucket(buckets_ago: int = 0) -> datetime:
    return _Present.bucket - timedelta(minutes=5 * buckets_ago)


def row(bucket: datetime, **fields: Any) -> dict[str, Any]:
    defaults = {"domain": "chat.example.com", "account": "team-a", "region": "shanghai", "isp": "telecom"}
    return {"bucket": bucket.strftime("%Y-%m-%dT%H:%M:%SZ"), **defaults, "area": "CN", **fields}


def report(
    *rows: dict[str, Any],
    uid: str = UID,
    epoch: str = "9f3c0000",
    pod: str = "team-a/chat-1",
    cluster: str | None = None,
) -> Any:
    label = {} if cluster is None else {"cluster": cluster}
    return {"version": 1, "source": {"pod": pod, "uid": uid, "epoch": epoch, **label}, "rows": list(rows)}


def usage(*rows: dict[str, Any], **source: Any) -> UsageReport:
    return UsageReport.model_validate(report(*rows, **source))


def directory(
    *,
    zone: str = "Asia/Shanghai",
    domains: dict[str, str] | None = None,
    written_at: str = "2026-01-01T00:00:00Z",
    lives: dict[str, dict[str, str]] | None = None,
) -> Any:
    """A Directory; `lives` has uid, since and until of namespaces."""
    terms = {"billingCycle": "Monthly", "meteringMethod": "Month95Bandwidth", "timeZone": zone}
    owned = domains if domains is not None else {"chat.example.com": "team-a"}
    accounts = sorted({"team-a", *owned.values()})
    return {
        "version": 1,
        "writtenAt": written_at,
        "accounts": [
            {
                "account": name,
                "periods": [{"terms": terms, "start": "2025-01-01T00:00:00Z"}],
                **(lives or {}).get(name, {}),
            }
            for name in accounts
        ],
        "domains": [
            {"domain": domain, "account": owner, "name": "chat", "enabled": True, "heartbeatSeconds": 60}
            for domain, owner in owned.items()
        ],
    }


def directory_message(**fields: Any) -> Directory:
    return Directory.model_validate(directory(**fields))
