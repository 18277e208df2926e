"""The smallest valid manifests, and changes of them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final

Manifest = dict[str, Any]

PLAN: Final[Manifest] = {
    "apiVersion": "wsedge.io/v1alpha1",
    "kind": "BillingPlan",
    "metadata": {"name": "plan"},
    "spec": {"billingCycle": "Monthly", "meteringMethod": "Month95Bandwidth"},
}
DOMAIN: Final[Manifest] = {
    "apiVersion": "wsedge.io/v1alpha1",
    "kind": "WebSocketDomain",
    "metadata": {"name": "chat"},
    "spec": {
        "domain": "chat.example.com",
        "websocket": {"enabled": True, "originProtocol": "HTTP"},
        "origins": [{"host": "10.0.0.7"}],
    },
}
SERVICE: Final = {"service": {"name": "room", "port": 9000}}
ABSENT: Final = object()


@dataclass(frozen=True)
class Invalid:
    """An invalid manifest: its changes from the valid one, and the texts of the refusal.

    `text` is a part of the API server's answer, and `model_text` of the model's where the texts differ.
    `field` is in the path that the model names. `also` has parts of further errors of the API server.
    """

    changes: dict[str, Any]
    text: str
    model_text: str = ""
    field: str = ""
    also: tuple[str, ...] = ()


def changed(manifest: Manifest, changes: dict[str, Any]) -> Manifest:
    """Return a copy with values set at dotted paths; ABSENT removes."""
    result = copy.deepcopy(manifest)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = result
        for parent in parents:
            place = place[int(parent)] if parent.isdigit() else place.setdefault(parent, {})
        key: Any = int(last) if last.isdigit() else last
        if value is ABSENT:
            del place[key]
        else:
            place[key] = copy.deepcopy(value)
    return result
