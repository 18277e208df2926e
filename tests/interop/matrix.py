"""Runs the matrix and writes its table into docs/clients.md.

Each row is a client, a server, and perhaps a proxy before the relay. It runs the same conversations without
the relay and through it, over ws and over wss, and compares what both ends saw: messages, subprotocol,
headers, close codes and reasons. A row whose programs are missing is skipped, and the table says why.

    python -m interop.matrix [--write FILE] [NAME...]

With NAMEs it runs only the rows with these clients, servers or proxies; the table keeps the other rows.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from websockets.exceptions import WebSocketException

from interop.peers import CLIENTS, OWN, SERVERS, Run, Server, versions
from interop.proxies import PROXIES, Target, proxy
from support.clients.stage import SCHEMES, Files, Scheme, Stage, host, stage
from support.clients.tools import MissingToolError
from support.clients.transcripts import without_hop

BEGIN: Final = "<!-- begin: make interop -->"
END: Final = "<!-- end: make interop -->"
SAME: Final = "same"
_LABELS: Final = {
    "chromium": "Chromium",
    "firefox": "Firefox",
    "jetty": "Jetty",
    "netty": "Netty",
    "okhttp": "OkHttp",
    "java": "java.net.http",
    "mqtt": "aedes",
    "jupyter-client": "a kernel's client with jupyter-client",
    "kubelet": "the port forwarding of a kubelet",
    "paho": "paho-mqtt",
    "port-forward": "client-go's port-forward",
}
# What clients and servers raise when a conversation fails.
_FAILURES: Final = (AssertionError, OSError, aiohttp.ClientError, WebSocketException)
# Envoy creates one for each request.
_OF_PROXIES: Final = "x-request-id"
# As new domains are advised to: Jetty, for one, compares Host and SNI.
_FIELDS: Final = {"originRequest": {"host": "preserve"}}
_SECONDS: Final = 120  # of one row and scheme; only a row that hangs takes so long


@dataclass(frozen=True)
class Row:
    """A client and a server, and perhaps a proxy before the relay.

    `http2`: the proxy, or the client over wss where there is none, reaches the relay by HTTP/2.
    """

    client: str
    server: str
    proxy: str = ""
    http2: bool = False

    def __str__(self) -> str:
        return f"{self.client} and {self.server} {self.before}".strip()

    @property
    def before(self) -> str:
        """Return what stands before the relay, and how it is reached."""
        if self.proxy:
            return f"{self.proxy}, by HTTP/{'2' if self.http2 else '1.1'}"
        return "by HTTP/2 over wss" if self.http2 else ""


def rows() -> Iterator[Row]:
    """Yield every row: each client with two servers, each server with one client, each proxy."""
    yield from (Row(client, server) for client in CLIENTS for server in ("websockets", "ws"))
    others = SERVERS.keys() - {"websockets", "ws"} - {own.server for own in OWN.values()}
    yield from (Row("websockets", server) for server in SERVERS if server in others)
    yield from (Row(client, own.server) for client, own in OWN.items())
    yield Row("firefox", "websockets", http2=True)
    for name in PROXIES:
        yield Row("websockets", "ws", name)
        if name != "nginx":  # which speaks HTTP/1.1 to origins
            yield Row("websockets", "ws", name, http2=True)


async def results_of(row: Row) -> dict[Scheme, str]:
    """Run a row; return the result of each scheme."""
    results: dict[Scheme, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder), (row.server,))
        try:
            run = _run_of(row.client)
            async with (
                SERVERS[row.server](files) as server,
                run(files) as client,
                _stage(files, row, server) as one,
            ):
                for scheme in SCHEMES:
                    results[scheme] = await _result(one, row, scheme, client)
        except MissingToolError as reason:
            return dict.fromkeys(SCHEMES, f"skipped: {reason}")
        except _FAILURES as error:
            return dict.fromkeys(SCHEMES, _failed(error))
    return results


def _failed(error: Exception) -> str:
    return f"failed: {(str(error) or repr(error)).splitlines()[0]}"


def _run_of(client: str) -> Run:
    return OWN[client].run if client in OWN else CLIENTS[client]


@asynccontextmanager
async def _stage(files: Files, row: Row, server: Server) -> AsyncIterator[Stage]:
    hears, ports = server
    fields: dict[str, Any] = {"tls": {"http2": True} if row.http2 else {}, **_FIELDS}
    if row.client in OWN:
        fields |= OWN[row.client].fields
    async with stage(files, {row.server: [ports]}, **fields) as one:
        one.hears[row.server] = hears
        yield one


async def _result(one: Stage, row: Row, scheme: Scheme, client: Any) -> str:
    try:
        async with asyncio.timeout(_SECONDS):
            transcripts = [
                await _transcript(one, row, scheme, client, relayed=relayed) for relayed in (False, True)
            ]
    except TimeoutError:
        return "failed: no end in time"
    except _FAILURES as error:
        return _failed(error)
    direct, relayed_ = transcripts
    return SAME if direct == relayed_ else f"different: {first_difference(direct, relayed_)}"


async def _transcript(one: Stage, row: Row, scheme: Scheme, client: Any, *, relayed: bool) -> Any:
    """Return what both ends saw, without the headers of hops."""
    if not relayed or not row.http2 or not (row.proxy or scheme == "wss"):
        return await _observed(one, row, scheme, client, relayed=relayed)
    before = await one.counted("http2_handshakes_total")
    observed = await _observed(one, row, scheme, client, relayed=True)
    assert await one.counted("http2_handshakes_total") > before, "the relay was reached by HTTP/1.1"
    return observed


async def _observed(one: Stage, row: Row, scheme: Scheme, client: Any, *, relayed: bool) -> Any:
    if row.proxy:
        if relayed:
            target = Target(
                await one.relay.port("https" if row.http2 else "http"), host(row.server), row.http2
            )
        else:
            target = Target(one.origins[row.server][0]["ws"], host(row.server))
        async with proxy(row.proxy, one.files, target) as ports:
            url = f"{scheme}://{host(row.server)}:{ports[scheme]}"
            return await _seen(one, row, client, url)
    return await _seen(one, row, client, await one.url(row.server, scheme, relayed=relayed))


async def _seen(one: Stage, row: Row, client: Any, url: str) -> Any:
    saw = await client.conversations(url)
    connections = OWN[row.client].connections if row.client in OWN else 2
    heard = [await one.hears[row.server].said() for _ in range(connections)]
    assert all("error" not in each for each in heard), heard
    for each in heard:
        if row.client == "paho":  # its ping comes at any time
            each["events"].sort(key=str)
        if row.proxy:
            each["headers"].pop(_OF_PROXIES, None)
        each["headers"] = _without_port(each.get("headers", {}), url)
        if row.client == "netty":
            each["headers"] = _of_netty(each["headers"])
    return without_hop((saw, heard))


def _without_port(headers: dict[str, str], url: str) -> dict[str, str]:
    """Return the headers, without the port in an Origin of the URL's own host."""
    own = f"://{urlsplit(url).hostname}:{urlsplit(url).port}"
    if not headers.get("origin", "").endswith(own):
        return headers
    return {**headers, "origin": headers["origin"].removesuffix(f":{urlsplit(url).port}")}


