"""TLS contexts for clients and origins: TLS 1.2 and later, ALPN, certificates that change at run time."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from wsedge_relay.config.material import KeyPair, Material
from wsedge_relay.contract import Domain, OriginProtocol

_ALPN = ["http/1.1"]
_HTTP2 = "h2"


class DomainContext(ssl.SSLContext):
    """The TLS context of one served domain; `domain` is its name, which must match the request's Host.

    `certificate` is the PEM chain that clients receive.
    """

    domain: str
    certificate: bytes


class ListenerTls:
    """TLS of a listener: one context, whose SNI callback chooses the context of the domain.

    `set_domains` replaces the certificates for new handshakes; open connections keep theirs.
    """

    def __init__(self) -> None:
        self.context = _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        # Each ticket costs a write, and a WebSocket client resumes one connection at a time.
        self.context.num_tickets = 1
        self.context.sni_callback = self._choose
        self._domains: Mapping[str, DomainContext] = {}

    def set_domains(self, domains: Mapping[str, DomainContext]) -> None:
        """Accept TLS handshakes for these domains (lower-case names) from now on."""
        self._domains = dict(domains)

    def share_certificate(self, domain: str, other: str) -> bool:
        """Return whether two domains share a certificate.

        Browsers then send requests for one on an HTTP/2 connection to the other (RFC 9113 section 9.1.1), and
        not all of them retry on another connection after a 421.
        """
        one, two = self._domains.get(domain), self._domains.get(other)
        return one is not None and two is not None and one.certificate == two.certificate

    def _choose(self, tls: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        chosen = None
        if name is not None:
            chosen = self._domains.get(name.lower().removesuffix("."))
        elif len(self._domains) == 1:  # without SNI the domain is known only if there is a single one
            (chosen,) = self._domains.values()
        if chosen is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        tls.context = chosen
        return None


def domain_context(domain: str, pair: KeyPair, *, http2: bool = False) -> DomainContext:
    """Return the context that presents `pair` to clients of `domain`; with `http2` it offers HTTP/2."""
    context = DomainContext(ssl.PROTOCOL_TLS_SERVER)
    _hardened(context)
    if http2:
        context.set_alpn_protocols([_HTTP2, *_ALPN])
    context.domain = domain
    context.certificate = pair.certificate
    pair.load_into(context)
    return context


def domain_contexts(domains: tuple[Domain, ...], material: Material) -> dict[str, DomainContext]:
    """Return the contexts of all domains that have a certificate, by name."""
    return {
        domain.domain: domain_context(domain.domain, material.key_pair(domain.tls), http2=domain.tls.http2)
        for domain in domains
        if domain.tls is not None
    }


def origin_context(domain: Domain, material: Material) -> ssl.SSLContext | None:
    """Return the context for this domain's HTTPS origins, None when it has plain HTTP origins only."""
    if domain.originProtocol is OriginProtocol.HTTP:
        return None
    wanted = domain.originTLS
    context = _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    if wanted.insecureSkipVerify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif wanted.authority is not None:
        context.load_verify_locations(cadata=material.authority(wanted.authority))
    else:
        context.load_default_certs()
    if wanted.clientCertificate is not None:
        material.key_pair(wanted.clientCertificate).load_into(context)
    return context


def domain_of(sock: Any) -> str | None:
    """Return the domain whose certificate a client received; None on a connection without TLS."""
    context = sock.context if isinstance(sock, ssl.SSLSocket) else None
    return context.domain if isinstance(context, DomainContext) else None


def speaks_http2(sock: Any) -> bool:
    """Return whether a client chose HTTP/2 in its TLS handshake."""
    return isinstance(sock, ssl.SSLSocket) and sock.selected_alpn_protocol() == _HTTP2


def _hardened(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # After a renegotiation a read could wait for a write, a state that the pump lacks. TLS 1.3 has none.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_ALPN)
    return context
