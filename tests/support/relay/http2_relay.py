"""A relay that offers HTTP/2, for tests."""

from __future__ import annotations

from typing import Any

from support.relay.certificates import authority
from support.relay.frames import frame
from support.relay.http2 import Client
from support.relay.running import DOMAIN, running
from wsedge_relay.config.material import Material

TLS = {"certificateFile": "tls.crt", "keyFile": "tls.key", "http2": True}
CANCEL = 8


def material() -> Material:
    """Return the certificate that the configuration names."""
    return Material({("tls.crt", "tls.key"): authority().issue(DOMAIN)})


def http2(*origin_ports: int, **fields: Any) -> Any:
    """Run a relay that offers HTTP/2."""
    usual = {"tls": TLS, "heartbeatSeconds": 300}  # no ping between bytes that are compared
    return running(*origin_ports, material=material(), **{**usual, **fields})


async def echoes(client: Client, stream: int, text: bytes = b"hello") -> None:
    """Send a message and receive its echo."""
    await client.say(stream, text)
    assert await client.hear(stream, len(frame(text))) == frame(text)