def _of_netty(headers: dict[str, str]) -> dict[str, str]:
    """Return Netty's headers without the offers that the relay leaves out."""
    offers = headers["sec-websocket-extensions"].split(",")
    kept = [offer for offer in offers if offer.strip() not in ("deflate-frame", "x-webkit-deflate-frame")]
    return {**headers, "sec-websocket-extensions": ",".join(kept)}


def first_difference(one: Any, other: Any, place: str = "") -> str:
    """Return where two transcripts differ first, and how."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name):
                return first_difference(one.get(name), other.get(name), f"{place}.{name}")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, (mine, others) in enumerate(zip(one, other, strict=True)):
            if mine != others:
                return first_difference(mine, others, f"{place}[{at}]")
    return f"{place.lstrip('.')}: {one!r} became {other!r}"


def columns_of(row: Row) -> list[str]:
    """Return client, server and proxy as the page names them."""
    known = versions()

    def named(name: str) -> str:
        return f"{_LABELS.get(name, name)} {known.get(name, '')}".strip()

    return [named(row.client), named(row.server), row.before]


def table(results: Mapping[Row, Mapping[Scheme, str]], old: str) -> str:
    """Return the table; a row that was not run keeps its line of the old one, of the same versions."""
    known = {first_cells(line): line for line in old.strip().splitlines()}
    lines = ["| client | server | before the relay | ws | wss |", "|---|---|---|---|---|"]
    for row in rows():
        columns = columns_of(row)
        if row in results:
            cells = [*columns, *(results[row][scheme] for scheme in SCHEMES)]
            lines.append(f"| {' | '.join(cells)} |")
        elif line := known.get((*columns,)):
            lines.append(line)
    return "\n".join(lines)


def first_cells(line: str) -> tuple[str, ...]:
    """Return client, server and proxy of a line of the table."""
    return tuple(cell.strip() for cell in line.split("|")[1:4])


def main() -> int:
    """Run the rows; return 1 when one of them is not the same through the relay."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    results = {}
    for row in rows():
        if options.names and not {row.client, row.server, row.proxy} & {*options.names}:
            continue
        results[row] = asyncio.run(results_of(row))
        print(f"{row}: " + "; ".join(f"{scheme} {text}" for scheme, text in results[row].items()), flush=True)
    if options.write:
        page = options.write.read_text()
        before, rest = page.split(BEGIN)
        old, after = rest.split(END)
        options.write.write_text(f"{before}{BEGIN}\n{table(results, old)}\n{END}{after}")
    texts = [text for result in results.values() for text in result.values()]
    return int(any(not text.startswith((SAME, "skipped")) for text in texts))


if __name__ == "__main__":
    sys.exit(main())
