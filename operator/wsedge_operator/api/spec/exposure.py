"""Of a WebSocketDomain's spec: the way from clients outside of the cluster to the relays.

Fields that another controller reads have that controller's names and values: those of a Service, an Ingress,
a route of the Gateway API, a Certificate of cert-manager.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from wsedge_operator.api.meta import Matches, Rule, SpecPart, cel, validations
from wsedge_operator.api.spec.clients import Network

# external-dns read the first prefix up to release 0.21, and reads the second one since 0.22.
DNS_PREFIXES: Final = ("external-dns.alpha.kubernetes.io/", "external-dns.kubernetes.io/")
DNS_KEYS: Final = tuple(f"{prefix}{name}" for prefix in DNS_PREFIXES for name in ("hostname", "ttl"))

# Condition types in the status of a route or a ListenerSet (Gateway API) and of a Certificate (cert-manager).
ACCEPTED_BY_PARENT: Final = "Accepted"
RESOLVED_REFS: Final = "ResolvedRefs"
CERTIFICATE_READY: Final = "Ready"
CERTIFICATE_ISSUING: Final = "Issuing"

_RESERVED: Final = ("wsedge.io/", "kubectl.kubernetes.io/")
_RESERVED_MESSAGE: Final = (
    "annotations of wsedge.io/ and kubectl.kubernetes.io/ are reserved: they say who wrote an object, and"
    " with which values"
)
_KEY_MESSAGE: Final = (
    "give keys of annotations: a name of at most 63 letters, digits, dashes, dots and underscores, with an"
    " optional prefix, for example service.example.com/name"
)
_KEY: Final = re.compile(
    r"([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
)
_DNS_MESSAGE: Final = (
    "exposure.dns writes the annotations hostname and ttl of external-dns: remove them from annotations"
)
_CLASS_MESSAGE: Final = "loadBalancerClass is for type LoadBalancer"
_CLASS_CHANGE: Final = (
    "loadBalancerClass of a Service of type LoadBalancer cannot be changed: set type ClusterIP first, which"
    " gives its address up"
)
_RANGES_MESSAGE: Final = "loadBalancerSourceRanges is for type LoadBalancer"
_POLICY_MESSAGE: Final = "externalTrafficPolicy is for type NodePort or LoadBalancer"
_SET_MESSAGE: Final = (
    "listenerSet adds listeners to one Gateway: give one parentRef of kind Gateway, without sectionName and"
    " port"
)


def _are_keys(value: dict[str, str]) -> dict[str, str]:
    """Refuse reserved keys, and keys that the API server would refuse on a child."""
    if any(key.startswith(_RESERVED) for key in value):
        raise ValueError(_RESERVED_MESSAGE)
    # A prefix is a DNS subdomain. CEL has no bound for the length of a key, so that the API server would
    # refuse a CRD with a regular expression here; such a manifest is stored, and the operator refuses it.
    if not all(_KEY.fullmatch(key) and len(key.rpartition("/")[0]) <= 253 for key in value):
        raise ValueError(_KEY_MESSAGE)
    return value


Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=4096)]],
    Field(max_length=32),
    AfterValidator(_are_keys),
    Rule(
        "self.all(key, {})".format(" && ".join(f"!key.startsWith('{prefix}')" for prefix in _RESERVED)),
        _RESERVED_MESSAGE,
    ),
]
_NAME: Final = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Matches(_NAME, "give the name of an object: lower case letters, digits, dashes and dots"),
]
NamespaceName = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Matches(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "give the name of a namespace"),
]
ClassName = Annotated[
    str,
    Field(min_length=1, max_length=317),
    Matches(
        rf"({_NAME}/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?",
        "give a class of load balancers, for example service.example.com/name",
    ),
]


class ServiceType(StrEnum):
    """How a Service is reached, as in a Service."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class TrafficPolicy(StrEnum):
    """Which relays get traffic from outside, as in a Service."""

    CLUSTER = "Cluster"
    LOCAL = "Local"


class FamilyPolicy(StrEnum):
    """The IP families of a Service, as in a Service."""

    SINGLE = "SingleStack"
    PREFER_DUAL = "PreferDualStack"
    REQUIRE_DUAL = "RequireDualStack"


class TLSMode(StrEnum):
    """Where TLS ends."""

    TERMINATE = "Terminate"
    PASSTHROUGH = "Passthrough"


_IS_BALANCER: Final = "has(self.type) && self.type == 'LoadBalancer'"


