"""Clients and servers of the matrix, which run the conversations of tests/clients/conversation.mjs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from interop.builds import FOLDER, GO, JAVA, RUST, built
from support.browser import chromium, firefox
from support.clients.conversation import Transcript, aiohttp_origin, websockets_origin
from support.clients.makes import MAKES, BrowserClient
from support.clients.program import Program
from support.clients.stage import Files, Ports, host, node_origins
from support.clients.tools import NODE_FOLDER, need, unavailable
from support.go_program import go_program
from wsedge_devcluster.errors import BuildError, MissingGoError

_PYTHON: Final = FOLDER.parents[1] / ".venv-interop" / "bin" / "python"


class Hears(Protocol):
    """A running server."""

    async def said(self) -> Any:
        """Return the transcript of the next connection that has ended."""


class Scenario(Protocol):
    """A client that runs the conversations of the matrix, or a scenario of its own."""

    async def conversations(self, url: str) -> Any:
        """Run the scenario; return what the client saw."""


Server = tuple[Hears, Ports]
Serve = Callable[[Files], AbstractAsyncContextManager[Server]]
Run = Callable[[Files], AbstractAsyncContextManager[Scenario]]
Command = Callable[[Files], list[str | Path]]


@dataclass
class LineClient:
    """A program that answers each URL by a transcript."""

    program: Program

    async def conversations(self, url: str) -> Transcript:
        """Run its scenario."""
        answer = await self.program.ask(url)
        assert "error" not in answer, f"{answer['error']}\n{self.program.complaints}"
        return answer


def _client(command: Command) -> Run:
    @asynccontextmanager
    async def run(files: Files) -> AsyncIterator[Scenario]:
        async with Program(*command(files), environment={"TLS_AUTHORITY": str(files.authority)}) as program:
            yield LineClient(program)

    return run


def _server(command: Command) -> Serve:
    @asynccontextmanager
    async def run(files: Files) -> AsyncIterator[Server]:
        tls = {"TLS_CERTIFICATE": str(files.certificate), "TLS_KEY": str(files.key)}
        async with Program(*command(files), environment=tls) as program:
            yield program, await program.said()

    return run


def _node(name: str) -> Serve:
    @asynccontextmanager
    async def run(files: Files) -> AsyncIterator[Server]:
        async with node_origins(files, name) as (program, ports):
            yield program, ports[name]

    return run


def _go(*arguments: str) -> Command:
    return lambda _: [built(GO), *arguments]


def _rust(*arguments: str) -> Command:
    return lambda _: [built(RUST), *arguments]


def _java(*arguments: str) -> Command:
    def command(files: Files) -> list[str | Path]:
        classes = built(JAVA)
        options = (f"-Djdk.net.hosts.file={files.hosts}", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
        path = f"{classes}:{classes.parent}/libraries/*"
        return [need("java"), *options, "-cp", path, "Peer", *arguments]

    return command


def _port_forward(*arguments: str) -> Command:
    def command(_: Files) -> list[str | Path]:
        try:
            program = go_program("portforward", FOLDER / "portforward", "./cmd/portforward")
        except (BuildError, MissingGoError, subprocess.CalledProcessError) as error:
            unavailable(f"Go cannot build it: {error}")
        return [program, *arguments]

    return command


def _python(*arguments: str) -> Command:
    def command(_: Files) -> list[str | Path]:
        if not _PYTHON.exists():
            unavailable("its packages are not installed: make interop does it")
        script, *rest = arguments
        return [_PYTHON, FOLDER / "python" / script, *rest]

    return command


class FirefoxClient(BrowserClient):
    """The WebSocket of a page in Firefox, which returns cookies of a server of another site."""

    def __init__(self, page: firefox.Page) -> None:
        super().__init__(page)
        self._firefox = page

    async def conversations(self, url: str) -> Transcript:
        """Run the conversations as a browser that has no cookies yet."""
        await self._firefox.command("storage.deleteCookies")
        return await super().conversations(url)


@asynccontextmanager
async def _firefox(_: Files) -> AsyncIterator[Scenario]:
    async with firefox.browser() as page:
        yield FirefoxClient(page)


@dataclass
class NoVncClient:
    """noVNC, in a page of its server's origin in Chromium."""

    page: chromium.Page

    async def conversations(self, url: str) -> Any:
        """Load a file of noVNC, and show the desktop in its page."""
        await self.page.goto(f"{url.replace('ws', 'http', 1)}/core/base64.js")
        source = (FOLDER / "novnc.mjs").read_text().replace("export async", "async")
        return await self.page.evaluate(f"(async () => {{ {source}\nreturn desktop({json.dumps(url)}); }})()")


