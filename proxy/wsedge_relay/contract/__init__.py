"""RelayConfig: the message by which the operator, or a person, configures a relay. Pure.

Field names follow the CRD. Most fields have a default, so the smallest configuration is a listen address, a
domain, its account and one origin. Unknown fields are ignored and named in a warning: they belong to a newer
version, or are misspelt. A writer omits a new field that has no value, because the first release rejects
configurations with unknown fields.

File names (certificates, keys) are relative to the relay's secrets folder (`--secrets-dir`), or absolute.

    message       the base of all messages
    forms         names, ports, networks, paths
    certificates  files of certificates and authorities
    origins       where origins are, and how one is chosen, dialled and checked
    clients       who is admitted, limits, plain requests, the access log
    relay_config  the whole: listeners, domains, statistics
    admin         messages of the admin port

Other programs import this package, and none of its modules.
"""

from __future__ import annotations

from wsedge_relay.contract.admin import (
    ADMIN_TOKEN_FILE,
    ADMIN_TOKEN_HEADER,
    LEAST_SHED_PER_SECOND,
    MOST_LISTED_CONNECTIONS,
    MOST_SHED_CONNECTIONS,
    MOST_SHED_PER_SECOND,
    OpenConnection,
    OpenConnections,
    RelayState,
)
from wsedge_relay.contract.certificates import AuthorityFile, CertificateFiles, ServerTLS
from wsedge_relay.contract.clients import (
    MOST_HEADER_BYTES,
    AccessLog,
    Clients,
    HeartbeatLegs,
    Lifecycle,
    Limits,
    Method,
    PassThrough,
)
from wsedge_relay.contract.forms import (
    ANY_DOMAIN,
    AdminName,
    DomainName,
    HostHeader,
    ListenPort,
    Network,
    PathPattern,
    Port,
    WebOrigin,
)
from wsedge_relay.contract.message import Message
from wsedge_relay.contract.origins import (
    DENIED_NETWORKS,
    LOOPBACK_NETWORKS,
    PRESERVE_HOST,
    LoadBalancing,
    Origin,
    OriginHealthCheck,
    OriginProtocol,
    OriginRequest,
    OriginTLS,
    ProxyProtocol,
    StickyCookie,
)
from wsedge_relay.contract.relay_config import (
    AFTER_DRAIN_SECONDS,
    Domain,
    Listen,
    RelayConfig,
    StatisticsTarget,
)

__all__ = [
    "ADMIN_TOKEN_FILE",
    "ADMIN_TOKEN_HEADER",
    "AFTER_DRAIN_SECONDS",
    "ANY_DOMAIN",
    "DENIED_NETWORKS",
    "LEAST_SHED_PER_SECOND",
    "LOOPBACK_NETWORKS",
    "MOST_HEADER_BYTES",
    "MOST_LISTED_CONNECTIONS",
    "MOST_SHED_CONNECTIONS",
    "MOST_SHED_PER_SECOND",
    "PRESERVE_HOST",
    "AccessLog",
    "AdminName",
    "AuthorityFile",
    "CertificateFiles",
    "Clients",
    "Domain",
    "DomainName",
    "HeartbeatLegs",
    "HostHeader",
    "Lifecycle",
    "Limits",
    "Listen",
    "ListenPort",
    "LoadBalancing",
    "Message",
    "Method",
    "Network",
    "OpenConnection",
    "OpenConnections",
    "Origin",
    "OriginHealthCheck",
    "OriginProtocol",
    "OriginRequest",
    "OriginTLS",
    "PassThrough",
    "PathPattern",
    "Port",
    "ProxyProtocol",
    "RelayConfig",
    "RelayState",
    "ServerTLS",
    "StatisticsTarget",
    "StickyCookie",
    "WebOrigin",
]
