"""Certificates and authorities, by the names of their files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from wsedge_relay.contract.message import Message


class CertificateFiles(Message):
    """A PEM certificate chain and its key.

    With `fingerprint`, a generation in force proves that its certificates are in force too.
    """

    certificateFile: Annotated[
        str, Field(description="PEM certificate chain, relative to the secrets folder, or absolute.")
    ]
    keyFile: Annotated[
        str,
        Field(description="PEM private key of the certificate, relative to the secrets folder, or absolute."),
    ]
    fingerprint: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None,
        Field(
            description="SHA-256 (hex) of the certificate file followed by the key file. The configuration "
            "is applied only when the files have that content. null: not compared."
        ),
    ] = None


class ServerTLS(CertificateFiles):
    """TLS towards clients."""

    http2: Annotated[
        bool,
        Field(
            description="Whether clients may select HTTP/2 by ALPN, with a WebSocket on each stream (RFC "
            "8441). Excludes `passThrough`."
        ),
    ] = False
    default: Annotated[
        bool | None,
        Field(
            description="Whether clients whose TLS handshake names no served domain get this certificate; "
            "the Host header then chooses the domain. At most one domain has true. false: never. null: if "
            "no other domain has true, and this domain is `*`, or else the first with `tls`."
        ),
    ] = None


class AuthorityFile(Message):
    """Certificate authorities to trust."""

    file: Annotated[
        str,
        Field(
            description="PEM certificates of the authorities, relative to the secrets folder, or absolute."
        ),
    ]
    fingerprint: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None,
        Field(
            description="SHA-256 (hex) of the file. The configuration is applied only when the file has "
            "that content. null: not compared."
        ),
    ] = None
