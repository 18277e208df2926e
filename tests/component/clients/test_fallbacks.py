"""Socket.IO, SignalR and SockJS with their plain HTTP requests, through a relay before two origins.

Their servers refuse a request of another server's session, so a request to the wrong origin fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from support.browser.chromium import Page, browser
from support.clients.makes import play
from support.clients.program import Program
from support.clients.stage import SCHEMES, Files, Scheme, Stage, host, node_origins, stage
from support.clients.transcripts import the_same, untouched

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCENARIOS: Final = {
    "Socket.IO, polling alone": ("socketio", "polling"),
    "Socket.IO, polling and then an upgrade": ("socketio", "upgrade"),
    "SignalR, negotiated: WebSockets": ("signalr", "websockets"),
    "SignalR, negotiated: server-sent events": ("signalr", "events"),
    "SignalR, negotiated: long polling": ("signalr", "polls"),
    "SockJS: WebSocket, closed by the client": ("sockjs", "websocket"),
    "SockJS: WebSocket, closed by the server": ("sockjs", "left"),
    "SockJS: XHR streaming": ("sockjs", "xhr-streaming"),
    "SockJS: XHR polling": ("sockjs", "xhr-polling"),
}
# SockJS has two as well, but its client in Node stores no cookies, so it has one origin.
ORIGINS: Final = {
    "socketio": ["socketio:a", "socketio:b"],
    "signalr": ["signalr:a", "signalr:b"],
    "sockjs": ["sockjs:a"],
    "browser": ["sockjs:a", "sockjs:b"],
}
# The paths that docs/relay/behaviour.md names for each of the three, and the files of the page.
PASS: Final = {
    "paths": [
        "/socket.io/*",
        "/hub",
        "/hub/*",
        "/chat/*",
        "/",
        "/sockjs.js",
        "/sockjs-client.mjs",
        "/conversation.mjs",
    ]
}
TRANSPORTS: Final = ("websocket", "xhr-streaming", "xhr-polling")
INSTANCES: Final = sorted({one for some in ORIGINS.values() for one in some})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("fallbacks"), tuple(ORIGINS))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(files: Files) -> AsyncIterator[Page]:
    certificate = files.certificate.read_bytes()
    async with browser(hosts={host("browser"): "127.0.0.1"}, certificates=[certificate]) as page:
        yield page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def before(files: Files) -> AsyncIterator[Stage]:
    async with node_origins(files, *INSTANCES) as (program, ports):
        origins = {name: [ports[one] for one in some] for name, some in ORIGINS.items()}
        async with stage(files, origins, passThrough=PASS, originRequest={"stickyCookie": {}}) as one:
            one.hears.update(dict.fromkeys(ORIGINS, program))
            yield one


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_fallback_is_carried_untouched(
    before: Stage, clients: Program, scenario: str, scheme: Scheme
) -> None:
    """The transcripts of client and server are the same as without a relay."""
    await untouched(before, clients, SCENARIOS[scenario], scheme)


async def test_new_clients_are_spread_and_stay_with_their_origin(before: Stage, clients: Program) -> None:
    """Socket.IO, polling and then an upgrade: each of two origins has two clients, with all requests."""
    saw = await play(clients, "socketio", "four", await before.url("socketio", "ws", relayed=True))
    assert sorted(saw["froms"]) == ["socketio:a", "socketio:a", "socketio:b", "socketio:b"]
    heard = [await before.hears["socketio"].said() for _ in saw["froms"]]
    assert [one["from"] for one in heard] == saw["froms"]


async def test_without_the_cookie_a_session_is_not_found(files: Files, clients: Program) -> None:
    """Without it the second request reaches the other origin and fails, so the other tests can fail."""
    async with (
        node_origins(files, *ORIGINS["socketio"]) as (program, ports),
        stage(files, {"socketio": [*ports.values()]}, passThrough=PASS) as one,
    ):
        with pytest.raises(AssertionError, match=r"xhr p(ost|oll) error"):
            await play(clients, "socketio", "polling", await one.url("socketio", "ws", relayed=True))
        assert (await program.said())["refused"] == [1, "Session ID unknown"]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_page_stays_with_its_origin(before: Stage, page: Page, scheme: Scheme) -> None:
    """SockJS in Chromium, each transport: as without a relay, always at the origin of the first request."""
    saw, _ = await the_same(
        before, "browser", scheme, lambda url: in_page(page, url), connections=len(TRANSPORTS)
    )
    assert [one["transport"] for one in saw] == list(TRANSPORTS)


async def test_pages_are_spread(before: Stage, page: Page) -> None:
    """Browsers without the cookie get the origins in turn; each then uses one of them only."""
    met = set()
    for _ in range(4):
        await page.command("Network.clearBrowserCookies")
        saw = await in_page(page, await before.url("browser", "ws", relayed=True))
        (origin,) = {one["from"] for one in saw}
        heard = [await before.hears["browser"].said() for _ in saw]
        assert {one["from"] for one in heard} == {origin}
        met.add(origin)
    assert met == {"sockjs:a", "sockjs:b"}


async def in_page(page: Page, url: str) -> Any:
    """Run the scenario in a page from there, by one transport after the other."""
    await page.goto(f"{url.replace('ws', 'http', 1)}/")
    return await page.evaluate(
        f"""(async () => {{
          const {{ talk }} = await import("/sockjs-client.mjs");
          const saw = [];
          for (const kind of {list(TRANSPORTS)}) saw.push(await talk(SockJS, location.origin, kind));
          return saw;
        }})()"""
    )
