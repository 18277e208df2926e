"""Each operation: parameters in, the tree of the original out."""

from __future__ import annotations

from typing import Any

import pytest

from support.statistics.application import BUCKET, MemoryLedger
from support.statistics.build import directory_message, row, usage
from support.statistics.rpc_application import OTHER, call, rpc_over
from wsedge_statistics.contract import Directory

TRAFFIC = "DescribeDcdnDomainWebsocketTrafficData"
BPS = "DescribeDcdnDomainWebsocketBpsData"
CODES = "DescribeDcdnDomainWebsocketHttpCodeData"
HOUR = {"StartTime": "2026-06-15T11:55:00Z", "EndTime": "2026-06-15T12:05:00Z"}
CHAT = {"DomainName": "chat.example.com"}


def counted() -> MemoryLedger:
    ledger = MemoryLedger()
    codes = {"101": 9, "502": 1}
    ledger.add(
        usage(
            row(BUCKET, sentBytes=1200, receivedBytes=7, codes=codes),
            row(BUCKET, sentBytes=300, region="hongkong", isp="local area network"),
            row(BUCKET, domain="b.example", account="team-b", sentBytes=5000),
        )
    )
    return ledger


async def test_traffic_is_bytes_to_clients_by_slot() -> None:
    """Idle slots are there with zeros, ascending; received bytes are not counted."""
    answer = (await call(rpc_over(counted()), TRAFFIC, **CHAT, **HOUR)).json
    answer.pop("RequestId")
    assert answer == {
        **CHAT,
        **HOUR,
        "DataInterval": "300",
        "TrafficDataPerInterval": {
            "DataModule": [
                {"TimeStamp": "2026-06-15T11:55:00Z", "WebsocketTraffic": 0},
                {"TimeStamp": "2026-06-15T12:00:00Z", "WebsocketTraffic": 1500},
            ]
        },
    }


async def test_bandwidth_is_the_largest_five_minutes_of_a_slot() -> None:
    """Bits per second; of an hour too."""
    rpc = rpc_over(counted())
    for interval in ("300", "3600"):
        answer = (await call(rpc, BPS, **CHAT, **HOUR, Interval=interval)).json
        assert answer["DataInterval"] == interval
        modules = answer["BpsDataPerInterval"]["DataModule"]
        assert [module["WebsocketBps"] for module in modules] == [0, 40.0]


async def test_codes_have_shares_and_idle_slots_are_empty() -> None:
    """Code is an integer, Proportion is in percent."""
    answer = (await call(rpc_over(counted()), CODES, **CHAT, **HOUR)).json
    assert answer["HttpCodeDataPerInterval"] == {
        "DataModule": [
            {"TimeStamp": "2026-06-15T11:55:00Z", "WebsocketHttpCode": {"HttpCodeDataModule": []}},
            {
                "TimeStamp": "2026-06-15T12:00:00Z",
                "WebsocketHttpCode": {
                    "HttpCodeDataModule": [
                        {"Code": 101, "Count": 9, "Proportion": 90.0},
                        {"Code": 502, "Count": 1, "Proportion": 10.0},
                    ]
                },
            },
        ]
    }


FILTERS: dict[str, tuple[dict[str, str], int]] = {
    "nothing": ({}, 1500),
    "a region": ({"LocationNameEn": "shanghai"}, 1200),
    "a region by the original's name": ({"LocationNameEn": "xianggang"}, 300),
    "a network of several words": ({"IspNameEn": "local area network"}, 300),
    "both": ({"LocationNameEn": "shanghai", "IspNameEn": "telecom"}, 1200),
    "a region without counts": ({"LocationNameEn": "beijing"}, 0),
    "all networks": ({"IspNameEn": "all", "LocationNameEn": ""}, 1500),
    "parameters of older SDKs": ({"OwnerId": "1", "FixTimeGap": "x", "TimeMerge": "y"}, 1500),
    "the domain in capital letters": ({"DomainName": "CHAT.example.com"}, 1500),
    "the domain among blanks": ({"DomainName": " chat.example.com, chat.example.com,"}, 1500),
}


@pytest.mark.parametrize(("parameters", "total"), FILTERS.values(), ids=FILTERS.keys())
async def test_filters_narrow_the_sum(parameters: dict[str, str], total: int) -> None:
    """A parameter that an operation does not have is ignored."""
    answer = (await call(rpc_over(counted()), TRAFFIC, **{**HOUR, **parameters})).json
    modules = answer["TrafficDataPerInterval"]["DataModule"]
    assert sum(module["WebsocketTraffic"] for module in modules) == total
    assert answer.get("DomainName") == parameters.get("DomainName")


