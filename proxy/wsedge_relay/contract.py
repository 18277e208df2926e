"""RelayConfig: the message by which the operator, or a person, configures a relay. Pure.

Field names follow the CRD. Most fields have a default, so the smallest configuration is a listen address, a
domain, its account and one origin. Unknown fields are ignored and named in a warning: they belong to a newer
version, or are misspelt. A writer omits a new field that has no value, because the first release rejects
configurations with unknown fields.

File names (certificates, keys) are relative to the relay's secrets folder (`--secrets-dir`), or absolute.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv6Address, ip_network
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

# The domain that stands for every Host that no other domain names.
ANY_DOMAIN: Final = "*"


def _domain_name(text: str) -> str:
    """Return a domain's name in the form in which a Host is compared: an IPv6 address in its usual form."""
    return str(IPv6Address(text)) if ":" in text else text


# A name, an IPv4 or an IPv6 address (without brackets), or ANY_DOMAIN. Names may have underscores and may
# lack a dot: clients and name servers on private networks use both.
DomainName = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=253,
        pattern=r"^(\*|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*|"
        r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*)$",
    ),
    AfterValidator(_domain_name),
]
AdminName = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$")
]
Port = Annotated[int, Field(ge=1, le=65535)]
ListenPort = Annotated[int, Field(ge=0, le=65535)]
# A host header value: a name or address with an optional port; never white space or a slash.
HostHeader = Annotated[
    str, StringConstraints(min_length=1, max_length=261, pattern=r"^[A-Za-z0-9._\-\[\]:]+$")
]


def _web_origin(text: str) -> str:
    if text in ("http://", "https://", "ws://", "wss://"):  # no page has such an origin
        raise ValueError(f"give the host: {text}app.example.com")
    return text


# An Origin header of a browser (RFC 6454) in lower case; `*.` matches one label or more. Schemes of an app's
# own pages, such as file, have no host.
WebOrigin = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=300,
        pattern=r"^(null|[a-z][a-z0-9+.\-]*://"
        r"(((\*\.)?[a-z0-9_\-]+(\.[a-z0-9_\-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)?)$",
    ),
    AfterValidator(_web_origin),
]


def _network(text: str) -> str:
    address, slash, _ = text.partition("/")
    if not slash or "%" in address:
        raise ValueError("give a network as address/bits")
    ip_network(text, strict=False)
    return text


Network = Annotated[str, StringConstraints(min_length=3, max_length=49), AfterValidator(_network)]

# A file in the relay's secrets folder, so also a key of its Secret. Its content authorizes a drain.
ADMIN_TOKEN_FILE: Final = "admin-token"  # noqa: S105  a file name
# A header with that token, beside `Authorization: Bearer`, which an API server removes when it proxies to a
# pod (`kubectl wsedge`).
ADMIN_TOKEN_HEADER: Final = "Wsedge-Token"  # noqa: S105  a header's name
# Most connections in a page of `GET /connections`: about 400 KB, which take some milliseconds to write.
MOST_LISTED_CONNECTIONS: Final = 1000

# The time that a relay's pod has after its drain, in seconds. The operator adds it to the drain time in
# terminationGracePeriodSeconds; within it the relay ends its last handshake or tunnel (35 s) and sends its
# last usage report (10 s).
AFTER_DRAIN_SECONDS: Final = 45

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

# Bounds of an order to close connections (`POST /shed` on the admin port).
MOST_SHED_CONNECTIONS: Final = 1_000_000
LEAST_SHED_PER_SECOND: Final = 0.001
MOST_SHED_PER_SECOND: Final = 10_000

# The largest limit of a request's head.
MOST_HEADER_BYTES: Final = 65536

# The value of `originRequest.host` that stands for the client's own Host header.
PRESERVE_HOST: Final = "preserve"

# An exact path, or a prefix that ends in "*"; visible ASCII without "#", "?" and other "*".
PathPattern = Annotated[
    str, StringConstraints(min_length=1, max_length=1024, pattern=r"^/[!\"$-)+->@-~]*\*?$")
]


class Message(BaseModel):
    """Base of every message part: immutable, unknown fields are ignored."""

    # The published schema (`wsedge-relay --schema`) allows no unknown fields: editors mark misspelt ones.
    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_extra={"additionalProperties": False})


class HeartbeatLegs(StrEnum):
    """The legs of a tunnel that are pinged, and whose silence ends it."""

    BOTH = "Both"
    CLIENT = "Client"
    ORIGIN = "Origin"
    NONE = "None"


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


