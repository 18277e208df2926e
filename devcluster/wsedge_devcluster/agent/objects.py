"""Objects of the Kubernetes API, in the form of the wire."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def key_of(item: Object) -> str:
    """Return `namespace/name`, or `name` of a cluster-wide object."""
    metadata = item["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])
