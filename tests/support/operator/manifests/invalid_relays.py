"""Refused WebSocketDomains: limits, lifecycle, relays, the access log."""

from __future__ import annotations

from typing import Final

from support.operator.manifests.manifest import Invalid

INVALID_RELAYS: Final[dict[str, Invalid]] = {
    "a relay has at least one connection": Invalid(
        {"spec.limits": {"connections": 0}}, "should be greater than or equal to 1", field="connections"
    ),
    "a relay has at most a million connections": Invalid(
        {"spec.limits": {"connections": 1000001}},
        "should be less than or equal to 1000000",
        field="connections",
    ),
    "a client has at least one connection": Invalid(
        {"spec.limits": {"connectionsPerClient": 0}},
        "should be greater than or equal to 1",
        field="connectionsPerClient",
    ),
    "a client has at most a million connections": Invalid(
        {"spec.limits": {"connectionsPerClient": 1000001}},
        "should be less than or equal to 1000000",
        field="connectionsPerClient",
    ),
    "the rate is at least one handshake per second": Invalid(
        {"spec.limits": {"handshakesPerSecond": 0}},
        "should be greater than or equal to 1",
        field="handshakesPerSecond",
    ),
    "the rate is at most 100,000 handshakes per second": Invalid(
        {"spec.limits": {"handshakesPerSecond": 100001}},
        "should be less than or equal to 100000",
        field="handshakesPerSecond",
    ),
    "a message's limit is at least a byte": Invalid(
        {"spec.limits": {"messageBytes": 0}}, "should be greater than or equal to 1", field="messageBytes"
    ),
    "a message's limit is at most a gibibyte": Invalid(
        {"spec.limits": {"messageBytes": (1 << 30) + 1}},
        "should be less than or equal to 1073741824",
        field="messageBytes",
    ),
    "a connection's rate is at least a kibibyte per second": Invalid(
        {"spec.limits": {"bytesPerSecond": 1023}},
        "should be greater than or equal to 1024",
        field="bytesPerSecond",
    ),
    "a connection's rate is at most a gibibyte per second": Invalid(
        {"spec.limits": {"bytesPerSecond": (1 << 30) + 1}},
        "should be less than or equal to 1073741824",
        field="bytesPerSecond",
    ),
    "a client may send a frame per second": Invalid(
        {"spec.limits": {"framesPerSecond": 0}},
        "should be greater than or equal to 1",
        field="framesPerSecond",
    ),
    "a client may send at most a million messages per second": Invalid(
        {"spec.limits": {"messagesPerSecond": 1000001}},
        "should be less than or equal to 1000000",
        field="messagesPerSecond",
    ),
    "a stall is at least a second": Invalid(
        {"spec.limits": {"stallSeconds": 0}}, "should be greater than or equal to 1", field="stallSeconds"
    ),
    "a stall is at most an hour": Invalid(
        {"spec.limits": {"stallSeconds": 3601}},
        "should be less than or equal to 3600",
        field="stallSeconds",
    ),
    "a head's limit is at least a kibibyte": Invalid(
        {"spec.limits": {"headerBytes": 1023}},
        "should be greater than or equal to 1024",
        field="headerBytes",
    ),
    "a head's limit is at most 64 kibibytes": Invalid(
        {"spec.limits": {"headerBytes": 65537}},
        "should be less than or equal to 65536",
        field="headerBytes",
    ),
    "a drain's duration is not negative": Invalid(
        {"spec.lifecycle": {"drainSeconds": -1}}, "should be greater than or equal to 0", field="drainSeconds"
    ),
    "a drain's duration is at most an hour": Invalid(
        {"spec.lifecycle": {"drainSeconds": 3601}},
        "should be less than or equal to 3600",
        field="drainSeconds",
    ),
    "a relay has at least one worker": Invalid(
        {"spec.relay": {"workers": 0}}, "should be greater than or equal to 1", field="workers"
    ),
    "a relay has at most 64 workers": Invalid(
        {"spec.relay": {"workers": 65}}, "should be less than or equal to 64", field="workers"
    ),
    "geo databases need a volume": Invalid(
        {"spec.relay": {"geo": {"city": "City.mmdb"}}},
        "spec.relay.geo.volumeClaimName: Required value",
        "Field required",
        "geo.volumeClaimName",
    ),
    "a geo volume needs at least one file": Invalid(
        {"spec.relay": {"geo": {"volumeClaimName": "geo"}}},
        "name at least one file: ip2region, city or isp",
        field="geo",
    ),
    "a geo database is within its volume": Invalid(
        {"spec.relay": {"geo": {"volumeClaimName": "geo", "city": "../City.mmdb"}}},
        "give the path of a file within the volume",
        field="geo.city",
    ),
    "the sample of the access log is not negative": Invalid(
        {"spec.accessLog": {"samplePercent": -1}},
        "should be greater than or equal to 0",
        field="samplePercent",
    ),
    "the sample of the access log is at most 100 %": Invalid(
        {"spec.accessLog": {"samplePercent": 101}},
        "should be less than or equal to 100",
        field="samplePercent",
    ),
    "the interval of the access log is at least a second": Invalid(
        {"spec.accessLog": {"everySeconds": 0}},
        "should be greater than or equal to 1",
        field="everySeconds",
    ),
    "the interval of the access log is at most a day": Invalid(
        {"spec.accessLog": {"everySeconds": 86401}},
        "should be less than or equal to 86400",
        field="everySeconds",
    ),
    "a connection's age is at least a second": Invalid(
        {"spec.lifecycle": {"maxConnectionAgeSeconds": 0}},
        "should be greater than or equal to 1",
        field="maxConnectionAgeSeconds",
    ),
    "a connection's age is at most a week": Invalid(
        {"spec.lifecycle": {"maxConnectionAgeSeconds": 604801}},
        "should be less than or equal to 604800",
        field="maxConnectionAgeSeconds",
    ),
    "there is at least one relay": Invalid(
        {"spec.relay": {"replicas": 0}}, "should be greater than or equal to 1", field="replicas"
    ),
    "there are at most 100 relays": Invalid(
        {"spec.relay": {"replicas": 101}}, "should be less than or equal to 100", field="replicas"
    ),
    "resources have known names": Invalid(
        {"spec.relay": {"resources": {"limits": {"mem": "64Mi"}}}},
        "name cpu, memory or ephemeral-storage",
        field="resources",
    ),
    "resources are amounts": Invalid(
        {"spec.relay": {"resources": {"limits": {"memory": "64 MB"}}}},
        "give an amount such as 2, 500m or 64Mi",
        field="memory",
    ),
    "resources are not negative: a string": Invalid(
        {"spec.relay": {"resources": {"requests": {"cpu": "-1"}}}},
        "give an amount such as 2, 500m or 64Mi",
        field="cpu",
    ),
    "resources are not negative: a number": Invalid(
        {"spec.relay": {"resources": {"requests": {"cpu": -1}}}},
        "give an amount such as 2, 500m or 64Mi",
        field="cpu",
    ),
    "a request is not above its limit": Invalid(
        {"spec.relay": {"resources": {"requests": {"cpu": 1}, "limits": {"cpu": "500m"}}}},
        "a request may not be above its limit",
        field="resources",
    ),
}
