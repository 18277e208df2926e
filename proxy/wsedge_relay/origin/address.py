"""The port, Host header and protocol of an origin. Pure."""

from __future__ import annotations

from typing import Final

from wsedge_relay.contract import ANY_DOMAIN, PRESERVE_HOST, Domain, Origin, OriginProtocol
from wsedge_relay.protocol.handshake import host_naming

_DEFAULT_PORTS: Final = {False: 80, True: 443}


def speaks_tls(domain: Domain, *, client_secure: bool) -> bool:
    """Return whether the relay uses TLS to origins of `domain`; with Follow, as the client does."""
    if domain.originProtocol is OriginProtocol.FOLLOW:
        return client_secure
    return domain.originProtocol is OriginProtocol.HTTPS


def port_of(origin: Origin, *, secure: bool) -> int:
    """Return the port to dial."""
    return origin.httpsPort if secure else origin.httpPort


def address(domain: Domain, origin: Origin, *, client_secure: bool) -> str:
    """Return an origin as "host:port", for the access log."""
    return f"{origin.host}:{port_of(origin, secure=speaks_tls(domain, client_secure=client_secure))}"


def host_header(domain: Domain, origin: Origin, *, secure: bool, client_host: bytes | None) -> str:
    """Return the Host header: `originRequest.host`, else the origin's host and its port unless default.

    RFC 9110 section 7.2; an IPv6 address is in brackets. `client_host` is the client's Host header, which is
    preserved on demand; None for a request of the relay itself, which then names the domain.
    """
    wanted = domain.originRequest.host
    if wanted == PRESERVE_HOST:
        if client_host is not None:
            return client_host.decode("ascii")
        if domain.domain != ANY_DOMAIN:
            return host_naming(domain.domain)
        wanted = None
    if wanted is not None:
        return wanted
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    port = port_of(origin, secure=secure)
    return host if port == _DEFAULT_PORTS[secure] else f"{host}:{port}"
