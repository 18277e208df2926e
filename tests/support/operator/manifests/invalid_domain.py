"""Refused WebSocketDomains: name, domain, the switch and its protocol."""

from __future__ import annotations

from typing import Final

from support.operator.manifests.manifest import ABSENT, Invalid

_LONG_NAME: Final = "a" * 58
_NAME_TEXT: Final = "metadata.name becomes the name of a Service: at most 57 characters"
_DOMAIN_TEXT: Final = "give a host name in lower case without scheme, port, path or wildcard"

INVALID_DOMAIN: Final[dict[str, Invalid]] = {
    "a name is valid for a Service: length": Invalid({"metadata.name": _LONG_NAME}, _NAME_TEXT),
    "a name is valid for a Service: no dots": Invalid({"metadata.name": "chat.example.com"}, _NAME_TEXT),
    "a name is valid for a Service: a letter first": Invalid({"metadata.name": "4chat"}, _NAME_TEXT),
    "a domain is required": Invalid(
        {"spec.domain": ABSENT}, "spec.domain: Required value", "Field required", "domain"
    ),
    "a domain is in lower case": Invalid({"spec.domain": "Chat.example.com"}, _DOMAIN_TEXT, field="domain"),
    "a domain has no scheme": Invalid(
        {"spec.domain": "wss://chat.example.com"}, _DOMAIN_TEXT, field="domain"
    ),
    "a domain has no port": Invalid({"spec.domain": "chat.example.com:443"}, _DOMAIN_TEXT, field="domain"),
    "a domain has no wildcard": Invalid({"spec.domain": "*.example.com"}, _DOMAIN_TEXT, field="domain"),
    "a domain is not every name": Invalid({"spec.domain": "*"}, _DOMAIN_TEXT, field="domain"),
    "a domain is no IPv6 address": Invalid({"spec.domain": "2001:db8::7"}, _DOMAIN_TEXT, field="domain"),
    "a label of a domain has 63 characters at most": Invalid(
        {"spec.domain": "a" * 64 + ".com"}, _DOMAIN_TEXT, field="domain"
    ),
    "a domain has 253 characters at most": Invalid(
        {"spec.domain": "a." * 127}, "may not be more than 253", "at most 253 characters", "domain"
    ),
    "enabled is required": Invalid(
        {"spec.websocket.enabled": ABSENT},
        "spec.websocket.enabled: Required value",
        "Field required",
        "enabled",
    ),
    "an enabled domain needs a protocol": Invalid(
        {"spec.websocket.originProtocol": ABSENT},
        "a domain that is enabled needs an originProtocol: HTTP, HTTPS or Follow",
        field="websocket",
        also=("spec.websocket.originProtocol: Required value",),
    ),
    "a protocol is one of three": Invalid(
        {"spec.websocket.originProtocol": "http"},
        'spec.websocket.originProtocol: Unsupported value: "http": supported values: "HTTP", "HTTPS", "Fol',
        "Input should be 'HTTP', 'HTTPS' or 'Follow'",
        "originProtocol",
    ),
    "a heartbeat has at least a second": Invalid(
        {"spec.websocket.heartbeatSeconds": 0},
        "should be greater than or equal to 1",
        field="heartbeatSeconds",
    ),
    "a heartbeat has at most 300 seconds": Invalid(
        {"spec.websocket.heartbeatSeconds": 301},
        "should be less than or equal to 300",
        field="heartbeatSeconds",
    ),
    "a heartbeat is towards known sides": Invalid(
        {"spec.websocket.heartbeatLegs": "Neither"},
        'Unsupported value: "Neither"',
        "Input should be 'Both', 'Client', 'Origin' or 'None'",
        "heartbeatLegs",
    ),
    "a heartbeat is whole seconds": Invalid(
        {"spec.websocket.heartbeatSeconds": 1.5},
        'spec.websocket.heartbeatSeconds in body must be of type integer: "number"',
        "Input should be a valid integer",
        "heartbeatSeconds",
    ),
    "an unknown field is refused": Invalid(
        {"spec.websocket.heartbeat": 5},
        'unknown field "spec.websocket.heartbeat"',
        "unknown field",
        "heartbeat",
    ),
}
