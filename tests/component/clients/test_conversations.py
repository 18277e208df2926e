"""WebSocket clients and servers of many makes: each pair behaves the same with and without the relay."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.clients.conversation import (
    BY_CLIENT,
    BY_SERVER,
    MESSAGES,
    SUBPROTOCOLS,
    aiohttp_origin,
    described,
    websockets_origin,
)
from support.clients.makes import MAKES, Client
from support.clients.stage import SCHEMES, Files, Scheme, Stage, node_origins, stage
from support.clients.transcripts import the_same

pytestmark = pytest.mark.asyncio(loop_scope="module")

DESCRIBED = [described(message) for message in MESSAGES]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("clients"), ("ws", "websockets", "aiohttp"))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MAKES)
async def client(request: pytest.FixtureRequest, files: Files) -> AsyncIterator[Client]:
    async with MAKES[request.param](files) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(files: Files) -> AsyncIterator[Stage]:
    async with node_origins(files, "ws") as (program, ports), stage(files, {"ws": [ports["ws"]]}) as one:
        one.hears["ws"] = program
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def python(files: Files) -> AsyncIterator[Stage]:
    async with (
        websockets_origin(files) as (one, one_ports),
        aiohttp_origin(files) as (two, two_ports),
        stage(files, {"websockets": [one_ports], "aiohttp": [two_ports]}) as both,
    ):
        both.hears.update(websockets=one, aiohttp=two)
        yield both


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_node_server_and_its_clients_notice_nothing(
    node: Stage, client: Client, scheme: Scheme
) -> None:
    """Equal with a relay: messages of all kinds, subprotocol, extension, headers, pings, closes."""
    await is_the_same(node, "ws", client, scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("server", ["websockets", "aiohttp"])
async def test_python_servers_and_their_clients_notice_nothing(
    python: Stage, server: str, client: Client, scheme: Scheme
) -> None:
    """Equal with a relay: messages of all kinds, subprotocol, extension, headers, closes."""
    await is_the_same(python, server, client, scheme)


async def is_the_same(one: Stage, server: str, client: Client, scheme: Scheme) -> None:
    saw, heard = await the_same(one, server, scheme, client.conversations, connections=2)
    for who in ("client", "server"):
        talk = saw[who]
        assert talk["messages"] == DESCRIBED
        assert talk["subprotocol"] == SUBPROTOCOLS[0]
        assert "permessage-deflate" in talk.get("extensions", "permessage-deflate")
    assert [talk["messages"] for talk in heard] == [DESCRIBED, [*DESCRIBED, described("close")]]
    assert heard[0]["close"] == [*BY_CLIENT]
    assert saw["server"]["close"] == [*BY_SERVER]
