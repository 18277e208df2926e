"""The RelayConfig of a WebSocketDomain, and the ConfigMap that carries it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from wsedge_operator.api.meta import instant_text
from wsedge_operator.api.reading import part_at
from wsedge_operator.api.websocket_domain import WebSocketDomainSpec
from wsedge_operator.desired.names import (
    ADMIN_PORT,
    DRAIN_ANNOTATION,
    GENERATION_ANNOTATION,
    HTTP_PORT,
    HTTPS_PORT,
    child_metadata,
)
from wsedge_relay import contract

CONFIG_KEY: Final = "relay.json"

# Keys of the child Secret, which are file names in a relay's secrets folder.
TLS_CERTIFICATE: Final = "tls.crt"
TLS_KEY: Final = "tls.key"
ORIGIN_AUTHORITY: Final = "origin-ca.crt"
ORIGIN_CERTIFICATE: Final = "origin-client.crt"
ORIGIN_KEY: Final = "origin-client.key"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the cluster knew: origins' addresses, key material by file name, where to report.

    `denied_networks` is as in RelayConfig.
    """

    origins: tuple[contract.Origin, ...]
    secrets: Mapping[str, bytes]
    statistics_url: str | None
    denied_networks: tuple[str, ...] | None = None


def relay_config(
    owner: Mapping[str, Any], spec: WebSocketDomainSpec, resolved: Resolved
) -> contract.RelayConfig:
    """Return what the relays of the WebSocketDomain `owner`, which is switched on, are to serve.

    Its generation is `<namespace>/<name>@<metadata.generation>.<hash>`, the hash being of all the rest: a
    rotated certificate or a Service's new address is a new generation as well.
    """
    metadata = owner["metadata"]
    domain = contract.Domain(
        domain=spec.domain,
        account=metadata["namespace"],
        **spec.websocket.model_dump(),
        origins=resolved.origins,
        originRequest=contract.OriginRequest(
            host=spec.originRequest.host,
            connectTimeoutSeconds=spec.originRequest.connectTimeoutSeconds,
            loadBalancing=spec.originRequest.loadBalancing,
            proxyProtocol=spec.originRequest.proxyProtocol,
            stickyCookie=_sticky_cookie(metadata, spec),
        ),
        originTLS=contract.OriginTLS(
            serverName=spec.originTLS.serverName,
            authority=_authority(resolved.secrets),
            clientCertificate=_pair(resolved.secrets, ORIGIN_CERTIFICATE, ORIGIN_KEY),
            insecureSkipVerify=spec.originTLS.insecureSkipVerify,
        ),
        originHealthCheck=_health_check(spec),
        tls=_server_tls(spec, resolved.secrets),
        clients=contract.Clients(**spec.clients.model_dump()),
        passThrough=contract.PassThrough(**spec.passThrough.model_dump()) if spec.passThrough else None,
        limits=contract.Limits(**spec.limits.model_dump()),
        accessLog=contract.AccessLog(samplePercent=spec.accessLog.samplePercent),
        lifecycle=contract.Lifecycle(
            drainSeconds=spec.lifecycle.drainSeconds,
            maxConnectionAgeSeconds=spec.lifecycle.maxConnectionAgeSeconds,
        ),
    )
    url = resolved.statistics_url
    unnamed = contract.RelayConfig(
        version=1,
        generation="?",
        # The same for all: a relay cannot take another listener without a restart. Without a certificate it
        # refuses each TLS handshake, and the Service has no port for it.
        listen=contract.Listen(http=HTTP_PORT, https=HTTPS_PORT, admin=ADMIN_PORT),
        domains=(domain,),
        statistics=contract.StatisticsTarget(url=url) if url else None,
        # Left out unless the administrator says so: relays of the first release refuse a field that is new.
        deniedNetworks=resolved.denied_networks,
    )
    return _named(owner, unnamed)


def drained(owner: Mapping[str, Any], last: contract.RelayConfig) -> contract.RelayConfig:
    """Return the configuration that ends what `last` serves: all the same, but each domain is switched off.

    It depends on nothing that may be missing by now, such as a Secret or a Service. How long the drain takes
    is what the spec says now: the edit that switches off may well change it too.
    """
    change: dict[str, Any] = {"enabled": False}
    seconds = part_at(owner, "spec", "lifecycle", "drainSeconds")
    # The plan may end while the spec cannot be read: then the drain takes what it took before.
    with contextlib.suppress(ValidationError):
        change["lifecycle"] = contract.Lifecycle.model_validate({"drainSeconds": seconds}, strict=True)
    domains = tuple(domain.model_copy(update=change) for domain in last.domains)
    return _named(owner, last.model_copy(update={"domains": domains}))


def _named(owner: Mapping[str, Any], config: contract.RelayConfig) -> contract.RelayConfig:
    metadata = owner["metadata"]
    text = _text(config.model_copy(update={"generation": "?"}))
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    generation = f"{metadata['namespace']}/{metadata['name']}@{metadata.get('generation', 0)}.{digest}"
    return config.model_copy(update={"generation": generation})


def _health_check(spec: WebSocketDomainSpec) -> contract.OriginHealthCheck | None:
    asked = spec.originHealthCheck
    return contract.OriginHealthCheck(**asked.model_dump()) if asked is not None else None


def _sticky_cookie(metadata: Mapping[str, Any], spec: WebSocketDomainSpec) -> contract.StickyCookie | None:
    asked = spec.originRequest.stickyCookie
    if asked is None:
        return None
    # Clients cannot know the object's uid; who may read it may read the origins' addresses beside it.
    key = hashlib.sha256(f"{asked.name} {metadata.get('uid', '')}".encode()).hexdigest()
    return contract.StickyCookie(**asked.model_dump(), key=key)


def _authority(secrets: Mapping[str, bytes]) -> contract.AuthorityFile | None:
    if ORIGIN_AUTHORITY not in secrets:
        return None
    return contract.AuthorityFile(
        file=ORIGIN_AUTHORITY, fingerprint=_fingerprint([secrets[ORIGIN_AUTHORITY]])
    )


def _server_tls(spec: WebSocketDomainSpec, secrets: Mapping[str, bytes]) -> contract.ServerTLS | None:
    pair = _pair(secrets, TLS_CERTIFICATE, TLS_KEY)
    if pair is None or spec.tls is None:
        return None
    return contract.ServerTLS(**pair.model_dump(), http2=spec.tls.http2)


def _pair(secrets: Mapping[str, bytes], certificate: str, key: str) -> contract.CertificateFiles | None:
    if certificate not in secrets:
        return None
    fingerprint = _fingerprint([secrets[certificate], secrets[key]])
    return contract.CertificateFiles(certificateFile=certificate, keyFile=key, fingerprint=fingerprint)


def _fingerprint(contents: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(contents)).hexdigest()


def _text(config: contract.RelayConfig) -> str:
    document = config.model_dump(mode="json", exclude_none=True)
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def config_map(
    owner: Mapping[str, Any], config: contract.RelayConfig, *, draining_since: datetime | None
) -> dict[str, Any]:
    """Return the ConfigMap of a configuration, and since when it tells the relays to drain."""
    annotations = {GENERATION_ANNOTATION: config.generation}
    if draining_since is not None:
        annotations[DRAIN_ANNOTATION] = instant_text(draining_since)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(owner, annotations),
        "data": {CONFIG_KEY: _text(config)},
    }
