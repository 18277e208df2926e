"""The native API: parameters in, documents out."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from support.statistics.application import BUCKET, MemoryLedger, request, services_over, two_accounts
from support.statistics.build import directory, row, usage
from wsedge_statistics.api.reading import no_repeats
from wsedge_statistics.app import Application, build
from wsedge_statistics.contract import Directory
from wsedge_statistics.errors import QueryError


class Name(str):
    """A parameter's name that counts how often it is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def parameters(*names: str) -> Any:
    items = [(Name(name), "") for name in names]
    return SimpleNamespace(query_params=SimpleNamespace(multi_items=lambda: items))


def test_the_work_grows_with_the_number_of_parameters_only() -> None:
    """A head full of names does not block the event loop for seconds."""
    Name.compared = 0
    no_repeats(parameters(*(str(number) for number in range(2000))))
    assert Name.compared < 20_000


def test_a_parameter_given_twice_is_refused() -> None:
    """Only domain may be repeated."""
    no_repeats(parameters("domain", "domain", "start"))
    with pytest.raises(QueryError, match="start"):
        no_repeats(parameters("domain", "start", "start"))


@pytest.fixture
def app() -> Application:
    """Two accounts with counts in the bucket that has just begun."""
    ledger = MemoryLedger()
    ledger.add(
        usage(
            row(
                BUCKET,
                sentBytes=375_000,
                receivedBytes=750,
                sentMessages=3,
                receivedMessages=2,
                openedConnections=4,
                peakConnections=5,
                connectionSeconds=90,
                codes={"101": 3, "403": 1},
            ),
            row(BUCKET, domain="b.example", account="team-b", sentBytes=1),
        )
    )
    return build(services_over(ledger, two_accounts()))


SPAN = {"start": "2026-06-15T11:55:00Z", "end": "2026-06-15T12:05:00Z", "account": "team-a"}
FRAME = {
    "account": "team-a",
    "domains": None,
    "region": None,
    "isp": None,
    "start": "2026-06-15T11:55:00Z",
    "end": "2026-06-15T12:05:00Z",
    "granularity": "5m",
    "timeZone": "Asia/Shanghai",
    "completeUntil": "2026-06-15T12:00:00Z",
    "silentRelays": 0,
}
IDLE, BUSY = (
    {"start": "2026-06-15T11:55:00Z", "end": "2026-06-15T12:00:00Z"},
    {"start": "2026-06-15T12:00:00Z", "end": "2026-06-15T12:05:00Z"},
)
COUNTS = {
    "sentBytes": 375_000,
    "receivedBytes": 750,
    "sentMessages": 3,
    "receivedMessages": 2,
    "openedConnections": 4,
    "peakConnections": 5,
    "connectionSeconds": 90,
}


async def test_traffic_has_a_point_per_slot_and_a_total(app: Application) -> None:
    """Idle slots have zeros."""
    answer = await request(app, "GET", "/v1/traffic", **SPAN)
    assert answer.json == {
        **FRAME,
        "total": COUNTS,
        "points": [IDLE | dict.fromkeys(COUNTS, 0), BUSY | COUNTS],
    }


async def test_bandwidth_has_average_peak_and_its_time(app: Application) -> None:
    """375 kB in five minutes are 10 kbit/s; the average of the range is half of it."""
    answer = await request(app, "GET", "/v1/bandwidth", **SPAN)
    idle = {"average": 0.0, "peak": 0.0, "peakTime": None}
    sent = {"average": 10_000.0, "peak": 10_000.0, "peakTime": BUSY["start"]}
    received = {"average": 20.0, "peak": 20.0, "peakTime": BUSY["start"]}
    assert answer.json == {
        **FRAME,
        "unit": "bit/s",
        "total": {"sent": sent | {"average": 5000.0}, "received": received | {"average": 10.0}},
        "points": [IDLE | {"sent": idle, "received": idle}, BUSY | {"sent": sent, "received": received}],
    }


async def test_codes_have_counts_and_proportions(app: Application) -> None:
    """An idle slot has an empty list."""
    answer = await request(app, "GET", "/v1/codes", **SPAN)
    shares = [
        {"code": 101, "count": 3, "proportion": 75.0},
        {"code": 403, "count": 1, "proportion": 25.0},
    ]
    assert answer.json == {
        **FRAME,
        "total": shares,
        "points": [IDLE | {"codes": []}, BUSY | {"codes": shares}],
    }


@pytest.mark.parametrize("question", ["traffic", "bandwidth", "codes"])
async def test_totals_only_leaves_the_points_out(app: Application, question: str) -> None:
    """The rest of the answer is the same."""
    whole = (await request(app, "GET", f"/v1/{question}", **SPAN)).json
    brief = (await request(app, "GET", f"/v1/{question}", **SPAN, totals="only")).json
    assert whole.pop("points")
    assert brief == whole


async def test_the_answer_repeats_its_filters(app: Application) -> None:
    """Domains are listed once and sorted."""
    filters: dict[str, Any] = {
        "domain": ["b.example", "chat.example.com", "b.example"],
        "region": "beijing",
        "isp": "telecom",
    }
    answer = (await request(app, "GET", "/v1/traffic", **filters)).json
    assert (answer["domains"], answer["region"], answer["isp"]) == (
        ["b.example", "chat.example.com"],
        "beijing",
        "telecom",
    )
    assert answer["total"] == dict.fromkeys(COUNTS, 0)
    assert answer["warnings"] == [{"parameter": "region", "reason": "region 'beijing' was never counted"}]


