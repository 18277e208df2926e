"""RelayConfig: the message by which the operator, or a person, tells a relay what to serve.

Field names follow the CRD. Every field but the domain's own facts has a default, so the smallest
configuration is a listen address, a domain, its account and one origin. Unknown fields are ignored and named
in a warning: they belong to a newer version, or are misspelt. A new field is left out where it has no value,
since the first release rejects a configuration with a field it does not know.

File names (certificates, keys) are relative to the relay's secrets folder (`--secrets-dir`), or absolute.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

DomainName = Annotated[
    str,
    StringConstraints(
        max_length=253,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
    ),
]
Port = Annotated[int, Field(ge=1, le=65535)]
ListenPort = Annotated[int, Field(ge=0, le=65535)]
# A host header value: a name or address with an optional port; never white space or a slash.
HostHeader = Annotated[
    str, StringConstraints(min_length=1, max_length=261, pattern=r"^[A-Za-z0-9._\-\[\]:]+$")
]

# What a browser sends as Origin, in lower case; `*.` stands for one label or more.
WebOrigin = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=300,
        pattern=r"^(null|[a-z][a-z0-9+.\-]*://"
        r"((\*\.)?[a-z0-9_\-]+(\.[a-z0-9_\-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)$",
    ),
]


def _network(text: str) -> str:
    address, slash, _ = text.partition("/")
    if not slash or "%" in address:
        raise ValueError("give a network as address/bits")
    ip_network(text, strict=False)
    return text


Network = Annotated[str, StringConstraints(min_length=3, max_length=49), AfterValidator(_network)]

# A file in the relay's secrets folder, and so a key of its Secret: whoever has it may drain the relay.
ADMIN_TOKEN_FILE: Final = "admin-token"  # noqa: S105  a file name

# How long the pod of a relay lives on after its drain, in seconds: the operator adds it to the drain time in
# terminationGracePeriodSeconds, and the relay ends its last handshake or tunnel (35 s) and sends its last
# report of usage (10 s) within it.
AFTER_DRAIN_SECONDS: Final = 45

# Loopback, which a relay may dial that somebody runs beside its origins, and a pod of an operator may not.
LOOPBACK_NETWORKS: Final = ("127.0.0.0/8", "::1/128")
# Where no origin is, whoever names it, unless `RelayConfig.deniedNetworks` says otherwise. Forms of IPv6 that
# carry an IPv4 address (mapped, NAT64, 6to4) count as that address too.
DENIED_NETWORKS: Final = (
    *LOOPBACK_NETWORKS,
    "0.0.0.0/8",  # "this host": connecting to it is connecting to loopback
    "::/128",
    "169.254.0.0/16",  # link-local, where clouds have their metadata services
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

# An exact path, or a prefix that ends in "*"; visible ASCII without "#", "?" and other "*".
PathPattern = Annotated[
    str, StringConstraints(min_length=1, max_length=1024, pattern=r"^/[!\"$-)+->@-~]*\*?$")
]


class Message(BaseModel):
    """Base of every message part: immutable, unknown fields are ignored."""

    # The published schema (`wsedge-relay --schema`) stays closed, so that an editor marks a typing error.
    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_extra={"additionalProperties": False})


class OriginProtocol(StrEnum):
    """How a relay speaks to origins. Follow: ws goes to HTTP, wss goes to HTTPS."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    FOLLOW = "Follow"


class LoadBalancing(StrEnum):
    """Which origin gets a new connection; weights count in all of them.

    RoundRobin: in turn. LeastConnections: the one with the fewest open connections of this relay.
    ClientHash: by the client's address, so that a client stays with its origin; the loss of an origin moves
    only the clients it had, and all relays choose alike.
    """

    ROUND_ROBIN = "RoundRobin"
    LEAST_CONNECTIONS = "LeastConnections"
    CLIENT_HASH = "ClientHash"


