"""The CRDs and the reference page, generated from the models."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel

import last_release
from wsedge_operator.api.generation import __main__ as generate
from wsedge_operator.api.generation import reference, relay_fields
from wsedge_operator.api.generation.crd import BILLING_PLAN, KINDS, WEBSOCKET_DOMAIN, Kind, definition
from wsedge_operator.api.generation.schema import structural_schema
from wsedge_relay import contract

ROOT = Path(__file__).parents[4]


def fields(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field below, with its path."""
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from fields(f"{path}.{name}", child)
        yield from fields(f"{path}.{name}[]", child.get("items", {}))


def schema_of(kind: Kind) -> dict[str, Any]:
    """Return the kind's schema."""
    schema: dict[str, Any] = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


FIELDS = {
    f"{kind.name}{path}": field
    for kind in KINDS
    for part in ("spec", "status")
    for path, field in fields(f".{part}", schema_of(kind)["properties"][part])
}


@pytest.mark.parametrize("run", [generate.main, reference.main], ids=["CRDs", "reference"])
def test_what_is_committed_is_current(run: Any) -> None:
    """The committed files are what the models say."""
    assert run(["--check", f"--root={ROOT}"]) == 0


def test_stale_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A check of stale files fails and says what to do; generating mends it; again writes nothing."""
    check, write = ["--check", f"--root={tmp_path}"], [f"--root={tmp_path}"]
    assert generate.main(check) == 1
    assert "run `make generate` and commit the result" in capsys.readouterr().err
    assert generate.main(write) == 0
    assert generate.main(check) == 0
    (tmp_path / "crds" / "wsedge.io_billingplans.yaml").write_text("other")
    assert generate.stale_files(tmp_path, generate.crd_files()) == [Path("crds/wsedge.io_billingplans.yaml")]


@pytest.mark.parametrize("module", [generate, reference, relay_fields], ids=lambda module: module.__name__)
def test_a_module_is_a_command(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m` of each generator ends with the exit code of its check."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [module.__name__, "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(module.__file__), run_name="__main__")
    assert ended.value.code == 0


def test_generation_is_stable() -> None:
    """Two runs give equal bytes, and both folders the same content."""
    files = generate.crd_files()
    assert files == generate.crd_files()
    assert len(set(files.values())) == len(KINDS) == len(files) / 2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_last_release_reads_what_this_definition_makes_of_objects(kind: Kind) -> None:
    """Its operator runs beside this definition during an upgrade, and refuses a field that it does not know.

    So a field of the spec that is new has no default, or it would be in every stored object.
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
    """Server-side apply refuses a whole status for a field that the definition in force does not have."""
    text = (Path(last_release.__file__).parent / "crds" / kind.file_name).read_text()
    last = yaml.safe_load(text)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    now = dict(fields("", schema_of(kind)["properties"]["status"]))
    assert now.keys() <= dict(fields("", last)).keys()


def _new_in(default: Any, last: Any) -> bool:
    """Tell whether a default has a field that the last release's has not."""
    return isinstance(default, dict) and not default.keys() <= (last or {}).keys()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_structural(kind: Kind) -> None:
    """Every level has a type or takes an amount, and none has what a structural schema may not have."""
    text = yaml.safe_dump(schema_of(kind))
    assert not any(
        word in text for word in ("$ref", "anyOf", "allOf", "nullable", "additionalProperties: fal")
    )
    assert all("type" in field or "x-kubernetes-int-or-string" in field for field in FIELDS.values())


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
    """Each column's path leads to a field that there is."""
    for column in kind.columns:
        path = column.path.replace('[?(@.type=="Ready")]', "[]").replace('[?(@.type=="Effective")]', "[]")
        assert path == ".metadata.creationTimestamp" or f"{kind.name}{path}" in FIELDS


def test_scale_paths_are_fields() -> None:
    """The scale subresource reads and writes fields that there are."""
    assert not BILLING_PLAN.scale
    assert all(f"WebSocketDomain{path}" in FIELDS for path in WEBSOCKET_DOMAIN.scale.values())


AGREEING = {
    "websocket.heartbeatSeconds": (contract.Domain, "heartbeatSeconds"),
    "origins[].httpPort": (contract.Origin, "httpPort"),
    "origins[].httpsPort": (contract.Origin, "httpsPort"),
    "origins[].weight": (contract.Origin, "weight"),
    "origins[].backup": (contract.Origin, "backup"),
    "origins[].host": (contract.Origin, "host"),
    "originRequest.host": (contract.OriginRequest, "host"),
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
    "limits.stallSeconds": (contract.Limits, "stallSeconds"),
    "limits.headerBytes": (contract.Limits, "headerBytes"),
    "lifecycle.drainSeconds": (contract.Lifecycle, "drainSeconds"),
    "lifecycle.maxConnectionAgeSeconds": (contract.Lifecycle, "maxConnectionAgeSeconds"),
    "accessLog.samplePercent": (contract.AccessLog, "samplePercent"),
    "domain": (contract.Domain, "domain"),
    "origins": (contract.Domain, "origins"),
}


@pytest.mark.parametrize(("path", "counterpart"), AGREEING.items(), ids=AGREEING.keys())
def test_bounds_agree_with_the_relay(path: str, counterpart: tuple[type[BaseModel], str]) -> None:
    """What the API server stores a relay takes: equal bounds, lengths and defaults."""
    model, name = counterpart
    theirs = model.model_json_schema()["properties"][name]
    theirs = {**theirs, **next(iter(theirs.get("anyOf", [{}])))}
    ours = FIELDS[f"WebSocketDomain.spec.{path}"]
    for bound in ("minimum", "maximum", "minItems", "maxItems", "maxLength"):
        assert ours.get(bound) == theirs.get(bound), bound
    if "default" in ours:
        assert ours["default"] == theirs["default"]


class WithChoice(BaseModel):
    """A model that a structural schema has no form for."""

    spec: dict[str, Literal["a"]] | list[str] = {}
    status: str = ""


class WithConst(BaseModel):
    """Another one."""

    spec: Literal["a"]
    status: str = ""


@pytest.mark.parametrize(("model", "word"), [(WithChoice, "anyOf"), (WithConst, "const")])
def test_what_cannot_be_said_is_an_error(model: type[BaseModel], word: str) -> None:
    """The generator refuses a construct that it would have to drop."""
    with pytest.raises(ValueError, match=f"a structural schema has no {word}"):
        structural_schema(model)


def test_reference_has_every_field() -> None:
    """The page names every field of both kinds once per kind."""
    page = reference.reference()
    for path in FIELDS:
        assert f"| `{path.partition('.')[2]}` |" in page