class ServiceExposure(SpecPart):
    """The Service of the relays."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                f"!has(self.loadBalancerClass) || ({_IS_BALANCER})", _CLASS_MESSAGE, field="loadBalancerClass"
            ),
            cel(
                f"!has(self.loadBalancerSourceRanges) || ({_IS_BALANCER})",
                _RANGES_MESSAGE,
                field="loadBalancerSourceRanges",
            ),
            cel(
                "!has(self.externalTrafficPolicy) || (has(self.type) && self.type != 'ClusterIP')",
                _POLICY_MESSAGE,
                field="externalTrafficPolicy",
            ),
            cel(
                f"!({_IS_BALANCER}) || !({_IS_BALANCER.replace('self', 'oldSelf')})"
                " || (has(self.loadBalancerClass) ? self.loadBalancerClass : '')"
                " == (has(oldSelf.loadBalancerClass) ? oldSelf.loadBalancerClass : '')",
                _CLASS_CHANGE,
                field="loadBalancerClass",
            ),
        )
    )

    type: Annotated[
        ServiceType | None,
        Field(
            description="ClusterIP: reached from within the cluster. NodePort: also at a port of every node. "
            "LoadBalancer: also at an address that a load balancer's controller assigns. Default ClusterIP."
        ),
    ] = None
    annotations: Annotated[
        Annotations | None,
        Field(description="Annotations of the Service, for its load balancer; at most 32. Default: none."),
    ] = None
    loadBalancerClass: Annotated[
        ClassName | None,
        Field(
            description="The controller that provides the load balancer. It cannot be changed while the type "
            "is LoadBalancer. Default: the cluster's."
        ),
    ] = None
    externalTrafficPolicy: Annotated[
        TrafficPolicy | None,
        Field(
            description="Cluster: every node accepts traffic, and may replace the client's address. Local: "
            "only nodes with a relay accept it, and the client's address stays. Default Cluster."
        ),
    ] = None
    ipFamilyPolicy: Annotated[
        FamilyPolicy | None,
        Field(description="Whether the Service has addresses of IPv4 and IPv6. Default SingleStack."),
    ] = None
    loadBalancerSourceRanges: Annotated[
        tuple[Network, ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="The networks of clients that a load balancer accepts, as address/bits; 1 to 64, "
            "where its controller supports that. Default: every client.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = None

    @model_validator(mode="after")
    def fits_its_type(self) -> Self:
        """Refuse fields that a Service of this type does not have (CEL: the same)."""
        if self.loadBalancerClass is not None and self.type is not ServiceType.LOAD_BALANCER:
            raise ValueError(_CLASS_MESSAGE)
        if self.loadBalancerSourceRanges is not None and self.type is not ServiceType.LOAD_BALANCER:
            raise ValueError(_RANGES_MESSAGE)
        if self.externalTrafficPolicy is not None and self.type in {None, ServiceType.CLUSTER_IP}:
            raise ValueError(_POLICY_MESSAGE)
        return self


class IngressExposure(SpecPart):
    """An Ingress to the relays."""

    className: Annotated[
        ObjectName | None,
        Field(description="The IngressClass. Default: the cluster's default class."),
    ] = None
    annotations: Annotated[
        Annotations | None,
        Field(description="Annotations of the Ingress, for its controller; at most 32. Default: none."),
    ] = None
    tls: Annotated[
        TLSMode | None,
        Field(
            description="With spec.tls: Terminate, TLS ends at the Ingress controller, which reads the same "
            "Secret and connects to port 80; or Passthrough, the controller connects by the name in the TLS "
            "handshake to port 443, which its class must support and may need an annotation for. Default "
            "Terminate."
        ),
    ] = None


class ParentKind(StrEnum):
    """The kinds to which a route may attach."""

    GATEWAY = "Gateway"
    LISTENER_SET = "ListenerSet"


class ParentRef(SpecPart):
    """A Gateway or ListenerSet, as in a route of the Gateway API."""

    kind: Annotated[
        ParentKind | None,
        Field(description="The kind of the parent: Gateway or ListenerSet. Default Gateway."),
    ] = None
    name: Annotated[ObjectName, Field(description="The name of the parent.")]
    namespace: Annotated[
        NamespaceName | None,
        Field(
            description="The namespace of the parent, which must allow routes of this one. Default: this one."
        ),
    ] = None
    sectionName: Annotated[
        ObjectName | None, Field(description="The listener of the parent. Default: every fitting one.")
    ] = None
    port: Annotated[
        int | None,
        Field(
            ge=1, le=65535, description="The port of the listeners; 1 to 65535. Default: every fitting one."
        ),
    ] = None


class ListenerSet(SpecPart):
    """Listeners of this domain, which a ListenerSet adds to a Gateway."""

    httpPort: Annotated[
        int | None, Field(ge=1, le=65535, description="The port for ws; 1 to 65535. Default 80.")
    ] = None
    httpsPort: Annotated[
        int | None,
        Field(ge=1, le=65535, description="The port for wss, with spec.tls; 1 to 65535. Default 443."),
    ] = None


class GatewayExposure(SpecPart):
    """Routes of the Gateway API to the relays."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.listenerSet) || (self.parentRefs.size() == 1 && self.parentRefs.all(p,"
                " (!has(p.kind) || p.kind == 'Gateway') && !has(p.sectionName) && !has(p.port)))",
                _SET_MESSAGE,
                field="parentRefs",
            )
        )
    )

    parentRefs: Annotated[
        tuple[ParentRef, ...],
        Field(
            min_length=1,
            max_length=16,
            description="The Gateways or ListenerSets to which the routes attach; 1 to 16.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ]
    listenerSet: Annotated[
        ListenerSet | None,
        Field(
            description="Add listeners for the domain to the Gateway, by a ListenerSet, which the Gateway "
            "must allow; {} has the defaults. Default: none, the Gateway has listeners for the domain."
        ),
    ] = None
    tls: Annotated[
        TLSMode | None,
        Field(
            description="With spec.tls: Passthrough, a TLSRoute leads to port 443, and an HTTPRoute to port "
            "80; or Terminate, TLS ends at the Gateway, and the HTTPRoute alone leads to port 80. Default "
            "Passthrough."
        ),
    ] = None

    @model_validator(mode="after")
    def has_one_gateway_for_its_listeners(self) -> Self:
        """Refuse listeners for several parents, or for a part of one (CEL: the same)."""
        if self.listenerSet is not None and not (
            len(self.parentRefs) == 1
            and self.parentRefs[0].kind in {None, ParentKind.GATEWAY}
            and self.parentRefs[0].sectionName is None
            and self.parentRefs[0].port is None
        ):
            raise ValueError(_SET_MESSAGE)
        return self


class IssuerRef(SpecPart):
    """An issuer of cert-manager."""

    name: Annotated[ObjectName, Field(description="The name of the issuer.")]
    kind: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=63,
            description="The kind of the issuer: Issuer, in this namespace, ClusterIssuer, or another "
            "group's. Default Issuer.",
        ),
        Matches(r"[A-Za-z][A-Za-z0-9]*", "give a kind, for example ClusterIssuer"),
    ] = None
    group: Annotated[
        ObjectName | None, Field(description="The API group of the issuer. Default cert-manager.io.")
    ] = None