class Listen(Message):
    """The addresses of the relay's listeners. Port 0: the kernel chooses a port. null: no listener."""

    host: Annotated[
        str, StringConstraints(min_length=1), Field(description="Address of the listeners for clients.")
    ] = "127.0.0.1"
    http: Annotated[
        ListenPort | None,
        Field(
            description="Port for ws. 0: the kernel chooses a port, which the log event `listening` names. "
            "null: no listener."
        ),
    ] = 8080
    https: Annotated[
        ListenPort | None, Field(description="Port for wss; domains need `tls`. 0 and null as in `http`.")
    ] = None
    admin: Annotated[
        ListenPort, Field(description="Port for probes, metrics and drain requests. 0 as in `http`.")
    ] = 9090
    adminHost: Annotated[
        Annotated[str, StringConstraints(min_length=1)] | None,
        Field(
            description="Address of the admin port. null: loopback (`127.0.0.1`, or `host` if that is a "
            "loopback address); in an operator's pod the pod's address."
        ),
    ] = None
    adminNames: Annotated[
        Annotated[tuple[AdminName, ...], Field(max_length=64)] | None,
        Field(
            description="Names in the Host header of requests to the admin port, in lower case, besides "
            "`adminHost`, IP addresses, names without a dot and names of Services (of a cluster with "
            "another domain than `cluster.local`: those that end in `.svc`). Requests for other names get "
            "421, because a web page can let its own name resolve to the admin port."
        ),
    ] = None


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