class ProxyProtocol(StrEnum):
    """The version of the PROXY protocol's header: V1 is text, V2 binary."""

    V1 = "V1"
    V2 = "V2"


class Listen(Message):
    """Addresses of the relay. Port 0 is chosen by the kernel and printed as a log event; null is off."""

    host: Annotated[str, StringConstraints(min_length=1), Field(description="Address of all listeners.")] = (
        "127.0.0.1"
    )
    http: Annotated[
        ListenPort | None,
        Field(
            description="Port for ws. 0: the kernel chooses one, and the log names it (event "
            "`listening`). null: no listener."
        ),
    ] = 8080
    https: Annotated[
        ListenPort | None, Field(description="Port for wss; domains need `tls`. 0 and null as for `http`.")
    ] = None
    admin: Annotated[ListenPort, Field(description="Port of health, metrics and drain. 0 as for `http`.")] = (
        9090
    )


class Origin(Message):
    """One origin server."""

    host: Annotated[
        str,
        StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:\-]+$"),
        Field(
            description="Name or address of the origin. A name is resolved again when its answer is one"
            " second old."
        ),
    ]
    httpPort: Annotated[Port, Field(description="Port for connections without TLS.")] = 80
    httpsPort: Annotated[Port, Field(description="Port for connections with TLS.")] = 443
    weight: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="Share of new connections, relative to the other origins. 0: no new connections.",
        ),
    ] = 100
    backup: Annotated[
        bool,
        Field(
            description="Whether this origin is dialled only after every origin that is no backup has failed."
        ),
    ] = False


class StickyCookie(Message):
    """A cookie that brings a client back to the origin of its last answer.

    Its value is a hash of the host and ports of the origin.
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
            description="Lifetime of the cookie, counted from the last answer. null: until the browser "
            "is closed.",
        ),
    ] = None
    key: Annotated[
        str | None,
        Field(
            min_length=16,
            max_length=128,
            repr=False,
            description="Key of the hash in the cookie. Relays with the same key agree. Without a key "
            "the hash has a public salt, so that a client can guess and verify an origin's address.",
        ),
    ] = None


class OriginRequest(Message):
    """How a relay chooses and dials origins. `stickyCookie` has precedence over `loadBalancing`."""

    host: Annotated[
        HostHeader | None, Field(description="Host header towards origins. null: the host of the origin.")
    ] = None
    connectTimeoutSeconds: Annotated[
        int,
        Field(
            ge=1, le=60, description="Time to connect to an origin, name look-up and TLS handshake included."
        ),
    ] = 5
    loadBalancing: Annotated[
        LoadBalancing,
        Field(
            description="How the origin of a new connection is chosen. `RoundRobin`: in turn. "
            "`LeastConnections`: the origin with the fewest open connections of this relay. `ClientHash`:"
            " by the client's address, so that a client keeps its origin; the loss of an origin moves "
            "only the clients of that origin, and all relays choose alike. Weights count in all three."
        ),
    ] = LoadBalancing.ROUND_ROBIN
    proxyProtocol: Annotated[
        ProxyProtocol | None,
        Field(
            description="Version of a PROXY header with the client's address, sent before TLS. Every "
            "origin must expect the header; health checks send it without a client (`UNKNOWN`, `LOCAL`). "
            "null: no header."
        ),
    ] = None
    stickyCookie: Annotated[
        StickyCookie | None,
        Field(
            description="A cookie that brings a client back to the origin of its last answer. `{}`: all"
            " defaults. null: no cookie."
        ),
    ] = None


class OriginHealthCheck(Message):
    """How a relay checks the health of origins.

    A handshake that an origin refuses (4xx) is a good check too, since a check carries no user's cookie.
    """

    path: Annotated[
        Annotated[str, StringConstraints(max_length=1024, pattern=r"^/[!-\"$-~]*$")] | None,
        Field(
            description="Path of a `GET`; a status of 200 to 399 is a good answer. null: a WebSocket "
            "handshake at `/`; 101 and 400 to 499 are good answers."
        ),
    ] = None
    intervalSeconds: Annotated[
        int, Field(ge=1, le=300, description="Time between two checks of an origin, varied by ±10 %.")
    ] = 10
    timeoutSeconds: Annotated[int, Field(ge=1, le=60, description="Time for the answer to a check.")] = 5
    unhealthyAfter: Annotated[
        int, Field(ge=1, le=10, description="Failed checks in a row after which an origin is unhealthy.")
    ] = 3
    healthyAfter: Annotated[
        int,
        Field(
            ge=1, le=10, description="Good checks in a row after which an unhealthy origin is healthy again."
        ),
    ] = 2


class CertificateFiles(Message):
    """A PEM certificate chain and its key.

    With `fingerprint` a generation in force means that its certificates are in force too.
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
            description="SHA-256 (hex) of the certificate file followed by the key file. The "
            "configuration comes into force only when the files have that content. null: not compared."
        ),
    ] = None


