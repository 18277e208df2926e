"""Valid WebSocketDomains, and all tables of invalid ones as one."""

from __future__ import annotations

from typing import Any, Final

from support.operator.manifests.invalid_clients import INVALID_CLIENTS
from support.operator.manifests.invalid_domain import INVALID_DOMAIN
from support.operator.manifests.invalid_exposure import INVALID_EXPOSURE
from support.operator.manifests.invalid_origins import INVALID_ORIGINS
from support.operator.manifests.invalid_pods import INVALID_PODS
from support.operator.manifests.invalid_relays import INVALID_RELAYS
from support.operator.manifests.invalid_size import INVALID_SIZE
from support.operator.manifests.manifest import SERVICE, Invalid

VALID_DOMAINS: Final[dict[str, dict[str, Any]]] = {
    "the smallest domain": {},
    "a domain with underscores": {"spec.domain": "_chat.my_app.example.com"},
    "a domain without a dot": {"spec.domain": "chat"},
    "off and without a protocol": {"spec.websocket": {"enabled": False}},
    "HTTPS": {"spec.websocket.originProtocol": "HTTPS"},
    "a heartbeat towards no side": {"spec.websocket.heartbeatLegs": "None"},
    "a heartbeat towards clients alone": {"spec.websocket.heartbeatLegs": "Client"},
    "Follow to hosts": {"spec.websocket.originProtocol": "Follow"},
    "the shortest heartbeat": {"spec.websocket.heartbeatSeconds": 1},
    "the longest heartbeat": {"spec.websocket.heartbeatSeconds": 300},
    "a service": {"spec.origins": [SERVICE]},
    "Follow to a service with its port for HTTPS": {
        "spec.websocket.originProtocol": "Follow",
        "spec.origins": [{**SERVICE, "httpsPort": 9443}],
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
    "the longest dial": {"spec.originRequest": {"connectTimeoutSeconds": 60}},
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
    "balance by the client's address": {"spec.originRequest": {"loadBalancing": "ClientHash"}},
    "a load balancer": {
        "spec.exposure": {
            "service": {
                "type": "LoadBalancer",
                "annotations": {"service.beta.kubernetes.io/aws-load-balancer-type": "external"},
                "loadBalancerClass": "service.k8s.aws/nlb",
                "externalTrafficPolicy": "Local",
                "ipFamilyPolicy": "PreferDualStack",
                "loadBalancerSourceRanges": ["203.0.113.0/24", "2001:db8::/32"],
            },
            "dns": {"ttlSeconds": 60},
        }
    },
    "a port of every node": {"spec.exposure": {"service": {"type": "NodePort"}}},
    "an exposure of no part": {"spec.exposure": {}},
    "an Ingress by default": {"spec.exposure": {"ingress": {}}},
    "an Ingress that passes TLS through": {
        "spec.tls": {"secretName": "chat-tls"},
        "spec.exposure": {
            "ingress": {
                "className": "nginx",
                "annotations": {"nginx.ingress.kubernetes.io/ssl-passthrough": "true"},
                "tls": "Passthrough",
            }
        },
    },
    "external-dns by hand": {
        "spec.exposure": {
            "ingress": {"annotations": {"external-dns.alpha.kubernetes.io/ttl": "60"}},
        }
    },
    "a target for external-dns beside dns": {
        "spec.exposure": {
            "ingress": {"annotations": {"external-dns.kubernetes.io/target": "lb.example.com"}},
            "dns": {},
        }
    },
    "two listeners of one Gateway": {
        "spec.exposure": {
            "gateway": {
                "parentRefs": [
                    {"name": "public", "namespace": "gateways", "sectionName": "http"},
                    {"name": "public", "namespace": "gateways", "port": 8080},
                ]
            }
        }
    },
    "listeners for a Gateway": {
        "spec.tls": {"secretName": "chat-tls"},
        "spec.exposure": {
            "gateway": {
                "parentRefs": [{"kind": "Gateway", "name": "public"}],
                "listenerSet": {"httpPort": 8080},
                "tls": "Terminate",
            }
        },
    },
    "a certificate of cert-manager": {
        "spec.tls": {"secretName": "chat-tls"},
        "spec.exposure": {
            "certificate": {
                "issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer", "group": "cert-manager.io"}
            }
        },
    },
    "TLS towards origins": {
        "spec.originTLS": {
            "serverName": "room.example.com",
            "caSecretName": "room-ca",
            "clientCertificateSecretName": "relay.client",
        }
    },
    "TLS towards origins, unverified": {"spec.originTLS": {"insecureSkipVerify": True}},
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
    "the client's Host and address for origins": {
        "spec.originRequest": {"host": "preserve", "xRealIP": True}
    },
    "the lowest limits": {
        "spec.limits": {
            "connections": 1,
            "connectionsPerClient": 1,
            "handshakesPerSecond": 1,
            "messageBytes": 1,
            "bytesPerSecond": 1024,
            "framesPerSecond": 1,
            "messagesPerSecond": 1,
            "stallSeconds": 1,
            "headerBytes": 1024,
        }
    },
    "the highest limits": {
        "spec.limits": {
            "connections": 1000000,
            "connectionsPerClient": 1000000,
            "handshakesPerSecond": 100000,
            "messageBytes": 1 << 30,
            "bytesPerSecond": 1 << 30,
            "framesPerSecond": 1000000,
            "messagesPerSecond": 1000000,
            "stallSeconds": 3600,
            "headerBytes": 65536,
        }
    },
    "allowed origins of every kind": {
        "spec.clients": {
            "allowedOrigins": [
                "https://app.example.com",
                "https://*.example.com",
                "http://[::1]:3000",
                "chrome-extension://abcdefghijklmnop",
                "file://",
                "x-app://",
                "null",
            ]
        }
    },
    "paths of every kind": {
        "spec.clients": {"allowedPaths": ["/", "/*", "/ws", "/socket.io/*", "/a%20b;v=1/~x!$&'()+,"]}
    },
    "64 paths": {"spec.clients": {"allowedPaths": [f"/room/{index}" for index in range(64)]}},
    "plain requests by default": {"spec.passThrough": {}, "spec.originRequest": {"stickyCookie": {}}},
    "the lowest bounds of plain requests": {
        "spec.passThrough": {"paths": ["/x"], "methods": ["GET"], "maxBodyBytes": 0, "timeoutSeconds": 1},
        "spec.originRequest": {"stickyCookie": {"name": "a", "maxAgeSeconds": 1}},
    },
    "the highest bounds of plain requests": {
        "spec.passThrough": {
            "paths": [f"/room/{index}/*" for index in range(64)],
            "methods": ["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"],
            "maxBodyBytes": 1 << 40,
            "timeoutSeconds": 3600,
        },
        "spec.originRequest": {"stickyCookie": {"name": "__Host-" + "a" * 57, "maxAgeSeconds": 31536000}},
    },
    "64 allowed origins": {
        "spec.clients": {"allowedOrigins": [f"https://app-{index}.example.com" for index in range(64)]}
    },
    "pods with every setting": {
        "spec.relay": {
            "pod": {
                "nodeSelector": {"kubernetes.io/os": "linux", "disk": ""},
                "tolerations": [
                    {"operator": "Exists"},
                    {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 0},
                ],
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {
                                    "matchExpressions": [
                                        {"key": "example.com/cores", "operator": "Gt", "values": ["4"]},
                                        {"key": "disk", "operator": "NotIn", "values": ["hdd"]},
                                        {"key": "edge", "operator": "Exists"},
                                    ]
                                }
                            ]
                        },
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 100,
                                "preference": {
                                    "matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]
                                },
                            }
                        ],
                    },
                    "podAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 1,
                                "podAffinityTerm": {
                                    "topologyKey": "topology.kubernetes.io/zone",
                                    "labelSelector": {
                                        "matchLabels": {"app": "room"},
                                        "matchExpressions": [{"key": "canary", "operator": "DoesNotExist"}],
                                    },
                                },
                            }
                        ]
                    },
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {"topologyKey": "kubernetes.io/hostname", "matchLabelKeys": ["pod-template-hash"]}
                        ]
                    },
                },
                "topologySpreadConstraints": [
                    {
                        "maxSkew": 100,
                        "topologyKey": "topology.kubernetes.io/zone",
                        "whenUnsatisfiable": "DoNotSchedule",
                        "minDomains": 2,
                        "nodeAffinityPolicy": "Ignore",
                        "nodeTaintsPolicy": "Honor",
                    },
                    {
                        "maxSkew": 1,
                        "topologyKey": "topology.kubernetes.io/zone",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": {"team": "a"}},
                        "matchLabelKeys": ["pod-template-hash"],
                    },
                ],
                "priorityClassName": "edge-high",
                "annotations": {
                    "example.com/contact": "edge@example.com; any text: {}",
                    "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "spool",
                },
                "labels": {"team": "a", "example.com/cost-center": "4711", "app.kubernetes.io/part-of": "x"},
                "imagePullSecrets": [{"name": "registry"}, {"name": "mirror"}],
                "serviceAccountName": "wsedge-relay-team-a",
                "terminationGracePeriodSeconds": 75,
            }
        }
    },
    "pods with empty settings": {
        "spec.relay": {
            "pod": {
                "nodeSelector": {},
                "tolerations": [],
                "affinity": {},
                "topologySpreadConstraints": [],
                "annotations": {},
                "labels": {},
                "imagePullSecrets": [],
            }
        }
    },
    "the shortest grace period": {
        "spec.lifecycle": {"drainSeconds": 0},
        "spec.relay": {"pod": {"terminationGracePeriodSeconds": 45, "serviceAccountName": "wsedge-relay"}},
    },
    "a drain at once": {"spec.lifecycle": {"drainSeconds": 0}},
    "geo databases": {
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
    "an access log of every connection": {"spec.accessLog": {"samplePercent": 100}},
    "an access log of open connections": {"spec.accessLog": {"samplePercent": 5, "everySeconds": 86400}},
    "an access log with paths and queries": {
        "spec.accessLog": {"samplePercent": 5, "path": True, "query": True}
    },
    "the shortest age of a connection": {"spec.lifecycle": {"maxConnectionAgeSeconds": 1}},
    "the longest age of a connection": {"spec.lifecycle": {"maxConnectionAgeSeconds": 604800}},
    "replicas and resources": {
        "spec.relay": {
            "replicas": 3,
            "resources": {
                "requests": {"cpu": "250m", "memory": "64Mi"},
                "limits": {"cpu": 1, "memory": "1e9", "ephemeral-storage": "1Gi"},
            },
        }
    },
    "autoscaling beside the default number": {
        "spec.relay": {"replicas": 2, "autoscaling": {"maxReplicas": 1, "connectionsPerReplica": 1}}
    },
    "autoscaling with every field": {
        "spec.relay": {
            "autoscaling": {
                "minReplicas": 5,
                "maxReplicas": 100,
                "connectionsPerReplica": 1000000,
                "behavior": {
                    "scaleUp": {
                        "stabilizationWindowSeconds": 0,
                        "selectPolicy": "Disabled",
                        "policies": [
                            {"type": "Pods", "value": value, "periodSeconds": 1} for value in range(1, 17)
                        ],
                    },
                    "scaleDown": {
                        "stabilizationWindowSeconds": 3600,
                        "selectPolicy": "Min",
                        "policies": [{"type": "Percent", "value": 1000000, "periodSeconds": 1800}],
                    },
                },
                "schedules": [
                    {"cron": cron, "timeZone": zone, "minReplicas": least}
                    for cron, zone, least in [
                        ("0 8 * * MON-FRI", "America/Argentina/Buenos_Aires", 100),
                        ("*/15  08,20 1-31/2 jan-Dec,3 7", "Etc/GMT+5", 1),
                    ]
                    * 8
                ],
            },
            "rebalance": {"maxImbalancePercent": 1000, "connectionsPerSecond": 10000},
        }
    },
    "rebalancing by default": {"spec.relay": {"rebalance": {"connectionsPerSecond": 1}}},
    "the longest name": {"metadata.name": "a" * 57},
    "a name of one label": {"spec.domain": "localhost"},
}
INVALID_DOMAINS: Final[dict[str, Invalid]] = (
    INVALID_DOMAIN
    | INVALID_ORIGINS
    | INVALID_CLIENTS
    | INVALID_EXPOSURE
    | INVALID_RELAYS
    | INVALID_PODS
    | INVALID_SIZE
)
