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

    host: Annotated[str, StringConstraints(min_length=1)] = "127.0.0.1"
    http: ListenPort | None = 8080
    https: ListenPort | None = None
    admin: ListenPort = 9090


class Origin(Message):
    """One origin server. Backups are dialled only when every origin that is none has failed."""

    host: Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:\-]+$")]
    httpPort: Port = 80
    httpsPort: Port = 443
    weight: Annotated[int, Field(ge=0, le=1000)] = 100
    backup: bool = False


class StickyCookie(Message):
    """A cookie that brings a client back to the origin which answered it before.

    Its value is a hash of the origin's host and ports, keyed by `key` (default: a salt that anybody can know,
    so that a private origin's address could be guessed and tried). Relays with the same key agree.
    `maxAgeSeconds` counts from the last answer; None lets the cookie end with the browser's session.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._\-]+$")] = (
        "wsedge-origin"
    )
    maxAgeSeconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    key: Annotated[str | None, Field(min_length=16, max_length=128, repr=False)] = None


class OriginRequest(Message):
    """How a relay chooses and speaks to origins.

    `host` replaces the Host header (default: the origin's). `proxyProtocol` tells the origin the client's
    address in a header before all else, TLS included. `stickyCookie` comes before `loadBalancing`.
    """

    host: HostHeader | None = None
    connectTimeoutSeconds: Annotated[int, Field(ge=1, le=60)] = 5
    loadBalancing: LoadBalancing = LoadBalancing.ROUND_ROBIN
    proxyProtocol: ProxyProtocol | None = None
    stickyCookie: StickyCookie | None = None


class OriginHealthCheck(Message):
    """How a relay finds out which origins are well.

    Without `path` a check is a WebSocket handshake at "/": 101 is good, and so is a refusal (4xx), for a
    check has no user's cookie. With `path` it is a GET, which 200 to 399 answer well. An origin changes state
    after `unhealthyAfter` bad or `healthyAfter` good checks in a row.
    """

    path: Annotated[str, StringConstraints(max_length=1024, pattern=r"^/[!-\"$-~]*$")] | None = None
    intervalSeconds: Annotated[int, Field(ge=1, le=300)] = 10
    timeoutSeconds: Annotated[int, Field(ge=1, le=60)] = 5
    unhealthyAfter: Annotated[int, Field(ge=1, le=10)] = 3
    healthyAfter: Annotated[int, Field(ge=1, le=10)] = 2


class CertificateFiles(Message):
    """A PEM certificate chain and its key.

    `fingerprint` is the SHA-256 (hex) of the bytes of both files, one after the other. When set, a relay
    takes the configuration only once the files have that content, so that a generation in force speaks
    for its certificates too.
    """

    certificateFile: str
    keyFile: str
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class ServerTLS(CertificateFiles):
    """TLS towards clients; `http2` lets them choose HTTP/2, with a WebSocket on each stream (RFC 8441)."""

    http2: bool = False


class AuthorityFile(Message):
    """PEM certificates of the authorities to trust; `fingerprint` as in CertificateFiles, of the one file."""

    file: str
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class OriginTLS(Message):
    """TLS towards origins: the name to ask for and to verify (default: the origin's host), whom to trust."""

    serverName: HostHeader | None = None
    authority: AuthorityFile | None = None
    clientCertificate: CertificateFiles | None = None
    insecureSkipVerify: bool = False


class Lifecycle(Message):
    """How long a drain spreads the closing of open connections, and how old a connection may become.

    Each connection gets an age of its own within a tenth of `maxConnectionAgeSeconds`, so that those of one
    moment do not all come back in one moment.
    """

    drainSeconds: Annotated[int, Field(ge=0, le=3600)] = 30
    maxConnectionAgeSeconds: Annotated[int, Field(ge=1, le=604800)] | None = None


class Clients(Message):
    """Who may come in.

    `allowedOrigins` are the pages whose scripts may connect, by the Origin header; none named lets all in,
    and a request without the header, which no browser makes, is let in anyway. `allowedPaths` are the paths
    that may be asked for, without query and as they were sent; none named lets all in. `trustedProxies` are
    the networks of those who are believed when they say where a client is. With `proxyProtocol` each
    connection of theirs begins with a PROXY header, of version 1 or 2, and the domain takes no connection
    without one.
    """

    allowedOrigins: Annotated[tuple[WebOrigin, ...], Field(max_length=64)] = ()
    allowedPaths: Annotated[tuple[PathPattern, ...], Field(max_length=64)] = ()
    trustedProxies: Annotated[tuple[Network, ...], Field(max_length=64)] = ()
    proxyProtocol: bool = False

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
    """Which requests that are no upgrade are passed to the origins; without it they get 426.

    `paths` as in `Clients.allowedPaths`; none named passes all. `methods` are those of the fallback
    transports: SignalR ends its long polls by a DELETE. A body longer than `maxBodyBytes` gets 413.
    `timeoutSeconds` is how long the head of an answer may take, and each pause within its body.
    """

    paths: Annotated[tuple[PathPattern, ...], Field(max_length=64)] = ()
    methods: Annotated[tuple[Method, ...], Field(min_length=1, max_length=7)] = (
        Method.GET,
        Method.HEAD,
        Method.POST,
        Method.OPTIONS,
        Method.DELETE,
    )
    maxBodyBytes: Annotated[int, Field(ge=0, le=1 << 40)] = 1 << 20
    timeoutSeconds: Annotated[int, Field(ge=1, le=3600)] = 120


class Limits(Message):
    """How much of a domain one relay takes, all its workers together, and of one request; None is no limit.

    `connections` and `connectionsPerClient` count handshakes and passed requests under way too. A client is
    an IPv4 address or an IPv6 network of 64 bits. `handshakesPerSecond` counts passed requests as well, and
    is also how many may come at once after a pause.
    `messageBytes` is the payload of one message, either way, over all its frames as they are on the wire; a
    tunnel keeps the one that it was opened with. `bytesPerSecond` is how fast each side of one tunnel is
    read, after TLS; as many may come at once after a pause. `stallSeconds` is how long a peer may take
    nothing of what is held for it.
    `headerBytes` is a request's head from its first line to its empty one; one line of it may have half of
    that, or 8192.
    """

    connections: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    connectionsPerClient: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    handshakesPerSecond: Annotated[int, Field(ge=1, le=100_000)] | None = None
    messageBytes: Annotated[int, Field(ge=1, le=1 << 30)] | None = None
    bytesPerSecond: Annotated[int, Field(ge=1024, le=1 << 30)] | None = None
    stallSeconds: Annotated[int, Field(ge=1, le=3600)] = 30
    headerBytes: Annotated[int, Field(ge=1024, le=65536)] = 16384


class AccessLog(Message):
    """Which share of connections gets a line in the log at its end, in percent; none unless asked for."""

    samplePercent: Annotated[int, Field(ge=0, le=100)] = 0


class Domain(Message):
    """One served domain. `enabled: false` drains its open connections and refuses newcomers with 503."""

    domain: DomainName
    account: Annotated[
        str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
    ]
    enabled: bool = True
    heartbeatSeconds: Annotated[int, Field(ge=1, le=300)] = 60
    originProtocol: OriginProtocol
    origins: Annotated[tuple[Origin, ...], Field(min_length=1, max_length=64)]
    originRequest: OriginRequest = OriginRequest()
    originTLS: OriginTLS = OriginTLS()
    originHealthCheck: OriginHealthCheck | None = None
    tls: ServerTLS | None = None
    lifecycle: Lifecycle = Lifecycle()
    clients: Clients = Clients()
    passThrough: PassThrough | None = None
    limits: Limits = Limits()
    accessLog: AccessLog = AccessLog()

    @model_validator(mode="after")
    def passes_requests_over_http_1_1_alone(self) -> Self:
        """Refuse pass-through beside HTTP/2, over which a browser would send all that was to pass."""
        if self.passThrough is not None and self.tls is not None and self.tls.http2:
            raise ValueError(
                "passThrough: plain requests are not passed over HTTP/2, so tls.http2 must be off"
            )
        return self


class StatisticsTarget(Message):
    """Where usage is reported to: the base URL of the statistics service, http or https."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]


class RelayConfig(Message):
    """A whole configuration. `generation` names it in logs, metrics and `GET /config`.

    `deniedNetworks` are where no origin is dialled, whatever its name is; None stands for DENIED_NETWORKS,
    loopback among them only for a relay that is told its pod. An empty list denies nothing but the relay's
    own listeners.
    """

    version: Literal[1]
    generation: Annotated[str, StringConstraints(min_length=1, max_length=400)]
    listen: Listen = Listen()
    domains: tuple[Domain, ...] = ()
    statistics: StatisticsTarget | None = None
    deniedNetworks: Annotated[tuple[Network, ...], Field(max_length=256)] | None = None

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
