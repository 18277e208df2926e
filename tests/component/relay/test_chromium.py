"""A real Chromium as the client: `new WebSocket(…)` in a page, through the relay, to a real server."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection

from support.browser.chromium import Page, browser
from support.relay.certificates import authority
from support.relay.running import DOMAIN, Running, config, on_pump_loop, origin, running
from wsedge_relay.config.material import Material

TLS = {"certificateFile": "tls.crt", "keyFile": "tls.key"}

# Resolves to what the server sent back, how the connection was agreed upon, and how it ended.
TALK = """
(async () => {
  const socket = new WebSocket(URL, ['chat.v1', 'chat.v2']);
  socket.binaryType = 'arraybuffer';
  const said = [];
  const next = () => new Promise((done, failed) => {
    socket.onmessage = ({data}) => done(data);
    socket.onclose = ({code}) => failed(new Error(`closed with ${code}`));
  });
  await new Promise((done, failed) => {
    socket.onopen = done;
    socket.onerror = () => failed(new Error('refused'));
  });
  socket.send('grüße');
  said.push(await next());
  socket.send(new Uint8Array(100000).fill(7));
  const bytes = new Uint8Array(await next());
  said.push([bytes.length, bytes.every((byte) => byte === 7)]);
  const closed = new Promise((done) => { socket.onclose = ({code, reason}) => done([code, reason]); });
  socket.send('bye');
  return {said, protocol: socket.protocol, extensions: socket.extensions, closed: await closed};
})()
"""
EXPECTED = {
    "said": ["grüße", [100000, True]],
    "protocol": "chat.v2",
    "extensions": "permessage-deflate",
    "closed": [4001, "as asked"],
}


async def echo_until_bye(connection: ServerConnection) -> None:
    """Send every message back, and close at a "bye"."""
    async for message in connection:
        if message == "bye":
            await connection.close(4001, "as asked")
            return
        await connection.send(message)


async def talk(page: Page, url: str) -> Any:
    """Run the conversation above and return its results."""
    return trimmed(await page.evaluate(TALK.replace("URL", f"'{url}'")))


def trimmed(answer: Any) -> Any:
    """Return the results of a conversation, without the extension's parameters."""
    return {**answer, "extensions": answer["extensions"].partition(";")[0]}


def hosts(relay: Running) -> dict[str, str]:
    """Return Chromium's rules that map the domain's default ports to the relay's."""
    usual = {"http": 80, "https": 443}
    return {
        f"{DOMAIN}:{usual[listener]}": f"{host}:{port}"
        for listener, (host, port) in relay.relay.addresses.items()
    }


@on_pump_loop
async def test_chromium_talks_over_http_1_1() -> None:
    """Text, binary, a subprotocol, compression and the close code pass, over ws and wss."""
    pair = authority().issue(DOMAIN)
    material = Material({("tls.crt", "tls.key"): pair})
    async with (
        origin(echo_until_bye, subprotocols=["chat.v2"]) as port,
        running(port, material=material, tls=TLS) as relay,
        browser(hosts=hosts(relay), certificates=[pair.certificate]) as page,
    ):
        assert await talk(page, f"ws://{DOMAIN}/plain") == EXPECTED
        assert await talk(page, f"wss://{DOMAIN}/secure") == EXPECTED
        await relay.until_idle()
        assert relay.totals.codes == {101: 2}


@on_pump_loop
async def test_chromium_talks_over_http_2() -> None:
    """A page that was loaded over HTTP/2 opens its WebSockets on the same connection, with all features."""
    pair = authority().issue(DOMAIN)
    material = Material({("tls.crt", "tls.key"): pair})
    async with (
        origin(echo_until_bye, subprotocols=["chat.v2"]) as port,
        running(port, material=material, tls={**TLS, "http2": True}) as relay,
        browser(hosts=hosts(relay), certificates=[pair.certificate]) as page,
    ):
        await page.goto(f"https://{DOMAIN}/")
        text = await page.evaluate("document.body.innerText")
        assert text.strip() == "Only WebSocket connections are served here."
        # While a handshake is slow it may dial a second time; of two connections it uses one.
        assert relay.connections_of_http2 in (1, 2)
        url = f"wss://{DOMAIN}/room"
        both = await page.evaluate(f"Promise.all([{TALK}, {TALK}])".replace("URL", f"'{url}'"))
        assert [trimmed(answer) for answer in both] == [EXPECTED, EXPECTED]
        await relay.until_idle()
        assert relay.connections_of_http2 in (1, 2)
        # The page's icon is asked for as well, when the browser likes.
        assert relay.totals.codes[101] == 2
        assert relay.counters.http2_handshakes == sum(relay.totals.codes.values())


@on_pump_loop
async def test_chromium_uses_one_connection_for_two_domains_of_one_certificate() -> None:
    """It sends requests for one on the other's HTTP/2 connection, and would not retry after a refusal."""
    pair = authority().issue(DOMAIN, "live.example.com")
    material = Material({("tls.crt", "tls.key"): pair})
    async with (
        origin(echo_until_bye, subprotocols=["chat.v2"]) as port,
        running(port, material=material, tls={**TLS, "http2": True}) as relay,
    ):
        other = {**relay.domain, "domain": "live.example.com"}
        relay.relay.apply(config([relay.domain, other]), material)
        at = hosts(relay) | {"live.example.com:443": hosts(relay)[f"{DOMAIN}:443"]}
        async with browser(hosts=at, certificates=[pair.certificate]) as page:
            await page.goto(f"https://{DOMAIN}/")
            assert await talk(page, "wss://live.example.com/") == EXPECTED
            assert relay.relay.counters["live.example.com"].http2_handshakes == 1


@on_pump_loop
async def test_the_browser_is_gone_after_a_test() -> None:
    """No process of a test is left, nor a browser whose test was cancelled."""
    for cancelled in (False, True):
        try:
            async with browser() as page:
                assert await page.evaluate("1 + 1") == 2
                started = browsers_of(os.getpid())
                assert started
                if cancelled:
                    raise asyncio.CancelledError
        except asyncio.CancelledError:
            assert cancelled
        assert not started & browsers_of(None)


def browsers_of(parent: int | None) -> set[int]:
    """Return the process ids of browsers that `parent` started; None: of any process."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = entry.joinpath("cmdline").read_bytes()
                status = entry.joinpath("stat").read_text()
            except OSError:
                continue  # it ended meanwhile
            its_parent = int(status.rpartition(")")[2].split()[1])
            if b"chromium" in command and parent in (None, its_parent):
                found.add(int(entry.name))
    return found
