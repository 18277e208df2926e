"""Messages between this version, the last release and later versions."""

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
from wsedge_relay.metering.report import Sender, encode
from wsedge_relay.metering.usage import UsageCount, UsageKey
from wsedge_statistics import contract as statistics
from wsedge_statistics.contract import read


def configured() -> bytes:
    """The operator's configuration of a domain that sets required fields only."""
    live = live_domain()
    config = relay_config(live, WebSocketDomain.model_validate(live).spec, RESOLVED)
    text: str = config_map(live, config, draining_since=None)["data"]["relay.json"]
    return text.encode()


def listed() -> bytes:
    """The operator's Directory without the lives, which the last release rejects."""
    terms = Terms(BillingCycle.DAILY, MeteringMethod.TRAFFIC, "UTC")
    life = Life("team-a", "u1", NOW, "wsedge-system")
    record = {"data": record_data(Account(periods=(Period(terms, NOW),)), life)}
    told = without_lives(directory([RecordedAccount(life, record)], [live_domain()], NOW))
    return told.model_dump_json(exclude_none=True).encode()


def counted() -> bytes:
    """A report as a relay sends it."""
    row = UsageCount("0123abcd", 1_700_000_100, UsageKey("chat.example.com", "team-a"), sent_bytes=1)
    return gzip.decompress(encode(Sender("team-a/chat", "uid"), row.epoch, [row]))


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
def test_the_last_release_accepts_messages_of_this_version(
    text: bytes, last: type[BaseModel], ours: type[BaseModel]
) -> None:
    """Its models reject unknown fields: new fields stay off the wire unless they are set."""
    taken = last.model_validate_json(text)
    assert taken.model_dump(mode="json", exclude_unset=True) == ours.model_validate_json(text).model_dump(
        mode="json", exclude_unset=True
    )


@_EACH
def test_messages_of_the_last_release_are_accepted(
    text: bytes, last: type[BaseModel], ours: type[BaseModel]
) -> None:
    """With every default that it writes, nulls included; no field is unknown."""
    written = last.model_validate_json(text).model_dump_json().encode()
    message, unknown = read(ours, written)
    assert unknown == ()
    assert json.loads(message.model_dump_json(exclude_unset=True)) == json.loads(written)


@_EACH
def test_a_message_of_a_later_version_is_accepted(
    text: bytes, last: type[BaseModel], ours: type[BaseModel]
) -> None:
    """Unknown fields, at any depth, are named and change nothing of the rest."""
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


def test_a_fault_beside_unknown_fields_is_refused() -> None:
    """A negative count is the only fault beside a field of a later version."""
    document = json.loads(counted())
    document["rows"][0] |= {"sentBytes": -1, "fromTheFuture": 5}
    with pytest.raises(ValidationError) as caught:
        read(statistics.UsageReport, json.dumps(document).encode())
    assert [fault["loc"] for fault in caught.value.errors()] == [("rows", 0, "sentBytes")]


def test_a_flood_of_unknown_fields_is_one_path() -> None:
    """A path for each would need half a kilobyte per field."""
    document = json.loads(counted()) | {f"x{number}": 1 for number in range(1001)}
    message, unknown = read(statistics.UsageReport, json.dumps(document).encode())
    assert len(message.rows) == 1
    assert unknown == ("more than 1000 fields",)
