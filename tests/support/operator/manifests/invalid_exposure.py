"""Refused WebSocketDomains: entrances."""

from __future__ import annotations

from typing import Any, Final

from support.operator.manifests.manifest import Invalid


def _exposure(**parts: Any) -> dict[str, Any]:
    return {"spec.exposure": parts}


_RESERVED: Final = "annotations of wsedge.io/ and kubectl.kubernetes.io/ are reserved"
_DNS: Final = "exposure.dns writes the annotations hostname and ttl of external-dns: remove them"
_SET: Final = "listenerSet adds listeners to one Gateway: give one parentRef of kind Gateway"

INVALID_EXPOSURE: Final[dict[str, Invalid]] = {
    "a Service has a type of Kubernetes": Invalid(
        _exposure(service={"type": "ExternalName"}),
        'Unsupported value: "ExternalName"',
        "Input should be",
        "service.type",
    ),
    "a class of load balancers is for load balancers": Invalid(
        _exposure(service={"type": "NodePort", "loadBalancerClass": "example.com/lb"}),
        "loadBalancerClass is for type LoadBalancer",
        field="service",
    ),
    "a class of load balancers has its form": Invalid(
        _exposure(service={"type": "LoadBalancer", "loadBalancerClass": "a b"}),
        "give a class of load balancers",
        field="loadBalancerClass",
    ),
    "source ranges are for load balancers": Invalid(
        _exposure(service={"loadBalancerSourceRanges": ["10.0.0.0/8"]}),
        "loadBalancerSourceRanges is for type LoadBalancer",
        field="service",
    ),
    "source ranges are networks": Invalid(
        _exposure(service={"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1"]}),
        "give a network as address/bits",
        field="loadBalancerSourceRanges.0",
    ),
    "there is a source range": Invalid(
        _exposure(service={"type": "LoadBalancer", "loadBalancerSourceRanges": []}),
        "should have at least 1 items",
        "at least 1 item",
        "loadBalancerSourceRanges",
    ),
    "a traffic policy is for traffic from outside": Invalid(
        _exposure(service={"externalTrafficPolicy": "Local"}),
        "externalTrafficPolicy is for type NodePort or LoadBalancer",
        field="service",
    ),
    "a traffic policy of ClusterIP": Invalid(
        _exposure(service={"type": "ClusterIP", "externalTrafficPolicy": "Local"}),
        "externalTrafficPolicy is for type NodePort or LoadBalancer",
        field="service",
    ),
    "annotations of the operator are reserved": Invalid(
        _exposure(service={"annotations": {"wsedge.io/desired": "x"}}), _RESERVED, field="annotations"
    ),
    "annotations of kubectl are reserved": Invalid(
        _exposure(ingress={"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}),
        _RESERVED,
        field="annotations",
    ),
    "there are at most 32 annotations": Invalid(
        _exposure(ingress={"annotations": {f"example.com/{index}": "" for index in range(33)}}),
        "must have at most 32 items",
        "at most 32 items",
        "annotations",
    ),
    "a host name for external-dns beside dns": Invalid(
        _exposure(
            service={"annotations": {"external-dns.alpha.kubernetes.io/hostname": "bank.example.com"}},
            dns={},
        ),
        _DNS,
        field="exposure",
    ),
    "a TTL for external-dns beside dns": Invalid(
        _exposure(ingress={"annotations": {"external-dns.kubernetes.io/ttl": "1"}}, dns={"ttlSeconds": 60}),
        _DNS,
        field="exposure",
    ),
    "a TTL is positive": Invalid(
        _exposure(dns={"ttlSeconds": 0}),
        "should be greater than or equal to 1",
        "greater than or equal to 1",
        "ttlSeconds",
    ),
    "an Ingress passes through only TLS of relays": Invalid(
        _exposure(ingress={"tls": "Passthrough"}),
        "Passthrough leads to the relays' port for wss, which needs spec.tls",
        field="spec",
    ),
    "a Gateway passes through only TLS of relays": Invalid(
        _exposure(gateway={"parentRefs": [{"name": "public"}], "tls": "Passthrough"}),
        "Passthrough leads to the relays' port for wss, which needs spec.tls",
        field="spec",
    ),
    "routes have a parent": Invalid(
        _exposure(gateway={"parentRefs": []}),
        "should have at least 1 items",
        "at least 1 item",
        "parentRefs",
    ),
    "a parent is a Gateway or a ListenerSet": Invalid(
        _exposure(gateway={"parentRefs": [{"kind": "Service", "name": "x"}]}),
        'Unsupported value: "Service"',
        "Input should be",
        "parentRefs.0.kind",
    ),
    "a parent has a name of an object": Invalid(
        _exposure(gateway={"parentRefs": [{"name": "Public"}]}),
        "give the name of an object",
        field="parentRefs.0.name",
    ),
    "a parent's namespace has a name of a namespace": Invalid(
        _exposure(gateway={"parentRefs": [{"name": "public", "namespace": "a.b"}]}),
        "give the name of a namespace",
        field="parentRefs.0.namespace",
    ),
    "listeners are added to one Gateway": Invalid(
        _exposure(gateway={"parentRefs": [{"name": "a"}, {"name": "b"}], "listenerSet": {}}),
        _SET,
        field="gateway",
    ),
    "listeners are added to a whole Gateway": Invalid(
        _exposure(gateway={"parentRefs": [{"name": "a", "sectionName": "http"}], "listenerSet": {}}),
        _SET,
        field="gateway",
    ),
    "listeners are not added to a port": Invalid(
        _exposure(gateway={"parentRefs": [{"name": "a", "port": 80}], "listenerSet": {}}),
        _SET,
        field="gateway",
    ),
    "listeners are not added to a ListenerSet": Invalid(
        _exposure(gateway={"parentRefs": [{"kind": "ListenerSet", "name": "a"}], "listenerSet": {}}),
        _SET,
        field="gateway",
    ),
    "a certificate needs a Secret": Invalid(
        _exposure(certificate={"issuerRef": {"name": "letsencrypt"}}),
        "exposure.certificate needs tls.secretName: the Secret that cert-manager writes",
        field="spec",
    ),
    "an issuer's kind is a kind": Invalid(
        {
            "spec.tls": {"secretName": "chat-tls"},
            **_exposure(certificate={"issuerRef": {"name": "x", "kind": "a/b"}}),
        },
        "give a kind, for example ClusterIssuer",
        field="issuerRef.kind",
    ),
}
