"""Messages between this version and the last release, and from versions to come."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from last_release import relay_contract as last_relay
from last_release import statistics_contract as last_statistics
from support.operator.snapshots import NOW, RESOLVED, live_domain
from wsedge_operator.api.billing_plan import BillingCycle, MeteringMethod
from wsedge_operator.api.websocket_domain import WebSocketDomain
from wsedge_operator.billing.activation import Account, Period, Terms
from wsedge_operator.billing.record import Life, record_data
from wsedge_operator.desired.relay_config import config_map, relay_config
from wsedge_operator.reconcile.directory import RecordedAccount, directory, without_lives
from wsedge_relay import contract as relay
from wsedge_relay.metering.report import encode
from wsedge_relay.metering.usage import UsageCount, UsageKey
from wsedge_statistics import contract as statistics
from wsedge_statistics.contract import read
from wsedge_statistics.services import UnknownFields


def configured() -> bytes:
    """The configuration of a domain of which only what must be is set, as the operator writes it."""
    live = live_domain()
    config = relay_config(live, WebSocketDomain.model_validate(live).spec, RESOLVED)
    text: str = config_map(live, config, draining_since=None)["data"]["relay.json"]
    return text.encode()


def listed() -> bytes:
    """The Directory of an account and a domain, as the operator sends it to those that refuse lives."""
    terms = Terms(BillingCycle.DAILY, MeteringMethod.TRAFFIC, "UTC")
    life = Life("team-a", "u1", NOW, "wsedge-system")
    record = {"data": record_data(Account(periods=(Period(terms, NOW),)), life)}
    told = without_lives(directory([RecordedAccount(life, record)], [live_domain()], NOW))
    return told.model_dump_json(exclude_none=True).encode()


def counted() -> bytes:
    """A report as a relay sends it."""
    row = UsageCount("0123abcd", 1_700_000_100, UsageKey("chat.example.com", "team-a"), sent_bytes=1)
    return gzip.decompress(encode("team-a/chat", "uid", [row]))


def stated() -> bytes:
    """A relay's answer to `GET /config`."""
    state = relay.RelayState(generation="g", draining=False, openConnections=0)
    return state.model_dump_json(exclude_none=True).encode()


MESSAGES: dict[str, tuple[bytes, type[BaseModel], type[BaseModel]]] = {
    "RelayConfig": (configured(), last_relay.RelayConfig, relay.RelayConfig),
    "RelayState": (stated(), last_relay.RelayState, relay.RelayState),
    "UsageReport": (counted(), last_statistics.UsageReport, statistics.UsageReport),
    "Directory": (listed(), last_statistics.Directory, statistics.Directory),
}
_EACH = pytest.mark.parametrize(("text", "last", "ours"), MESSAGES.values(), ids=MESSAGES.keys())


@_EACH
def test_the_last_release_takes_what_this_one_writes(
    text: bytes, last: type[BaseModel], ours: type[BaseModel]
) -> None:
    """Its models refuse a field that they do not have: new ones stay off the wire where nobody asked."""
    taken = last.model_validate_json(text)
    assert taken.model_dump(mode="json", exclude_unset=True) == ours.model_validate_json(text).model_dump(
        mode="json", exclude_unset=True
    )


@_EACH
def test_what_the_last_release_writes_is_taken(
    text: bytes, last: type[BaseModel], ours: type[BaseModel]
) -> None:
    """With all that it fills in by itself, nulls included; nothing of it is unknown here."""
    written = last.model_validate_json(text).model_dump_json().encode()
    message, unknown = read(ours, written)
    assert unknown == ()
    assert json.loads(message.model_dump_json(exclude_unset=True)) == json.loads(written)


@_EACH
def test_a_message_of_a_version_to_come_is_taken(
    text: bytes, last: type[BaseModel], ours: type[BaseModel]
) -> None:
    """Fields that are not known, at the top and deep inside, change nothing of the rest and are named."""
    document = json.loads(text)
    known = ours.model_validate_json(text)
    paths = _with_news(document)
    message, unknown = read(ours, json.dumps(document).encode())
    assert message == known
    assert sorted(unknown) == sorted(paths)


def _with_news(part: Any, path: str = "") -> list[str]:
    """Add a field to each object, but for maps of codes, and return their paths."""
    if isinstance(part, list):
        return [new for index, item in enumerate(part) for new in _with_news(item, f"{path}{index}.")]
    if not isinstance(part, dict) or path.endswith("codes."):
        return []
    inner = [new for key, value in list(part.items()) for new in _with_news(value, f"{path}{key}.")]
    part["fromTheFuture"] = {"any": ["thing"]}
    return [*inner, f"{path}fromTheFuture"]


def test_what_is_wrong_is_refused_whatever_else_is_unknown() -> None:
    """A negative count stays one beside a field of a newer version, and only the count is the fault."""
    document = json.loads(counted())
    document["rows"][0] |= {"sentBytes": -1, "connectionSeconds": 5}
    with pytest.raises(ValidationError) as caught:
        read(statistics.UsageReport, json.dumps(document).encode())
    assert [fault["loc"] for fault in caught.value.errors()] == [("rows", 0, "sentBytes")]


def test_a_flood_of_unknown_fields_is_told_in_a_line() -> None:
    """Naming each of them would take half a kilobyte for each."""
    document = json.loads(counted()) | {f"x{number}": 1 for number in range(1001)}
    message, unknown = read(statistics.UsageReport, json.dumps(document).encode())
    assert len(message.rows) == 1
    assert unknown == ("more than 1000 fields",)


def test_an_unknown_field_is_logged_once() -> None:
    """Whatever row it is in and however often it comes; the names that are kept are bounded."""
    known = UnknownFields()
    assert known.news("UsageReport", ["rows.0.a", "rows.17.a", "b"]) == ["b", "rows[].a"]
    assert known.news("UsageReport", ["rows.5.a", "c"]) == ["c"]
    assert known.news("Directory", ["b"]) == ["b"]
    assert len(known.news("UsageReport", (f"x{number}" for number in range(500)))) == 96
    assert known.news("UsageReport", ["one-more"]) == []
