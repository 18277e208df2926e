"""The operations that are served. Each takes parameters and returns the tree of its answer.

Parameters that an operation does not have are ignored, as the original does: SDKs add some to every call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from wsedge_statistics import asking
from wsedge_statistics.contract import DirectoryAccount, DirectoryDomain, DomainName
from wsedge_statistics.dcdn import faults, names, terms
from wsedge_statistics.dcdn.intervals import SECONDS, instant, settle, times
from wsedge_statistics.identity.callers import Caller
from wsedge_statistics.numbers import answers
from wsedge_statistics.numbers.calendars import Calendar
from wsedge_statistics.numbers.ranges import Range, instant_text
from wsedge_statistics.services import Services

VERSION: Final = "2018-01-15"
MOST_DOMAINS: Final = 500
MOST_PAGES: Final = 100_000
FUNCTION: Final = "websocket"
_DOMAINS: Final = TypeAdapter(tuple[DomainName, ...])


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation by an account."""

    services: Services
    caller: Caller
    parameters: Mapping[str, str]
    now: datetime

    def get(self, name: str) -> str | None:
        """Return a parameter; None when it is absent or empty, which SDKs do not distinguish."""
        return self.parameters.get(name) or None


Tree = dict[str, Any]
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation, and how often an account may call it per second."""

    run: Callable[[Call], Awaitable[Tree]]
    per_second: int


async def traffic(call: Call) -> Tree:
    """Answer DescribeDcdnDomainWebsocketTrafficData: bytes to clients, by slot."""
    span, question = await _question(call)
    result = await asking.ask(call.services, call.caller, question, kind="rpc-traffic")
    modules = [
        {"TimeStamp": _at(point.slot.start), "WebsocketTraffic": point.counts.sent}
        for point in answers.traffic(result.parts, result.range.slots)
    ]
    return {**_frame(call, span, result.range), "TrafficDataPerInterval": {"DataModule": modules}}


async def bandwidth(call: Call) -> Tree:
    """Answer DescribeDcdnDomainWebsocketBpsData: the largest five-minute value to clients, by slot.

    The original does not say what its value of an hour or a day is. The largest is what bandwidth bills by.
    """
    span, question = await _question(call)
    result = await asking.ask(call.services, call.caller, question, kind="rpc-bandwidth")
    modules = [
        {"TimeStamp": _at(pair.slot.start), "WebsocketBps": pair.sent.peak}
        for pair in answers.rates(result.parts, result.range.slots)
    ]
    return {**_frame(call, span, result.range), "BpsDataPerInterval": {"DataModule": modules}}


async def codes(call: Call) -> Tree:
    """Answer DescribeDcdnDomainWebsocketHttpCodeData: HTTP codes of handshakes, by slot."""
    if call.get("DomainName") is None:
        raise faults.missing("DomainName")
    span, question = await _question(call)
    result = await asking.ask_codes(call.services, call.caller, question, kind="rpc-codes")
    per_slot = answers.codes(result.parts, result.range.slots)
    modules = [
        {"TimeStamp": _at(slot.start), "WebsocketHttpCode": {"HttpCodeDataModule": _shares(found)}}
        for slot, found in zip(result.range.slots, per_slot, strict=True)
    ]
    return {**_frame(call, span, result.range), "HttpCodeDataPerInterval": {"DataModule": modules}}


async def region_and_isp(call: Call) -> Tree:
    """Answer DescribeDcdnRegionAndIsp: the names that LocationNameEn and IspNameEn may have."""
    options = await asking.list_options(call.services, call.caller, None)
    return {
        "Regions": {"Region": names.listed(options.regions, names.REGIONS, {})},
        "Isps": {"Isp": names.listed(options.isps, names.ISPS, names.FURTHER_ISPS)},
    }


async def service(call: Call) -> Tree:
    """Answer DescribeDcdnService: how the account is metered, now and after its pending change."""
    return terms.service(_account(call), call.now)


async def user_bill_type(call: Call) -> Tree:
    """Answer DescribeDcdnUserBillType: the terms that are in force within a range."""
    bounds = [instant(name, call.get(name) or _missing(name)) for name in ("StartTime", "EndTime")]
    account = _account(call)
    return {"BillTypeData": {"BillTypeDataItem": terms.bill_types(account.periods, *bounds)}}


async def user_domains(call: Call) -> Tree:
    """Answer DescribeDcdnUserDomains: the account's domains in pages."""
    size, number = _whole(call, "PageSize", 20, MOST_DOMAINS), _whole(call, "PageNumber", 1, MOST_PAGES)
    found = [domain for domain in await _configured(call) if _selects(call, domain)]
    page = found[(number - 1) * size : number * size]
    listed = [
        {"DomainName": each.domain, "DomainStatus": _status(each), "Sources": {"Source": []}} for each in page
    ]
    counts = {"TotalCount": len(found), "PageSize": size, "PageNumber": number}
    return {**counts, "Domains": {"PageData": listed}}


