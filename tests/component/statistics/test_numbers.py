"""Reports in, numbers out, by real requests to a real process."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.statistics.build import directory, recent_bucket, report, row
from support.statistics.process import Statistics


def text(instant: Any) -> str:
    return str(instant.strftime("%Y-%m-%dT%H:%M:%SZ"))


def span(buckets_ago: int = 3, length: int = 3) -> dict[str, str]:
    start = recent_bucket(buckets_ago)
    return {"start": text(start), "end": text(start + timedelta(minutes=5 * length))}


def test_a_report_is_answered_by_its_numbers(laptop: Statistics) -> None:
    """The answer has the relay's counts, slot by slot, with zeros for idle slots."""
    bucket = recent_bucket(2)
    counts = {"sentBytes": 1200, "receivedBytes": 450, "sentMessages": 30, "receivedMessages": 11}
    counts |= {"openedConnections": 4, "peakConnections": 3, "connectionSeconds": 44}
    assert laptop.post(report(row(bucket, **counts)), compressed=True).status == 204
    answer = laptop.get("/v1/traffic", domain="chat.example.com", **span(3)).json
    assert answer["total"] == counts
    assert [point["sentBytes"] for point in answer["points"]] == [0, 1200, 0]
    assert answer["points"][1] == counts | {
        "start": text(bucket),
        "end": text(bucket + timedelta(minutes=5)),
    }
    assert (answer["granularity"], answer["account"], answer["domains"]) == ("5m", None, ["chat.example.com"])


