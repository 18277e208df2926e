"""One API server as a client connects to it: address, trust, credentials."""

from __future__ import annotations

import base64
import contextlib
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


@dataclass(frozen=True, slots=True)
class Connection:
    """The address of an API server, its certificate authority, and a client's credentials.

    A file is named by its path; `…_data` are base64, as in a kubeconfig, and without both the system's
    authorities are trusted. `trust_env`: HTTPS_PROXY and NO_PROXY of the environment apply.
    """

    server: str
    ca_path: str | None = None
    ca_data: str | None = None
    insecure: bool = False
    proxy_url: str | None = None
    username: str | None = None
    password: str | None = None
    token: str | None = None
    certificate_path: str | None = None
    certificate_data: str | None = None
    private_key_path: str | None = None
    private_key_data: str | None = None
    trust_env: bool = False

    def proxy(self) -> str | None:
        """Return the URL of the proxy to the server; None without one.

        The environment is read here, and not by aiohttp, which does so before each call, in a thread.
        """
        if self.proxy_url or not self.trust_env:
            return self.proxy_url
        parts = urlsplit(self.server)
        if proxy_bypass(parts.hostname or ""):
            return None
        return getproxies().get(parts.scheme)

    def headers(self) -> dict[str, str]:
        """Return the header with the credentials; empty without any but a client certificate."""
        if self.username and self.password:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def tls(self) -> ssl.SSLContext:
        """Return the TLS context. Raises OSError or ValueError when a certificate or key is unusable."""
        authority = None if self.ca_data is None else base64.b64decode(self.ca_data).decode()
        context = ssl.create_default_context(cafile=self.ca_path, cadata=authority)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        with (
            _file(self.certificate_path, self.certificate_data) as certificate,
            _file(self.private_key_path, self.private_key_data) as key,
        ):
            if certificate is not None:
                context.load_cert_chain(certificate, key)
        return context


@contextlib.contextmanager
def _file(path: str | None, data: str | None) -> Iterator[str | None]:
    """Yield the path, or that of a file with `data` for as long as the block lasts: ssl reads files only."""
    if data is None:
        yield path
        return
    with tempfile.NamedTemporaryFile(buffering=0) as file:
        file.write(base64.b64decode(data))
        yield file.name