class ServerTLS(CertificateFiles):
    """TLS towards clients."""

    http2: Annotated[
        bool,
        Field(
            description="Whether clients may choose HTTP/2 by ALPN, with a WebSocket on each stream "
            "(RFC 8441). Not possible with `passThrough`."
        ),
    ] = False


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
            description="SHA-256 (hex) of the file. The configuration comes into force only when the "
            "file has that content. null: not compared."
        ),
    ] = None


class OriginTLS(Message):
    """TLS towards origins: the name to verify, and the authorities to trust."""

    serverName: Annotated[
        HostHeader | None,
        Field(
            description="Name that is sent by SNI and verified in the origin's certificate. null: the "
            "host of the origin."
        ),
    ] = None
    authority: Annotated[
        AuthorityFile | None,
        Field(description="Authorities that sign the certificates of origins. null: those of the system."),
    ] = None
    clientCertificate: Annotated[
        CertificateFiles | None,
        Field(description="Certificate that the relay presents to origins. null: none."),
    ] = None
    insecureSkipVerify: Annotated[
        bool, Field(description="Whether certificates of origins are accepted unverified.")
    ] = False


class Lifecycle(Message):
    """How long a drain spreads the closing of open connections, and how old a connection may become.

    Ages are varied, so that clients that connected at one moment do not reconnect at one moment.
    """

    drainSeconds: Annotated[
        int,
        Field(ge=0, le=3600, description="Time over which a drain spreads the closing of open connections."),
    ] = 30
    maxConnectionAgeSeconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=604800,
            description="Age at which a connection is closed with 1001 between two frames, varied by "
            "±10 % for each connection. A change applies to open connections at once; those that are "
            "older already are closed over a tenth of that time. null: no bound.",
        ),
    ] = None


class Clients(Message):
    """Which clients are admitted.

    A request without an Origin header is admitted whatever `allowedOrigins` has: browsers always send one,
    and any other client can write what it likes.
    """

    allowedOrigins: Annotated[
        tuple[WebOrigin, ...],
        Field(
            max_length=64,
            description="Pages whose scripts may connect, by the Origin header, such as "
            "`https://*.example.com`. Empty: all.",
        ),
    ] = ()
    allowedPaths: Annotated[
        tuple[PathPattern, ...],
        Field(
            max_length=64,
            description="Paths that may be requested, exact or with `*` at the end, compared as they "
            "are sent and without query. Empty: all.",
        ),
    ] = ()
    trustedProxies: Annotated[
        tuple[Network, ...],
        Field(max_length=64, description="Networks of proxies whose headers name the client."),
    ] = ()
    proxyProtocol: Annotated[
        bool,
        Field(
            description="Whether each connection from `trustedProxies` begins with a PROXY header "
            "(version 1 or 2). Connections without one are refused."
        ),
    ] = False

    @model_validator(mode="after")
    def trusts_someone_who_announces(self) -> Self:
        """Refuse a PROXY header from nobody: every connection would be refused."""
        if self.proxyProtocol and not self.trustedProxies:
            raise ValueError("proxyProtocol: needs trustedProxies, who send the header")
        return self


