"""Whether a live object already is as desired, so that an idle cluster sees no write.

A child carries a hash of what was applied. It is left alone while the hash is that of what is desired now
(nothing was added or taken away from what we want) and the live object still has every desired value (nobody
changed one).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from wsedge_operator.api.spec.quantity import amount_of
from wsedge_operator.desired.names import DESIRED_ANNOTATION

_AMOUNTS: Final = frozenset({"requests", "limits"})


def with_digest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with the hash of itself in its annotations."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    metadata = manifest["metadata"]
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    annotations = {**metadata.get("annotations", {}), DESIRED_ANNOTATION: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def is_applied(desired: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Tell whether `live` is as `desired` (which carries its hash) says."""
    return live is not None and _contains(live, desired)


def _contains(live: Any, desired: Any, key: str = "") -> bool:
    if isinstance(desired, Mapping):
        if live is None and not desired:
            return True  # The API server does not store an empty map.
        return isinstance(live, Mapping) and all(
            _contains(live.get(name), value, key=name if key not in _AMOUNTS else key)
            for name, value in desired.items()
        )
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        return isinstance(live, Sequence) and _contains_items(live, desired, key)
    if key in _AMOUNTS and live is not None and live != desired:
        # The API server writes amounts in its own way: 0.5 becomes 500m.
        return amount_of(live) == amount_of(desired)
    return bool(live == desired)


def _contains_items(live: Sequence[Any], desired: Sequence[Any], key: str) -> bool:
    """Compare lists: those of named parts by name, as server-side apply merges them, others item by item."""
    for name in ("name", "uid"):
        if desired and all(isinstance(item, Mapping) and name in item for item in desired):
            found = {item.get(name): item for item in live if isinstance(item, Mapping)}
            return all(_contains(found.get(item[name]), item, key) for item in desired)
    return len(live) == len(desired) and all(
        _contains(have, want, key) for have, want in zip(live, desired, strict=True)
    )