WRONG: dict[str, tuple[str, dict[str, str], int, str]] = {
    "another account's domain": (TRAFFIC, {"DomainName": "b.example"}, 404, "InvalidDomain.NotFound"),
    "a domain of nobody": (BPS, {"DomainName": "chat.example.com,x.example"}, 404, "InvalidDomain.NotFound"),
    "what is no domain": (TRAFFIC, {"DomainName": "a b"}, 400, "InvalidDomainName.Malformed"),
    "nothing but commas": (TRAFFIC, {"DomainName": ",,"}, 400, "InvalidDomainName.Malformed"),
    "too many domains": (TRAFFIC, {"DomainName": "a," * 501}, 400, "InvalidDomainName.Malformed"),
    "codes of all domains": (CODES, {}, 400, "MissingDomainName"),
    "a start alone": (TRAFFIC, {"StartTime": "2026-06-15T00:00:00Z"}, 400, "MissingTimeParameter"),
    "a domain and a region of 94 days ago": (
        TRAFFIC,
        {
            "DomainName": "chat.example.com",
            "LocationNameEn": "shanghai",
            "StartTime": "2026-03-01T00:00:00Z",
            "EndTime": "2026-03-02T00:00:00Z",
        },
        400,
        "InvalidStartTime.ValueNotSupported",
    ),
    "bill types without a start": ("DescribeDcdnUserBillType", {}, 400, "MissingStartTime"),
    "bill types without an end": (
        "DescribeDcdnUserBillType",
        {"StartTime": "2026-06-15T00:00:00Z"},
        400,
        "MissingEndTime",
    ),
    "a configuration of no domain": ("DescribeDcdnDomainConfigs", {}, 400, "MissingDomainName"),
    "a configuration of another's": (
        "DescribeDcdnDomainConfigs",
        {"DomainName": "b.example"},
        404,
        "InvalidDomain.NotFound",
    ),
    "a page of zero": ("DescribeDcdnUserDomains", {"PageSize": "0"}, 400, "InvalidPageSize.Malformed"),
    "a page too large": ("DescribeDcdnUserDomains", {"PageSize": "501"}, 400, "InvalidPageSize.Malformed"),
    "a page in words": ("DescribeDcdnUserDomains", {"PageNumber": "one"}, 400, "InvalidPageNumber.Malformed"),
    "digits of another script": (
        "DescribeDcdnUserDomains",
        {"PageNumber": "\u0663"},
        400,
        "InvalidPageNumber.Malformed",
    ),
}


@pytest.mark.parametrize(("action", "parameters", "status", "code"), WRONG.values(), ids=WRONG.keys())
async def test_wrong_parameters_have_the_codes_of_the_original(
    action: str, parameters: dict[str, str], status: int, code: str
) -> None:
    """Programs compare codes."""
    answer = await call(rpc_over(counted()), action, **parameters)
    assert (answer.status, answer.json["Code"]) == (status, code)


async def test_regions_and_networks_have_both_names() -> None:
    """Those of the original's basic list, and those that were counted."""
    answer = (await call(rpc_over(counted()), "DescribeDcdnRegionAndIsp")).json
    assert {"NameEn": "xianggang", "NameZh": "香港特别行政区"} in answer["Regions"]["Region"]
    assert {"NameEn": "local area network", "NameZh": "局域网"} in answer["Isps"]["Isp"]
    assert {"NameEn": "unicom", "NameZh": "联通"} in answer["Isps"]["Isp"]


async def test_a_service_without_a_plan_is_not_activated() -> None:
    """An account that the Directory does not have, or has without periods."""
    rpc = rpc_over(
        directory=Directory.model_validate_json('{"version":1,"writtenAt":"2026-01-01T00:00:00Z"}')
    )
    bounds = {"StartTime": "2026-01-01T00:00:00Z", "EndTime": "2026-02-01T00:00:00Z"}
    for action, parameters in (("DescribeDcdnService", {}), ("DescribeDcdnUserBillType", bounds)):
        answer = await call(rpc, action, **parameters)
        assert (answer.status, answer.json["Code"]) == (404, "DcdnServiceNotFound")


