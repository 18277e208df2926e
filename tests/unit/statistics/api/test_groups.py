"""Groups of the native API: pages, the largest, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.statistics.application import BUCKET, MemoryLedger, request, services_over
from support.statistics.build import directory_message, row, usage
from wsedge_statistics.app import Application, build

SPAN = {"start": "2026-06-15T11:55:00Z", "end": "2026-06-15T12:05:00Z"}
EARLIER = BUCKET - timedelta(minutes=5)
OWNERS = {"a.example": "team-a", "b.example": "team-a", "c.example": "team-b"}


@pytest.fixture
def app() -> Application:
    """Three domains of two accounts, two regions, two ISPs; a.example and b.example peak apart."""
    ledger = MemoryLedger()
    ledger.add(
        usage(
            row(EARLIER, domain="a.example", sentBytes=100, peakConnections=5, codes={"101": 3, "403": 1}),
            row(BUCKET, domain="a.example", sentBytes=10, region="beijing", codes={"101": 2}),
            row(BUCKET, domain="b.example", sentBytes=90, peakConnections=4, isp="unicom", codes={"502": 4}),
            row(BUCKET, domain="c.example", account="team-b", sentBytes=1, openedConnections=2),
        )
    )
    return build(services_over(ledger, directory_message(domains=OWNERS)))


async def groups(app: Application, path: str = "/v1/traffic", **query: Any) -> Any:
    answer = await request(app, "GET", path, **SPAN, **query)
    assert answer.status == 200, answer.text
    return answer.json


def sent(document: Any) -> list[tuple[str, int]]:
    return [("/".join(group["by"].values()), group["total"]["sentBytes"]) for group in document["groups"]]


GROUPED: dict[str, tuple[dict[str, Any], list[tuple[str, int]]]] = {
    "domains": ({"groupBy": "domain"}, [("a.example", 110), ("b.example", 90), ("c.example", 1)]),
    "regions": ({"groupBy": "region"}, [("beijing", 10), ("shanghai", 191)]),
    "ISPs of a region": (
        {"groupBy": "isp", "region": "shanghai"},
        [("telecom", 101), ("unicom", 90)],
    ),
    "regions of domains": (
        {"groupBy": ["region", "domain"], "account": "team-a"},
        [("beijing/a.example", 10), ("shanghai/a.example", 100), ("shanghai/b.example", 90)],
    ),
    "accounts": ({"groupBy": "account"}, [("team-a", 200), ("team-b", 1)]),
    "the largest": ({"groupBy": "domain", "top": 2}, [("a.example", 110), ("b.example", 90)]),
    "the largest by another measure": (
        {"groupBy": "domain", "top": 1, "topBy": "openedConnections"},
        [("c.example", 1)],
    ),
    "the largest by their peak": (
        {"groupBy": "isp", "top": 1, "topBy": "peakConnections"},
        [("telecom", 111)],
    ),
    "more of the largest than there are": (
        {"groupBy": "region", "top": 9},
        [("shanghai", 191), ("beijing", 10)],
    ),
}


@pytest.mark.parametrize("totals", [{}, {"totals": "only"}], ids=["points", "totals only"])
@pytest.mark.parametrize(("query", "expected"), GROUPED.values(), ids=GROUPED.keys())
async def test_groups_have_their_own_sums(
    app: Application, query: dict[str, Any], expected: list[tuple[str, int]], totals: dict[str, str]
) -> None:
    """The total is of everything that the filters select; each group has its points."""
    document = await groups(app, **query, **totals)
    assert sent(document) == expected
    assert "points" not in document
    for group in document["groups"]:
        points = group.get("points", [{"sentBytes": group["total"]["sentBytes"]}])
        assert len(points) == (1 if totals else 2)
        assert sum(point["sentBytes"] for point in points) == group["total"]["sentBytes"]
    filters = {name: value for name, value in query.items() if name not in ("groupBy", "top", "topBy")}
    assert document["total"] == (await groups(app, **filters))["total"]
    rest = document["total"]["sentBytes"] - sum(count for _, count in expected)
    assert document.get("others", {"sentBytes": 0})["sentBytes"] == rest


async def test_others_are_counted_and_have_no_peak(app: Application) -> None:
    """A peak of several groups is not the sum of their peaks."""
    others = (await groups(app, groupBy="domain", top=1))["others"]
    assert (others["groups"], others["sentBytes"], others["openedConnections"]) == (2, 91, 2)
    assert "peakConnections" not in others
    others = (await groups(app, "/v1/bandwidth", groupBy="domain", top=1))["others"]
    assert others == {"groups": 2, "sentAverage": round(91 * 8 / 600, 3), "receivedAverage": 0.0}


async def test_groups_of_bandwidth_have_their_own_peaks(app: Application) -> None:
    """The total's peak is taken after the sum, so it is less than that of the groups together."""
    document = await groups(app, "/v1/bandwidth", groupBy="domain", top=2, topBy="sentPeak")
    assert [group["by"]["domain"] for group in document["groups"]] == ["a.example", "b.example"]
    peaks = [group["total"]["sent"]["peak"] for group in document["groups"]]
    assert peaks == [round(800 / 300, 3), round(720 / 300, 3)]
    assert document["total"]["sent"]["peak"] == round(101 * 8 / 300, 3)
    assert [len(group["points"]) for group in document["groups"]] == [2, 2]


