"""Which optional kinds an API server serves, by each form of its answer."""

from __future__ import annotations

from typing import Any

from wsedge_operator.errors import NotFoundError
from wsedge_operator.kube.discovery import Discovery
from wsedge_operator.kube.kinds import Kind

GROUP = "gateway.networking.k8s.io"


def group(name: str, **versions: list[str]) -> dict[str, Any]:
    """Return a group of an APIGroupDiscoveryList."""
    return {
        "metadata": {"name": name},
        "versions": [
            {
                "version": version,
                "resources": [{"resource": plural, "verbs": ["create", "get"]} for plural in plurals],
            }
            for version, plurals in versions.items()
        ],
    }


class ApiServer:
    """Answers 304 while its document has the ETag that is asked for."""

    def __init__(self, document: dict[str, Any], served: dict[str, set[str]] | None = None) -> None:
        self.document = document
        self.etag = "1"
        self.asked: list[str] = []
        self._served = served or {}

    async def discover(self, etag: str) -> tuple[dict[str, Any] | None, str]:
        self.asked.append(etag)
        return (None, etag) if etag == self.etag else (self.document, self.etag)

    async def served(self, group: str, version: str) -> frozenset[str]:
        found = self._served.get(f"{group}/{version}")
        if found is None:
            raise NotFoundError("GET", 404, "NotFound", "")
        return frozenset(found)


def names(kinds: frozenset[Kind]) -> list[str]:
    return sorted(f"{kind.kind} {kind.api_version}" for kind in kinds)


async def test_the_preferred_version_of_each_kind_is_found() -> None:
    """Of several versions the first in the operator's order is used; other kinds are not."""
    items = [
        group("networking.k8s.io", v1=["ingresses", "networkpolicies"]),
        group(GROUP, v1alpha2=["tlsroutes"], v1alpha3=["tlsroutes"], v1=["httproutes", "gateways"]),
        group("cert-manager.io", v1alpha2=["certificates"]),
    ]
    api = ApiServer({"kind": "APIGroupDiscoveryList", "items": items})
    discovery: Any = Discovery(api)  # type: ignore[arg-type]
    first = await discovery.optional_kinds()
    assert names(first) == [
        f"Gateway {GROUP}/v1",
        f"HTTPRoute {GROUP}/v1",
        "Ingress networking.k8s.io/v1",
        f"TLSRoute {GROUP}/v1alpha3",
    ]
    assert await discovery.optional_kinds() == first
    assert api.asked == ["", "1"]
    api.document, api.etag = {"kind": "APIGroupDiscoveryList", "items": items[:1]}, "2"
    assert names(await discovery.optional_kinds()) == ["Ingress networking.k8s.io/v1"]
    api.document, api.etag = {"kind": "APIGroupDiscoveryList"}, "3"
    assert names(await discovery.optional_kinds()) == []


async def test_a_kind_that_is_being_removed_is_not_served() -> None:
    """A definition that is being deleted lists its kind without `create`: nothing is made of it."""
    items = [group(GROUP, v1=["httproutes", "gateways"])]
    for resource in items[0]["versions"][0]["resources"]:
        resource["verbs"] = ["delete", "deletecollection", "get", "list", "watch"]
    discovery: Any = Discovery(ApiServer({"kind": "APIGroupDiscoveryList", "items": items}))  # type: ignore[arg-type]
    assert names(await discovery.optional_kinds()) == []


async def test_an_api_server_without_aggregated_discovery() -> None:
    """Each known group and version is asked for; one that is removed meanwhile is not there."""
    groups = [
        {"name": "networking.k8s.io", "versions": [{"version": "v1"}]},
        {"name": "cert-manager.io", "versions": [{"version": "v1"}]},
        {"name": "apps", "versions": [{"version": "v1"}]},
    ]
    api = ApiServer({"kind": "APIGroupList", "groups": groups}, {"networking.k8s.io/v1": {"ingresses"}})
    discovery: Any = Discovery(api)  # type: ignore[arg-type]
    assert names(await discovery.optional_kinds()) == ["Ingress networking.k8s.io/v1"]