class CertificateExposure(SpecPart):
    """A Certificate of cert-manager, whose Secret is spec.tls.secretName."""

    issuerRef: Annotated[IssuerRef, Field(description="The issuer that signs the certificate.")]


class DNS(SpecPart):
    """Annotations by which external-dns publishes the domain."""

    ttlSeconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=2147483647,
            description="The time to live of the DNS records, in seconds; 1 to 2147483647. Default: that of "
            "external-dns.",
        ),
    ] = None


class Exposure(SpecPart):
    """The way from clients outside of the cluster to the relays."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            *(
                cel(
                    f"!has(self.dns) || !has(self.{part}) || !has(self.{part}.annotations)"
                    f" || self.{part}.annotations.all(key, !(key in {list(DNS_KEYS)}))",
                    _DNS_MESSAGE,
                    field=part,
                )
                for part in ("service", "ingress")
            )
        )
    )

    service: Annotated[
        ServiceExposure | None,
        Field(description="The Service of the relays. Default: a Service of type ClusterIP."),
    ] = None
    ingress: Annotated[
        IngressExposure | None,
        Field(description="An Ingress to the relays; {} has the defaults. Default: none."),
    ] = None
    gateway: Annotated[
        GatewayExposure | None,
        Field(description="Routes of the Gateway API to the relays. Default: none."),
    ] = None
    certificate: Annotated[
        CertificateExposure | None,
        Field(
            description="A Certificate of cert-manager, which writes spec.tls.secretName and renews it. A "
            "Secret of that name that cert-manager did not make for this domain is never replaced. Default: "
            "none."
        ),
    ] = None
    dns: Annotated[
        DNS | None,
        Field(
            description="Annotations by which external-dns publishes the domain at the entrance: its "
            "Ingress, its routes, its Service; {} has the defaults. Default: none."
        ),
    ] = None

    @model_validator(mode="after")
    def leaves_dns_to_itself(self) -> Self:
        """Refuse external-dns' host name and ttl beside `dns` (CEL: the same)."""
        if self.dns is not None and any(key in DNS_KEYS for key in self._annotation_keys()):
            raise ValueError(_DNS_MESSAGE)
        return self

    def _annotation_keys(self) -> Iterator[str]:
        parts: tuple[Mapping[str, str] | None, ...] = (
            self.service.annotations if self.service else None,
            self.ingress.annotations if self.ingress else None,
        )
        for part in parts:
            yield from part or ()
