"""Good and bad manifests of both kinds, each under the sentence that it is an example of.

The same tables are applied to the API server (tests/cluster) and to the models (tests/unit), so that a rule
cannot say one thing in CEL and another in Python.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final

Manifest = dict[str, Any]

PLAN: Final[Manifest] = {
    "apiVersion": "wsedge.io/v1alpha1",
    "kind": "BillingPlan",
    "metadata": {"name": "plan"},
    "spec": {"billingCycle": "Monthly", "meteringMethod": "Month95Bandwidth"},
}
DOMAIN: Final[Manifest] = {
    "apiVersion": "wsedge.io/v1alpha1",
    "kind": "WebSocketDomain",
    "metadata": {"name": "chat"},
    "spec": {
        "domain": "chat.example.com",
        "websocket": {"enabled": True, "originProtocol": "HTTP"},
        "origins": [{"host": "10.0.0.7"}],
    },
}
ABSENT: Final = object()


@dataclass(frozen=True)
class Bad:
    """A manifest that is refused: what is changed in the good one, and what a person then reads.

    `says` is in the API server's answer; `model_says` in the model's, when its words differ.
    """

    changes: dict[str, Any]
    says: str
    model_says: str = ""
    field: str = ""
    also: tuple[str, ...] = ()


def changed(manifest: Manifest, changes: dict[str, Any]) -> Manifest:
    """Return a copy with values set at dotted paths; ABSENT removes."""
    result = copy.deepcopy(manifest)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = result
        for parent in parents:
            place = place[int(parent)] if parent.isdigit() else place.setdefault(parent, {})
        key: Any = int(last) if last.isdigit() else last
        if value is ABSENT:
            del place[key]
        else:
            place[key] = copy.deepcopy(value)
    return result


GOOD_PLANS: Final[dict[str, dict[str, Any]]] = {
    "the smallest plan": {},
    "traffic per day": {"spec.billingCycle": "Daily", "spec.meteringMethod": "Traffic"},
    "traffic per month": {"spec.meteringMethod": "Traffic"},
    "daily peak per day": {"spec.billingCycle": "Daily", "spec.meteringMethod": "DailyPeakBandwidth"},
    "average peak": {"spec.meteringMethod": "MonthAveragePeakBandwidth"},
    "fourth peak": {"spec.meteringMethod": "Month4thPeakBandwidth"},
    "average of daily 95ths": {"spec.meteringMethod": "MonthAverage95Bandwidth"},
    "night at half": {"spec.meteringMethod": "Month95NightHalfBandwidth"},
    "with a zone": {"spec.timeZone": "Asia/Shanghai"},
    "with a zone of three parts": {"spec.timeZone": "America/Argentina/Buenos_Aires"},
    "with a zone of digits and signs": {"spec.timeZone": "Etc/GMT+8"},
    "with a cycle elsewhere": {"spec.existingCycle": "Daily"},
}
BAD_PLANS: Final[dict[str, Bad]] = {
    "a cycle is required": Bad(
        {"spec.billingCycle": ABSENT}, "spec.billingCycle: Required value", "Field required", "billingCycle"
    ),
    "a metering method is required": Bad(
        {"spec.meteringMethod": ABSENT},
        "spec.meteringMethod: Required value",
        "Field required",
        "meteringMethod",
    ),
    "a spec is required": Bad({"spec": ABSENT}, "spec: Required value", "Field required", "spec"),
    "a cycle is Daily or Monthly": Bad(
        {"spec.billingCycle": "Weekly"},
        'spec.billingCycle: Unsupported value: "Weekly": supported values: "Daily", "Monthly"',
        "Input should be 'Daily' or 'Monthly'",
        "billingCycle",
    ),
    "a metering method is one of seven": Bad(
        {"spec.meteringMethod": "Requests"},
        'spec.meteringMethod: Unsupported value: "Requests": supported values: "Traffic", "DailyPeak',
        "Input should be 'Traffic', 'DailyPeakBandwidth'",
        "meteringMethod",
    ),
    "a month's method needs a monthly cycle": Bad(
        {"spec.billingCycle": "Daily"},
        "Month95Bandwidth is settled per month: set billingCycle to Monthly",
        field="spec",
    ),
    "an average of a month needs a monthly cycle": Bad(
        {"spec.billingCycle": "Daily", "spec.meteringMethod": "MonthAveragePeakBandwidth"},
        "MonthAveragePeakBandwidth is settled per month: set billingCycle to Monthly",
        field="spec",
    ),
    "the daily peak needs a daily cycle": Bad(
        {"spec.meteringMethod": "DailyPeakBandwidth"},
        "DailyPeakBandwidth is settled per day: set billingCycle to Daily",
        field="spec",
    ),
    "a time zone is not what a machine is set to": Bad(
        {"spec.timeZone": "localtime"},
        "give a time zone of the IANA database, for example Asia/Shanghai or UTC",
        field="timeZone",
    ),
    "a time zone is not one that is yet to be set": Bad(
        {"spec.timeZone": "Factory"},
        "give a time zone of the IANA database, for example Asia/Shanghai or UTC",
        field="timeZone",
    ),
    "a time zone has a name, not an offset": Bad(
        {"spec.timeZone": "+08:00"},
        "give a time zone of the IANA database, for example Asia/Shanghai or UTC",
        field="timeZone",
    ),
    "a time zone leads nowhere else in the file system": Bad(
        {"spec.timeZone": "../../etc/passwd"},
        "give a time zone of the IANA database, for example Asia/Shanghai or UTC",
        field="timeZone",
    ),
    "a time zone is not empty": Bad(
        {"spec.timeZone": ""}, "should be at least 1 chars long", "at least 1 character", "timeZone"
    ),
    "a time zone's name is short": Bad(
        {"spec.timeZone": "A" * 65}, "may not be more than 64", "at most 64 characters", "timeZone"
    ),
    "a cycle elsewhere is Daily or Monthly": Bad(
        {"spec.existingCycle": "None"},
        'spec.existingCycle: Unsupported value: "None"',
        "Input should be 'Daily' or 'Monthly'",
        "existingCycle",
    ),
    "an unknown field is not ignored": Bad(
        {"spec.currency": "EUR"},
        'unknown field "spec.currency"',
        "unknown field",
        "currency",
    ),
}

_LONG_NAME: Final = "a" * 58
_PATH_SAYS: Final = "give a path that begins with a slash, without a query, or a prefix of one that ends in *"
_NAME_SAYS: Final = "metadata.name becomes the name of a Service: at most 57 characters"
_DOMAIN_SAYS: Final = "give a host name in lower case without scheme, port, path or wildcard"
_HOST_SAYS: Final = (
    "give a name or an address without scheme, port or path; ports go into httpPort and httpsPort"
)
_EITHER_SAYS: Final = "an origin is either a host or a service: give exactly one of them"
_PRIMARY_SAYS: Final = "at least one origin must be no backup and have a weight above 0"
_SECRET_SAYS: Final = "give the name of a Secret in this namespace"
_WEB_ORIGIN_SAYS: Final = "give an origin as browsers send it, in lower case and without a path"
_NETWORK_SAYS: Final = "give a network as address/bits, for example 10.0.0.0/8 or 2001:db8::/32"
_SERVICE: Final = {"service": {"name": "room", "port": 9000}}

GOOD_DOMAINS: Final[dict[str, dict[str, Any]]] = {
    "the smallest domain": {},
    "off and without a protocol": {"spec.websocket": {"enabled": False}},
    "HTTPS": {"spec.websocket.originProtocol": "HTTPS"},
    "Follow to hosts": {"spec.websocket.originProtocol": "Follow"},
    "the shortest heartbeat": {"spec.websocket.heartbeatSeconds": 1},
    "the longest heartbeat": {"spec.websocket.heartbeatSeconds": 300},
    "a service": {"spec.origins": [_SERVICE]},
    "Follow to a service with its port for HTTPS": {
        "spec.websocket.originProtocol": "Follow",
        "spec.origins": [{**_SERVICE, "httpsPort": 9443}],
    },
    "an IPv6 address": {"spec.origins.0.host": "2001:db8::7"},
    "an IPv4 address within IPv6": {"spec.origins.0.host": "::ffff:10.0.0.7"},
    "weights and backups": {
        "spec.origins": [
            {"host": "a.example.com", "weight": 1000, "httpPort": 1, "httpsPort": 65535},
            {"host": "b.example.com", "weight": 0},
            {"host": "c.example.com", "backup": True},
        ]
    },
    "64 origins": {"spec.origins": [{"host": f"10.0.0.{index}"} for index in range(64)]},
    "a host header with a port": {"spec.originRequest": {"host": "room.example.com:8443"}},
    "a patient dial": {"spec.originRequest": {"connectTimeoutSeconds": 60}},
    "health checks by default": {"spec.originHealthCheck": {}},
    "health checks by HTTP": {
        "spec.originHealthCheck": {
            "path": "/healthz?deep=1",
            "intervalSeconds": 300,
            "timeoutSeconds": 60,
            "unhealthyAfter": 10,
            "healthyAfter": 1,
        }
    },
    "the fewest connections": {"spec.originRequest": {"loadBalancing": "LeastConnections"}},
    "PROXY headers to origins": {"spec.originRequest": {"proxyProtocol": "V2"}},
    "by the client's address": {"spec.originRequest": {"loadBalancing": "ClientHash"}},
    "TLS towards origins": {
        "spec.originTLS": {
            "serverName": "room.example.com",
            "caSecretName": "room-ca",
            "clientCertificateSecretName": "relay.client",
        }
    },
    "unchecked TLS towards origins": {"spec.originTLS": {"insecureSkipVerify": True}},
    "wss": {"spec.tls": {"secretName": "chat-tls"}},
    "wss over HTTP/2": {"spec.tls": {"secretName": "chat-tls", "http2": True}},
    "proxies of every kind": {
        "spec.clients": {
            "trustedProxies": [
                "10.0.0.0/8",
                "192.0.2.7/32",
                "0.0.0.0/0",
                "2001:db8::/32",
                "::1/128",
                "::ffff:192.0.2.0/120",
            ]
        }
    },
    "proxies that send a PROXY header": {
        "spec.clients": {"trustedProxies": ["10.0.0.0/8"], "proxyProtocol": True}
    },
    "64 networks of proxies": {
        "spec.clients": {"trustedProxies": [f"10.0.{index}.0/24" for index in range(64)]}
    },
    "the least that is taken": {
        "spec.limits": {
            "connections": 1,
            "connectionsPerClient": 1,
            "handshakesPerSecond": 1,
            "messageBytes": 1,
            "bytesPerSecond": 1024,
            "stallSeconds": 1,
            "headerBytes": 1024,
        }
    },
    "the most that is taken": {
        "spec.limits": {
            "connections": 1000000,
            "connectionsPerClient": 1000000,
            "handshakesPerSecond": 100000,
            "messageBytes": 1 << 30,
            "bytesPerSecond": 1 << 30,
            "stallSeconds": 3600,
            "headerBytes": 65536,
        }
    },
    "origins of every kind": {
        "spec.clients": {
            "allowedOrigins": [
                "https://app.example.com",
                "https://*.example.com",
                "http://[::1]:3000",
                "chrome-extension://abcdefghijklmnop",
                "null",
            ]
        }
    },
    "paths of every kind": {
        "spec.clients": {"allowedPaths": ["/", "/*", "/ws", "/socket.io/*", "/a%20b;v=1/~x!$&'()+,"]}
    },
    "64 paths": {"spec.clients": {"allowedPaths": [f"/room/{index}" for index in range(64)]}},
    "plain requests by default": {"spec.passThrough": {}, "spec.originRequest": {"stickyCookie": {}}},
    "the least of plain requests": {
        "spec.passThrough": {"paths": ["/x"], "methods": ["GET"], "maxBodyBytes": 0, "timeoutSeconds": 1},
        "spec.originRequest": {"stickyCookie": {"name": "a", "maxAgeSeconds": 1}},
    },
    "the most of plain requests": {
        "spec.passThrough": {
            "paths": [f"/room/{index}/*" for index in range(64)],
            "methods": ["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"],
            "maxBodyBytes": 1 << 40,
            "timeoutSeconds": 3600,
        },
        "spec.originRequest": {"stickyCookie": {"name": "__Host-" + "a" * 57, "maxAgeSeconds": 31536000}},
    },
    "64 origins of pages": {
        "spec.clients": {"allowedOrigins": [f"https://app-{index}.example.com" for index in range(64)]}
    },
    "a drain at once": {"spec.lifecycle": {"drainSeconds": 0}},
    "databases of places": {
        "spec.relay": {
            "geo": {
                "volumeClaimName": "geo",
                "ip2region": "v4.xdb",
                "city": "maxmind/City.mmdb",
                "isp": "asn.mmdb",
            }
        }
    },
    "the most workers": {"spec.relay": {"workers": 64}},
    "a log of every connection": {"spec.accessLog": {"samplePercent": 100}},
    "the shortest life": {"spec.lifecycle": {"maxConnectionAgeSeconds": 1}},
    "the longest life": {"spec.lifecycle": {"maxConnectionAgeSeconds": 604800}},
    "replicas and resources": {
        "spec.relay": {
            "replicas": 3,
            "resources": {
                "requests": {"cpu": "250m", "memory": "64Mi"},
                "limits": {"cpu": 1, "memory": "1e9", "ephemeral-storage": "1Gi"},
            },
        }
    },
    "the longest name": {"metadata.name": "a" * 57},
    "a name of one label": {"spec.domain": "localhost"},
}
BAD_DOMAINS: Final[dict[str, Bad]] = {
    "a name must do for a Service, length": Bad({"metadata.name": _LONG_NAME}, _NAME_SAYS),
    "a name must do for a Service, dots": Bad({"metadata.name": "chat.example.com"}, _NAME_SAYS),
    "a name must do for a Service, first letter": Bad({"metadata.name": "4chat"}, _NAME_SAYS),
    "a domain is required": Bad(
        {"spec.domain": ABSENT}, "spec.domain: Required value", "Field required", "domain"
    ),
    "a domain is in lower case": Bad({"spec.domain": "Chat.example.com"}, _DOMAIN_SAYS, field="domain"),
    "a domain has no scheme": Bad({"spec.domain": "wss://chat.example.com"}, _DOMAIN_SAYS, field="domain"),
    "a domain has no port": Bad({"spec.domain": "chat.example.com:443"}, _DOMAIN_SAYS, field="domain"),
    "a domain has no wildcard": Bad({"spec.domain": "*.example.com"}, _DOMAIN_SAYS, field="domain"),
    "a label of a domain has 63 characters at most": Bad(
        {"spec.domain": "a" * 64 + ".com"}, _DOMAIN_SAYS, field="domain"
    ),
    "a domain has 253 characters at most": Bad(
        {"spec.domain": "a." * 127}, "may not be more than 253", "at most 253 characters", "domain"
    ),
    "the switch is required": Bad(
        {"spec.websocket.enabled": ABSENT},
        "spec.websocket.enabled: Required value",
        "Field required",
        "enabled",
    ),
    "an enabled domain needs a protocol": Bad(
        {"spec.websocket.originProtocol": ABSENT},
        "a domain that is enabled needs an originProtocol: HTTP, HTTPS or Follow",
        field="websocket",
        also=("spec.websocket.originProtocol: Required value",),
    ),
    "a check's path begins with a slash": Bad(
        {"spec.originHealthCheck": {"path": "healthz"}},
        "give a path that begins with a slash, with a query if need be",
        field="path",
    ),
    "a check's path ends no line": Bad(
        {"spec.originHealthCheck": {"path": "/a\r\nX: y"}},
        "give a path that begins with a slash, with a query if need be",
        field="path",
    ),
    "checks are a second apart": Bad(
        {"spec.originHealthCheck": {"intervalSeconds": 0}},
        "should be greater than or equal to 1",
        field="intervalSeconds",
    ),
    "a check takes at most a minute": Bad(
        {"spec.originHealthCheck": {"timeoutSeconds": 61}},
        "should be less than or equal to 60",
        field="timeoutSeconds",
    ),
    "an origin is unhealthy after ten checks at most": Bad(
        {"spec.originHealthCheck": {"unhealthyAfter": 11}},
        "should be less than or equal to 10",
        field="unhealthyAfter",
    ),
    "an origin is healthy after one check at least": Bad(
        {"spec.originHealthCheck": {"healthyAfter": 0}},
        "should be greater than or equal to 1",
        field="healthyAfter",
    ),
    "a PROXY header has one of two versions": Bad(
        {"spec.originRequest": {"proxyProtocol": "v2"}},
        'spec.originRequest.proxyProtocol: Unsupported value: "v2": supported values: "V1", "V2"',
        "Input should be 'V1' or 'V2'",
        "proxyProtocol",
    ),
    "a balance is one of three": Bad(
        {"spec.originRequest": {"loadBalancing": "Random"}},
        'spec.originRequest.loadBalancing: Unsupported value: "Random": supported values: "RoundRobin", "Le',
        "Input should be 'RoundRobin', 'LeastConnections' or 'ClientHash'",
        "loadBalancing",
    ),
    "a protocol is one of three": Bad(
        {"spec.websocket.originProtocol": "http"},
        'spec.websocket.originProtocol: Unsupported value: "http": supported values: "HTTP", "HTTPS", "Fol',
        "Input should be 'HTTP', 'HTTPS' or 'Follow'",
        "originProtocol",
    ),
    "a heartbeat has at least a second": Bad(
        {"spec.websocket.heartbeatSeconds": 0},
        "should be greater than or equal to 1",
        field="heartbeatSeconds",
    ),
    "a heartbeat has at most 300 seconds": Bad(
        {"spec.websocket.heartbeatSeconds": 301},
        "should be less than or equal to 300",
        field="heartbeatSeconds",
    ),
    "a heartbeat is whole seconds": Bad(
        {"spec.websocket.heartbeatSeconds": 1.5},
        'spec.websocket.heartbeatSeconds in body must be of type integer: "number"',
        "Input should be a valid integer",
        "heartbeatSeconds",
    ),
    "there is at least one origin": Bad(
        {"spec.origins": []}, "should have at least 1 items", "at least 1 item", "origins"
    ),
    "there are at most 64 origins": Bad(
        {"spec.origins": [{"host": f"10.0.0.{index}"} for index in range(65)]},
        "must have at most 64 items",
        "at most 64 items",
        "origins",
    ),
    "an origin is not both": Bad(
        {"spec.origins.0": {"host": "a", **_SERVICE}}, _EITHER_SAYS, field="origins.0"
    ),
    "an origin is not nothing": Bad({"spec.origins.0": {"weight": 1}}, _EITHER_SAYS, field="origins.0"),
    "an origin's host has no port": Bad(
        {"spec.origins.0.host": "10.0.0.7:9000"}, _HOST_SAYS, field="origins.0.host"
    ),
    "an origin's host has no scheme": Bad(
        {"spec.origins.0.host": "http://a.example.com"}, _HOST_SAYS, field="origins.0.host"
    ),
    "an origin's port is above 0": Bad(
        {"spec.origins.0.httpPort": 0}, "should be greater than or equal to 1", field="httpPort"
    ),
    "an origin's port is below 65536": Bad(
        {"spec.origins.0.httpsPort": 65536}, "should be less than or equal to 65535", field="httpsPort"
    ),
    "a service has a port": Bad(
        {"spec.origins.0": {"service": {"name": "room"}}},
        "spec.origins[0].service.port: Required value",
        "Field required",
        "service.port",
    ),
    "a service is of this namespace": Bad(
        {"spec.origins.0": {"service": {"name": "other/room", "port": 1}}},
        "give the name of a Service in this namespace",
        field="service.name",
    ),
    "Follow to a service needs a second port": Bad(
        {"spec.websocket.originProtocol": "Follow", "spec.origins": [_SERVICE]},
        "originProtocol Follow needs httpPort or httpsPort beside a service",
        field="spec",
    ),
    "a weight is not negative": Bad(
        {"spec.origins.0.weight": -1}, "should be greater than or equal to 0", field="weight"
    ),
    "a weight is at most 1000": Bad(
        {"spec.origins.0.weight": 1001}, "should be less than or equal to 1000", field="weight"
    ),
    "not every origin is a backup": Bad({"spec.origins.0.backup": True}, _PRIMARY_SAYS, field="spec"),
    "not every origin has no weight": Bad({"spec.origins.0.weight": 0}, _PRIMARY_SAYS, field="spec"),
    "a host header has no path": Bad(
        {"spec.originRequest": {"host": "a.example.com/ws"}},
        "give a host name, with a port if need be, without scheme or path",
        field="originRequest.host",
    ),
    "a dial has at least a second": Bad(
        {"spec.originRequest": {"connectTimeoutSeconds": 0}},
        "should be greater than or equal to 1",
        field="connectTimeoutSeconds",
    ),
    "a dial has at most a minute": Bad(
        {"spec.originRequest": {"connectTimeoutSeconds": 61}},
        "should be less than or equal to 60",
        field="connectTimeoutSeconds",
    ),
    "a server name is no address with a path": Bad(
        {"spec.originTLS": {"serverName": "a/b"}},
        "give the name in the origin's certificate, without scheme, port or path",
        field="serverName",
    ),
    "an authority that would never be asked is refused": Bad(
        {"spec.originTLS": {"caSecretName": "ca", "insecureSkipVerify": True}},
        "insecureSkipVerify checks no certificate, so caSecretName is useless: remove one",
        field="originTLS",
        also=("spec.originTLS.caSecretName",),
    ),
    "an authority's Secret is of this namespace": Bad(
        {"spec.originTLS": {"caSecretName": "other/ca"}}, _SECRET_SAYS, field="caSecretName"
    ),
    "a client certificate's Secret is of this namespace": Bad(
        {"spec.originTLS": {"clientCertificateSecretName": "CA"}},
        _SECRET_SAYS,
        field="clientCertificateSecretName",
    ),
    "TLS towards clients needs a Secret": Bad(
        {"spec.tls": {}}, "spec.tls.secretName: Required value", "Field required", "tls.secretName"
    ),
    "HTTP/2 passes no plain requests": Bad(
        {"spec.tls": {"secretName": "chat-tls", "http2": True}, "spec.passThrough": {}},
        "plain requests are not passed over HTTP/2: remove passThrough or tls.http2",
        field="spec",
    ),
    "HTTP/2 needs a Secret": Bad(
        {"spec.tls": {"http2": True}},
        "spec.tls.secretName: Required value",
        "Field required",
        "tls.secretName",
    ),
    "TLS towards clients needs a Secret with a name": Bad(
        {"spec.tls": {"secretName": "a b"}}, _SECRET_SAYS, field="tls.secretName"
    ),
    "a limit leaves a connection": Bad(
        {"spec.limits": {"connections": 0}}, "should be greater than or equal to 1", field="connections"
    ),
    "a limit is no more than a relay could have": Bad(
        {"spec.limits": {"connections": 1000001}},
        "should be less than or equal to 1000000",
        field="connections",
    ),
    "a limit leaves each client a connection": Bad(
        {"spec.limits": {"connectionsPerClient": 0}},
        "should be greater than or equal to 1",
        field="connectionsPerClient",
    ),
    "a client has no more connections than a relay": Bad(
        {"spec.limits": {"connectionsPerClient": 1000001}},
        "should be less than or equal to 1000000",
        field="connectionsPerClient",
    ),
    "a pace has at least a handshake": Bad(
        {"spec.limits": {"handshakesPerSecond": 0}},
        "should be greater than or equal to 1",
        field="handshakesPerSecond",
    ),
    "a pace is no more than a relay could have": Bad(
        {"spec.limits": {"handshakesPerSecond": 100001}},
        "should be less than or equal to 100000",
        field="handshakesPerSecond",
    ),
    "a message may have a byte": Bad(
        {"spec.limits": {"messageBytes": 0}}, "should be greater than or equal to 1", field="messageBytes"
    ),
    "a message has a gibibyte at most": Bad(
        {"spec.limits": {"messageBytes": (1 << 30) + 1}},
        "should be less than or equal to 1073741824",
        field="messageBytes",
    ),
    "a connection may have a kibibyte per second": Bad(
        {"spec.limits": {"bytesPerSecond": 1023}},
        "should be greater than or equal to 1024",
        field="bytesPerSecond",
    ),
    "a connection has a gibibyte per second at most": Bad(
        {"spec.limits": {"bytesPerSecond": (1 << 30) + 1}},
        "should be less than or equal to 1073741824",
        field="bytesPerSecond",
    ),
    "a stall takes time": Bad(
        {"spec.limits": {"stallSeconds": 0}}, "should be greater than or equal to 1", field="stallSeconds"
    ),
    "a stall ends within an hour": Bad(
        {"spec.limits": {"stallSeconds": 3601}},
        "should be less than or equal to 3600",
        field="stallSeconds",
    ),
    "a head may have a kibibyte": Bad(
        {"spec.limits": {"headerBytes": 1023}},
        "should be greater than or equal to 1024",
        field="headerBytes",
    ),
    "a head has 64 kibibytes at most": Bad(
        {"spec.limits": {"headerBytes": 65537}},
        "should be less than or equal to 65536",
        field="headerBytes",
    ),
    "a proxy's network has its bits": Bad(
        {"spec.clients": {"trustedProxies": ["10.0.0.1"]}}, _NETWORK_SAYS, field="trustedProxies.0"
    ),
    "a proxy's network has no name": Bad(
        {"spec.clients": {"trustedProxies": ["lb.example.com/32"]}}, _NETWORK_SAYS, field="trustedProxies.0"
    ),
    "a proxy's network has bytes below 256": Bad(
        {"spec.clients": {"trustedProxies": ["10.0.0.256/32"]}}, _NETWORK_SAYS, field="trustedProxies.0"
    ),
    "a proxy's network has 32 bits at most": Bad(
        {"spec.clients": {"trustedProxies": ["10.0.0.0/33"]}}, _NETWORK_SAYS, field="trustedProxies.0"
    ),
    "a proxy's IPv6 network has 128 bits at most": Bad(
        {"spec.clients": {"trustedProxies": ["2001:db8::/129"]}}, _NETWORK_SAYS, field="trustedProxies.0"
    ),
    "there are at most 64 networks of proxies": Bad(
        {"spec.clients": {"trustedProxies": [f"10.0.{index}.0/24" for index in range(65)]}},
        "must have at most 64 items",
        "at most 64 items",
        "trustedProxies",
    ),
    "a PROXY header comes from somebody": Bad(
        {"spec.clients": {"proxyProtocol": True}},
        "proxyProtocol needs trustedProxies: the networks of the load balancers that send the header",
        field="clients",
        also=("spec.clients.trustedProxies: Required value",),
    ),
    "an empty list of proxies is nobody": Bad(
        {"spec.clients": {"proxyProtocol": True, "trustedProxies": []}},
        "proxyProtocol needs trustedProxies: the networks of the load balancers that send the header",
        field="clients",
    ),
    "an origin of a page has no path": Bad(
        {"spec.clients": {"allowedOrigins": ["https://app.example.com/"]}},
        _WEB_ORIGIN_SAYS,
        field="allowedOrigins.0",
    ),
    "an origin of a page has a scheme": Bad(
        {"spec.clients": {"allowedOrigins": ["app.example.com"]}}, _WEB_ORIGIN_SAYS, field="allowedOrigins.0"
    ),
    "an origin of a page is in lower case": Bad(
        {"spec.clients": {"allowedOrigins": ["https://App.example.com"]}},
        _WEB_ORIGIN_SAYS,
        field="allowedOrigins.0",
    ),
    "a wildcard stands for whole labels": Bad(
        {"spec.clients": {"allowedOrigins": ["https://app*.example.com"]}},
        _WEB_ORIGIN_SAYS,
        field="allowedOrigins.0",
    ),
    "a path begins with a slash": Bad(
        {"spec.clients": {"allowedPaths": ["ws"]}}, _PATH_SAYS, field="allowedPaths.0"
    ),
    "a path has no query": Bad(
        {"spec.clients": {"allowedPaths": ["/ws?a=b"]}}, _PATH_SAYS, field="allowedPaths.0"
    ),
    "a path's star stands at its end": Bad(
        {"spec.clients": {"allowedPaths": ["/*/ws"]}}, _PATH_SAYS, field="allowedPaths.0"
    ),
    "there are at most 64 paths": Bad(
        {"spec.clients": {"allowedPaths": [f"/room/{index}" for index in range(65)]}},
        "must have at most 64 items",
        "at most 64 items",
        "allowedPaths",
    ),
    "a path that is passed has no fragment": Bad(
        {"spec.passThrough": {"paths": ["/ws#top"]}}, _PATH_SAYS, field="passThrough.paths.0"
    ),
    "there are at most 64 paths that are passed": Bad(
        {"spec.passThrough": {"paths": [f"/room/{index}" for index in range(65)]}},
        "must have at most 64 items",
        "at most 64 items",
        "passThrough.paths",
    ),
    "a method opens no tunnel": Bad(
        {"spec.passThrough": {"methods": ["CONNECT"]}},
        'Unsupported value: "CONNECT"',
        "Input should be 'GET'",
        "passThrough.methods.0",
    ),
    "there is a method": Bad(
        {"spec.passThrough": {"methods": []}}, "should have at least 1 items", "at least 1 item", "methods"
    ),
    "a body is not less than empty": Bad(
        {"spec.passThrough": {"maxBodyBytes": -1}},
        "should be greater than or equal to 0",
        field="maxBodyBytes",
    ),
    "a body has a tebibyte at most": Bad(
        {"spec.passThrough": {"maxBodyBytes": (1 << 40) + 1}},
        "should be less than or equal to 1099511627776",
        field="maxBodyBytes",
    ),
    "an answer has a second at least": Bad(
        {"spec.passThrough": {"timeoutSeconds": 0}},
        "should be greater than or equal to 1",
        field="timeoutSeconds",
    ),
    "an answer has an hour at most": Bad(
        {"spec.passThrough": {"timeoutSeconds": 3601}},
        "should be less than or equal to 3600",
        field="timeoutSeconds",
    ),
    "a cookie has a name": Bad(
        {"spec.originRequest": {"stickyCookie": {"name": "a b"}}},
        "give the name of a cookie: letters, digits, dashes, dots and underscores",
        field="stickyCookie.name",
    ),
    "a cookie lives for a second": Bad(
        {"spec.originRequest": {"stickyCookie": {"maxAgeSeconds": 0}}},
        "should be greater than or equal to 1",
        field="maxAgeSeconds",
    ),
    "a cookie lives for a year at most": Bad(
        {"spec.originRequest": {"stickyCookie": {"maxAgeSeconds": 31536001}}},
        "should be less than or equal to 31536000",
        field="maxAgeSeconds",
    ),
    "there are at most 64 origins of pages": Bad(
        {"spec.clients": {"allowedOrigins": [f"https://app-{index}.example.com" for index in range(65)]}},
        "must have at most 64 items",
        "at most 64 items",
        "allowedOrigins",
    ),
    "a drain does not go back in time": Bad(
        {"spec.lifecycle": {"drainSeconds": -1}}, "should be greater than or equal to 0", field="drainSeconds"
    ),
    "a drain ends within an hour": Bad(
        {"spec.lifecycle": {"drainSeconds": 3601}},
        "should be less than or equal to 3600",
        field="drainSeconds",
    ),
    "a relay has a worker": Bad(
        {"spec.relay": {"workers": 0}}, "should be greater than or equal to 1", field="workers"
    ),
    "a relay has at most 64 workers": Bad(
        {"spec.relay": {"workers": 65}}, "should be less than or equal to 64", field="workers"
    ),
    "databases of places need a volume": Bad(
        {"spec.relay": {"geo": {"city": "City.mmdb"}}},
        "spec.relay.geo.volumeClaimName: Required value",
        "Field required",
        "geo.volumeClaimName",
    ),
    "a volume of places needs a file": Bad(
        {"spec.relay": {"geo": {"volumeClaimName": "geo"}}},
        "name at least one file: ip2region, city or isp",
        field="geo",
    ),
    "a database of places is within its volume": Bad(
        {"spec.relay": {"geo": {"volumeClaimName": "geo", "city": "../City.mmdb"}}},
        "give the path of a file within the volume",
        field="geo.city",
    ),
    "a share is not negative": Bad(
        {"spec.accessLog": {"samplePercent": -1}},
        "should be greater than or equal to 0",
        field="samplePercent",
    ),
    "a share is at most all": Bad(
        {"spec.accessLog": {"samplePercent": 101}},
        "should be less than or equal to 100",
        field="samplePercent",
    ),
    "a life has at least a second": Bad(
        {"spec.lifecycle": {"maxConnectionAgeSeconds": 0}},
        "should be greater than or equal to 1",
        field="maxConnectionAgeSeconds",
    ),
    "a life ends within a week": Bad(
        {"spec.lifecycle": {"maxConnectionAgeSeconds": 604801}},
        "should be less than or equal to 604800",
        field="maxConnectionAgeSeconds",
    ),
    "there is at least one relay": Bad(
        {"spec.relay": {"replicas": 0}}, "should be greater than or equal to 1", field="replicas"
    ),
    "there are at most 100 relays": Bad(
        {"spec.relay": {"replicas": 101}}, "should be less than or equal to 100", field="replicas"
    ),
    "resources have known names": Bad(
        {"spec.relay": {"resources": {"limits": {"mem": "64Mi"}}}},
        "name cpu, memory or ephemeral-storage",
        field="resources",
    ),
    "resources are amounts": Bad(
        {"spec.relay": {"resources": {"limits": {"memory": "64 MB"}}}},
        "give an amount such as 2, 500m or 64Mi",
        field="memory",
    ),
    "resources are not negative, as a text": Bad(
        {"spec.relay": {"resources": {"requests": {"cpu": "-1"}}}},
        "give an amount such as 2, 500m or 64Mi",
        field="cpu",
    ),
    "resources are not negative, as a number": Bad(
        {"spec.relay": {"resources": {"requests": {"cpu": -1}}}},
        "give an amount such as 2, 500m or 64Mi",
        field="cpu",
    ),
    "a request is not above its limit": Bad(
        {"spec.relay": {"resources": {"requests": {"cpu": 1}, "limits": {"cpu": "500m"}}}},
        "a request may not be above its limit",
        field="resources",
    ),
    "an unknown field is not ignored": Bad(
        {"spec.websocket.heartbeat": 5},
        'unknown field "spec.websocket.heartbeat"',
        "unknown field",
        "heartbeat",
    ),
    "an unknown field of an origin is not ignored": Bad(
        {"spec.origins.0.port": 5},
        'unknown field "spec.origins[0].port"',
        "unknown field",
        "port",
    ),
}
