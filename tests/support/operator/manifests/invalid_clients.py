"""Refused WebSocketDomains: TLS towards clients, proxies, allowed origins, paths, plain requests."""

from __future__ import annotations

from typing import Final

from support.operator.manifests.manifest import Invalid

_PATH_TEXT: Final = "give a path that begins with a slash, without a query, or a prefix that ends in *"
_SECRET_TEXT: Final = "give the name of a Secret in this namespace"
_WEB_ORIGIN_TEXT: Final = "give an origin as browsers send it, in lower case and without a path"
_NETWORK_TEXT: Final = "give a network as address/bits, for example 10.0.0.0/8 or 2001:db8::/32"

INVALID_CLIENTS: Final[dict[str, Invalid]] = {
    "TLS towards clients needs a Secret": Invalid(
        {"spec.tls": {}}, "spec.tls.secretName: Required value", "Field required", "tls.secretName"
    ),
    "HTTP/2 passes no plain requests": Invalid(
        {"spec.tls": {"secretName": "chat-tls", "http2": True}, "spec.passThrough": {}},
        "plain requests are not passed over HTTP/2: remove passThrough or tls.http2",
        field="spec",
    ),
    "HTTP/2 needs a Secret": Invalid(
        {"spec.tls": {"http2": True}},
        "spec.tls.secretName: Required value",
        "Field required",
        "tls.secretName",
    ),
    "TLS towards clients needs a valid name of a Secret": Invalid(
        {"spec.tls": {"secretName": "a b"}}, _SECRET_TEXT, field="tls.secretName"
    ),
    "a proxy's network has a prefix length": Invalid(
        {"spec.clients": {"trustedProxies": ["10.0.0.1"]}}, _NETWORK_TEXT, field="trustedProxies.0"
    ),
    "a proxy's network is no host name": Invalid(
        {"spec.clients": {"trustedProxies": ["lb.example.com/32"]}}, _NETWORK_TEXT, field="trustedProxies.0"
    ),
    "a proxy's network has bytes below 256": Invalid(
        {"spec.clients": {"trustedProxies": ["10.0.0.256/32"]}}, _NETWORK_TEXT, field="trustedProxies.0"
    ),
    "a proxy's network has 32 bits at most": Invalid(
        {"spec.clients": {"trustedProxies": ["10.0.0.0/33"]}}, _NETWORK_TEXT, field="trustedProxies.0"
    ),
    "a proxy's IPv6 network has 128 bits at most": Invalid(
        {"spec.clients": {"trustedProxies": ["2001:db8::/129"]}}, _NETWORK_TEXT, field="trustedProxies.0"
    ),
    "there are at most 64 networks of proxies": Invalid(
        {"spec.clients": {"trustedProxies": [f"10.0.{index}.0/24" for index in range(65)]}},
        "must have at most 64 items",
        "at most 64 items",
        "trustedProxies",
    ),
    "PROXY headers need trusted proxies": Invalid(
        {"spec.clients": {"proxyProtocol": True}},
        "proxyProtocol needs trustedProxies: the networks of the load balancers that send the header",
        field="clients",
        also=("spec.clients.trustedProxies: Required value",),
    ),
    "an empty list of proxies is none": Invalid(
        {"spec.clients": {"proxyProtocol": True, "trustedProxies": []}},
        "proxyProtocol needs trustedProxies: the networks of the load balancers that send the header",
        field="clients",
    ),
    "an allowed origin has no path": Invalid(
        {"spec.clients": {"allowedOrigins": ["https://app.example.com/"]}},
        _WEB_ORIGIN_TEXT,
        field="allowedOrigins.0",
    ),
    "an allowed origin has a scheme": Invalid(
        {"spec.clients": {"allowedOrigins": ["app.example.com"]}}, _WEB_ORIGIN_TEXT, field="allowedOrigins.0"
    ),
    "an allowed origin of a scheme with hosts has a host": Invalid(
        {"spec.clients": {"allowedOrigins": ["https://"]}}, _WEB_ORIGIN_TEXT, field="allowedOrigins.0"
    ),
    "an allowed origin of ws has a host too": Invalid(
        {"spec.clients": {"allowedOrigins": ["ws://"]}}, _WEB_ORIGIN_TEXT, field="allowedOrigins.0"
    ),
    "an allowed origin without a host has no port": Invalid(
        {"spec.clients": {"allowedOrigins": ["file://:80"]}}, _WEB_ORIGIN_TEXT, field="allowedOrigins.0"
    ),
    "an allowed origin without a host has no path": Invalid(
        {"spec.clients": {"allowedOrigins": ["file:///"]}}, _WEB_ORIGIN_TEXT, field="allowedOrigins.0"
    ),
    "an allowed origin is in lower case": Invalid(
        {"spec.clients": {"allowedOrigins": ["https://App.example.com"]}},
        _WEB_ORIGIN_TEXT,
        field="allowedOrigins.0",
    ),
    "a wildcard of an allowed origin is a whole label": Invalid(
        {"spec.clients": {"allowedOrigins": ["https://app*.example.com"]}},
        _WEB_ORIGIN_TEXT,
        field="allowedOrigins.0",
    ),
    "a path begins with a slash": Invalid(
        {"spec.clients": {"allowedPaths": ["ws"]}}, _PATH_TEXT, field="allowedPaths.0"
    ),
    "a path has no query": Invalid(
        {"spec.clients": {"allowedPaths": ["/ws?a=b"]}}, _PATH_TEXT, field="allowedPaths.0"
    ),
    "a path's star is at its end": Invalid(
        {"spec.clients": {"allowedPaths": ["/*/ws"]}}, _PATH_TEXT, field="allowedPaths.0"
    ),
    "there are at most 64 paths": Invalid(
        {"spec.clients": {"allowedPaths": [f"/room/{index}" for index in range(65)]}},
        "must have at most 64 items",
        "at most 64 items",
        "allowedPaths",
    ),
    "a path of plain requests has no fragment": Invalid(
        {"spec.passThrough": {"paths": ["/ws#top"]}}, _PATH_TEXT, field="passThrough.paths.0"
    ),
    "there are at most 64 paths of plain requests": Invalid(
        {"spec.passThrough": {"paths": [f"/room/{index}" for index in range(65)]}},
        "must have at most 64 items",
        "at most 64 items",
        "passThrough.paths",
    ),
    "CONNECT is not passed": Invalid(
        {"spec.passThrough": {"methods": ["CONNECT"]}},
        'Unsupported value: "CONNECT"',
        "Input should be 'GET'",
        "passThrough.methods.0",
    ),
    "there is at least one method": Invalid(
        {"spec.passThrough": {"methods": []}}, "should have at least 1 items", "at least 1 item", "methods"
    ),
    "a body's limit is not negative": Invalid(
        {"spec.passThrough": {"maxBodyBytes": -1}},
        "should be greater than or equal to 0",
        field="maxBodyBytes",
    ),
    "a body's limit is at most a tebibyte": Invalid(
        {"spec.passThrough": {"maxBodyBytes": (1 << 40) + 1}},
        "should be less than or equal to 1099511627776",
        field="maxBodyBytes",
    ),
    "an answer's timeout is at least a second": Invalid(
        {"spec.passThrough": {"timeoutSeconds": 0}},
        "should be greater than or equal to 1",
        field="timeoutSeconds",
    ),
    "an answer's timeout is at most an hour": Invalid(
        {"spec.passThrough": {"timeoutSeconds": 3601}},
        "should be less than or equal to 3600",
        field="timeoutSeconds",
    ),
    "there are at most 64 allowed origins": Invalid(
        {"spec.clients": {"allowedOrigins": [f"https://app-{index}.example.com" for index in range(65)]}},
        "must have at most 64 items",
        "at most 64 items",
        "allowedOrigins",
    ),
}
