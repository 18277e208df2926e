"""Of a WebSocketDomain's spec: its origins, how they are chosen, spoken to and checked."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from wsedge_operator.api.meta import Matches, SecretName, SpecPart, cel, validations
from wsedge_relay.contract import LoadBalancing, ProxyProtocol

_EITHER_MESSAGE: Final = "an origin is either a host or a service: give exactly one of them"
_SKIP_MESSAGE: Final = "insecureSkipVerify checks no certificate, so caSecretName is useless: remove one"

HostName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Matches(
        # One colon would be host:port; more are an IPv6 address.
        r"[A-Za-z0-9._-]+|[A-Fa-f0-9.]*:[A-Fa-f0-9.]*:[A-Fa-f0-9.:]*",
        "give a name or an address without scheme, port or path; ports go into httpPort and httpsPort",
    ),
]
HostHeader = Annotated[
    str,
    Field(min_length=1, max_length=261),
    Matches(r"[A-Za-z0-9._:\[\]-]+", "give a host name, with a port if need be, without scheme or path"),
]
ServerName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Matches(r"[A-Za-z0-9._:-]+", "give the name in the origin's certificate, without scheme, port or path"),
]
ServiceName = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Matches(
        r"[a-z0-9]([a-z0-9-]*[a-z0-9])?",
        "give the name of a Service in this namespace: lower case letters, digits and dashes",
    ),
]
CookieName = Annotated[
    str,
    Field(min_length=1, max_length=64),
    Matches(
        r"[A-Za-z0-9._-]+",
        "give the name of a cookie: letters, digits, dashes, dots and underscores",
    ),
]
HealthPath = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    Matches(
        r"/[!-\"$-~]*",
        "give a path that begins with a slash, with a query if need be, without spaces, scheme or host",
    ),
]
Port = Annotated[int, Field(ge=1, le=65535)]


class ServiceOrigin(SpecPart):
    """A Service of the same namespace as an origin."""

    name: Annotated[ServiceName, Field(description="The name of a Service in this namespace.")]
    port: Annotated[
        Port,
        Field(
            description="The Service's port, 1 to 65535. It stands for httpPort and httpsPort where they "
            "are not set."
        ),
    ]


class Origin(SpecPart):
    """One origin server: a host, or a Service of the same namespace."""

    model_config = ConfigDict(
        json_schema_extra=validations(cel("has(self.host) != has(self.service)", _EITHER_MESSAGE))
    )

    host: Annotated[HostName | None, Field(description="A host name or an IP address, without port.")] = None
    service: Annotated[
        ServiceOrigin | None,
        Field(description="A Service of this namespace, instead of a host; reached at its cluster IP."),
    ] = None
    httpPort: Annotated[
        Port | None,
        Field(description="The port for HTTP, 1 to 65535. Default: the service's port, or 80 for a host."),
    ] = None
    httpsPort: Annotated[
        Port | None,
        Field(
            description="The port for HTTPS, 1 to 65535. Default: the service's port, or 443 for a host. "
            "With "
            "originProtocol Follow and a service, set httpPort or httpsPort: the two ports differ."
        ),
    ] = None
    weight: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="The share of new connections beside the other origins' weights, 0 to 1000. "
            "Default 100. 0: never dialled.",
        ),
    ] = 100
    backup: Annotated[
        bool, Field(description="Dialled only when every origin that is no backup has failed. Default false.")
    ] = False

    @model_validator(mode="after")
    def is_one_thing(self) -> Self:
        """Refuse an origin that is both a host and a service, or neither (CEL: the same)."""
        if (self.host is None) == (self.service is None):
            raise ValueError(_EITHER_MESSAGE)
        return self

    @property
    def http_port(self) -> int:
        """The port for HTTP in force: httpPort, else the service's port, else 80."""
        return self.httpPort or (self.service.port if self.service else 80)

    @property
    def https_port(self) -> int:
        """The port for HTTPS in force: httpsPort, else the service's port, else 443."""
        return self.httpsPort or (self.service.port if self.service else 443)


