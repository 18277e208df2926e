"""Whether a live object has the desired state, so that the operator writes nothing to an idle cluster.

A child has an annotation with the hash of the manifest that was applied. No write is needed while

    the hash is that of the manifest desired now      no field of the manifest was changed or removed
    the live object has every desired value           no other client changed a desired value

The hash alone would miss changes by other clients; the comparison alone would miss fields that were removed
from the manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from wsedge_operator.api.spec.quantity import amount_of
from wsedge_operator.desired.names import DESIRED_ANNOTATION

_QUANTITIES: Final = frozenset({"requests", "limits"})
# Lists that server-side apply replaces as a whole (list-type atomic), although each item has a name: those of
# routes of the Gateway API. Two items may have one name, and an item that another client added does not stay.
_WHOLE: Final = frozenset({"parentRefs", "backendRefs", "certificateRefs"})


def with_digest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with the first 16 hex digits of its SHA-256 in an annotation."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    metadata = manifest["metadata"]
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    annotations = {**metadata.get("annotations", {}), DESIRED_ANNOTATION: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def is_applied(desired: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Return whether `live` has every value of `desired`, its digest included (see `with_digest`)."""
    return live is not None and _contains(live, desired)


def _contains(live: Any, desired: Any, key: str = "") -> bool:
    if live == desired:
        return True  # Most parts are equal; this comparison is the interpreter's own.
    if isinstance(desired, Mapping):
        if live is None and not desired:
            return True  # The API server does not store an empty map.
        return isinstance(live, Mapping) and all(
            _contains(live.get(name), value, key=name if key not in _QUANTITIES else key)
            for name, value in desired.items()
        )
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        return isinstance(live, Sequence) and _contains_items(live, desired, key)
    # The API server stores quantities in canonical form: 0.5 becomes 500m.
    return key in _QUANTITIES and live is not None and bool(amount_of(live) == amount_of(desired))


def _contains_items(live: Sequence[Any], desired: Sequence[Any], key: str) -> bool:
    """Compare lists: by `name` or `uid` if every item has it, as server-side apply, else by index."""
    for name in ("name", "uid") if key not in _WHOLE else ():
        if desired and all(isinstance(item, Mapping) and name in item for item in desired):
            found = {item.get(name): item for item in live if isinstance(item, Mapping)}
            return all(_contains(found.get(item[name]), item, key) for item in desired)
    return len(live) == len(desired) and all(
        _contains(have, want, key) for have, want in zip(live, desired, strict=True)
    )
