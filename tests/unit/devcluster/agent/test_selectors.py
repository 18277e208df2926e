"""The endpoints of a Service."""

from __future__ import annotations

from typing import Any

import pytest

from wsedge_devcluster.agent.selectors import Candidate, Endpoint, endpoints


def candidate(address: str, **more: Any) -> Candidate:
    base: dict[str, Any] = {
        "namespace": "a",
        "labels": {"app": "web", "extra": "x"},
        "address": address,
        "node": "9",
        "ports": {"http": 8080},
        "ready": True,
        "terminating": False,
    }
    return Candidate(**(base | more))


def found(*pods: Candidate, port: dict[str, Any] | None = None, **spec: Any) -> list[str]:
    service = {"metadata": {"namespace": "a"}, "spec": {"selector": {"app": "web"}, **spec}}
    return [each.address for each in endpoints(service, port or {"port": 80}, pods)]


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([candidate("2"), candidate("1")], ["1", "2"], id="ready pods in order of address"),
        pytest.param([candidate("1", ready=False)], [], id="no unready pod"),
        pytest.param([candidate("1", namespace="b")], [], id="no pod of another namespace"),
        pytest.param([candidate("1", labels={"app": "x"})], [], id="no pod with other labels"),
        pytest.param([candidate("")], [], id="no pod without an address"),
        pytest.param([candidate("1", terminating=True), candidate("2")], ["2"], id="no terminating pod"),
        pytest.param(
            [candidate("1", terminating=True), candidate("2", ready=False)],
            ["1"],
            id="a terminating pod that is ready, when there is no other",
        ),
    ],
)
def test_choice(pods: list[Candidate], expected: list[str]) -> None:
    """Ready pods of the Service's namespace that carry its labels."""
    assert found(*pods) == expected


def test_publish_not_ready() -> None:
    """With publishNotReadyAddresses every pod that has an address is an endpoint."""
    pods = [candidate("1", ready=False), candidate("2", terminating=True)]
    assert found(*pods, publishNotReadyAddresses=True) == ["1", "2"]


def test_no_selector() -> None:
    """A Service without a selector has no endpoints of its own."""
    assert found(candidate("1"), selector={}) == []


@pytest.mark.parametrize(
    ("port", "expected"),
    [({"port": 80}, 80), ({"port": 80, "targetPort": 81}, 81), ({"port": 80, "targetPort": "http"}, 8080)],
)
def test_target_port(port: dict[str, Any], expected: int) -> None:
    """The target port is the port itself, a number, or the name of a port of the pod."""
    service = {"metadata": {"namespace": "a"}, "spec": {"selector": {"app": "web"}}}
    assert endpoints(service, port, [candidate("1")]) == (Endpoint("1", expected),)


def test_unknown_port_name() -> None:
    """A pod without a port of that name is no endpoint."""
    assert found(candidate("1"), port={"port": 80, "targetPort": "none"}) == []
