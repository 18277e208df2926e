"""TLS contexts for clients and origins: TLS 1.2 and later, ALPN, certificates that change at run time."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from wsedge_relay.config.material import KeyPair, Material
from wsedge_relay.contract import ANY_DOMAIN, Domain, OriginProtocol

_ALPN = ["http/1.1"]
_HTTP2 = "h2"


class DomainContext(ssl.SSLContext):
    """The TLS context of one served domain; `domain` is its name, which must match the request's Host.

    `certificate` is the PEM chain that clients receive. `is_default` says that the client's TLS handshake
    named no served domain, so that the Host alone chooses one. `offers_http2` is as in `domain_context`.
    """

    domain: str
    certificate: bytes
    is_default: bool
    offers_http2: bool


class ListenerTls:
    """TLS of a listener: one context, whose SNI callback chooses the context of the domain.

    Clients that connect to an address send no SNI (RFC 6066 section 3), and load balancers may send a name of
    their own; they get the default certificate. `set_domains` replaces the certificates for new handshakes;
    open connections keep theirs.
    """

    def __init__(self) -> None:
        self.context = _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        # Each ticket costs a write, and a WebSocket client resumes one connection at a time.
        self.context.num_tickets = 1
        self.context.sni_callback = self._choose
        self._domains: Mapping[str, DomainContext] = {}
        self._default: DomainContext | None = None

    def set_domains(self, domains: Mapping[str, DomainContext], default: DomainContext | None = None) -> None:
        """Accept TLS handshakes for these domains (lower-case names) from now on, others with `default`."""
        self._domains = dict(domains)
        self._default = default

    def serves_by_default(self, domain: str, *, http2: bool) -> bool:
        """Return whether a request for `domain` may come on a connection with the default certificate.

        The TLS handshake was by the rules of the default, so a domain with rules of its own for handshakes
        (no TLS, certificates of clients, no HTTP/2 when the connection is HTTP/2) needs its own SNI.
        """
        own = self._domains.get(domain)
        return own is not None and own.verify_mode is ssl.CERT_NONE and (own.offers_http2 or not http2)

    def share_certificate(self, domain: str, other: str) -> bool:
        """Return whether two domains share a certificate.

        Browsers then send requests for one on an HTTP/2 connection to the other (RFC 9113 section 9.1.1), and
        not all of them retry on another connection after a 421.
        """
        one, two = self._domains.get(domain), self._domains.get(other)
        return one is not None and two is not None and one.certificate == two.certificate

    def _choose(self, tls: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        chosen = self._default
        if name is not None:
            chosen = self._domains.get(name.lower().removesuffix("."), chosen)
        if chosen is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        tls.context = chosen
        return None


def domain_context(
    domain: str, pair: KeyPair, *, http2: bool = False, is_default: bool = False
) -> DomainContext:
    """Return the context that presents `pair` to clients of `domain`; with `http2` it offers HTTP/2."""
    context = DomainContext(ssl.PROTOCOL_TLS_SERVER)
    _hardened(context)
    if http2:
        context.set_alpn_protocols([_HTTP2, *_ALPN])
    context.domain = domain
    context.is_default = is_default
    context.offers_http2 = http2
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


def default_context(domains: Sequence[Domain], material: Material) -> DomainContext | None:
    """Return the context for clients whose TLS handshake names no served domain; None for an alert.

    Its certificate is that of the domain with `tls.default`, else of the domain for any name, else of the
    first, which is the oldest where domains are appended.
    """
    candidates = [
        (not domain.tls.default, domain.domain != ANY_DOMAIN, at, domain.domain, domain.tls)
        for at, domain in enumerate(domains)
        if domain.tls is not None and domain.tls.default is not False
    ]
    if not candidates:
        return None
    *_, name, tls = min(candidates, key=lambda candidate: candidate[:3])
    return domain_context(name, material.key_pair(tls), http2=tls.http2, is_default=True)


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


def domain_context_of(sock: Any) -> DomainContext | None:
    """Return the context by which a client made its TLS handshake; None on a connection without TLS."""
    context = sock.context if isinstance(sock, ssl.SSLSocket) else None
    return context if isinstance(context, DomainContext) else None


def speaks_http2(sock: Any) -> bool:
    """Return whether a client chose HTTP/2 in its TLS handshake."""
    return isinstance(sock, ssl.SSLSocket) and sock.selected_alpn_protocol() == _HTTP2


def telling_truncation(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make the sockets of `context` tell a FIN without close_notify from an end in order; return it.

    Python's older releases (3.11.2 of Debian 12 among them) let OpenSSL 3 take both for the same, and a
    message that was cut off would be passed on as a whole one. Newer ones need nothing here.
    """
    if context.options & ssl.OP_IGNORE_UNEXPECTED_EOF:
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        context.sslsocket_class = _TellingSocket
    return context


class _TellingSocket(ssl.SSLSocket):
    """An SSLSocket whose reads name a truncation as Python's newer releases do."""

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002  the name that it has there
        try:
            return super().read(len, buffer)
        except ssl.SSLError as error:
            if error.reason != "UNEXPECTED_EOF_WHILE_READING":
                raise
            if not self.suppress_ragged_eofs:  # type: ignore[attr-defined]  # in no type stub
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, str(error)) from error
        return b"" if buffer is None else 0


def _hardened(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # After a renegotiation a read could wait for a write, a state that the pump lacks. TLS 1.3 has none.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_ALPN)
    return telling_truncation(context)