@asynccontextmanager
async def _novnc(files: Files) -> AsyncIterator[Scenario]:
    hosts = {host(name): "127.0.0.1" for name in files.names}
    async with chromium.browser(hosts=hosts, certificates=[files.certificate.read_bytes()]) as page:
        yield NoVncClient(page)


CLIENTS: Final[Mapping[str, Run]] = {
    **MAKES,
    "firefox": _firefox,
    "gorilla": _client(_go("client", "gorilla")),
    "coder": _client(_go("client", "coder")),
    **{name: _client(_java("client", name)) for name in ("jetty", "netty", "okhttp")},
    "libcurl": _client(_python("curl_client.py")),
    "tungstenite": _client(_rust("client")),
}
SERVERS: Final[Mapping[str, Serve]] = {
    "websockets": websockets_origin,
    "aiohttp": aiohttp_origin,
    "ws": _node("ws"),
    "gorilla": _server(_go("server", "gorilla")),
    "coder": _server(_go("server", "coder")),
    **{name: _server(_java("server", name)) for name in ("jetty", "netty", "okhttp")},
    "tungstenite": _server(_rust("server")),
    "uvicorn": _server(_python("servers.py", "uvicorn")),
    "daphne": _server(_python("servers.py", "daphne")),
    "jupyter-server": _server(_python("notebook_server.py")),
    "mqtt": _node("mqtt"),
    "websockify": _server(_python("vnc_server.py", str(NODE_FOLDER / "node_modules" / "@novnc" / "novnc"))),
    "kubelet": _server(_port_forward("server")),
}


@dataclass(frozen=True)
class Own:
    """A client with a scenario of its own, its server, and how many connections the scenario makes."""

    run: Run
    server: str
    connections: int = 1
    fields: Mapping[str, Any] = field(default_factory=dict)  # of the domain


OWN: Final[Mapping[str, Own]] = {
    "paho": Own(_client(_python("paho_client.py")), "mqtt"),
    "jupyter-client": Own(
        _client(_python("notebook_client.py")),
        "jupyter-server",
        fields={"passThrough": {"paths": ["/api/*"], "methods": ["GET", "POST", "DELETE"]}},
    ),
    "noVNC": Own(_novnc, "websockify", fields={"passThrough": {"paths": ["/core/*", "/vendor/*"]}}),
    "port-forward": Own(_client(_port_forward("client")), "kubelet", connections=2),
}


def versions() -> dict[str, str]:
    """Return the version of each client and server by its lock, or of the installed program."""
    node = json.loads((NODE_FOLDER / "package-lock.json").read_text())["packages"]
    go = dict(re.findall(r"github.com/(\w+)/websocket v(\S+)", (FOLDER / "go" / "go.mod").read_text()))
    pattern = r"^([\w-]+)==([\d.]+)"
    own = dict(re.findall(pattern, (FOLDER / "python" / "requirements.lock").read_text(), re.MULTILINE))
    project = dict(re.findall(pattern, (FOLDER.parents[1] / "requirements.lock").read_text(), re.MULTILINE))
    kubernetes = re.search(r"k8s.io/client-go v(\S+)", (FOLDER / "portforward" / "go.mod").read_text())
    assert kubernetes
    rust = dict(
        re.findall(
            r'^(tungstenite) = .*?"=([\d.]+)"', (FOLDER / "rust" / "Cargo.toml").read_text(), re.MULTILINE
        )
    )
    return {
        **{name: node[f"node_modules/{name}"]["version"] for name in ("ws", "undici")},
        **{name: project[name] for name in ("websockets", "aiohttp")},
        **go,
        **rust,
        **dict(
            re.findall(
                r"<(jetty|netty|okhttp)\.version>(\d[\d.]*\d)", (FOLDER / "java" / "pom.xml").read_text()
            )
        ),
        "port-forward": kubernetes[1],
        "kubelet": kubernetes[1],
        "websocket-node": node["node_modules/websocket"]["version"],
        "uvicorn": own["uvicorn"],
        "daphne": own["daphne"],
        "jupyter-client": own["jupyter-client"],
        "jupyter-server": own["jupyter-server"],
        "noVNC": node["node_modules/@novnc/novnc"]["version"],
        "websockify": own["websockify"],
        "libcurl": f"of curl_cffi {own['curl-cffi']}",
        "paho": own["paho-mqtt"],
        "mqtt": node["node_modules/aedes"]["version"],
    }