class Method(StrEnum):
    """The methods of requests that can be passed through."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    OPTIONS = "OPTIONS"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


class PassThrough(Message):
    """Which requests that are no upgrade are passed to the origins.

    The default methods are those of the fallback transports: SignalR ends its long polls by a DELETE.
    """

    paths: Annotated[
        tuple[PathPattern, ...],
        Field(
            max_length=64,
            description="Paths of the requests that are passed, exact or with `*` at the end. Empty: "
            "all. Others get 426.",
        ),
    ] = ()
    methods: Annotated[
        tuple[Method, ...],
        Field(
            min_length=1, max_length=7, description="Methods of the requests that are passed. Others get 405."
        ),
    ] = (
        Method.GET,
        Method.HEAD,
        Method.POST,
        Method.OPTIONS,
        Method.DELETE,
    )
    maxBodyBytes: Annotated[
        int, Field(ge=0, le=1 << 40, description="Bytes of a request's body. A longer one gets 413.")
    ] = 1 << 20
    timeoutSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Time for an origin to begin its answer, and for each pause within the answer.",
        ),
    ] = 120


class Limits(Message):
    """How much of a domain one relay accepts, all its worker processes together.

    One line of a request's head may have half of `headerBytes`, or 8192 bytes if that is more.
    """

    connections: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Open connections of the domain, handshakes and plain requests under way "
            "included. One more gets 503 with Retry-After.",
        ),
    ] = None
    connectionsPerClient: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="The same, of one IPv4 address or one IPv6 /64. One more gets 429 with Retry-After.",
        ),
    ] = None
    handshakesPerSecond: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000,
            description="Handshakes and plain requests per second, and at once after a pause. One more "
            "gets 503 with Retry-After.",
        ),
    ] = None
    messageBytes: Annotated[
        int | None,
        Field(
            ge=1,
            le=1 << 30,
            description="Payload bytes of one message from either side, over all its frames as they are"
            " on the wire. The sender of a longer one is closed with 1009. A connection keeps the limit "
            "that it was opened with.",
        ),
    ] = None
    bytesPerSecond: Annotated[
        int | None,
        Field(
            ge=1024,
            le=1 << 30,
            description="Bytes per second that are read from each side of one connection, after TLS; as"
            " many at once after a pause. A change applies to open connections at once.",
        ),
    ] = None
    stallSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Time within which a peer must accept some of the bytes that are held for it; "
            "otherwise its connection is closed. A change applies to open connections at once.",
        ),
    ] = 30
    headerBytes: Annotated[
        int,
        Field(
            ge=1024,
            le=65536,
            description="Bytes of a request's head, from its first line to the empty line. A longer one"
            " gets 431.",
        ),
    ] = 16384


class AccessLog(Message):
    """How many connections get a line in the access log."""

    samplePercent: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Share of connections that get a line in the log at their end, chosen at random.",
        ),
    ] = 0


class Domain(Message):
    """One served domain."""

    domain: Annotated[DomainName, Field(description="Name that clients connect to, in lower case.")]
    account: Annotated[
        str,
        StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"),
        Field(description="Account that the usage is billed to: a Kubernetes namespace."),
    ]
    enabled: Annotated[
        bool, Field(description="false drains the open connections and refuses new ones with 503.")
    ] = True
    heartbeatSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=300,
            description="A ping is sent to a side before it has been silent for this time. The side is "
            "dead, and the connection is closed, when it is silent for the next interval too.",
        ),
    ] = 60
    originProtocol: Annotated[
        OriginProtocol,
        Field(description="`HTTP`: without TLS. `HTTPS`: with TLS. `Follow`: ws to HTTP, wss to HTTPS."),
    ]
    origins: Annotated[
        tuple[Origin, ...],
        Field(min_length=1, max_length=64, description="Servers that connections are passed to."),
    ]
    originRequest: Annotated[OriginRequest, Field(description="How origins are chosen and dialled.")] = (
        OriginRequest()
    )
    originTLS: Annotated[OriginTLS, Field(description="TLS towards origins.")] = OriginTLS()
    originHealthCheck: Annotated[
        OriginHealthCheck | None,
        Field(
            description="Checks of every origin by each relay process. `{}`: all defaults. null: no checks."
        ),
    ] = None
    tls: Annotated[
        ServerTLS | None,
        Field(description="Certificate for wss clients. null: the domain is served by ws alone."),
    ] = None
    lifecycle: Annotated[Lifecycle, Field(description="Drain and age of connections.")] = Lifecycle()
    clients: Annotated[
        Clients, Field(description="Which clients are admitted, and which proxies name them.")
    ] = Clients()
    passThrough: Annotated[
        PassThrough | None,
        Field(
            description="Requests that are no WebSocket handshake and are passed to the origins. `{}`: "
            "all defaults. null: each gets 426."
        ),
    ] = None
    limits: Annotated[
        Limits,
        Field(
            description="How much of the domain one relay accepts, all its worker processes together. "
            "null: no limit."
        ),
    ] = Limits()
    accessLog: Annotated[AccessLog, Field(description="Lines in the log for connections that ended.")] = (
        AccessLog()
    )

    @model_validator(mode="after")
    def passes_requests_over_http_1_1_alone(self) -> Self:
        """Refuse pass-through beside HTTP/2, over which a browser would send all that was to pass."""
        if self.passThrough is not None and self.tls is not None and self.tls.http2:
            raise ValueError(
                "passThrough: plain requests are not passed over HTTP/2, so tls.http2 must be off"
            )
        return self


class StatisticsTarget(Message):
    """The statistics service that usage is reported to."""

    url: Annotated[
        str,
        StringConstraints(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$"),
        Field(
            description="Base URL of the statistics service, http or https. A user and password in it "
            "are neither sent nor logged."
        ),
    ]


class RelayConfig(Message):
    """A whole configuration. `generation` names it in logs, metrics and `GET /config`.

    `deniedNetworks` of None stands for DENIED_NETWORKS, loopback among them only for a relay that has its pod
    given by `--pod-uid`.
    """

    version: Annotated[Literal[1], Field(description="Version of the format.")]
    generation: Annotated[
        str,
        StringConstraints(min_length=1, max_length=400),
        Field(description="Your name for this content. `GET /config`, the log and the metrics show it."),
    ]
    listen: Annotated[Listen, Field(description="Addresses of the relay. A change needs a restart.")] = (
        Listen()
    )
    domains: Annotated[
        tuple[Domain, ...], Field(description="Domains that are served. A request for another one gets 421.")
    ] = ()
    statistics: Annotated[
        StatisticsTarget | None, Field(description="Where usage is reported to. null: usage is not reported.")
    ] = None
    deniedNetworks: Annotated[
        Annotated[tuple[Network, ...], Field(max_length=256)] | None,
        Field(
            description="Networks in which no origin is dialled, in place of the list in [where origins"
            " may be](origins.md#where-origins-may-be). `[]`: none but the relay's own listeners."
        ),
    ] = None

    @model_validator(mode="after")
    def names_each_domain_once(self) -> Self:
        """Refuse a domain that is named twice: which one counts would be a guess."""
        seen: set[str] = set()
        for index, domain in enumerate(self.domains):
            if domain.domain in seen:
                raise ValueError(f"domains.{index}.domain: {domain.domain} is named twice")
            seen.add(domain.domain)
        return self


class RelayState(Message):
    """The answer of `GET /config` on the admin port: what this relay, all its workers, runs right now."""

    generation: str
    draining: bool
    openConnections: int
    refusedGeneration: str | None = None
    refusedReason: str | None = None