async def test_bill_types_are_the_terms_within_the_range() -> None:
    """The dimension is websocket alone."""
    bounds = {"StartTime": "2026-01-01T00:00:00Z", "EndTime": "2026-02-01T00:00:00Z"}
    answer = (await call(rpc_over(), "DescribeDcdnUserBillType", **bounds)).json
    (item,) = answer["BillTypeData"]["BillTypeDataItem"]
    assert (item["Dimension"], item["BillType"], item["BillingCycle"]) == ("websocket", "month_95", "month")


def many() -> Directory:
    domains = {f"a{number:02}.example.com": "team-a" for number in range(25)}
    return directory_message(domains={**domains, "b.example": "team-b"})


PAGES: dict[str, tuple[dict[str, str], list[int], int]] = {
    "the first of twenty": ({}, list(range(20)), 25),
    "the second": ({"PageNumber": "2"}, list(range(20, 25)), 25),
    "a page beyond the last": ({"PageNumber": "9"}, [], 25),
    "pages of ten": ({"PageSize": "10", "PageNumber": "3"}, list(range(20, 25)), 25),
    "an exact name": ({"DomainName": "a07.example.com"}, [7], 1),
    "a part of a name": ({"DomainName": "07.exam", "DomainSearchType": "fuzzy_match"}, [7], 1),
    "the begin of names": ({"DomainName": "A1", "DomainSearchType": "pre_match"}, list(range(10, 20)), 10),
    "the end of names": ({"DomainName": "4.example.com", "DomainSearchType": "suf_match"}, [4, 14, 24], 3),
    "a name that is a part alone": ({"DomainName": "a0"}, [], 0),
    "domains that are off": ({"DomainStatus": "offline"}, [], 0),
    "domains that are on": ({"DomainStatus": "online", "PageSize": "3"}, [0, 1, 2], 25),
}


@pytest.mark.parametrize(("parameters", "found", "total"), PAGES.values(), ids=PAGES.keys())
async def test_domains_come_in_pages(parameters: dict[str, str], found: list[int], total: int) -> None:
    """By name; the total is that of all pages."""
    answer = (await call(rpc_over(directory=many()), "DescribeDcdnUserDomains", **parameters)).json
    names = [each["DomainName"] for each in answer["Domains"]["PageData"]]
    assert names == [f"a{number:02}.example.com" for number in found]
    assert answer["TotalCount"] == total
    assert isinstance(answer["PageSize"], int)


def one_domain(**fields: Any) -> Directory:
    full = directory_message()
    domain = full.domains[0].model_copy(update=fields)
    return full.model_copy(update={"domains": (domain,)})


async def test_a_configuration_is_the_function_websocket() -> None:
    """Values are text; without an origin protocol there is no argument of it."""
    action = "DescribeDcdnDomainConfigs"
    rpc = rpc_over(directory=one_domain(enabled=False, heartbeatSeconds=90, originProtocol="Follow"))
    (config,) = (await call(rpc, action, **CHAT)).json["DomainConfigs"]["DomainConfig"]
    assert (config["FunctionName"], config["Status"]) == ("websocket", "success")
    arguments = {each["ArgName"]: each["ArgValue"] for each in config["FunctionArgs"]["FunctionArg"]}
    assert arguments == {"enabled": "off", "heartbeat": "90", "origin_scheme": "follow"}
    for parameters in ({"FunctionNames": "https, websocket"}, {"ConfigId": config["ConfigId"]}):
        found = (await call(rpc, action, **CHAT, **parameters)).json["DomainConfigs"]["DomainConfig"]
        assert found == [config]
    for parameters in ({"FunctionNames": "https"}, {"ConfigId": "1"}):
        found = (await call(rpc, action, **CHAT, **parameters)).json["DomainConfigs"]["DomainConfig"]
        assert found == []
    plain = (await call(rpc_over(), action, **CHAT)).json["DomainConfigs"]["DomainConfig"][0]
    assert [each["ArgName"] for each in plain["FunctionArgs"]["FunctionArg"]] == ["enabled", "heartbeat"]


async def test_an_account_without_domains_has_zeros() -> None:
    """No domain and no name: everything of the account, which is nothing of others."""
    directory = directory_message(domains={"chat.example.com": "team-a"})
    answer = (await call(rpc_over(counted(), directory), TRAFFIC, OTHER, **HOUR)).json
    modules = answer["TrafficDataPerInterval"]["DataModule"]
    assert [module["WebsocketTraffic"] for module in modules] == [0, 5000]
