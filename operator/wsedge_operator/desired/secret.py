"""The Secret of the relays: the key material of a domain, and the token for the admin port."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from wsedge_operator.desired.names import child_metadata


def secret(owner: Mapping[str, Any], contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the Secret with `contents` by file name.

    Relays mount this one copy instead of the Secrets that the spec names: another Secret in the spec then
    changes no volume of the pod template, which would restart the relays.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": child_metadata(owner),
        "data": {key: base64.b64encode(contents[key]).decode() for key in sorted(contents)},
    }
