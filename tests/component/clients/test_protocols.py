"""Protocols over WebSocket, client and server from their packages, with and without the relay."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.clients.program import Program
from support.clients.stage import SCHEMES, Files, Scheme, Stage, node_origins, stage
from support.clients.transcripts import untouched

pytestmark = pytest.mark.asyncio(loop_scope="module")

# A module of tests/clients, and a scenario in it.
SCENARIOS = {
    "MQTT: QoS 0, 1 and 2, retained messages, pings": ("mqtt", "publish"),
    "GraphQL: queries, errors, subscriptions that either side completes": ("graphql", "operations"),
    "GraphQL: a client that the server refuses": ("graphql", "refusal"),
    "SignalR: invocations, streams, pings, ended by the client": ("signalr", "direct"),
    "SignalR: the same, ended by the hub": ("signalr", "left"),
    "Socket.IO by WebSocket alone: acknowledgements, binary, ended by the client": ("socketio", "websocket"),
    "Socket.IO by WebSocket alone: the same, ended by the server": ("socketio", "left"),
}
MODULES = sorted({module for module, _ in SCENARIOS.values()})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("protocols"), tuple(MODULES))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def before(files: Files) -> AsyncIterator[Stage]:
    async with (
        node_origins(files, *MODULES) as (program, ports),
        stage(files, {name: [ports[name]] for name in MODULES}) as one,
    ):
        one.hears.update(dict.fromkeys(MODULES, program))
        yield one


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_protocol_is_carried_untouched(
    before: Stage, clients: Program, scenario: str, scheme: Scheme
) -> None:
    """The transcripts of client and server are the same as without a relay."""
    await untouched(before, clients, SCENARIOS[scenario], scheme)
