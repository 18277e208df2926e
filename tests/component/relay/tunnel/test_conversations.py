"""Conversations of Autobahn's cases with a strict echo: as without a relay, bytes, Closes and ends."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from support.conversations import CASES
from support.conversations.conversation import Conversation
from support.conversations.play import Outcome, Stage, by_http2, by_tcp, wanted, wanted_of_dropping_echo
from support.relay.http2 import http2_client
from support.relay.http2_relay import http2
from support.relay.running import on_pump_loop, running
from wsedge_relay.timeouts import Timeouts

# So patient that a conversation which waited for one of these would miss its deadline.
PATIENT = Timeouts(close_seconds=600, linger_seconds=600)
WITH_WRONG_PAYLOAD = {name: one for name, one in CASES.items() if one.wrong_payload}

from_either = pytest.mark.parametrize(
    "from_client", [pytest.param(True, id="from the client"), pytest.param(False, id="from the origin")]
)


def different(got: Mapping[str, Outcome], want: Mapping[str, Outcome]) -> dict[str, tuple[Outcome, Outcome]]:
    """Return each conversation with another outcome than wanted."""
    return {name: (got[name], one) for name, one in want.items() if got[name] != one}


def test_there_are_as_many_as_the_suite_has() -> None:
    """247 cases, each of its sections but 9, 12 and 13."""
    sections = [name.split(".")[0] for name in CASES]
    assert len(CASES) == 247
    assert {one: sections.count(one) for one in sections} == {
        "1": 16,
        "2": 11,
        "10": 1,
        "3": 7,
        "4": 10,
        "5": 20,
        "6": 145,
        "7": 37,
    }
    assert len(WITH_WRONG_PAYLOAD) == 87


@from_either
@on_pump_loop
async def test_echo_is_strict(from_client: bool) -> None:
    """Without a relay each sender gets what the table wants."""
    stage = Stage(CASES, from_client=from_client)
    async with stage.origin() as port:
        got = await stage.play(by_tcp(("127.0.0.1", port)))
    assert different(got, {name: wanted(one) for name, one in CASES.items()}) == {}


@pytest.mark.usefixtures("each_form")
@from_either
@on_pump_loop
async def test_sender_gets_the_same_through_a_relay(from_client: bool) -> None:
    """Frames, the code of the Close and the end of the stream are as without a relay."""
    await is_carried(CASES, {name: wanted(one) for name, one in CASES.items()}, from_client=from_client)


@pytest.mark.usefixtures("each_form")
@from_either
@on_pump_loop
async def test_end_without_a_close_is_carried(from_client: bool) -> None:
    """An echo that answers a wrong payload by the end of TCP ends the sender's stream, without a Close."""
    want = {name: wanted_of_dropping_echo(one) for name, one in WITH_WRONG_PAYLOAD.items()}
    await is_carried(WITH_WRONG_PAYLOAD, want, from_client=from_client, drops=True)


@pytest.mark.usefixtures("each_form")
@from_either
@on_pump_loop
async def test_sender_gets_the_same_over_http2(from_client: bool) -> None:
    """A stream of HTTP/2 carries the same; END_STREAM is its end."""
    stage = Stage(CASES, from_client=from_client)
    async with stage.origin() as port, http2(port, timeouts=PATIENT) as relay, http2_client(relay) as client:
        got = await stage.play(by_http2(client))
        await relay.until_idle()
    assert different(got, {name: wanted(one) for name, one in CASES.items()}) == {}


async def is_carried(
    conversations: Mapping[str, Conversation],
    want: Mapping[str, Outcome],
    *,
    from_client: bool,
    drops: bool = False,
) -> None:
    stage = Stage(conversations, from_client=from_client, drops=drops)
    async with stage.origin() as port, running(port, timeouts=PATIENT, heartbeatSeconds=300) as relay:
        got = await stage.play(by_tcp(relay.relay.addresses["http"]))
        await relay.until_idle()
    assert different(got, want) == {}
