"""The origins of a domain: where they are, which is chosen, how it is dialled and checked."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from wsedge_relay.contract.certificates import AuthorityFile, CertificateFiles
from wsedge_relay.contract.forms import HostHeader, Port
from wsedge_relay.contract.message import Message

# Loopback. A relay that a person runs on a machine may dial it; a relay in an operator's pod may not.
LOOPBACK_NETWORKS: Final = ("127.0.0.0/8", "::1/128")

# Networks in which no origin is dialled, unless `RelayConfig.deniedNetworks` replaces the list. An IPv6
# address that contains an IPv4 address (mapped, NAT64, 6to4) is checked as that address too.
DENIED_NETWORKS: Final = (
    *LOOPBACK_NETWORKS,
    "0.0.0.0/8",  # "this host" (RFC 1122): Linux connects to loopback
    "::/128",
    "169.254.0.0/16",  # link-local, with the metadata services of most clouds
    "fe80::/10",
    "224.0.0.0/4",  # multicast
    "ff00::/8",
    "255.255.255.255/32",
    # Metadata services that are not link-local: Alibaba Cloud, Azure, Oracle Cloud, AWS, Google Cloud.
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
)

# The value of `originRequest.host` that stands for the client's own Host header.
PRESERVE_HOST: Final = "preserve"


class OriginProtocol(StrEnum):
    """The protocol towards origins. Follow: HTTP for ws clients, HTTPS for wss clients."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    FOLLOW = "Follow"


class LoadBalancing(StrEnum):
    """The policy that chooses the origin of a new connection; all policies respect weights.

    RoundRobin: in turn. LeastConnections: the origin with the fewest open connections of this relay.
    ClientHash: by the client's address, so that a client keeps its origin; the loss of an origin moves only
    the clients of that origin, and all relays make the same choice.
    """

    ROUND_ROBIN = "RoundRobin"
    LEAST_CONNECTIONS = "LeastConnections"
    CLIENT_HASH = "ClientHash"


class ProxyProtocol(StrEnum):
    """The version of the PROXY protocol's header: V1 is text, V2 binary."""

    V1 = "V1"
    V2 = "V2"


class Origin(Message):
    """One origin server."""

    host: Annotated[
        str,
        StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:\-]+$"),
        Field(
            description="Name or address of the origin. A name is resolved again one second after its last "
            "resolution."
        ),
    ]
    httpPort: Annotated[Port, Field(description="Port for connections without TLS.")] = 80
    httpsPort: Annotated[Port, Field(description="Port for connections with TLS.")] = 443
    weight: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="Share of new connections, relative to the weights of the other origins. 0: no new "
            "connections.",
        ),
    ] = 100
    backup: Annotated[
        bool,
        Field(
            description="Whether this origin is dialled only when all origins without `backup` have failed."
        ),
    ] = False


class StickyCookie(Message):
    """A cookie that returns a client to the origin of its last answer.

    The value is a hash of the host and ports of the origin.
    """

    name: Annotated[
        str,
        StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._\-]+$"),
        Field(description="Name of the cookie."),
    ] = "wsedge-origin"
    maxAgeSeconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=31_536_000,
            description="Lifetime of the cookie from the last answer. null: until the browser is closed.",
        ),
    ] = None
    key: Annotated[
        str | None,
        Field(
            min_length=16,
            max_length=128,
            repr=False,
            description="Key of the hash in the cookie. Relays with the same key compute the same value. "
            "null: the hash has a public salt, so a client can guess an origin's address and verify the "
            "guess.",
        ),
    ] = None


class OriginRequest(Message):
    """The choice and dialling of origins. `stickyCookie` has precedence over `loadBalancing`."""

    host: Annotated[
        HostHeader | None,
        Field(
            description="Host header towards origins. `preserve`: the client's, port included; health checks "
            "send the domain's name. null: the host of the origin."
        ),
    ] = None
    xRealIP: Annotated[
        bool | None,
        Field(
            description="Whether origins get the client's address in X-Real-IP too, beside "
            "X-Forwarded-For and Forwarded. A client's own X-Real-IP is dropped in any case. null: false."
        ),
    ] = None
    connectTimeoutSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=60,
            description="Time to connect to an origin, name resolution and TLS handshake included.",
        ),
    ] = 5
    loadBalancing: Annotated[
        LoadBalancing,
        Field(
            description="Policy that chooses the origin of a new connection. `RoundRobin`: in turn. "
            "`LeastConnections`: the origin with the fewest open connections of this relay. `ClientHash`: "
            "by the client's address, so that a client keeps its origin; the loss of an origin moves only "
            "the clients of that origin, and all relays make the same choice. All policies respect weights."
        ),
    ] = LoadBalancing.ROUND_ROBIN
    proxyProtocol: Annotated[
        ProxyProtocol | None,
        Field(
            description="Version of the PROXY header with the client's address that the relay sends before "
            "TLS. Every origin must expect the header; health checks send it without a client (`UNKNOWN`, "
            "`LOCAL`). null: no header."
        ),
    ] = None
    stickyCookie: Annotated[
        StickyCookie | None,
        Field(
            description="Cookie that returns a client to the origin of its last answer. `{}`: all defaults. "
            "null: no cookie."
        ),
    ] = None


class OriginHealthCheck(Message):
    """Health checks of origins.

    A handshake that the origin refuses (4xx) counts as success too, because a check has no user's cookie.
    """

    path: Annotated[
        Annotated[str, StringConstraints(max_length=1024, pattern=r"^/[!-\"$-~]*$")] | None,
        Field(
            description="Path of a `GET` request, which succeeds with a status of 200 to 399. null: a "
            "WebSocket handshake at `/`, which succeeds with 101 and with 400 to 499. It offers no "
            "subprotocol: set a path for an origin that disconnects such clients."
        ),
    ] = None
    intervalSeconds: Annotated[
        int, Field(ge=1, le=300, description="Time between two checks of an origin, varied by ±10 %.")
    ] = 10
    timeoutSeconds: Annotated[int, Field(ge=1, le=60, description="Time for the answer to a check.")] = 5
    unhealthyAfter: Annotated[
        int, Field(ge=1, le=10, description="Failed checks in a row that make an origin unhealthy.")
    ] = 3
    healthyAfter: Annotated[
        int,
        Field(ge=1, le=10, description="Successful checks in a row that make an unhealthy origin healthy."),
    ] = 2


class OriginTLS(Message):
    """TLS towards origins: the name to verify, and the authorities to trust."""

    serverName: Annotated[
        HostHeader | None,
        Field(
            description="Name that the relay sends by SNI and verifies in the origin's certificate. null: "
            "the host of the origin."
        ),
    ] = None
    authority: Annotated[
        AuthorityFile | None,
        Field(
            description="Authorities that sign the certificates of origins. null: the system's authorities."
        ),
    ] = None
    clientCertificate: Annotated[
        CertificateFiles | None,
        Field(description="Certificate that the relay presents to origins. null: no certificate."),
    ] = None
    insecureSkipVerify: Annotated[
        bool, Field(description="Whether the relay accepts certificates of origins without verification.")
    ] = False
