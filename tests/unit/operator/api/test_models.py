"""The models accept and refuse the same manifests as the API server, with the same texts."""

import copy
import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from support.operator.manifests.billing_plans import INVALID_PLANS, VALID_PLANS
from support.operator.manifests.domains import INVALID_DOMAINS, VALID_DOMAINS
from support.operator.manifests.manifest import DOMAIN, PLAN, Invalid, Manifest, changed
from wsedge_operator.api.billing_plan import BillingCycle, BillingPlan, MeteringMethod
from wsedge_operator.api.reading import read, refused, unknown_fields
from wsedge_operator.api.spec.origins import Origin
from wsedge_operator.api.websocket_domain import WebSocketDomain

VALID = {
    **{f"plan: {name}": changed(PLAN, changes) for name, changes in VALID_PLANS.items()},
    **{f"domain: {name}": changed(DOMAIN, changes) for name, changes in VALID_DOMAINS.items()},
}
INVALID = {
    **{f"plan: {name}": (changed(PLAN, invalid.changes), invalid) for name, invalid in INVALID_PLANS.items()},
    **{
        f"domain: {name}": (changed(DOMAIN, invalid.changes), invalid)
        for name, invalid in INVALID_DOMAINS.items()
    },
}


MODELS: dict[str, type[BillingPlan] | type[WebSocketDomain]] = {
    "BillingPlan": BillingPlan,
    "WebSocketDomain": WebSocketDomain,
}


def parsed(manifest: Manifest) -> BillingPlan | WebSocketDomain:
    """Return the model of a manifest."""
    return MODELS[manifest["kind"]].model_validate_json(json.dumps(manifest), strict=True)


@pytest.mark.parametrize("manifest", VALID.values(), ids=VALID.keys())
def test_valid(manifest: Manifest) -> None:
    """A model accepts a valid manifest, and its JSON parses to an equal model."""
    model = parsed(manifest)
    assert type(model).model_validate_json(model.model_dump_json()) == model


@pytest.mark.parametrize(("manifest", "invalid"), INVALID.values(), ids=INVALID.keys())
def test_invalid(manifest: Manifest, invalid: Invalid) -> None:
    """A model refuses an invalid manifest with the rule and the field."""
    lines = refused(MODELS[manifest["kind"]], manifest)
    dotted = [re.sub(r"\[(\d+)\]", r".\1", line) for line in lines]
    assert any((invalid.model_text or invalid.text) in line and invalid.field in line for line in dotted), (
        lines
    )


@pytest.mark.parametrize("manifest", VALID.values(), ids=VALID.keys())
def test_a_valid_manifest_with_fields_of_a_newer_version_is_read(manifest: Manifest) -> None:
    """An unknown field of any object in the spec is ignored and named."""
    newer = copy.deepcopy(manifest)
    paths = with_news(newer["spec"], "spec")
    model = MODELS[manifest["kind"]]
    # `explain` reports for a file what the API server would refuse; a stored object is read all the same.
    assert all(f"{path}: unknown field" in refused(model, newer) for path in paths)
    assert read(model, newer) == read(model, manifest)
    assert sorted(unknown_fields(model, newer)) == sorted(paths)
    assert unknown_fields(model, manifest) == ()


def with_news(part: Any, path: str) -> list[str]:
    """Add an unknown field to each object of a spec, except to maps of amounts; return the paths."""
    if isinstance(part, list):
        return [new for index, item in enumerate(part) for new in with_news(item, f"{path}[{index}]")]
    if not isinstance(part, dict) or (path.endswith((".requests", ".limits")) and "resources" in path):
        return []
    inner = [new for key, value in list(part.items()) for new in with_news(value, f"{path}.{key}")]
    part["ofANewerVersion"] = {"any": ["thing"]}
    return [*inner, f"{path}.ofANewerVersion"]


@pytest.mark.parametrize("network", ["1::2::3/64", "1:2:3/64", ":::/0", "1:2:3:4:5:6:7:8:9/64"])
def test_what_no_pattern_can_tell_from_a_network_is_refused_here(network: str) -> None:
    """The API server stores it, and the object is not accepted, in the same words as other refusals."""
    with pytest.raises(ValidationError, match="give a network as address/bits"):
        parsed(changed(DOMAIN, {"spec.clients": {"trustedProxies": [network]}}))


@pytest.mark.parametrize("method", MeteringMethod)
def test_each_method_has_its_cycles(method: MeteringMethod) -> None:
    """Traffic goes with both cycles, the daily peak with days, all others with months."""
    if method is MeteringMethod.TRAFFIC:
        assert method.cycle is None
    else:
        assert method.cycle == (BillingCycle.MONTHLY if method.startswith("Month") else BillingCycle.DAILY)


@pytest.mark.parametrize(
    ("origin", "ports"),
    [
        ({"host": "a"}, (80, 443)),
        ({"host": "a", "httpPort": 1, "httpsPort": 2}, (1, 2)),
        ({"service": {"name": "s", "port": 9}}, (9, 9)),
        ({"service": {"name": "s", "port": 9}, "httpsPort": 2}, (9, 2)),
        ({"service": {"name": "s", "port": 9}, "httpPort": 1}, (1, 9)),
    ],
    ids=["a host's defaults", "a host's own", "a service's one port", "its HTTPS set", "its HTTP set"],
)
def test_ports_in_force(origin: Manifest, ports: tuple[int, int]) -> None:
    """A port that is set counts; else the service's; else the protocol's."""
    model = Origin.model_validate(origin)
    assert (model.http_port, model.https_port) == ports