async def test_codes_are_grouped_by_code_too(app: Application) -> None:
    """A code's proportion is still that of all codes; its other slots are empty."""
    document = await groups(app, "/v1/codes", groupBy=["code", "domain"])
    rows = [
        (group["by"]["domain"], group["by"]["code"], share["count"], share["proportion"])
        for group in document["groups"]
        for share in group["total"]
    ]
    assert rows == [
        ("a.example", "101", 5, 83.3333),
        ("a.example", "403", 1, 16.6667),
        ("b.example", "502", 4, 100.0),
    ]
    assert [[s["count"] for s in point["codes"]] for point in document["groups"][0]["points"]] == [[3], [2]]
    alone = await groups(app, "/v1/codes", groupBy="code", top=1)
    assert [(group["by"], group["total"][0]["count"]) for group in alone["groups"]] == [({"code": "101"}, 5)]
    assert alone["others"] == {"groups": 2, "count": 5}
    regions = await groups(app, "/v1/codes", groupBy="region")
    assert [(g["by"]["region"], [s["code"] for s in g["total"]]) for g in regions["groups"]] == [
        ("beijing", [101]),
        ("shanghai", [101, 403, 502]),
    ]


@pytest.mark.parametrize("path", ["/v1/traffic", "/v1/bandwidth", "/v1/codes"])
async def test_pages_follow_their_cursors(app: Application, path: str) -> None:
    """The last page has no cursor."""
    seen: list[tuple[str, ...]] = []
    cursor: dict[str, str] = {}
    for _ in range(4):
        document = await groups(app, path, groupBy=["domain", "region"], limit=1, **cursor)
        seen += [tuple(group["by"].values()) for group in document["groups"]]
        if "next" not in document:
            break
        cursor = {"cursor": document["next"]}
    assert "next" not in document
    expected = [("a.example", "beijing"), ("a.example", "shanghai"), ("b.example", "shanghai")]
    # c.example has no codes, so its page is empty
    assert seen == expected + ([] if path == "/v1/codes" else [("c.example", "shanghai")])


async def test_domains_come_in_pages(app: Application) -> None:
    """By account and domain."""
    first = (await request(app, "GET", "/v1/domains", limit=2)).json
    assert [domain["domain"] for domain in first["domains"]] == ["a.example", "b.example"]
    last = (await request(app, "GET", "/v1/domains", limit=2, cursor=first["next"])).json
    assert [domain["domain"] for domain in last["domains"]] == ["c.example"]
    assert "next" not in last
    answer = await request(app, "GET", "/v1/domains", cursor="nonsense")
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "cursor")


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "a dimension twice": ("traffic", {"groupBy": ["domain", "domain"]}, "groupBy"),
    "a dimension that does not exist": ("traffic", {"groupBy": "colour"}, "groupBy"),
    "codes of traffic": ("traffic", {"groupBy": "code"}, "groupBy"),
    "top without groups": ("bandwidth", {"top": 3}, "top"),
    "a measure without top": ("traffic", {"groupBy": "isp", "topBy": "sentBytes"}, "topBy"),
    "another endpoint's measure": ("traffic", {"groupBy": "isp", "top": 1, "topBy": "sentPeak"}, "topBy"),
    "a page without groups": ("codes", {"limit": 3}, "limit"),
    "a page of the largest": ("codes", {"groupBy": "code", "top": 3, "limit": 2}, "limit"),
    "a cursor of the largest": ("codes", {"groupBy": "code", "top": 3, "cursor": "W10"}, "cursor"),
    "top of none": ("traffic", {"groupBy": "isp", "top": 0}, "top"),
    "a cursor of other groups": ("traffic", {"groupBy": "isp", "cursor": "WyJhIiwiYiJd"}, "cursor"),
}


@pytest.mark.parametrize(("path", "query", "parameter"), BAD.values(), ids=BAD.keys())
async def test_wrong_groups_are_refused(
    app: Application, path: str, query: dict[str, Any], parameter: str
) -> None:
    """By the name of the parameter; none is ignored."""
    answer = await request(app, "GET", f"/v1/{path}", **SPAN, **query)
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, parameter)


async def test_too_long_an_answer_says_what_to_narrow() -> None:
    """Groups times slots are bounded; without a limit a page has what fits."""
    ledger = MemoryLedger()
    ledger.add(usage(*(row(BUCKET, domain=f"{number:03}.example", sentBytes=1) for number in range(80))))
    app = build(services_over(ledger))
    day = {"groupBy": "domain", "start": "2026-06-14T12:05:00Z", "end": "2026-06-15T12:05:00Z"}
    answer = await request(app, "GET", "/v1/traffic", **day, limit=80)
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "limit")
    assert "totals=only" in answer.json["errors"][0]["allowed"]
    page = (await request(app, "GET", "/v1/traffic", **day)).json
    assert (len(page["groups"]), "next" in page) == (20_000 // 288, True)
    assert (
        len((await request(app, "GET", "/v1/traffic", **day, limit=80, totals="only")).json["groups"]) == 80
    )
    largest = await request(app, "GET", "/v1/traffic", **day, top=80)
    assert (largest.status, largest.json["errors"][0]["parameter"]) == (400, "groupBy")


async def test_domains_by_region_reach_as_far_as_rows_do(app: Application) -> None:
    """Older ranges are refused, whether region and domain are filters or groups; either alone is answered."""
    old = {"start": "2026-02-01T00:00:00Z", "end": "2026-02-10T00:00:00Z", "granularity": "1d"}
    answer = await request(app, "GET", "/v1/traffic", **old, groupBy=["domain", "region"])
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "start")
    assert (await request(app, "GET", "/v1/traffic", **old, groupBy=["region", "isp"])).status == 200
    assert (await request(app, "GET", "/v1/traffic", **old, groupBy="domain")).status == 200
