"""A relay process that serves HTTP/2 by TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.relay.certificates import authority
from support.relay_process import config, domain, write


def http2_config(folder: Path, target: int, *, drain_seconds: int | None = None, **fields: Any) -> Path:
    """Write a configuration with HTTP/2 alone, towards an origin on the port `target`; return its path."""
    lifecycle = {} if drain_seconds is None else {"lifecycle": {"drainSeconds": drain_seconds}}
    served = domain(
        origins=[{"host": "127.0.0.1", "httpPort": target}],
        tls={"certificateFile": "tls.crt", "keyFile": "tls.key", "http2": True},
        heartbeatSeconds=300,
        **lifecycle,
    )
    pair = authority().issue(served["domain"])
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)
    listen = {"host": "127.0.0.1", "http": None, "https": 0, "admin": 0}
    return write(folder / "relay.json", config(served, listen=listen, **fields))