async def test_an_account_that_never_existed_is_404(app: Application) -> None:
    """The problem names the parameter."""
    for path in ("traffic", "codes", "domains", "options"):
        answer = await request(app, "GET", f"/v1/{path}", account="taem-a")
        assert (answer.status, answer.json["type"]) == (404, "urn:wsedge:problem:unknown-account")
        assert answer.json["errors"][0]["parameter"] == "account"


async def test_the_answer_lists_the_zones_of_a_range_in_which_the_zone_changed() -> None:
    """`timeZone` is the last of them; an answer for one zone has no list."""
    document = directory(domains={"chat.example.com": "team-a"})
    terms = document["accounts"][0]["periods"][0]["terms"] | {"timeZone": "Europe/Berlin"}
    document["accounts"][0]["periods"] += [{"terms": terms, "start": "2026-06-10T12:00:00Z"}]
    app = build(services_over(MemoryLedger(), Directory.model_validate_json(json.dumps(document))))
    range_ = {"start": "2026-06-08T00:00:00Z", "end": "2026-06-13T00:00:00Z", "granularity": "1d"}
    answer = (await request(app, "GET", "/v1/traffic", **range_, account="team-a")).json
    assert answer["timeZone"] == "Europe/Berlin"
    assert answer["timeZones"] == [
        {"start": "2026-06-07T16:00:00Z", "timeZone": "Asia/Shanghai"},
        {"start": "2026-06-10T12:00:00Z", "timeZone": "Europe/Berlin"},
    ]
    assert [point["start"][8:13] for point in answer["points"]] == [
        "07T16", "08T16", "09T16", "10T12", "10T22", "11T22", "12T22",
    ]  # fmt: skip


async def test_domains_are_listed_with_their_settings(app: Application) -> None:
    """A domain without an originProtocol in the Directory has null."""
    answer = (await request(app, "GET", "/v1/domains", account="team-b")).json
    assert answer == {
        "account": "team-b",
        "domains": [
            {
                "domain": "b.example",
                "account": "team-b",
                "configured": True,
                "name": "chat",
                "enabled": True,
                "heartbeatSeconds": 60,
                "originProtocol": None,
                "lastCounted": BUSY["start"],
            }
        ],
    }


async def test_former_domains_have_their_last_count_only() -> None:
    """The Directory has no settings of them."""
    ledger = MemoryLedger()
    ledger.add(usage(row(BUCKET, domain="former.example")))
    ledger.add(usage(row(BUCKET, domain="former.example", isp="unicom", sentBytes=1)))
    (former,) = (
        domain
        for domain in (
            await request(build(services_over(ledger, two_accounts())), "GET", "/v1/domains")
        ).json["domains"]
        if not domain["configured"]
    )
    assert (former["domain"], former["account"], former["name"], former["lastCounted"]) == (
        "former.example",
        "team-a",
        None,
        BUSY["start"],
    )


async def test_options_have_the_matrix(app: Application) -> None:
    """Regions, ISPs, granularities by span, and how far back each granularity reaches."""
    assert (await request(app, "GET", "/v1/options", account="team-a")).json == {
        "account": "team-a",
        "regions": ["shanghai"],
        "isps": ["telecom"],
        "timeZone": "Asia/Shanghai",
        "granularities": [
            {"spanUpToDays": 3, "granularities": ["5m", "1h"]},
            {"spanUpToDays": 31, "granularities": ["1h", "1d"]},
            {"spanUpToDays": 93, "granularities": ["1d"]},
        ],
        "reach": [
            {"granularity": "5m", "days": 93},
            {"granularity": "1h", "days": 186},
            {"granularity": "1d", "days": 366},
        ],
        "completeUntil": "2026-06-15T12:00:00Z",
    }


BAD: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "an unknown parameter": ({"colour": "red"}, "colour", "not a parameter of this endpoint", "granularity"),
    "another granularity": ({"granularity": "2h"}, "granularity", "Input should be", "'5m', '1h' or '1d'"),
    "a malformed domain": ({"domain": "A.example"}, "domain", "should match pattern", ""),
    "half a range": ({"start": "2026-06-15T11:55:00Z"}, "end", "missing although start is given", "both"),
    "a parameter given twice": ({"region": ["a", "b"]}, "region", "given more than once", "one value"),
}


@pytest.mark.parametrize(("query", "parameter", "reason", "allowed"), BAD.values(), ids=BAD.keys())
async def test_a_wrong_parameter_is_400(
    app: Application, query: dict[str, Any], parameter: str, reason: str, allowed: str
) -> None:
    """The problem names the parameter, the reason and the allowed values."""
    answer = await request(app, "GET", "/v1/traffic", **query)
    assert (answer.status, answer.json["type"]) == (400, "urn:wsedge:problem:bad-parameter")
    (fault,) = answer.json["errors"]
    assert fault["parameter"] == parameter
    assert reason in fault["reason"]
    assert allowed in fault.get("allowed", "")
