"""Refused WebSocketDomains: origins, requests to them, their TLS and health checks."""

from __future__ import annotations

from typing import Final

from support.operator.manifests.manifest import SERVICE, Invalid

_HOST_TEXT: Final = (
    "give a name or an address without scheme, port or path; ports go into httpPort and httpsPort"
)
_EITHER_TEXT: Final = "an origin is either a host or a service: give exactly one of them"
_PRIMARY_TEXT: Final = "at least one origin must be no backup and have a weight above 0"
_SECRET_TEXT: Final = "give the name of a Secret in this namespace"

INVALID_ORIGINS: Final[dict[str, Invalid]] = {
    "a check's path begins with a slash": Invalid(
        {"spec.originHealthCheck": {"path": "healthz"}},
        "give a path that begins with a slash, optionally with a query",
        field="path",
    ),
    "a check's path has no line break": Invalid(
        {"spec.originHealthCheck": {"path": "/a\r\nX: y"}},
        "give a path that begins with a slash, optionally with a query",
        field="path",
    ),
    "checks are at least a second apart": Invalid(
        {"spec.originHealthCheck": {"intervalSeconds": 0}},
        "should be greater than or equal to 1",
        field="intervalSeconds",
    ),
    "a check takes at most a minute": Invalid(
        {"spec.originHealthCheck": {"timeoutSeconds": 61}},
        "should be less than or equal to 60",
        field="timeoutSeconds",
    ),
    "an origin is unhealthy after ten checks at most": Invalid(
        {"spec.originHealthCheck": {"unhealthyAfter": 11}},
        "should be less than or equal to 10",
        field="unhealthyAfter",
    ),
    "an origin is healthy after one check at least": Invalid(
        {"spec.originHealthCheck": {"healthyAfter": 0}},
        "should be greater than or equal to 1",
        field="healthyAfter",
    ),
    "a PROXY header has version 1 or 2": Invalid(
        {"spec.originRequest": {"proxyProtocol": "v2"}},
        'spec.originRequest.proxyProtocol: Unsupported value: "v2": supported values: "V1", "V2"',
        "Input should be 'V1' or 'V2'",
        "proxyProtocol",
    ),
    "load balancing is one of three policies": Invalid(
        {"spec.originRequest": {"loadBalancing": "Random"}},
        'spec.originRequest.loadBalancing: Unsupported value: "Random": supported values: "RoundRobin", "Le',
        "Input should be 'RoundRobin', 'LeastConnections' or 'ClientHash'",
        "loadBalancing",
    ),
    "there is at least one origin": Invalid(
        {"spec.origins": []}, "should have at least 1 items", "at least 1 item", "origins"
    ),
    "there are at most 64 origins": Invalid(
        {"spec.origins": [{"host": f"10.0.0.{index}"} for index in range(65)]},
        "must have at most 64 items",
        "at most 64 items",
        "origins",
    ),
    "an origin is not both a host and a service": Invalid(
        {"spec.origins.0": {"host": "a", **SERVICE}}, _EITHER_TEXT, field="origins.0"
    ),
    "an origin is a host or a service": Invalid(
        {"spec.origins.0": {"weight": 1}}, _EITHER_TEXT, field="origins.0"
    ),
    "an origin's host has no port": Invalid(
        {"spec.origins.0.host": "10.0.0.7:9000"}, _HOST_TEXT, field="origins.0.host"
    ),
    "an origin's host has no scheme": Invalid(
        {"spec.origins.0.host": "http://a.example.com"}, _HOST_TEXT, field="origins.0.host"
    ),
    "an origin's port is above 0": Invalid(
        {"spec.origins.0.httpPort": 0}, "should be greater than or equal to 1", field="httpPort"
    ),
    "an origin's port is below 65536": Invalid(
        {"spec.origins.0.httpsPort": 65536}, "should be less than or equal to 65535", field="httpsPort"
    ),
    "a service has a port": Invalid(
        {"spec.origins.0": {"service": {"name": "room"}}},
        "spec.origins[0].service.port: Required value",
        "Field required",
        "service.port",
    ),
    "a service is in this namespace": Invalid(
        {"spec.origins.0": {"service": {"name": "other/room", "port": 1}}},
        "give the name of a Service in this namespace",
        field="service.name",
    ),
    "Follow to a service needs a second port": Invalid(
        {"spec.websocket.originProtocol": "Follow", "spec.origins": [SERVICE]},
        "originProtocol Follow needs httpPort or httpsPort beside a service",
        field="spec",
    ),
    "a weight is not negative": Invalid(
        {"spec.origins.0.weight": -1}, "should be greater than or equal to 0", field="weight"
    ),
    "a weight is at most 1000": Invalid(
        {"spec.origins.0.weight": 1001}, "should be less than or equal to 1000", field="weight"
    ),
    "one origin at least is no backup": Invalid({"spec.origins.0.backup": True}, _PRIMARY_TEXT, field="spec"),
    "one origin at least has a weight": Invalid({"spec.origins.0.weight": 0}, _PRIMARY_TEXT, field="spec"),
    "a host header has no path": Invalid(
        {"spec.originRequest": {"host": "a.example.com/ws"}},
        "give a host name, optionally with a port, without scheme or path",
        field="originRequest.host",
    ),
    "a dial has at least a second": Invalid(
        {"spec.originRequest": {"connectTimeoutSeconds": 0}},
        "should be greater than or equal to 1",
        field="connectTimeoutSeconds",
    ),
    "a dial has at most a minute": Invalid(
        {"spec.originRequest": {"connectTimeoutSeconds": 61}},
        "should be less than or equal to 60",
        field="connectTimeoutSeconds",
    ),
    "a server name has no path": Invalid(
        {"spec.originTLS": {"serverName": "a/b"}},
        "give the name in the origin's certificate, without scheme, port or path",
        field="serverName",
    ),
    "a CA that is never used is refused": Invalid(
        {"spec.originTLS": {"caSecretName": "ca", "insecureSkipVerify": True}},
        "insecureSkipVerify checks no certificate, so caSecretName has no effect: remove one",
        field="originTLS",
        also=("spec.originTLS.caSecretName",),
    ),
    "a CA's Secret is in this namespace": Invalid(
        {"spec.originTLS": {"caSecretName": "other/ca"}}, _SECRET_TEXT, field="caSecretName"
    ),
    "a client certificate's Secret is in this namespace": Invalid(
        {"spec.originTLS": {"clientCertificateSecretName": "CA"}},
        _SECRET_TEXT,
        field="clientCertificateSecretName",
    ),
    "a cookie's name has no space": Invalid(
        {"spec.originRequest": {"stickyCookie": {"name": "a b"}}},
        "give the name of a cookie: letters, digits, dashes, dots and underscores",
        field="stickyCookie.name",
    ),
    "a cookie's age is at least a second": Invalid(
        {"spec.originRequest": {"stickyCookie": {"maxAgeSeconds": 0}}},
        "should be greater than or equal to 1",
        field="maxAgeSeconds",
    ),
    "a cookie's age is at most a year": Invalid(
        {"spec.originRequest": {"stickyCookie": {"maxAgeSeconds": 31536001}}},
        "should be less than or equal to 31536000",
        field="maxAgeSeconds",
    ),
    "an unknown field of an origin is refused": Invalid(
        {"spec.origins.0.port": 5},
        'unknown field "spec.origins[0].port"',
        "unknown field",
        "port",
    ),
}
