"""WebSocketDomain: one domain, its switch, heartbeat, origins, and the relays that carry it.

Bounds agree with `wsedge_relay.contract` (a test compares them), so a relay accepts whatever the API server
stored.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from wsedge_operator.api.meta import (
    OBSERVED_TEXT,
    Conditions,
    Lenient,
    Matches,
    ObjectMeta,
    Resource,
    Rule,
    SpecPart,
    cel,
    validations,
)
from wsedge_operator.api.spec.clients import Clients
from wsedge_operator.api.spec.exposure import Exposure, TLSMode
from wsedge_operator.api.spec.limits import Limits
from wsedge_operator.api.spec.origins import Origin, OriginHealthCheck, OriginRequest, OriginTLS
from wsedge_operator.api.spec.pass_through import PassThrough
from wsedge_operator.api.spec.relay import AccessLog, Lifecycle, Relay
from wsedge_operator.api.spec.websocket import ClientTLS, WebSocket
from wsedge_relay.contract import AFTER_DRAIN_SECONDS, OriginProtocol

KIND: Final = "WebSocketDomain"
PLURAL: Final = "websocketdomains"
NAME_MAX_LENGTH: Final = 57  # a Service may have 63 characters and is named <name>-relay

# Condition types of this kind.
ACCEPTED: Final = "Accepted"
PLAN_EFFECTIVE: Final = "PlanEffective"
CONFIGURATION_CURRENT: Final = "ConfigurationCurrent"
READY: Final = "Ready"
STALLED: Final = "Stalled"
NAME_KEPT: Final = "NameKept"
EXPOSED: Final = "Exposed"
SCALING_ACTIVE: Final = "ScalingActive"

_NAME_MESSAGE: Final = (
    "metadata.name becomes the name of a Service: at most 57 characters, lower case letters, digits and "
    "dashes, beginning with a letter; the domain itself goes into spec.domain"
)
_PRIMARY_MESSAGE: Final = "at least one origin must be no backup and have a weight above 0"
_FOLLOW_MESSAGE: Final = (
    "originProtocol Follow needs httpPort or httpsPort beside a service: "
    "one Service port cannot speak both HTTP and HTTPS"
)
DomainName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Matches(
        r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*",
        "give a host name in lower case without scheme, port, path or wildcard, for example chat.example.com",
    ),
]
_SERVICE_STEM: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_HTTP2_MESSAGE: Final = "plain requests are not passed over HTTP/2: remove passThrough or tls.http2"
_CERTIFICATE_MESSAGE: Final = "exposure.certificate needs tls.secretName: the Secret that cert-manager writes"
_PASSTHROUGH_MESSAGE: Final = "Passthrough leads to the relays' port for wss, which needs spec.tls"
_GRACE_MESSAGE: Final = (
    f"terminationGracePeriodSeconds is at least {AFTER_DRAIN_SECONDS} more than lifecycle.drainSeconds: "
    "a relay that is killed in its drain breaks connections and loses the last counts"
)


class WebSocketDomainSpec(SpecPart):
    """The desired state: a domain, its switch, its origins and its relays."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.websocket.originProtocol) || self.websocket.originProtocol != 'Follow'"
                " || self.origins.all(o, !has(o.service) || has(o.httpPort) || has(o.httpsPort))",
                _FOLLOW_MESSAGE,
                field="origins",
            ),
            cel(
                "!has(self.passThrough) || !has(self.tls) || !self.tls.http2",
                _HTTP2_MESSAGE,
                field="passThrough",
            ),
            cel(
                "!has(self.relay.pod) || !has(self.relay.pod.terminationGracePeriodSeconds)"
                " || self.relay.pod.terminationGracePeriodSeconds"
                f" >= self.lifecycle.drainSeconds + {AFTER_DRAIN_SECONDS}",
                _GRACE_MESSAGE,
                field="relay.pod.terminationGracePeriodSeconds",
            ),
            cel(
                "!has(self.exposure) || !has(self.exposure.certificate) || has(self.tls)",
                _CERTIFICATE_MESSAGE,
                field="tls",
                required=True,
            ),
            *(
                cel(
                    f"!has(self.exposure) || !has(self.exposure.{part}) || !has(self.exposure.{part}.tls)"
                    f" || self.exposure.{part}.tls != 'Passthrough' || has(self.tls)",
                    _PASSTHROUGH_MESSAGE,
                    field="tls",
                    required=True,
                )
                for part in ("ingress", "gateway")
            ),
        )
    )

    domain: Annotated[
        DomainName,
        Field(
            description="The domain that clients connect to, in lower case. It cannot be changed later. If "
            "several objects in the cluster name it, one of them owns it: the object that was served first, "
            "else the oldest that can be served.",
        ),
        Rule("self == oldSelf", "domain cannot be changed: create another WebSocketDomain for the new name"),
    ]
    websocket: Annotated[
        WebSocket, Field(description="The switch, the heartbeat and the protocol towards the origins.")
    ]
    origins: Annotated[
        tuple[Origin, ...],
        Field(
            min_length=1,
            max_length=64,
            description="The origin servers, 1 to 64. A relay chooses one by weight, and retries with the "
            "next when that one cannot be reached; backups are last.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
        Rule(
            "self.exists(o, !(has(o.backup) && o.backup) && (!has(o.weight) || o.weight > 0))",
            _PRIMARY_MESSAGE,
        ),
    ]
    originRequest: Annotated[
        OriginRequest, Field(description="How relays choose origins and what they send to them.")
    ] = OriginRequest()
    originTLS: Annotated[
        OriginTLS, Field(description="TLS towards the origins; used with HTTPS, and with Follow for wss.")
    ] = OriginTLS()
    originHealthCheck: Annotated[
        OriginHealthCheck | None,
        Field(
            description="Active checks of the origins' health, by each worker of each relay; {} has the "
            "defaults. Default: none, an origin counts as healthy until a connection to it fails."
        ),
    ] = None
    tls: Annotated[
        ClientTLS | None,
        Field(description="TLS towards clients (wss). Default: none, relays accept plain ws only."),
    ] = None
    lifecycle: Annotated[Lifecycle, Field(description="How relays end connections.")] = Lifecycle()
    clients: Annotated[
        Clients,
        Field(description="Which clients may connect, and which proxies may state a client's address."),
    ] = Clients()
    passThrough: Annotated[
        PassThrough | None,
        Field(
            description="Pass plain requests (no WebSocket handshake) to the origins too, for the fallback "
            "transports of Socket.IO, SignalR and SockJS; {} has the defaults. With more than one origin "
            "these transports need originRequest.stickyCookie. Default: none, plain requests get 426."
        ),
    ] = None
    limits: Annotated[
        Limits,
        Field(
            description="Limits of each relay pod: pods do not share counts, so N pods accept N times as "
            "much. A change applies to new connections; a change of bytesPerSecond or stallSeconds applies "
            "to open connections too."
        ),
    ] = Limits()
    accessLog: Annotated[AccessLog, Field(description="Which connections the relays log.")] = AccessLog()
    relay: Annotated[Relay, Field(description="The pods that carry this domain.")] = Relay()
    exposure: Annotated[
        Exposure | None,
        Field(
            description="The way from clients outside of the cluster to the relays. Default: none, the "
            "Service of the relays is reached from within the cluster."
        ),
    ] = None

    @model_validator(mode="after")
    def has_usable_origins(self) -> Self:
        """Refuse origins of which no relay would choose one, or with one port for two protocols.

        HTTP/2 together with passThrough is refused too. CEL: the same rules.
        """
        if not any(origin.weight > 0 and not origin.backup for origin in self.origins):
            raise ValueError(_PRIMARY_MESSAGE)
        if self.websocket.originProtocol is OriginProtocol.FOLLOW and any(
            origin.service and not (origin.httpPort or origin.httpsPort) for origin in self.origins
        ):
            raise ValueError(_FOLLOW_MESSAGE)
        if self.passThrough is not None and self.tls is not None and self.tls.http2:
            raise ValueError(_HTTP2_MESSAGE)
        return self

    @model_validator(mode="after")
    def has_time_for_the_drain(self) -> Self:
        """Refuse a grace period that ends before the drain does (CEL: the same)."""
        grace = self.relay.pod.terminationGracePeriodSeconds if self.relay.pod is not None else None
        if grace is not None and grace < self.lifecycle.drainSeconds + AFTER_DRAIN_SECONDS:
            raise ValueError(_GRACE_MESSAGE)
        return self

    @model_validator(mode="after")
    def has_tls_for_its_entrance(self) -> Self:
        """Refuse a certificate for no Secret, and passthrough to relays without TLS (CEL: the same)."""
        if self.exposure is None or self.tls is not None:
            return self
        if self.exposure.certificate is not None:
            raise ValueError(_CERTIFICATE_MESSAGE)
        for part in (self.exposure.ingress, self.exposure.gateway):
            if part is not None and part.tls is TLSMode.PASSTHROUGH:
                raise ValueError(_PASSTHROUGH_MESSAGE)
        return self


class DomainAddress(Lenient):
    """The address at which clients in the cluster, or a load balancer, reach the relays."""

    service: Annotated[str, Field(description="The Service of the relays, in this namespace.")]
    clusterIP: Annotated[str | None, Field(description="The Service's address in the cluster.")] = None
    httpPort: Annotated[int | None, Field(description="The port for ws.")] = None
    httpsPort: Annotated[int | None, Field(description="The port for wss; absent without spec.tls.")] = None


class AddressType(StrEnum):
    """What an address of the entrance is, as in the Gateway API."""

    IP_ADDRESS = "IPAddress"
    HOSTNAME = "Hostname"


class EntranceAddress(Lenient):
    """An address at which clients outside of the cluster reach the domain."""

    type: Annotated[AddressType, Field(description="What the value is: IPAddress or Hostname.")]
    value: Annotated[str, Field(max_length=253, description="The address or the host name.")]
    via: Annotated[
        str | None,
        Field(max_length=63, description="The kind of the object that has it: Service, Ingress or Gateway."),
    ] = None


class WebSocketDomainStatus(Lenient):
    """The state of the domain, as the operator reconciled it.

    It has no numbers that change by themselves, such as open connections: each change would be a write. The
    relays' metrics and the statistics have them.
    """

    observedGeneration: Annotated[int | None, Field(ge=-1, description=OBSERVED_TEXT)] = None
    conditions: Conditions = ()
    replicas: Annotated[
        int | None, Field(ge=0, description="The number of relay pods; read by the scale subresource.")
    ] = None
    selector: Annotated[
        str | None, Field(description="The label selector of the relay pods; read by the scale subresource.")
    ] = None
    configuration: Annotated[
        str | None,
        Field(description="The generation of the relays' configuration, as their logs and metrics name it."),
    ] = None
    address: Annotated[
        DomainAddress | None,
        Field(description="The address of the relays; absent while there are no relays."),
    ] = None
    addresses: Annotated[
        tuple[EntranceAddress, ...] | None,
        Field(
            max_length=16,
            description="The addresses of the entrance that spec.exposure asks for, as its controllers "
            "report them; at most 16. Absent without one.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = None


class WebSocketDomain(Resource):
    """A domain whose WebSocket connections relays carry and count."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                f"self.metadata.name.size() <= {NAME_MAX_LENGTH}"
                " && self.metadata.name.matches('^[a-z]([a-z0-9-]*[a-z0-9])?$')",
                _NAME_MESSAGE,
            )
        )
    )

    kind: Literal["WebSocketDomain"] = KIND
    metadata: ObjectMeta
    spec: Annotated[
        WebSocketDomainSpec, Field(description="The domain, its origins, and how relays carry it.")
    ]
    status: Annotated[
        WebSocketDomainStatus,
        Field(description="The state of the domain and its relays; written by the operator."),
    ] = WebSocketDomainStatus()

    @model_validator(mode="after")
    def can_name_a_service(self) -> Self:
        """Refuse a name that cannot become a Service's name (CEL: the same)."""
        name = self.metadata.name
        if len(name) > NAME_MAX_LENGTH or not _SERVICE_STEM.fullmatch(name):
            raise ValueError(_NAME_MESSAGE)
        return self
