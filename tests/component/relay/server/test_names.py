"""Names of domains that are no usual host names: underscores, no dot, addresses, and any name."""

from __future__ import annotations

from typing import Any, Final

import pytest

from support.relay.heads import upgrade
from support.relay.running import config, on_pump_loop, origin, running
from wsedge_relay.config.material import Material

# A configured name, Hosts that reach it, Hosts that do not.
NAMES: Final[dict[str, tuple[str, list[str], list[str]]]] = {
    "underscores": ("_chat.my_app.example", ["_chat.my_app.example", "_CHAT.my_app.example:8080"], ["chat"]),
    "no dot": ("localhost", ["localhost", "localhost:8080", "localhost."], ["localhost.localdomain"]),
    "an IPv4 address": ("192.0.2.7", ["192.0.2.7", "192.0.2.7:8080"], ["192.0.2.8"]),
    "an IPv6 address": (
        "2001:DB8:0::7",
        ["[2001:db8::7]", "[2001:0db8:0:0::7]:8080"],
        ["[2001:db8::8]", "[2001:db8::7::]", "2001:db8::7"],
    ),
    "any name": ("*", ["anything.example", "[::1]:8080", "10.0.0.1", "a_b"], ["a b", "", "*"]),
}


@pytest.mark.parametrize(("name", "reaching", "others"), NAMES.values(), ids=NAMES)
@on_pump_loop
async def test_an_odd_name_is_served(name: str, reaching: list[str], others: list[str]) -> None:
    """The relay can be tried as any proxy; usage is counted under the configured name."""
    async with origin() as port, running(port, domain=name) as relay:
        for host in others:
            answer = await relay.exchange(upgrade(host=host))
            assert answer.split(b" ", 2)[1] in (b"400", b"421"), host
        for host in reaching:
            reader, writer = await relay.raw()
            writer.write(upgrade(host=host))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 "), host
            writer.close()
        await relay.until(lambda: not relay.relay.open_connections)
        relay.relay.sweep()
        (counted,) = relay.usage.totals
        assert counted == config([relay.domain]).domains[0].domain
        assert relay.usage.totals[counted].opened_connections == len(reaching)


@on_pump_loop
async def test_a_named_domain_has_precedence_over_any_name() -> None:
    """Only names that no other domain has reach `*`, and a switched-off domain keeps its name."""
    async with origin() as port, running(port) as relay:
        any_name: dict[str, Any] = {**relay.domain, "domain": "*", "clients": {"allowedPaths": ["/only"]}}
        off = {**relay.domain, "domain": "off.example.com", "enabled": False}
        relay.relay.apply(config([any_name, relay.domain, off]), Material())
        for host, status in ((None, b"101"), ("x.example.com", b"403"), ("off.example.com", b"503")):
            reader, writer = await relay.raw()
            writer.write(upgrade() if host is None else upgrade(host=host))
            assert (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1] == status
            writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_a_preserved_host_of_a_health_check() -> None:
    """A check names an IPv6 domain in brackets, and the origin itself for a domain of any name."""
    for name, host in (("2001:db8::7", "[2001:db8::7]"), ("*", None)):
        heads: list[str] = []

        def note(_: Any, request: Any, heads: list[str] = heads) -> None:
            heads.append(request.headers["Host"])

        async with (
            origin(process_request=note) as port,
            running(
                port,
                domain=name,
                originRequest={"host": "preserve"},
                originHealthCheck={"intervalSeconds": 1},
            ) as relay,
        ):
            await relay.until(lambda heads=heads: heads)  # type: ignore[misc]
        assert heads[0] == (host or f"127.0.0.1:{port}")
