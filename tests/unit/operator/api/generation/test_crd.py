"""The CustomResourceDefinitions: descriptions, columns, bounds, and the last release's reading of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

import last_release
from support.operator.schemas import FIELDS, fields, schema_of
from wsedge_operator.api.generation.crd import BILLING_PLAN, KINDS, WEBSOCKET_DOMAIN, Kind
from wsedge_relay import contract


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_last_release_parses_objects_of_this_definition(kind: Kind) -> None:
    """The last release runs under this definition during an upgrade, and refuses an unknown field.

    So a new field of the spec has no default, which would put it into every stored object.
    """
    text = (Path(last_release.__file__).parent / "crds" / kind.file_name).read_text()
    last = yaml.safe_load(text)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    now = schema_of(kind)["properties"]["spec"]
    known = dict(fields("", last))
    assert known
    assert known.keys() <= dict(fields("", now)).keys()
    assert [path for path, field in fields("", now) if path not in known and "default" in field] == []
    changed = [
        path
        for path, field in fields("", now)
        if path in known and "default" in field and _new_in(field["default"], known[path].get("default"))
    ]
    assert changed == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_status_can_be_written_under_the_last_release_s_definition(kind: Kind) -> None:
    """Server-side apply refuses a whole status for a field that the definition in force does not have.

    So each new field is one that the operator leaves out under an older definition (`is_exposure_declared`).
    """
    text = (Path(last_release.__file__).parent / "crds" / kind.file_name).read_text()
    last = yaml.safe_load(text)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    now = dict(fields("", schema_of(kind)["properties"]["status"]))
    left_out = {name for name in now if name.startswith(".addresses")}
    assert left_out == ({path for path in now if path not in dict(fields("", last))})


def _new_in(default: Any, last: Any) -> bool:
    """Return whether a default has a field that the last release's has not."""
    return isinstance(default, dict) and not default.keys() <= (last or {}).keys()


@pytest.mark.parametrize("path", FIELDS)
def test_each_field_is_explained(path: str) -> None:
    """Each field has a description of a sentence; a number's has its bounds and its default."""
    field = FIELDS[path]
    text = field.get("description", "")
    assert text.endswith(".")
    assert len(text.split()) >= 3
    if ".spec." in path and field.get("type") == "integer":
        assert f"{field['minimum']} to {field['maximum']}" in text
        assert "default" not in field or f"Default {field['default']}" in text


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_columns_show_fields(kind: Kind) -> None:
    """The path of each column is that of a field."""
    for column in kind.columns:
        path = re.sub(r"\[[^]]*\]", "[]", column.path)
        assert path == ".metadata.creationTimestamp" or f"{kind.name}{path}" in FIELDS


def test_scale_paths_are_fields() -> None:
    """The scale subresource reads and writes existing fields."""
    assert not BILLING_PLAN.scale
    assert all(f"WebSocketDomain{path}" in FIELDS for path in WEBSOCKET_DOMAIN.scale.values())


AGREEING = {
    "websocket.heartbeatSeconds": (contract.Domain, "heartbeatSeconds"),
    "websocket.heartbeatLegs": (contract.Domain, "heartbeatLegs"),
    "origins[].httpPort": (contract.Origin, "httpPort"),
    "origins[].httpsPort": (contract.Origin, "httpsPort"),
    "origins[].weight": (contract.Origin, "weight"),
    "origins[].backup": (contract.Origin, "backup"),
    "origins[].host": (contract.Origin, "host"),
    "originRequest.host": (contract.OriginRequest, "host"),
    "originRequest.xRealIP": (contract.OriginRequest, "xRealIP"),
    "originRequest.connectTimeoutSeconds": (contract.OriginRequest, "connectTimeoutSeconds"),
    "originRequest.loadBalancing": (contract.OriginRequest, "loadBalancing"),
    "originRequest.proxyProtocol": (contract.OriginRequest, "proxyProtocol"),
    "originRequest.stickyCookie.name": (contract.StickyCookie, "name"),
    "originRequest.stickyCookie.maxAgeSeconds": (contract.StickyCookie, "maxAgeSeconds"),
    "originHealthCheck.path": (contract.OriginHealthCheck, "path"),
    "originHealthCheck.intervalSeconds": (contract.OriginHealthCheck, "intervalSeconds"),
    "originHealthCheck.timeoutSeconds": (contract.OriginHealthCheck, "timeoutSeconds"),
    "originHealthCheck.unhealthyAfter": (contract.OriginHealthCheck, "unhealthyAfter"),
    "originHealthCheck.healthyAfter": (contract.OriginHealthCheck, "healthyAfter"),
    "originTLS.insecureSkipVerify": (contract.OriginTLS, "insecureSkipVerify"),
    "clients.allowedOrigins": (contract.Clients, "allowedOrigins"),
    "clients.allowedPaths": (contract.Clients, "allowedPaths"),
    "passThrough.paths": (contract.PassThrough, "paths"),
    "passThrough.methods": (contract.PassThrough, "methods"),
    "passThrough.maxBodyBytes": (contract.PassThrough, "maxBodyBytes"),
    "passThrough.timeoutSeconds": (contract.PassThrough, "timeoutSeconds"),
    "clients.trustedProxies": (contract.Clients, "trustedProxies"),
    "clients.proxyProtocol": (contract.Clients, "proxyProtocol"),
    "limits.connections": (contract.Limits, "connections"),
    "limits.connectionsPerClient": (contract.Limits, "connectionsPerClient"),
    "limits.handshakesPerSecond": (contract.Limits, "handshakesPerSecond"),
    "limits.messageBytes": (contract.Limits, "messageBytes"),
    "limits.bytesPerSecond": (contract.Limits, "bytesPerSecond"),
    "limits.framesPerSecond": (contract.Limits, "framesPerSecond"),
    "limits.messagesPerSecond": (contract.Limits, "messagesPerSecond"),
    "limits.stallSeconds": (contract.Limits, "stallSeconds"),
    "limits.headerBytes": (contract.Limits, "headerBytes"),
    "lifecycle.drainSeconds": (contract.Lifecycle, "drainSeconds"),
    "lifecycle.maxConnectionAgeSeconds": (contract.Lifecycle, "maxConnectionAgeSeconds"),
    "accessLog.samplePercent": (contract.AccessLog, "samplePercent"),
    "accessLog.everySeconds": (contract.AccessLog, "everySeconds"),
    "accessLog.path": (contract.AccessLog, "path"),
    "accessLog.query": (contract.AccessLog, "query"),
    "domain": (contract.Domain, "domain"),
    "origins": (contract.Domain, "origins"),
}


@pytest.mark.parametrize(("path", "counterpart"), AGREEING.items(), ids=AGREEING.keys())
def test_bounds_agree_with_the_relay(path: str, counterpart: tuple[type[BaseModel], str]) -> None:
    """A relay accepts every stored value: bounds, lengths and defaults are equal."""
    model, name = counterpart
    theirs = model.model_json_schema()["properties"][name]
    theirs = {**theirs, **next(iter(theirs.get("anyOf", [{}])))}
    ours = FIELDS[f"WebSocketDomain.spec.{path}"]
    for bound in ("minimum", "maximum", "minItems", "maxItems", "maxLength"):
        assert ours.get(bound) == theirs.get(bound), bound
    if "default" in ours:
        assert ours["default"] == theirs["default"]
