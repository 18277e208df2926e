"""The Secret of the relays, with key material and the token for their admin port, and that for people."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from wsedge_operator.desired.names import admin_name, child_metadata


def secret(owner: Mapping[str, Any], contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the Secret with `contents` by file name.

    Relays mount this one copy instead of the Secrets that the spec names: another Secret in the spec then
    changes no volume of the pod template, which would restart the relays.
    """
    return _secret(child_metadata(owner), contents)


def admin_secret(owner: Mapping[str, Any], contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the Secret for people: the token, and certificates, by the file names of the relays' Secret.

    Whoever may list or close connections needs the token, and not the private keys beside it. No pod mounts
    this Secret, so that it changes no pod template and relays of each release accept the token.
    """
    return _secret(child_metadata(owner) | {"name": admin_name(owner["metadata"]["name"])}, contents)


def _secret(metadata: Mapping[str, Any], contents: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": dict(metadata),
        "data": {key: base64.b64encode(contents[key]).decode() for key in sorted(contents)},
    }
