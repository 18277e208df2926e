"""The RelayConfig of a WebSocketDomain, and its ConfigMap."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import to_json

from wsedge_operator.api.meta import SpecPart, instant_text
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
_UNNAMED: Final = "?"
_Message = TypeVar("_Message", bound=contract.Message)

# Keys of the child Secret: file names in a relay's secrets folder.
TLS_CERTIFICATE: Final = "tls.crt"
TLS_KEY: Final = "tls.key"
ORIGIN_AUTHORITY: Final = "origin-ca.crt"
ORIGIN_CERTIFICATE: Final = "origin-client.crt"
ORIGIN_KEY: Final = "origin-client.key"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The values that a spec refers to, as read from the cluster.

    `origins` have addresses, `secrets` are contents by file name, `statistics_url` is the target of usage
    reports (None: relays do not report), `cluster` and `denied_networks` are as in RelayConfig.
    """

    origins: tuple[contract.Origin, ...]
    secrets: Mapping[str, bytes]
    statistics_url: str | None
    cluster: str | None = None
    denied_networks: tuple[str, ...] | None = None


def relay_config(
    owner: Mapping[str, Any], spec: WebSocketDomainSpec, resolved: Resolved
) -> contract.RelayConfig:
    """Return the configuration of the relays of `owner`, a WebSocketDomain that is switched on.

    Its generation is `<namespace>/<name>@<metadata.generation>.<hash>`. The hash is of all other fields,
    because a rotated certificate or another address of a Service does not change metadata.generation.
    """
    metadata = owner["metadata"]
    domain = contract.Domain(
        domain=spec.domain,
        account=metadata["namespace"],
        **spec.websocket.model_dump(),
        origins=resolved.origins,
        originRequest=contract.OriginRequest(
            host=spec.originRequest.host,
            xRealIP=spec.originRequest.xRealIP,
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
        clients=_converted(contract.Clients, spec.clients),
        passThrough=_converted(contract.PassThrough, spec.passThrough) if spec.passThrough else None,
        limits=_converted(contract.Limits, spec.limits),
        accessLog=_converted(contract.AccessLog, spec.accessLog),
        lifecycle=contract.Lifecycle(
            drainSeconds=spec.lifecycle.drainSeconds,
            maxConnectionAgeSeconds=spec.lifecycle.maxConnectionAgeSeconds,
        ),
    )
    url = resolved.statistics_url
    unnamed = contract.RelayConfig(
        version=1,
        generation=_UNNAMED,
        # The same ports for all domains: a relay opens its listeners only at its start. Without a certificate
        # it refuses each TLS handshake, and the Service has no port 443.
        listen=contract.Listen(http=HTTP_PORT, https=HTTPS_PORT, admin=ADMIN_PORT),
        domains=(domain,),
        # `cluster` and `deniedNetworks` are absent unless the administrator sets them: relays of the first
        # release refuse an unknown field.
        statistics=contract.StatisticsTarget(url=url, cluster=resolved.cluster) if url else None,
        deniedNetworks=resolved.denied_networks,
    )
    return _named(owner, unnamed)


def draining_config(owner: Mapping[str, Any], last: contract.RelayConfig) -> contract.RelayConfig:
    """Return `last` with each domain switched off, by which relays drain.

    It is made from the last configuration, because a Secret or a Service of the spec may no longer exist.
    Only drainSeconds is read from the spec: the edit that switches a domain off may also change the drain
    time.
    """
    change: dict[str, Any] = {"enabled": False}
    seconds = part_at(owner, "spec", "lifecycle", "drainSeconds")
    # A drain may begin while the spec is invalid (the plan ended): then the last drainSeconds apply.
    with contextlib.suppress(ValidationError):
        change["lifecycle"] = contract.Lifecycle.model_validate({"drainSeconds": seconds}, strict=True)
    domains = tuple(domain.model_copy(update=change) for domain in last.domains)
    return _named(owner, last.model_copy(update={"domains": domains}))


def _named(owner: Mapping[str, Any], config: contract.RelayConfig) -> contract.RelayConfig:
    metadata = owner["metadata"]
    text = _unnamed_text(config.model_copy(update={"generation": _UNNAMED}))
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    generation = f"{metadata['namespace']}/{metadata['name']}@{metadata.get('generation', 0)}.{digest}"
    return config.model_copy(update={"generation": generation})


def _health_check(spec: WebSocketDomainSpec) -> contract.OriginHealthCheck | None:
    wanted = spec.originHealthCheck
    return _converted(contract.OriginHealthCheck, wanted) if wanted is not None else None


def _sticky_cookie(metadata: Mapping[str, Any], spec: WebSocketDomainSpec) -> contract.StickyCookie | None:
    wanted = spec.originRequest.stickyCookie
    if wanted is None:
        return None
    # The key hides the origins' addresses in the cookie. No client can read the object's uid, and a user who
    # can read it can also read the origins in the same object.
    key = hashlib.sha256(f"{wanted.name} {metadata.get('uid', '')}".encode()).hexdigest()
    return contract.StickyCookie(**wanted.model_dump(), key=key)


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
    """Return the JSON of a configuration, from the text of which its generation is the digest."""
    text = _unnamed_text(config.model_copy(update={"generation": _UNNAMED}))
    # The only line that begins so: nested fields are indented further, and a text has no line break in it.
    named, unnamed = (f'\n  "generation": {json.dumps(name)}' for name in (config.generation, _UNNAMED))
    return text.replace(unnamed, named, 1)


# A decision needs each text twice, and the next decisions are often about the same domain.
@lru_cache(maxsize=64)
def _unnamed_text(config: contract.RelayConfig) -> str:
    return indented(config.model_dump(mode="json", exclude_none=True)) + "\n"


def indented(document: Any) -> str:
    """Return what json.dumps(document, indent=2, sort_keys=True) does, for a document without floats.

    The standard library indents in Python, which took a tenth of a decision. pydantic-core writes the same,
    but for characters that are not printable ASCII: those it does not escape.
    """
    text = to_json(_sorted(document), indent=2).decode()
    if text.isascii() and "\x7f" not in text:
        return text
    return json.dumps(document, indent=2, sort_keys=True)


def _sorted(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _sorted(part[name]) for name in sorted(part)}
    return [_sorted(item) for item in part] if isinstance(part, list) else part


@lru_cache(maxsize=256)
def _converted(model: type[_Message], part: SpecPart) -> _Message:
    """Return a part of a spec as the message of the same fields; most domains have the same parts."""
    return model(**part.model_dump())


def config_map(
    owner: Mapping[str, Any], config: contract.RelayConfig, *, draining_since: datetime | None
) -> dict[str, Any]:
    """Return the ConfigMap of `config`, with the start of the drain in an annotation."""
    annotations = {GENERATION_ANNOTATION: config.generation}
    if draining_since is not None:
        annotations[DRAIN_ANNOTATION] = instant_text(draining_since)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(owner, annotations),
        "data": {CONFIG_KEY: _text(config)},
    }
