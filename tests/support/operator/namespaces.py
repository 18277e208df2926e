"""An API server with namespaces only."""

from __future__ import annotations

from typing import Any

from wsedge_operator.errors import NotFoundError
from wsedge_operator.kube.kinds import NAMESPACE


class Namespaces:
    """An API server with empty namespaces."""

    async def get(self, kind: Any, namespace: str, name: str) -> Any:
        if kind is not NAMESPACE:
            raise NotFoundError("GET", 404, "NotFound", "")
        metadata = {
            "name": name,
            "uid": f"uid-of-{name}",
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    async def list(self, kind: Any, namespace: str | None) -> tuple[list[Any], str]:
        return [], "1"

    async def create(self, kind: Any, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "metadata": {**body["metadata"], "uid": "uid-made", "resourceVersion": "2"}}
