"""Which kinds the API server serves: one document of all groups, asked for again by its ETag.

The API server answers 304 while no API was installed or removed, so that the question costs little.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsedge_operator.errors import NotFoundError
from wsedge_operator.kube.client import Client
from wsedge_operator.kube.kinds import OPTIONAL, Kind


class Discovery:
    """The optional kinds that the API server serves, as it last answered."""

    def __init__(self, client: Client) -> None:
        """Ask nothing yet."""
        self._client = client
        self._etag = ""
        self._served: frozenset[Kind] = frozenset()

    async def optional_kinds(self) -> frozenset[Kind]:
        """Return of each optional kind the preferred version that is served; raises OperatorError."""
        document, etag = await self._client.discover(self._etag)
        if document is not None:
            if document.get("kind") == "APIGroupDiscoveryList":
                served = _aggregated(document)
            else:
                served = await self._by_version(document)
            self._served = preferred(served)
        self._etag = etag
        return self._served

    async def _by_version(self, document: Mapping[str, Any]) -> frozenset[tuple[str, str, str]]:
        """Return what is served by an API server that lists groups alone (before Kubernetes 1.27)."""
        listed = {
            (group["name"], version["version"])
            for group in document.get("groups") or ()
            for version in group.get("versions") or ()
        }
        found = set()
        for group, version in sorted(
            {(k.group, k.version) for versions in OPTIONAL for k in versions} & listed
        ):
            try:
                plurals = await self._client.served(group, version)
            except NotFoundError:
                continue  # removed since it was listed
            found |= {(group, version, plural) for plural in plurals}
        return frozenset(found)


def preferred(served: frozenset[tuple[str, str, str]]) -> frozenset[Kind]:
    """Return of each optional kind the first version in `served` (group, version, plural)."""
    chosen = (
        next((kind for kind in versions if (kind.group, kind.version, kind.plural) in served), None)
        for versions in OPTIONAL
    )
    return frozenset(kind for kind in chosen if kind is not None)


def _aggregated(document: Mapping[str, Any]) -> frozenset[tuple[str, str, str]]:
    # While a CustomResourceDefinition is being deleted its kind is listed without `create`. A child made in
    # that time could be stored all the same, and the API server would wait a minute for it to go.
    return frozenset(
        (item["metadata"]["name"], version["version"], resource["resource"])
        for item in document.get("items") or ()
        for version in item.get("versions") or ()
        for resource in version.get("resources") or ()
        if "create" in (resource.get("verbs") or ())
    )
