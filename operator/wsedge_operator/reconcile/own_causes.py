"""Whether a domain's own spec explains that its new relays do not run.

    the image is not pulled     by its own pull secrets or those of its own ServiceAccount, or its own nodes
    the relay is out of memory  with its own resources
    the relay is not ready      with its own resources, or a volume of its own (`relay.geo`)

Nothing explains a relay that exits by itself: an image that does not start must be noticed although most
domains have settings of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wsedge_operator.api.reading import part_at
from wsedge_operator.reconcile.domain.pods import IMAGE_NOT_PULLED, PodProblem

_OF_THE_IMAGE: Final = ("imagePullSecrets", "serviceAccountName", "nodeSelector", "affinity", "tolerations")


def is_explained(owner: Mapping[str, Any], problem: PodProblem | None, *, is_out_of_memory: bool) -> bool:
    """Return whether the spec of the domain `owner` may be why its new relays do not run.

    `problem` is that of the pods, None for relays that run and are not ready in time.
    """
    relay = part_at(owner, "spec", "relay") or {}
    if problem is None:
        return bool(relay.get("resources") or relay.get("geo"))
    if problem.reason == IMAGE_NOT_PULLED:
        # An empty list is a setting: it removes the operator's pull secrets.
        return any((relay.get("pod") or {}).get(name) is not None for name in _OF_THE_IMAGE)
    return is_out_of_memory and bool(relay.get("resources"))
