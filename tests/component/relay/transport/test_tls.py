"""TLS to clients and origins, with real clients and servers."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.relay.certificates import authority
from support.relay.running import DOMAIN, on_pump_loop, origin, running
from wsedge_relay.config.material import KeyPair, Material

pytestmark = pytest.mark.usefixtures("each_form")

TLS = {"certificateFile": "tls.crt", "keyFile": "tls.key"}
CLIENT = {"certificateFile": "client.crt", "keyFile": "client.key"}
CA = {"file": "ca.crt"}


def material(front: KeyPair | None = None, client: KeyPair | None = None, *, ca: str = "Test CA") -> Material:
    """Return the certificates that the fields above name."""
    pairs = {("tls.crt", "tls.key"): front or authority().issue(DOMAIN)}
    if client is not None:
        pairs["client.crt", "client.key"] = client
    return Material(pairs, {"ca.crt": authority(ca).pem})


@on_pump_loop
async def test_messages_pass_from_wss_to_http() -> None:
    """A TLS client uses a plain origin; bytes are counted after TLS."""
    async with origin() as port, running(port, material=material(), tls=TLS) as relay:
        async with relay.connect(tls=authority().client_context(), max_size=None) as client:
            for message in ("hello", "x" * 300, b"z" * 1_000_000):
                await client.send(message)
                assert await client.recv() == message
        await relay.until_idle()
        assert relay.totals.codes == {101: 1}


@on_pump_loop
async def test_messages_pass_through_tls_on_both_sides() -> None:
    """Follow: a wss client reaches the origin by HTTPS, many megabytes in both directions."""
    server = authority().server_context("127.0.0.1")
    fields: dict[str, Any] = {"originProtocol": "Follow", "originTLS": {"authority": CA}, "tls": TLS}
    async with (
        origin(ssl=server, compression=None, max_size=None) as port,
        running(port, material=material(), **fields) as relay,
        relay.connect(tls=authority().client_context(), compression=None, max_size=None) as client,
    ):
        messages = [bytes([number]) * 1_500_000 for number in range(4)]
        sending = asyncio.gather(*map(client.send, messages))
        assert sorted([await client.recv() for _ in messages]) == messages
        await sending


@on_pump_loop
async def test_a_slow_tls_reader_loses_nothing() -> None:
    """Back-pressure works although a write that would block must be repeated unchanged (OpenSSL's rule)."""

    async def flood(connection: ServerConnection) -> None:
        for number in range(20):
            await connection.send(bytes([number]) * 1_000_000)

    server = authority().server_context("127.0.0.1")
    fields: dict[str, Any] = {"originProtocol": "HTTPS", "originTLS": {"authority": CA}, "tls": TLS}
    async with (
        origin(flood, ssl=server, compression=None) as port,
        running(port, material=material(), **fields) as relay,
        relay.connect(tls=authority().client_context(), compression=None, max_queue=1) as client,
    ):
        await relay.until(lambda: relay.relay.pauses)
        got = [await client.recv() for _ in range(20)]
        assert got == [bytes([number]) * 1_000_000 for number in range(20)]
        await client.wait_closed()
        await relay.until_idle()
        assert relay.row.sent_bytes > 20_000_000


@on_pump_loop
async def test_follow_takes_plain_clients_to_http() -> None:
    """Follow: a ws client reaches the origin without TLS, on its HTTP port."""
    async with (
        origin() as port,
        running(port, material=material(), originProtocol="Follow", tls=TLS) as relay,
        relay.connect() as client,
    ):
        await client.send("plain")
        assert await client.recv() == "plain"


@on_pump_loop
async def test_the_close_of_a_tls_client_passes() -> None:
    """The closing handshake works through TLS, and close codes with it."""

    async def leave(connection: ServerConnection) -> None:
        await connection.close(4001, "bye")

    async with (
        origin(leave) as port,
        running(port, material=material(), tls=TLS) as relay,
        relay.connect(tls=authority().client_context()) as client,
    ):
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001
        await relay.until_idle()


@on_pump_loop
async def test_a_new_certificate_serves_new_connections_only() -> None:
    """The next handshake gets the new certificate; open connections stay."""
    async with origin() as port, running(port, material=material(), tls=TLS) as relay:
        context = authority().client_context()
        async with relay.connect(tls=context) as first:
            before = first.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            relay.apply(material=material(authority().issue(DOMAIN)))
            async with relay.connect(tls=context) as second:
                after = second.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            await first.send("still here")
            assert await first.recv() == "still here"
        assert before != after


@on_pump_loop
async def test_a_name_without_a_certificate_gets_an_alert() -> None:
    """Where no default certificate exists, another SNI ends the handshake with unrecognized_name."""
    async with running(1, material=material(), tls={**TLS, "default": False}) as relay:
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            async with relay.connect(tls=authority().client_context(), domain="other.example.com"):
                pass


@on_pump_loop
async def test_old_tls_is_refused() -> None:
    """TLS 1.1 gets no handshake."""
    async with running(1, material=material(), tls=TLS) as relay:
        context = authority().client_context()
        with pytest.warns(DeprecationWarning, match="TLS"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with relay.connect(tls=context):
                pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@on_pump_loop
async def test_both_versions_of_tls_that_are_in_use_are_spoken(version: ssl.TLSVersion) -> None:
    """A client that supports only TLS 1.2, or only 1.3, gets its tunnel."""
    async with origin() as port, running(port, material=material(), tls=TLS) as relay:
        context = authority().client_context()
        context.minimum_version = context.maximum_version = version
        async with relay.connect(tls=context) as client:
            spoken = client.transport.get_extra_info("ssl_object").version()
            assert spoken == version.name.replace("_", ".")
            await client.send("x" * 100_000)
            assert await client.recv() == "x" * 100_000


async def status_through(relay: Any) -> int:
    """Return the status of a handshake, 101 for a tunnel that echoes."""
    try:
        async with relay.connect() as client:
            await client.send("x")
            assert await client.recv() == "x"
    except InvalidStatus as refused:
        return refused.response.status_code
    return 101


ORIGIN_TLS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "a trusted origin": ({"authority": CA}, {}, 101),
    "an origin of another authority": ({"authority": CA}, {"ca": "Other CA"}, 502),
    "an origin of an unknown authority": ({}, {}, 502),
    "an unknown origin, not verified": ({"insecureSkipVerify": True}, {}, 101),
    "a server name that the certificate has": (
        {"authority": CA, "serverName": "origin.internal"},
        {"names": ["origin.internal"]},
        101,
    ),
    "a server name that it has not": ({"authority": CA, "serverName": "wrong.internal"}, {}, 502),
    "a client certificate where one is asked for": (
        {"authority": CA, "clientCertificate": CLIENT},
        {"ask_client": True},
        101,
    ),
    "no client certificate where one is asked for": ({"authority": CA}, {"ask_client": True}, 502),
}


@pytest.mark.parametrize("case", ORIGIN_TLS)
@on_pump_loop
async def test_origins_are_verified_as_configured(case: str) -> None:
    """Name, authority and client certificate decide whether the relay uses an HTTPS origin."""
    fields, how, expected = ORIGIN_TLS[case]
    server = authority().server_context(
        *how.get("names", ["127.0.0.1"]), ask_client=how.get("ask_client", False)
    )
    certificates = material(client=authority().issue("relay"), ca=how.get("ca", "Test CA"))
    async with (
        origin(ssl=server) as port,
        running(port, material=certificates, originProtocol="HTTPS", originTLS=fields) as relay,
    ):
        assert await status_through(relay) == expected