class StickyCookie(SpecPart):
    """A cookie that brings a client back to the origin that answered it before."""

    name: Annotated[
        CookieName, Field(description="The cookie's name; origins do not see it. Default wsedge-origin.")
    ] = "wsedge-origin"
    maxAgeSeconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=31536000,
            description="Seconds after the last answer at which browsers forget the cookie; 1 to 31536000. "
            "Default: none, they forget it when they are closed.",
        ),
    ] = None


class OriginRequest(SpecPart):
    """How relays choose and speak to the origins."""

    host: Annotated[
        HostHeader | None,
        Field(description="The Host header sent to origins. Default: the origin's own host."),
    ] = None
    connectTimeoutSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=60,
            description="Seconds after which dialling an origin is given up and the next one tried; 1 to 60. "
            "Default 5.",
        ),
    ] = 5
    loadBalancing: Annotated[
        LoadBalancing,
        Field(
            description="Which origin gets a new connection, weights respected. RoundRobin: in turn. "
            "LeastConnections: the one with the fewest open connections of the same relay. ClientHash: by "
            "the client's address, so that a client stays with its origin, and the loss of an origin moves "
            "only the clients it had. Default RoundRobin. A change moves no open connection."
        ),
    ] = LoadBalancing.ROUND_ROBIN
    proxyProtocol: Annotated[
        ProxyProtocol | None,
        Field(
            description="Tell the origins the client's address by a header of the PROXY protocol, before "
            "TLS: V1 (text) or V2 (binary). Every origin must expect it. Default: none is sent. A change is "
            "for new connections."
        ),
    ] = None
    stickyCookie: Annotated[
        StickyCookie | None,
        Field(
            description="A cookie by which the same client's connections and requests go to the same origin "
            "while that is healthy; {} has the defaults. It precedes loadBalancing, which chooses for "
            "clients without it. Its value reveals nothing about the origin. Default: none."
        ),
    ] = None


class OriginHealthCheck(SpecPart):
    """How relays find out which origins are healthy."""

    path: Annotated[
        HealthPath | None,
        Field(
            description="Path and query of an HTTP GET that a healthy origin answers with "
            '200 to 399. Default: none; a check is then a WebSocket handshake at "/", and healthy is who '
            "takes it or refuses it with 400 to 499, since a check has no user's cookie."
        ),
    ] = None
    intervalSeconds: Annotated[
        int,
        Field(ge=1, le=300, description="Seconds between two checks of an origin; 1 to 300. Default 10."),
    ] = 10
    timeoutSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=60,
            description="Seconds after which a check without an answer has failed; 1 to 60. Default 5.",
        ),
    ] = 5
    unhealthyAfter: Annotated[
        int,
        Field(
            ge=1,
            le=10,
            description="Failed checks in a row that make an origin unhealthy; 1 to 10. Default 3. It then "
            "gets no new connections, unless all origins are unhealthy.",
        ),
    ] = 3
    healthyAfter: Annotated[
        int,
        Field(
            ge=1,
            le=10,
            description="Good checks in a row that make an origin healthy again; 1 to 10. Default 2.",
        ),
    ] = 2


class OriginTLS(SpecPart):
    """TLS towards the origins; used with HTTPS, and with Follow for wss."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel("!self.insecureSkipVerify || !has(self.caSecretName)", _SKIP_MESSAGE, field="caSecretName")
        )
    )

    serverName: Annotated[
        ServerName | None,
        Field(
            description="The name to ask for and to verify in the origin's certificate. Default: the "
            "origin's host."
        ),
    ] = None
    caSecretName: Annotated[
        SecretName | None,
        Field(
            description="A Secret of this namespace whose key ca.crt holds the PEM certificates of the "
            "authorities "
            "to trust. Default: the authorities of the relay's image."
        ),
    ] = None
    clientCertificateSecretName: Annotated[
        SecretName | None,
        Field(
            description="A Secret of type kubernetes.io/tls of this namespace that relays show to origins. "
            "Default: none."
        ),
    ] = None
    insecureSkipVerify: Annotated[
        bool,
        Field(description="Accept every certificate of an origin. For trials only. Default false."),
    ] = False

    @model_validator(mode="after")
    def verifies_or_not(self) -> Self:
        """Refuse an authority that would never be asked (CEL: the same)."""
        if self.insecureSkipVerify and self.caSecretName is not None:
            raise ValueError(_SKIP_MESSAGE)
        return self
