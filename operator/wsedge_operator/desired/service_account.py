"""The ServiceAccount of the relays: their identity towards the statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsedge_operator.desired.names import child_metadata


def service_account(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ServiceAccount. Relays never call the API server, so no token for it is mounted."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": child_metadata(owner),
        "automountServiceAccountToken": False,
    }
