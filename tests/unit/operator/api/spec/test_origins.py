"""The origins of a domain."""

from __future__ import annotations

import pytest

from support.operator.manifests.manifest import Manifest
from wsedge_operator.api.spec.origins import Origin


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
    """The port is its own field, else the service's, else the default of the protocol."""
    model = Origin.model_validate(origin)
    assert (model.http_port, model.https_port) == ports