def test_repeats_and_late_parts_do_not_double(laptop: Statistics) -> None:
    """Cumulative counts merge by max, per source; another source adds."""
    bucket = recent_bucket(1)
    for sent in (100, 300, 200, 300):
        laptop.post(report(row(bucket, sentBytes=sent, codes={"101": sent // 100})))
    laptop.post(report(row(bucket, sentBytes=7, codes={"101": 1}), epoch="00000001"))
    assert laptop.get("/v1/traffic").json["total"]["sentBytes"] == 307
    assert laptop.get("/v1/codes").json["total"] == [{"code": 101, "count": 4, "proportion": 100.0}]


def test_bandwidth_is_summed_before_the_peak_is_taken(laptop: Statistics) -> None:
    """Two domains that peak at different times have a lower peak together than the sum of theirs."""
    hour = recent_bucket(0).replace(minute=0) - timedelta(hours=1)
    late = hour + timedelta(minutes=10)
    laptop.post(
        report(
            row(hour, domain="a.example", sentBytes=375_000),
            row(late, domain="b.example", sentBytes=750_000),
            row(late, domain="a.example", sentBytes=75_000),
        )
    )
    asked = {"start": text(hour), "end": text(hour + timedelta(hours=1)), "granularity": "1h"}
    answer = laptop.get("/v1/bandwidth", domain=["a.example", "b.example"], **asked).json
    assert answer["unit"] == "bit/s"
    sent = {"average": 2666.667, "peak": 22_000.0, "peakTime": text(late)}
    assert answer["points"][0]["sent"] == answer["total"]["sent"] == sent
    alone = laptop.get("/v1/bandwidth", domain="a.example", **asked).json["total"]["sent"]
    assert (alone["peak"], alone["peakTime"]) == (10_000.0, text(hour))


def test_peak_connections_of_sources_add(laptop: Statistics) -> None:
    """Two relays with 3 and 4 open connections have 7."""
    for uid, peak in (("one", 3), ("two", 4)):
        laptop.post(report(row(recent_bucket(1), peakConnections=peak), uid=uid))
    assert laptop.get("/v1/traffic", granularity="1h").json["total"]["peakConnections"] == 7


FILTERS: dict[str, tuple[dict[str, Any], int]] = {
    "everything": ({}, 1 + 2 + 4 + 8),
    "a region": ({"region": "shanghai"}, 1 + 2 + 8),
    "an ISP": ({"isp": "telecom"}, 1 + 4 + 8),
    "region and ISP": ({"region": "shanghai", "isp": "telecom"}, 1 + 8),
    "a region without clients": ({"region": "nowhere"}, 0),
    "one domain": ({"domain": "a.example"}, 1 + 2 + 4),
    "several domains": ({"domain": ["a.example", "b.example"]}, 1 + 2 + 4 + 8),
    "a domain and a region": ({"domain": "a.example", "region": "beijing"}, 4),
    "an account": ({"account": "team-b"}, 8),
}


def test_filters_select_the_sum(laptop: Statistics) -> None:
    """Domain, region, ISP and account each narrow the sum."""
    bucket = recent_bucket(1)
    laptop.post(
        report(
            row(bucket, domain="a.example", sentBytes=1),
            row(bucket, domain="a.example", sentBytes=2, isp="unicom"),
            row(bucket, domain="a.example", sentBytes=4, region="beijing"),
            row(bucket, domain="b.example", account="team-b", sentBytes=8),
        )
    )
    sums = {
        name: laptop.get("/v1/traffic", **f).json["total"]["sentBytes"] for name, (f, _) in FILTERS.items()
    }
    assert sums == {name: expected for name, (_, expected) in FILTERS.items()}
    options = laptop.get("/v1/options").json
    assert (options["regions"], options["isps"]) == (["beijing", "shanghai"], ["telecom", "unicom"])


def test_proportions_are_of_the_slot(laptop: Statistics) -> None:
    """Each slot's codes add up to a hundred percent; an idle slot has none."""
    laptop.post(
        report(row(recent_bucket(2), codes={"101": 9, "502": 1}), row(recent_bucket(1), codes={"403": 2}))
    )
    points = laptop.get("/v1/codes", **span(3)).json["points"]
    shares = [[(c["code"], c["count"], c["proportion"]) for c in point["codes"]] for point in points]
    assert shares == [[], [(101, 9, 90.0), (502, 1, 10.0)], [(403, 2, 100.0)]]


def test_days_are_cut_in_the_accounts_billing_zone(laptop: Statistics) -> None:
    """1d slots begin at the midnights of the Directory's zone, or of the parameter timeZone."""
    assert laptop.put_directory(directory()).status == 204
    end = recent_bucket(0)
    asked = {
        "account": "team-a",
        "start": text(end - timedelta(days=5)),
        "end": text(end),
        "granularity": "1d",
    }
    answer = laptop.get("/v1/traffic", **asked).json
    assert answer["timeZone"] == "Asia/Shanghai"
    assert {point["start"][11:] for point in answer["points"]} == {"16:00:00Z"}
    assert laptop.get("/v1/traffic", **asked, timeZone="Asia/Kolkata").json["start"].endswith("T18:30:00Z")


def test_hours_and_days_have_the_same_sum_as_five_minutes(laptop: Statistics) -> None:
    """Every granularity answers the same total."""
    laptop.post(report(*(row(recent_bucket(n), sentBytes=n) for n in range(1, 200))))
    end = recent_bucket(-1)
    totals = {}
    for granularity, days in (("5m", 2), ("1h", 2), ("1h", 9), ("1d", 9), ("1d", 60)):
        asked = {"start": text(end - timedelta(days=days)), "end": text(end), "granularity": granularity}
        totals[granularity, days] = laptop.get("/v1/traffic", **asked).json["total"]["sentBytes"]
    assert set(totals.values()) == {199 * 200 // 2}


def test_domains_are_listed_with_their_settings(laptop: Statistics) -> None:
    """Configured domains, and former domains with their last count."""
    laptop.put_directory(directory())
    laptop.post(report(row(recent_bucket(1), domain="gone.example")))
    gone, kept = sorted(laptop.get("/v1/domains").json["domains"], key=lambda domain: domain["configured"])
    assert (gone["domain"], gone["configured"], gone["lastCounted"]) == (
        "gone.example",
        False,
        text(recent_bucket(1)),
    )
    assert (kept["domain"], kept["name"], kept["heartbeatSeconds"], kept["lastCounted"]) == (
        "chat.example.com",
        "chat",
        60,
        None,
    )
    assert laptop.get("/v1/traffic", domain="chat.example.com").json["total"]["sentBytes"] == 0


def test_an_earlier_directory_is_acknowledged_and_ignored(laptop: Statistics) -> None:
    """204, and the later snapshot stays in force."""
    laptop.put_directory(directory(written_at="2026-06-01T00:00:00Z"))
    assert laptop.put_directory(directory(written_at="2026-05-01T00:00:00Z", domains={})).status == 204
    assert len(laptop.get("/v1/domains").json["domains"]) == 1


@pytest.mark.parametrize("question", ["traffic", "bandwidth", "codes"])
def test_totals_alone_are_a_brief_answer(laptop: Statistics, question: str) -> None:
    """With totals=only the answer has no points; the rest is the same."""
    laptop.post(report(row(recent_bucket(1), sentBytes=7, codes={"101": 1})))
    whole, brief = (laptop.get(f"/v1/{question}", **span(3), **t).json for t in ({}, {"totals": "only"}))
    assert len(whole.pop("points")) == 3
    del whole["completeUntil"], brief["completeUntil"]
    assert brief == whole
    assert brief["total"]


BAD_QUERIES: dict[str, tuple[str, dict[str, Any], int, str, str]] = {
    "an unknown parameter": ("/v1/traffic", {"colour": "red"}, 400, "colour", "granularity"),
    "a granularity that does not exist": ("/v1/traffic", {"granularity": "2h"}, 400, "granularity", "'5m'"),
    "a granularity that the span does not offer": (
        "/v1/codes",
        {"granularity": "1d"},
        400,
        "granularity",
        "5m, 1h",
    ),
    "only a start": ("/v1/bandwidth", {"start": "2026-06-01T00:00:00Z"}, 400, "end", "both or neither"),
    "totals and something else": ("/v1/codes", {"totals": "yes"}, 400, "totals", "'only'"),
    "a time zone that a machine is set to": (
        "/v1/traffic",
        {"timeZone": "localtime"},
        400,
        "timeZone",
        "IANA",
    ),
    "a time zone that is yet to be set": ("/v1/traffic", {"timeZone": "Factory"}, 400, "timeZone", "IANA"),
    "a parameter given twice": ("/v1/traffic", {"region": ["a", "b"]}, 400, "region", "one value"),
    "a zone that does not exist": (
        "/v1/traffic",
        {"timeZone": "../../etc"},
        400,
        "timeZone",
        "Asia/Shanghai",
    ),
    "a misspelt domain": ("/v1/traffic", {"domain": "caht.example.com"}, 404, "domain", "/v1/domains"),
    "a domain that is none": ("/v1/traffic", {"domain": "Ünder"}, 400, "domain", ""),
    "an unknown parameter of domains": ("/v1/domains", {"page": "1"}, 400, "page", "account"),
}


def test_a_wrong_parameter_is_answered_with_the_allowed_values(laptop: Statistics) -> None:
    """Each problem document has the parameter, the reason and the allowed values."""
    for name, (path, parameters, status, parameter, allowed) in BAD_QUERIES.items():
        answer = laptop.get(path, **parameters)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), name
        fault = answer.json["errors"][0]
        assert fault["parameter"] == parameter, name
        assert fault["reason"], name
        assert allowed in fault.get("allowed", ""), name
        assert answer.json["detail"], name
        assert answer.json["status"] == status, name


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("DELETE", "/v1/traffic", 405)]
)
def test_other_paths_and_methods_are_problems(
    laptop: Statistics, method: str, path: str, status: int
) -> None:
    """404 and 405 are problem documents too; 405 has the header Allow."""
    answer = laptop.request(method, path)
    assert (answer.status, answer.json["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert status != 405 or answer.headers["allow"] == "GET"


def test_the_description_is_complete(laptop: Statistics) -> None:
    """/openapi.json has every path, parameter and answer, and every schema that it refers to."""
    document = laptop.get("/openapi.json").json
    assert set(document["paths"]) == {
        "/ingest/v1/usage",
        "/ingest/v1/directory",
        *(f"/v1/{name}" for name in ("traffic", "bandwidth", "codes", "domains", "options")),
        "/v1/statements",
        "/v1/statements/{period}",
        *(f"/{name}" for name in ("healthz", "readyz", "metrics")),
    }
    schemas = document["components"]["schemas"]
    referred = {
        part.split('"')[0] for part in str(document).replace("'", '"').split("#/components/schemas/")[1:]
    }
    assert referred <= set(schemas)
    assert {"UsageReport", "Directory", "Problem"} <= set(schemas)
    assert "422" not in document["paths"]["/v1/traffic"]["get"]["responses"]
    parameters = {p["name"] for p in document["paths"]["/v1/traffic"]["get"]["parameters"]}
    assert parameters == {
        "account",
        "start",
        "end",
        "granularity",
        "domain",
        "region",
        "isp",
        "timeZone",
        "totals",
        "groupBy",
        "top",
        "topBy",
        "limit",
        "cursor",
        "format",
        "numbers",
        "Prefer",
    }


def test_metrics_count_reports(laptop: Statistics) -> None:
    """Reports, rows, refusals by reason, and the ledger's size."""
    laptop.post(report(row(recent_bucket(1)), row(recent_bucket(2))))
    laptop.post({"version": 2})
    assert laptop.post({**report(row(recent_bucket(1))), "ofAVersionToCome": 1}).status == 204
    lines = laptop.get("/metrics").text.decode().splitlines()
    assert "wsedge_statistics_ingested_reports_total 2.0" in lines
    assert "wsedge_statistics_ingested_rows_total 3.0" in lines
    assert 'wsedge_statistics_ingested_with_unknown_fields_total{message="UsageReport"} 1.0' in lines
    assert 'wsedge_statistics_ingest_refused_total{reason="rows-refused"} 1.0' in lines
    assert any(line.startswith("wsedge_statistics_ledger_bytes ") for line in lines)
    assert not any("team-a" in line for line in lines)
