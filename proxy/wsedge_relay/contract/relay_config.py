"""A whole configuration: listeners, domains, statistics."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from wsedge_relay.contract.certificates import ServerTLS
from wsedge_relay.contract.clients import AccessLog, Clients, HeartbeatLegs, Lifecycle, Limits, PassThrough
from wsedge_relay.contract.forms import AdminName, DomainName, ListenPort, Network
from wsedge_relay.contract.message import Message
from wsedge_relay.contract.origins import Origin, OriginHealthCheck, OriginProtocol, OriginRequest, OriginTLS

# The time that a relay's pod has after its drain, in seconds. The operator adds it to the drain time in
# terminationGracePeriodSeconds; within it the relay ends its last handshake or tunnel (35 s) and sends its
# last usage report (10 s).
AFTER_DRAIN_SECONDS: Final = 45


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
