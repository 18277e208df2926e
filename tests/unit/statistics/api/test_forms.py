"""CSV, numbers as text and ETags of the native API."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from support.statistics.application import BUCKET, NOW, MemoryLedger, request, services_over, two_accounts
from support.statistics.build import row, usage
from wsedge_statistics.app import build
from wsedge_statistics.services import Services

SPAN = {"start": "2026-06-15T11:55:00Z", "end": "2026-06-15T12:05:00Z"}
LARGE = 2**53 - 1


@pytest.fixture
def services() -> Services:
    """Two domains; the five minutes that run now are not complete."""
    ledger = MemoryLedger()
    earlier = BUCKET - timedelta(minutes=5)
    ledger.add(
        usage(
            row(earlier, sentBytes=LARGE, openedConnections=2, codes={"101": 3, "403": 1}),
            row(
                BUCKET,
                domain="b.example",
                account="team-b",
                sentBytes=300,
                region="2026-06",
                codes={"101": 1},
            ),
        )
    )
    return services_over(ledger, two_accounts())


async def table(services: Services, path: str, **query: Any) -> list[dict[str, str]]:
    answer = await request(build(services), "GET", path, **SPAN, format="csv", **query)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert f'filename="{path.rpartition("/")[2]}.csv"' in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.text.decode(), newline="")))


async def test_a_table_has_a_row_per_slot(services: Services) -> None:
    """`complete` is false for a slot that relays may still report."""
    first, second = await table(services, "/v1/traffic")
    assert first == {
        "start": SPAN["start"],
        "end": "2026-06-15T12:00:00Z",
        "complete": "true",
        "sentBytes": str(LARGE),
        "receivedBytes": "0",
        "sentMessages": "0",
        "receivedMessages": "0",
        "openedConnections": "2",
        "peakConnections": "0",
        "connectionSeconds": "0",
    }
    assert (second["sentBytes"], second["complete"]) == ("300", "false")


async def test_a_table_of_groups_has_their_names_first(services: Services) -> None:
    """A row per group with totals=only; a name like a date is text with numbers=text."""
    rows = await table(services, "/v1/traffic", groupBy=["domain", "region"], totals="only", numbers="text")
    assert [list(row.values())[:3] for row in rows] == [
        ["b.example", "'2026-06", SPAN["start"]],
        ["chat.example.com", "shanghai", SPAN["start"]],
    ]
    assert [row["sentBytes"] for row in rows] == ["'300", f"'{LARGE}"]


async def test_tables_of_bandwidth_codes_and_domains(services: Services) -> None:
    """An idle slot has a row without a code."""
    rates = await table(services, "/v1/bandwidth", domain="b.example")
    assert [(row["sentPeak"], row["sentPeakTime"], row["receivedPeakTime"]) for row in rates] == [
        ("0.0", "", ""),
        ("8.0", "2026-06-15T12:00:00Z", ""),
    ]
    codes = await table(services, "/v1/codes", domain="chat.example.com")
    assert [(row["start"][11:16], row["code"], row["count"]) for row in codes] == [
        ("11:55", "101", "3"),
        ("11:55", "403", "1"),
        ("12:00", "", "0"),
    ]
    assert [row["count"] for row in await table(services, "/v1/codes", totals="only")] == ["4", "1"]
    answer = await request(build(services), "GET", "/v1/domains", format="csv", limit=1)
    (domain,) = csv.DictReader(io.StringIO(answer.text.decode()))
    assert (domain["domain"], domain["configured"], domain["originProtocol"]) == (
        "b.example",
        "true",
        "",
    ) or (
        domain["domain"],
        domain["lastCounted"],
    ) == ("chat.example.com", "2026-06-15T11:55:00Z")
    assert 'rel="next"' in answer.headers["link"]
    following = answer.headers["link"].partition("cursor=")[2].partition(">")[0]
    last = await request(build(services), "GET", "/v1/domains", format="csv", limit=1, cursor=following)
    assert last.status == 200
    assert "link" not in last.headers


async def test_numbers_are_text_on_request(services: Services) -> None:
    """All integers, so that a program has one form to parse."""
    answer = (await request(build(services), "GET", "/v1/traffic", **SPAN, numbers="text")).json
    assert (answer["total"]["sentBytes"], answer["points"][1]["sentBytes"]) == (str(LARGE + 300), "300")
    codes = (await request(build(services), "GET", "/v1/codes", **SPAN, numbers="text")).json
    assert codes["total"][0] == {"code": "101", "count": "4", "proportion": 80.0}


async def test_an_etag_lasts_as_long_as_the_answer(services: Services) -> None:
    """304 until a count changes or completeUntil moves; another form, filter or account has another tag."""
    app = build(services)

    async def ask(known: str | None = None, **query: Any) -> Any:
        headers = {} if known is None else {"if-none-match": known}
        return await request(app, "GET", "/v1/traffic", **SPAN, headers=headers, **query)

    first = await ask()
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Accept, Authorization"
    same = await ask(tag)
    assert (same.status, same.text, same.headers["etag"]) == (304, b"", tag)
    assert (await ask(f'"other", W/{tag}')).status == 304
    for query in ({"format": "csv"}, {"numbers": "text"}, {"account": "team-a"}, {"totals": "only"}):
        assert (await ask(tag, **query)).status == 200
    services.clock = lambda: NOW + timedelta(minutes=5)
    assert (await ask(tag)).status == 200  # completeUntil moved
    services.clock = lambda: NOW
    assert (await ask(tag)).status == 304
    services.ledger.add(usage(row(BUCKET, sentBytes=1)))  # type: ignore[attr-defined]
    changed = await ask(tag)
    assert (changed.status, changed.json["total"]["sentBytes"]) == (200, LARGE + 301)
    assert changed.headers["etag"] != tag
