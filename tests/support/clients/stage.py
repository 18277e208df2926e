"""One relay in front of several origins, each with a name, with and without TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from prometheus_client.parser import text_string_to_metric_families

from support.clients.program import DEADLINE, Program
from support.clients.tools import NODE_FOLDER, need, need_node
from support.relay.certificates import authority
from support.relay_process import config, domain, write
from support.relay_process.process import RelayProcess

Scheme = Literal["ws", "wss"]
Ports = Mapping[Scheme, int]
SCHEMES: Final[tuple[Scheme, ...]] = ("ws", "wss")


def host(name: str) -> str:
    """Return the host name of an origin, which is also its domain at the relay."""
    return f"{name}.example.com"


@dataclass
class Files:
    """Certificates for one stage: all hosts share one, of an authority that every client trusts."""

    folder: Path
    names: tuple[str, ...]
    authority: Path = field(init=False)
    certificate: Path = field(init=False)
    key: Path = field(init=False)
    hosts: Path = field(init=False)

    def __post_init__(self) -> None:
        pair = authority().issue(*map(host, self.names))
        self.authority = self._write("ca.crt", authority().pem)
        self.certificate = self._write("tls.crt", pair.certificate)
        self.key = self._write("tls.key", pair.key)
        self.hosts = self._write("hosts", "".join(f"127.0.0.1 {host(name)}\n" for name in self.names))

    def server_context(self) -> ssl.SSLContext:
        """Return the context of an origin."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def _write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@dataclass(frozen=True)
class Stage:
    """A relay that runs, and the origins behind it."""

    files: Files
    relay: RelayProcess
    origins: Mapping[str, Sequence[Ports]]
    hears: dict[str, Any] = field(default_factory=dict)

    async def url(self, name: str, scheme: Scheme, *, relayed: bool) -> str:
        """Return the URL of an origin, through the relay or direct."""
        if relayed:
            port = await self.relay.port("http" if scheme == "ws" else "https")
        else:
            port = self.origins[name][0][scheme]
        return f"{scheme}://{host(name)}:{port}"

    async def counted(self, sample: str, **labels: str) -> int:
        """Return the sum of a metric's samples with these labels."""
        _, text = await self.relay.admin("/metrics")
        return sum(
            int(one.value)
            for family in text_string_to_metric_families(text)
            for one in family.samples
            if one.name == f"wsedge_relay_{sample}" and labels.items() <= one.labels.items()
        )

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the metrics fulfil a condition, with a deadline."""
        async with asyncio.timeout(DEADLINE):
            while not await condition():  # noqa: ASYNC110  another process: no event of this loop tells
                await asyncio.sleep(0.05)


@asynccontextmanager
async def stage(files: Files, origins: Mapping[str, Sequence[Ports]], **fields: Any) -> AsyncIterator[Stage]:
    """Run a relay with a domain for each name; ws goes to the origin by HTTP, wss by HTTPS."""
    document = config(*(_domain(files, name, ports, fields) for name, ports in origins.items()))
    document["listen"]["https"] = 0
    path = write(files.folder / f"{'-'.join(origins)}.json", document)
    async with RelayProcess("--config", path, "--log-format", "json") as relay:
        yield Stage(files, relay, origins)


def _domain(files: Files, name: str, origins: Sequence[Ports], fields: Mapping[str, Any]) -> dict[str, Any]:
    rest = dict(fields)
    tls = rest.pop("tls", {})
    return domain(
        domain=host(name),
        originProtocol="Follow",
        origins=[
            {"host": "127.0.0.1", "httpPort": one["ws"], "httpsPort": one.get("wss", one["ws"])}
            for one in origins
        ],
        originTLS={"serverName": host(name), "authority": {"file": files.authority.name}},
        tls={"certificateFile": files.certificate.name, "keyFile": files.key.name, **tls},
        **rest,
    )


@asynccontextmanager
async def node_origins(files: Files, *names: str) -> AsyncIterator[tuple[Program, dict[str, Ports]]]:
    """Run the servers of tests/clients with these names in one process."""
    environment = {"TLS_CERTIFICATE": str(files.certificate), "TLS_KEY": str(files.key)}
    async with Program(need_node(), NODE_FOLDER / "origins.mjs", *names, environment=environment) as program:
        yield program, await program.said()


@asynccontextmanager
async def node_clients(files: Files) -> AsyncIterator[Program]:
    """Run a Node process that runs the scenarios of tests/clients."""
    trust = {"NODE_EXTRA_CA_CERTS": str(files.authority)}
    async with Program(need_node(), NODE_FOLDER / "clients.mjs", environment=trust) as program:
        yield program


@asynccontextmanager
async def java_clients(files: Files) -> AsyncIterator[Program]:
    """Run a Java process that runs the conversations."""
    need("javac")  # without a compiler, java cannot start from a source file
    options = ("-Dfile.encoding=UTF-8", f"-Djdk.net.hosts.file={files.hosts}", "-XX:TieredStopAtLevel=1")
    async with Program(need("java"), *options, NODE_FOLDER / "Conversation.java", files.authority) as program:
        yield program
