"""Whether a live child has the desired state."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from support.operator.snapshots import live_domain
from wsedge_operator.api.websocket_domain import WebSocketDomain, WebSocketDomainSpec
from wsedge_operator.desired.deployment import RelayImage, deployment
from wsedge_operator.desired.digest import is_applied, with_digest
from wsedge_operator.desired.service import service

IMAGE = RelayImage("relay:1")


def spec(**parts: Any) -> WebSocketDomainSpec:
    return WebSocketDomain.model_validate(live_domain(**parts)).spec


def live() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a desired Service, and the same Service as the API server returns it."""
    desired = with_digest(service(live_domain(), tls=True))
    shown = copy.deepcopy(desired)
    shown["metadata"] |= {"uid": "u", "resourceVersion": "3"}
    shown["spec"] |= {"clusterIP": "127.96.0.3", "sessionAffinity": "None"}
    return desired, shown


def test_defaults_of_the_api_server_are_no_difference() -> None:
    """Defaults and fields of other managers are no difference."""
    desired, shown = live()
    shown["metadata"]["annotations"]["somebody"] = "else"
    shown["metadata"]["ownerReferences"].append({"uid": "other"})
    shown["spec"]["ports"].append({"name": "more", "port": 1})
    assert is_applied(desired, shown)


DIFFERENT = {
    "a changed value": lambda shown: shown["spec"]["ports"][0].update(port=81),
    "a removed value": lambda shown: shown["spec"].pop("selector"),
    "a removed list entry": lambda shown: shown["spec"]["ports"].pop(),
    "a removed label": lambda shown: shown["metadata"]["labels"].popitem(),
    "a removed owner": lambda shown: shown["metadata"].update(ownerReferences=[]),
    "null in place of a list": lambda shown: shown["spec"].update(ports=None),
    "text in place of a map": lambda shown: shown.update(spec="text"),
}


@pytest.mark.parametrize("change", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_a_changed_value_is_a_difference(change: Any) -> None:
    """A value of ours that another client changed or removed is applied again."""
    desired, shown = live()
    change(shown)
    assert not is_applied(desired, shown)


def test_a_field_that_is_no_longer_desired_is_a_difference() -> None:
    """The live object has every desired value; only the digest differs."""
    _, shown = live()
    assert not is_applied(with_digest(service(live_domain(), tls=False)), shown)
    assert not is_applied(with_digest(service(live_domain(), tls=False)), None)


def test_quantities_are_compared_by_value() -> None:
    """The API server stores 0.5 as 500m; comparing text would apply it at each reconciliation."""
    made = deployment(live_domain(), spec(relay={"resources": {"limits": {"cpu": "0.5"}}}), IMAGE)
    desired = with_digest(made)
    shown = copy.deepcopy(desired)
    limits = shown["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    limits["cpu"] = "500m"
    assert is_applied(desired, shown)
    limits["cpu"] = "501m"
    assert not is_applied(desired, shown)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("0.0000000001", "1n"), ("16Ei", "9223372036854775807"), ("1.1Gi", "1181116006400m"), ("1E3", "1e3")],
)
def test_quantities_that_the_api_server_rounds_are_no_difference(asked: str, kept: str) -> None:
    """It rounds up to billionths, and caps binary suffixes like Ei at 2^63-1."""
    assert is_applied({"limits": {"memory": asked}}, {"limits": {"memory": kept}})


def test_an_empty_map_that_the_api_server_drops_is_no_difference() -> None:
    """The API server does not store `requests: {}`, which many templates have."""
    made = deployment(live_domain(), spec(relay={"resources": {"requests": {}}}), IMAGE)
    desired = with_digest(made)
    shown = copy.deepcopy(desired)
    shown["spec"]["template"]["spec"]["containers"][0]["resources"] = {}
    assert is_applied(desired, shown)
    shown["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": "text"}
    assert not is_applied(desired, shown)


def test_plain_lists_are_compared_item_by_item() -> None:
    """In a list without names, order and length count."""
    assert is_applied({"a": ["x", "y"]}, {"a": ["x", "y"]})
    assert not is_applied({"a": ["x", "y"]}, {"a": ["y", "x"]})
    assert not is_applied({"a": ["x"]}, {"a": ["x", "y"]})


def test_lists_of_routes_are_compared_as_a_whole() -> None:
    """Two parents of one name are two, and a parent that another client added is a difference."""
    http, tls = {"name": "public", "sectionName": "http"}, {"name": "public", "sectionName": "tls"}
    wanted = {"spec": {"parentRefs": [http, tls]}}
    assert is_applied(wanted, {"spec": {"parentRefs": [http, tls]}})
    assert not is_applied(wanted, {"spec": {"parentRefs": [tls, http]}})
    assert not is_applied(wanted, {"spec": {"parentRefs": [http, tls, {"name": "theirs"}]}})