class Lifecycle(Message):
    """The duration of a drain, and the maximum age of connections.

    Ages are varied, so that clients that connected at the same time do not reconnect at the same time.
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
            description="Age at which a connection is closed with 1001 between two frames, varied by ±10 % "
            "for each connection. A change applies to open connections at once; connections that exceed the "
            "new age are closed over a tenth of that time. null: no maximum.",
        ),
    ] = None


class Clients(Message):
    """The clients that are admitted.

    A request without an Origin header is admitted in any case: browsers always send the header, and other
    clients can forge it.
    """

    allowedOrigins: Annotated[
        tuple[WebOrigin, ...],
        Field(
            max_length=64,
            description="Origins of the web pages whose scripts may connect, compared with the Origin "
            "header, such as `https://*.example.com`, or `file://` for pages of a scheme without hosts. "
            "Empty: all.",
        ),
    ] = ()
    allowedPaths: Annotated[
        tuple[PathPattern, ...],
        Field(
            max_length=64,
            description="Allowed paths, exact or with `*` at the end, compared as they are sent, without "
            "the query; bytes above ASCII are compared percent-encoded. Empty: all.",
        ),
    ] = ()
    trustedProxies: Annotated[
        tuple[Network, ...],
        Field(
            max_length=64,
            description="Networks of proxies in front of the relay, whose headers name the client's address.",
        ),
    ] = ()
    proxyProtocol: Annotated[
        bool,
        Field(
            description="Whether each connection from `trustedProxies` begins with a PROXY header (version "
            "1 or 2). Connections without the header are refused."
        ),
    ] = False

    @model_validator(mode="after")
    def proxy_protocol_needs_trusted_proxies(self) -> Self:
        """Refuse `proxyProtocol` without `trustedProxies`: the relay would refuse every connection."""
        if self.proxyProtocol and not self.trustedProxies:
            raise ValueError("proxyProtocol: needs trustedProxies, which send the header")
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
    """Plain requests (no upgrade) that are passed to the origins.

    The default methods are those of the fallback transports; SignalR ends its long polls by a DELETE.
    """

    paths: Annotated[
        tuple[PathPattern, ...],
        Field(
            max_length=64,
            description="Paths of the requests that are passed, exact or with `*` at the end. Empty: all. "
            "Requests for other paths get 426.",
        ),
    ] = ()
    methods: Annotated[
        tuple[Method, ...],
        Field(
            min_length=1,
            max_length=7,
            description="Methods of the requests that are passed. Requests with other methods get 405.",
        ),
    ] = (
        Method.GET,
        Method.HEAD,
        Method.POST,
        Method.OPTIONS,
        Method.DELETE,
    )
    maxBodyBytes: Annotated[
        int, Field(ge=0, le=1 << 40, description="Most bytes of a request's body. A longer body gets 413.")
    ] = 1 << 20
    timeoutSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Time for an origin to begin its answer, and the longest pause within the answer.",
        ),
    ] = 120


class Limits(Message):
    """Limits of a domain in one relay, over all its worker processes.

    One line of a head may have half of the head's limit, or 8192 bytes if that is more.
    """

    connections: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Most open connections of the domain, handshakes and plain requests under way "
            "included. Further clients get 503 with Retry-After.",
        ),
    ] = None
    connectionsPerClient: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Most open connections of one IPv4 address or one IPv6 /64. Further ones get 429 "
            "with Retry-After.",
        ),
    ] = None
    handshakesPerSecond: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000,
            description="Most handshakes and plain requests per second; as many may arrive at once after a "
            "pause. Further ones get 503 with Retry-After.",
        ),
    ] = None
    messageBytes: Annotated[
        int | None,
        Field(
            ge=1,
            le=1 << 30,
            description="Most payload bytes of one message from either side, over all its frames as they "
            "are on the wire. A longer message closes the connection with 1009. A change applies to new "
            "connections.",
        ),
    ] = None
    bytesPerSecond: Annotated[
        int | None,
        Field(
            ge=1024,
            le=1 << 30,
            description="Most bytes per second from each side of one connection, after TLS; as many may "
            "arrive at once after a pause. A change applies to open connections at once.",
        ),
    ] = None
    framesPerSecond: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Most data frames per second from the client of one connection, and as many control "
            "frames (pings, pongs), which are counted apart; as many may arrive at once after a pause. More "
            "close the connection with 1008. A change applies to open connections at once.",
        ),
    ] = None
    messagesPerSecond: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Most messages per second from the client of one connection; as many may arrive at "
            "once after a pause. More close the connection with 1008. A change applies to open connections "
            "at once.",
        ),
    ] = None
    stallSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Time within which a peer must accept some of the bytes that wait for it; otherwise "
            "its connection is closed. A change applies to open connections at once.",
        ),
    ] = 30
    headerBytes: Annotated[
        int,
        Field(
            ge=1024,
            le=MOST_HEADER_BYTES,
            description="Most bytes of a request's head, from its first line to the empty line. A longer "
            "head gets 431. An origin's head may have four times as many, and 65536 in any case; a longer "
            "one becomes a 502.",
        ),
    ] = 16384


class AccessLog(Message):
    """The share of connections that get lines in the access log, and the content of these."""

    samplePercent: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Percentage of connections, chosen at random, that get a log line at their end.",
        ),
    ] = 0
    everySeconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=86400,
            description="Interval of further lines for each of these connections while it is open, the first "
            "at its opening. A plain request gets its first after one interval. Without effect while "
            "`samplePercent` is 0. null: only the line at the end.",
        ),
    ] = None
    path: Annotated[
        bool | None,
        Field(description="Whether lines have the request's path, which may contain secrets. null: false."),
    ] = None
    query: Annotated[
        bool | None,
        Field(
            description="Whether lines have the request's query. Many applications send tokens in it, which "
            "the log then contains. null: false."
        ),
    ] = None


class Domain(Message):
    """One served domain."""

    domain: Annotated[
        DomainName,
        Field(
            description="Name or address that clients connect to, in lower case and without port. `*`: every "
            "name that no other domain has; usage, metrics and logs then have `*`, not the clients' names."
        ),
    ]
    account: Annotated[
        str,
        StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"),
        Field(description="Account to which the usage is billed: a Kubernetes namespace."),
    ]
    enabled: Annotated[
        bool, Field(description="false: open connections are drained and new ones get 503.")
    ] = True
    heartbeatSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=300,
            description="The relay pings a side before it has been silent for this time. A side that is "
            "silent for the next interval too is dead, and the connection is closed.",
        ),
    ] = 60
    heartbeatLegs: Annotated[
        HeartbeatLegs | None,
        Field(
            description="Sides that the relay pings, and whose silence closes the connection. `Client`, "
            "`Origin`: this side only, for peers on the other side that answer no ping. `None`: neither; a "
            "peer that vanished without an end of its connection is then not detected, and its connection "
            "stays open until a limit such as `maxConnectionAgeSeconds` ends it. null: `Both`."
        ),
    ] = None
    originProtocol: Annotated[
        OriginProtocol,
        Field(
            description="Protocol towards origins. `HTTP`: without TLS. `HTTPS`: with TLS. `Follow`: HTTP "
            "for ws clients, HTTPS for wss clients."
        ),
    ]
    origins: Annotated[
        tuple[Origin, ...],
        Field(min_length=1, max_length=64, description="Servers to which connections are forwarded."),
    ]
    originRequest: Annotated[OriginRequest, Field(description="Choice and dialling of origins.")] = (
        OriginRequest()
    )
    originTLS: Annotated[OriginTLS, Field(description="TLS towards origins.")] = OriginTLS()
    originHealthCheck: Annotated[
        OriginHealthCheck | None,
        Field(description="Health checks of origins by each relay process. `{}`: all defaults. null: none."),
    ] = None
    tls: Annotated[
        ServerTLS | None,
        Field(description="Certificate for wss clients. null: the domain is served over ws only."),
    ] = None
    lifecycle: Annotated[Lifecycle, Field(description="Drain and maximum age of connections.")] = Lifecycle()
    clients: Annotated[Clients, Field(description="Admitted clients, and the proxies that name them.")] = (
        Clients()
    )
    passThrough: Annotated[
        PassThrough | None,
        Field(
            description="Plain requests, which are no WebSocket handshake, that are passed to the origins. "
            "`{}`: all defaults. null: every plain request gets 426."
        ),
    ] = None
    limits: Annotated[
        Limits,
        Field(
            description="Limits of the domain in one relay, over all its worker processes. A limit of null "
            "is none."
        ),
    ] = Limits()
    accessLog: Annotated[AccessLog, Field(description="Log lines for connections.")] = AccessLog()

    @model_validator(mode="after")
    def pass_through_excludes_http2(self) -> Self:
        """Refuse `passThrough` with HTTP/2: a browser would send the plain requests over HTTP/2 too."""
        if self.passThrough is not None and self.tls is not None and self.tls.http2:
            raise ValueError(
                "passThrough: plain requests are not passed over HTTP/2, so tls.http2 must be off"
            )
        return self


class StatisticsTarget(Message):
    """The statistics service that receives usage reports."""

    url: Annotated[
        str,
        StringConstraints(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$"),
        Field(
            description="Base URL of the statistics service, http or https. A user and password in the URL "
            "are neither sent nor logged."
        ),
    ]
    cluster: Annotated[
        str | None,
        StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
        Field(
            description="Label of this installation. Each report carries it, and the statistics keep it with "
            "the relay, so that the counts of several clusters can be told apart."
        ),
    ] = None


class RelayConfig(Message):
    """A whole configuration. `generation` names it in logs, metrics and `GET /config`.

    `deniedNetworks` None stands for DENIED_NETWORKS. Loopback is among them only for a relay that was given
    `--pod-uid`, as in an operator's pod.
    """

    version: Annotated[Literal[1], Field(description="Version of the format.")]
    generation: Annotated[
        str,
        StringConstraints(min_length=1, max_length=400),
        Field(
            description="Name of this configuration, of your choice. `GET /config`, the log and the metrics "
            "show it."
        ),
    ]
    listen: Annotated[Listen, Field(description="Addresses of the relay. A change needs a restart.")] = (
        Listen()
    )
    domains: Annotated[
        tuple[Domain, ...], Field(description="Served domains. A request for another domain gets 421.")
    ] = ()
    statistics: Annotated[
        StatisticsTarget | None,
        Field(description="Service that receives usage reports. null: usage is not reported."),
    ] = None
    deniedNetworks: Annotated[
        Annotated[tuple[Network, ...], Field(max_length=256)] | None,
        Field(
            description="Networks in which no origin is dialled; they replace the list in [where origins "
            "may be](origins.md#where-origins-may-be). `[]`: only the relay's own listeners are denied."
        ),
    ] = None

    @model_validator(mode="after")
    def domain_names_are_unique(self) -> Self:
        """Refuse a domain that is named twice: either entry could be the intended one."""
        seen: set[str] = set()
        for index, domain in enumerate(self.domains):
            if domain.domain in seen:
                raise ValueError(f"domains.{index}.domain: {domain.domain} is named twice")
            seen.add(domain.domain)
        return self

    @model_validator(mode="after")
    def one_certificate_is_the_default(self) -> Self:
        """Refuse a second `tls.default: true`: either certificate could be the intended one."""
        chosen = [domain.domain for domain in self.domains if domain.tls is not None and domain.tls.default]
        if len(chosen) > 1:
            raise ValueError(f"domains: tls.default is true for {chosen[0]} and for {chosen[1]}")
        return self


class RelayState(Message):
    """The answer of `GET /config` on the admin port: the present state of this relay with all its workers."""

    generation: str
    draining: bool
    openConnections: int
    refusedGeneration: str | None = None
    refusedReason: str | None = None


# Bounded, since readers show what a pod answers, and a pod belongs to a tenant.
_ShownCount = Annotated[int, Field(ge=0, lt=2**53)]
_ShownSeconds = Annotated[float, Field(ge=0, lt=2**32)]


class OpenConnection(Message):
    """An open connection, as `GET /connections` on the admin port lists it.

    Bytes and messages are those that `sent_bytes` and the like count. The round-trip times are TCP's, to the
    next machine that ends TCP; None where the kernel has none (HTTP/2).
    """

    id: str
    domain: str
    client: str
    origin: str
    since: str
    http2: bool = False
    closing: bool = False
    sentBytes: _ShownCount
    receivedBytes: _ShownCount
    sentMessages: _ShownCount
    receivedMessages: _ShownCount
    clientRttSeconds: _ShownSeconds | None = None
    originRttSeconds: _ShownSeconds | None = None


class OpenConnections(Message):
    """A page of open connections. `next` is the field `after` of the next request; None: it was the last."""

    connections: tuple[OpenConnection, ...]
    next: str | None = None
