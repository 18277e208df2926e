"""Of a WebSocketDomain's spec: its origins, and how relays choose, call and check them."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from wsedge_operator.api.meta import Matches, SecretName, SpecPart, cel, validations
from wsedge_relay.contract import LoadBalancing, ProxyProtocol

_EITHER_MESSAGE: Final = "an origin is either a host or a service: give exactly one of them"
_SKIP_MESSAGE: Final = "insecureSkipVerify checks no certificate, so caSecretName has no effect: remove one"

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
    Matches(r"[A-Za-z0-9._:\[\]-]+", "give a host name, optionally with a port, without scheme or path"),
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
        "give a path that begins with a slash, optionally with a query, without spaces, scheme or host",
    ),
]
Port = Annotated[int, Field(ge=1, le=65535)]


class ServiceOrigin(SpecPart):
    """A Service of the same namespace as an origin."""

    name: Annotated[ServiceName, Field(description="The name of a Service in this namespace.")]
    port: Annotated[
        Port,
        Field(description="The Service's port, 1 to 65535. It is the default of httpPort and of httpsPort."),
    ]


class Origin(SpecPart):
    """One origin server: a host, or a Service of the same namespace."""

    model_config = ConfigDict(
        json_schema_extra=validations(cel("has(self.host) != has(self.service)", _EITHER_MESSAGE))
    )

    host: Annotated[HostName | None, Field(description="A host name or an IP address, without port.")] = None
    service: Annotated[
        ServiceOrigin | None,
        Field(description="A Service of this namespace, instead of a host; relays dial its cluster IP."),
    ] = None
    httpPort: Annotated[
        Port | None,
        Field(description="The port for HTTP, 1 to 65535. Default: the service's port, or 80 for a host."),
    ] = None
    httpsPort: Annotated[
        Port | None,
        Field(
            description="The port for HTTPS, 1 to 65535. Default: the service's port, or 443 for a host. "
            "With originProtocol Follow and a service, set httpPort or httpsPort: the two ports differ."
        ),
    ] = None
    weight: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="The share of new connections, relative to the weights of the other origins, 0 to "
            "1000. Default 100. 0: never dialled.",
        ),
    ] = 100
    backup: Annotated[
        bool,
        Field(
            description="Whether relays dial it only after all origins that are no backup have failed. "
            "Default false."
        ),
    ] = False

    @model_validator(mode="after")
    def is_host_or_service(self) -> Self:
        """Refuse an origin that is both a host and a service, or neither (CEL: the same)."""
        if (self.host is None) == (self.service is None):
            raise ValueError(_EITHER_MESSAGE)
        return self

    @property
    def http_port(self) -> int:
        """The effective port for HTTP: httpPort, else the service's port, else 80."""
        return self.httpPort or (self.service.port if self.service else 80)

    @property
    def https_port(self) -> int:
        """The effective port for HTTPS: httpsPort, else the service's port, else 443."""
        return self.httpsPort or (self.service.port if self.service else 443)


class StickyCookie(SpecPart):
    """A cookie by which a client's connections and requests go to the same origin."""

    name: Annotated[
        CookieName,
        Field(description="The cookie's name; relays do not pass it to origins. Default wsedge-origin."),
    ] = "wsedge-origin"
    maxAgeSeconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=31536000,
            description="The cookie's Max-Age, renewed with each answer: seconds after which browsers delete "
            "it; 1 to 31536000. Default: none, a browser deletes it when it is closed.",
        ),
    ] = None


class OriginRequest(SpecPart):
    """How relays choose origins and what they send to them."""

    host: Annotated[
        HostHeader | None,
        Field(
            description="The Host header of requests to origins. preserve: the client's, for servers that "
            "compare it with the Origin header of browsers. Default: the origin's own host."
        ),
    ] = None
    xRealIP: Annotated[
        bool | None,
        Field(
            description="Send the client's address to origins in X-Real-IP too, beside X-Forwarded-For and "
            "Forwarded. A client's own X-Real-IP never passes. Default: false."
        ),
    ] = None
    connectTimeoutSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=60,
            description="Seconds after which a relay stops dialling an origin and tries the next one; 1 to "
            "60. Default 5.",
        ),
    ] = 5
    loadBalancing: Annotated[
        LoadBalancing,
        Field(
            description="Which origin gets a new connection, in proportion to the weights. RoundRobin: each "
            "in turn. LeastConnections: the origin with the fewest open connections of the same relay. "
            "ClientHash: by the client's address, so that a client's connections go to the same origin, and "
            "the loss of an origin moves only its own clients. Default RoundRobin. A change moves no open "
            "connection."
        ),
    ] = LoadBalancing.ROUND_ROBIN
    proxyProtocol: Annotated[
        ProxyProtocol | None,
        Field(
            description="Send the client's address to origins in a PROXY header, before TLS: V1 (text) or V2 "
            "(binary). Every origin must expect the header. Default: no header. A change applies to new "
            "connections."
        ),
    ] = None
    stickyCookie: Annotated[
        StickyCookie | None,
        Field(
            description="A cookie by which a client's connections and requests go to the same origin while "
            "that origin is healthy; {} has the defaults. loadBalancing chooses only for clients without the "
            "cookie. Its value reveals nothing about the origin. Default: none."
        ),
    ] = None


class OriginHealthCheck(SpecPart):
    """Active checks of the origins' health."""

    path: Annotated[
        HealthPath | None,
        Field(
            description="Path and query of an HTTP GET that a healthy origin answers with "
            '200 to 399. Default: none; a check is then a WebSocket handshake at "/", which a healthy origin '
            "accepts or, since a check has no user's cookie, refuses with 400 to 499. It offers no "
            "subprotocol: set a path for an origin that disconnects such clients."
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
            description="Failed checks in a row after which an origin is unhealthy; 1 to 10. Default 3. An "
            "unhealthy origin gets no new connections, unless all origins are unhealthy.",
        ),
    ] = 3
    healthyAfter: Annotated[
        int,
        Field(
            ge=1,
            le=10,
            description="Passed checks in a row after which an unhealthy origin is healthy; 1 to 10. Default "
            "2.",
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
            description="The name to send in SNI and to verify in the origin's certificate. Default: the "
            "origin's host."
        ),
    ] = None
    caSecretName: Annotated[
        SecretName | None,
        Field(
            description="A Secret of this namespace with the PEM certificates of the authorities to trust, "
            "in key ca.crt. Default: the authorities of the relay's image."
        ),
    ] = None
    clientCertificateSecretName: Annotated[
        SecretName | None,
        Field(
            description="A Secret of type kubernetes.io/tls of this namespace with the client certificate "
            "that relays present to origins. Default: none."
        ),
    ] = None
    insecureSkipVerify: Annotated[
        bool,
        Field(
            description="Whether relays accept any certificate of an origin. For trials only. Default false."
        ),
    ] = False

    @model_validator(mode="after")
    def verifies_or_skips(self) -> Self:
        """Refuse caSecretName together with insecureSkipVerify (CEL: the same)."""
        if self.insecureSkipVerify and self.caSecretName is not None:
            raise ValueError(_SKIP_MESSAGE)
        return self
