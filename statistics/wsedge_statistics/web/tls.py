"""TLS of a listener, with a certificate from files that may change, or not be there yet.

A certificate that cannot be loaded stops nothing: without one, handshakes on this listener fail, while every
other face of the program serves; with one, the last one that could be loaded stays in force.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

HANDSHAKE_SECONDS: Final = 10.0

log = structlog.get_logger()


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass
class Certificate:
    """A certificate chain and its key, PEM files. New connections get what was loaded last."""

    chain: Path
    key: Path
    context: ssl.SSLContext = field(default_factory=_context)
    _seen: object = field(default=None, init=False)

    def load_if_changed(self) -> None:
        """Load the files if they are not those that were tried last."""
        seen = (_signature(self.chain), _signature(self.key))
        if seen == self._seen:
            return
        self._seen = seen
        try:
            # First into another context: one that got a chain without its key would refuse every handshake.
            _context().load_cert_chain(self.chain, self.key)
            self.context.load_cert_chain(self.chain, self.key)
        except OSError as error:  # ssl.SSLError is one
            log.warning("certificate not loaded", file=str(self.chain), error=str(error))
            return
        log.info("certificate loaded", file=str(self.chain))


def _signature(file: Path) -> object:
    try:
        found = file.stat()
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_mtime_ns, found.st_size