async def domain_configs(call: Call) -> Tree:
    """Answer DescribeDcdnDomainConfigs: the function `websocket` of one domain."""
    wanted = _domains(call.get("DomainName") or _missing("DomainName"))
    domain = next((each for each in await _configured(call) if [each.domain] == wanted), None)
    if domain is None:
        raise faults.unknown_domain()
    config_id = str(int.from_bytes(hashlib.sha256(f"{FUNCTION}/{domain.domain}".encode()).digest()[:6]))
    functions = call.get("FunctionNames")
    is_named = functions is None or FUNCTION in [part.strip() for part in functions.split(",")]
    if not is_named or call.get("ConfigId") not in (None, config_id):
        return {"DomainConfigs": {"DomainConfig": []}}
    arguments = {
        "enabled": "on" if domain.enabled else "off",
        "heartbeat": str(domain.heartbeatSeconds),
        "origin_scheme": domain.originProtocol.lower() if domain.originProtocol else None,
    }
    listed = [{"ArgName": name, "ArgValue": value} for name, value in arguments.items() if value is not None]
    config = {"ConfigId": config_id, "FunctionName": FUNCTION, "Status": "success"}
    return {"DomainConfigs": {"DomainConfig": [{**config, "FunctionArgs": {"FunctionArg": listed}}]}}


OPERATIONS: Final[Mapping[str, Operation]] = {
    "DescribeDcdnDomainWebsocketTrafficData": Operation(traffic, 100),
    "DescribeDcdnDomainWebsocketBpsData": Operation(bandwidth, 100),
    "DescribeDcdnDomainWebsocketHttpCodeData": Operation(codes, 100),
    "DescribeDcdnRegionAndIsp": Operation(region_and_isp, 30),
    "DescribeDcdnService": Operation(service, 30),
    "DescribeDcdnUserBillType": Operation(user_bill_type, 30),
    "DescribeDcdnUserDomains": Operation(user_domains, 30),
    "DescribeDcdnDomainConfigs": Operation(domain_configs, 30),
}


def _account(call: Call) -> DirectoryAccount:
    """Return the Directory's entry of the account's present life. Raises RpcError or ForbiddenError."""
    services, name = call.services, call.caller.namespace or ""
    account = services.directory.accounts.get(name)
    key = services.policy.key_to_read(call.caller, None, services.tenures)
    # The Directory may still have the terms of a namespace that was deleted since.
    if account is None or not account.periods or key != services.tenures.current(name).key:
        raise faults.not_activated()
    return account


async def _question(call: Call) -> tuple[Span, asking.Question]:
    """Return start and end of a statistics call, and its question."""
    start, end = span = times(call.parameters, call.now)
    asked = call.get("DomainName")

    def slots(calendar: Calendar, now: datetime) -> Range:
        return settle(start, end, call.get("Interval"), calendar, now)

    domains = frozenset(_domains(asked)) if asked else frozenset()
    region, isp = await _labels(call)
    return span, asking.Question(domains=domains, region=region, isp=isp, settle=slots)


def _frame(call: Call, span: Span, slots: Range) -> Tree:
    """Return the fields that the three statistics calls share."""
    start, end = span
    return {
        "DomainName": call.get("DomainName"),
        "StartTime": instant_text(start),
        "EndTime": instant_text(end),
        "DataInterval": SECONDS[slots.granularity],
    }


def _shares(found: list[answers.CodeCount]) -> list[Tree]:
    return [{"Code": each.code, "Count": each.count, "Proportion": each.proportion} for each in found]


async def _labels(call: Call) -> tuple[str | None, str | None]:
    """Return the labels of region and ISP that a call filters by."""
    region, isp = (
        None if name == names.EVERYTHING else name
        for name in (call.get("LocationNameEn"), call.get("IspNameEn"))
    )
    if region is None and isp is None:
        return None, None
    options = await asking.list_options(call.services, call.caller, None)
    return (
        names.label_of(region, options.regions) if region else None,
        names.label_of(isp, options.isps) if isp else None,
    )


def _domains(text: str) -> list[str]:
    """Return the domains of a parameter, which are separated by commas. Raises RpcError."""
    listed = [part.strip().lower() for part in text.split(",") if part.strip()]
    if not listed or len(listed) > MOST_DOMAINS:
        raise faults.malformed("DomainName", f"give one to {MOST_DOMAINS} domains, separated by commas")
    try:
        return list(_DOMAINS.validate_python(tuple(listed)))
    except ValidationError:
        raise faults.malformed("DomainName", "not a domain") from None


async def _configured(call: Call) -> list[DirectoryDomain]:
    _, listed = await asking.list_domains(call.services, call.caller, None)
    return [each.configured for each in listed if each.configured is not None]


def _selects(call: Call, domain: DirectoryDomain) -> bool:
    name, status = (call.get("DomainName") or "").lower(), call.get("DomainStatus")
    if status is not None and status != _status(domain):
        return False
    match call.get("DomainSearchType"):
        case "fuzzy_match":
            return name in domain.domain
        case "pre_match":
            return domain.domain.startswith(name)
        case "suf_match":
            return domain.domain.endswith(name)
    return name in ("", domain.domain)


def _status(domain: DirectoryDomain) -> str:
    return "online" if domain.enabled else "offline"


def _whole(call: Call, name: str, default: int, most: int) -> int:
    text = call.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise faults.malformed(name, f"give a number from 1 to {most}")
    return int(text)


def _missing(name: str) -> str:
    raise faults.missing(name)


def _at(seconds: int) -> str:
    return instant_text(datetime.fromtimestamp(seconds, tz=UTC))
