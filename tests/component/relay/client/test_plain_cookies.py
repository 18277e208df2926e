"""The sticky cookie, which sends a client to the same origin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from support.relay.plain import PASS, Handler, browser, name_of, site
from support.relay.running import on_pump_loop, running


@asynccontextmanager
async def two_rooms() -> AsyncIterator[tuple[int, int]]:
    """Run two origins that send their names, in plain answers and in a tunnel's first message."""

    def room(name: str) -> Handler:
        async def say(request: web.Request) -> web.StreamResponse:
            assert "wsedge-origin" not in request.headers.get("Cookie", "")
            if request.headers.get("Upgrade") == "websocket":
                socket = web.WebSocketResponse()
                await socket.prepare(request)
                await socket.send_str(name)
                await socket.close()
                return socket
            cached = {"Cache-Control": "public, max-age=60"} if request.path == "/cached" else {}
            return web.Response(text=name, headers=cached)

        return say

    async with site(room("one")) as one, site(room("two")) as two:
        yield one, two


STICKY: dict[str, Any] = {"originRequest": {"stickyCookie": {}}, **PASS}


@on_pump_loop
async def test_a_cookie_keeps_a_client_at_its_origin() -> None:
    """Plain requests and tunnels go to one origin, through any relay; clients without a cookie alternate."""
    async with two_rooms() as ports, running(*ports, **STICKY) as relay:
        homes = set()
        for _ in range(2):
            async with browser(relay, cookies={"own": "1"}) as client:
                async with client.get("/") as got:
                    home = await got.text()
                    cookie = got.headers["Set-Cookie"]
                homes.add(home)
                assert {await name_of(client) for _ in range(3)} == {home}
                value = cookie.partition(";")[0]
                assert cookie.partition(";")[2] == " Path=/; HttpOnly; SameSite=Lax"
                headers = {"Cookie": f"own=1; {value}"}
                for _ in range(3):
                    async with relay.connect(additional_headers=headers) as tunnel:
                        assert await tunnel.recv() == home
                        assert tunnel.response is not None
                        assert "Set-Cookie" not in tunnel.response.headers
        assert homes == {"one", "two"}


@on_pump_loop
async def test_a_tunnel_gets_the_cookie_as_well() -> None:
    """A client that begins with a handshake then polls the same origin."""
    async with two_rooms() as ports, running(*ports, **STICKY) as relay, relay.connect() as tunnel:
        home = await tunnel.recv()
        assert tunnel.response is not None
        value = tunnel.response.headers["Set-Cookie"].partition(";")[0]
        async with browser(relay, headers={"Cookie": value}) as client:
            assert {await name_of(client) for _ in range(3)} == {home}


@on_pump_loop
async def test_an_origin_that_is_gone_gives_its_clients_away() -> None:
    """Another origin answers with a new cookie; an unknown cookie is ignored."""
    async with two_rooms() as ports, running(*ports, **STICKY) as relay:
        async with browser(relay) as client:
            home = await name_of(client)
            other = {"one": "two", "two": "one"}[home]
            relay.apply(
                origins=[
                    {"host": "127.0.0.1", "httpPort": port}
                    for name, port in zip(("one", "two"), ports, strict=True)
                    if name == other
                ]
            )
            async with client.get("/") as got:
                assert await got.text() == other
                assert "Set-Cookie" in got.headers
        unknown = {"Cookie": "wsedge-origin=0123456789abcdef"}
        async with browser(relay, headers=unknown) as client, client.get("/") as got:
            assert "Set-Cookie" in got.headers


@on_pump_loop
async def test_what_caches_share_carries_no_cookie() -> None:
    """A shared cache would give one client's cookie to all."""
    async with (
        two_rooms() as ports,
        running(*ports, **STICKY) as relay,
        browser(relay) as client,
        client.get("/cached") as got,
    ):
        assert "Set-Cookie" not in got.headers
