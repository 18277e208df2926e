"""`kubectl wsedge accesskey`: the access keys of a namespace for programs written for DCDN.

They are the entries of one Secret. All keys of it are read and written with the user's own rights.
"""

from __future__ import annotations

import base64
import json
import secrets
import string
from collections.abc import Mapping
from typing import Any, Final

from wsedge_operator.cli.kubectl import Kubectl
from wsedge_operator.errors import AccessKeyError, KubectlError
from wsedge_statistics.contract import (
    ACCESS_KEYS_NAME,
    ACCESS_KEYS_TYPE,
    INACTIVE_KEYS_ANNOTATION,
    MOST_ACCESS_KEYS,
)

_LETTERS: Final = string.ascii_letters + string.digits
_PREFIX: Final = "LTAI"  # of the original's ids: programs check it


def create(kubectl: Kubectl) -> str:
    """Add a key; return its id and secret as text, which cannot be read back by this command.

    Raises AccessKeyError or KubectlError.
    """
    key_id, secret = _PREFIX + _random(20), _random(40)
    try:
        _add(kubectl, key_id, secret)
    except KubectlError as error:
        if "AlreadyExists" not in str(error):
            raise
        _add(kubectl, key_id, secret)  # somebody else has made the Secret meanwhile
    return f"AccessKeyId: {key_id}\nAccessKeySecret: {secret}\n"


def list_keys(kubectl: Kubectl) -> str:
    """Return the ids of the keys and whether they are active, as a table. Raises as `create`."""
    live = _read(kubectl)
    keys = sorted((live or {}).get("data") or {})
    if not keys:
        return "There are no access keys.\n"
    inactive = _inactive(live or {})
    width = max(len("ID"), *map(len, keys))
    rows = [("ID", "STATE"), *((key, "Inactive" if key in inactive else "Active") for key in keys)]
    return "".join(f"{key:{width}}  {state}\n" for key, state in rows)


def revoke(kubectl: Kubectl, key_id: str) -> str:
    """Remove a key. Raises as `create`."""
    live = _read(kubectl)
    if live is None or key_id not in (live.get("data") or {}):
        raise AccessKeyError(f"there is no access key {key_id!r}")
    remove = [{"op": "remove", "path": f"/data/{key_id}"}]  # no id has a character that a path escapes
    kubectl.run("patch", "secret", ACCESS_KEYS_NAME, "--type=json", f"--patch={json.dumps(remove)}")
    return f"access key {key_id} revoked\n"


def _add(kubectl: Kubectl, key_id: str, secret: str) -> None:
    live = _read(kubectl)
    data = {key_id: base64.b64encode(secret.encode()).decode()}
    if live is None:
        made = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": ACCESS_KEYS_NAME},
            "type": ACCESS_KEYS_TYPE,
            "data": data,
        }
        kubectl.run("create", "--filename=-", text=json.dumps(made))
        return
    if len(live.get("data") or {}) >= MOST_ACCESS_KEYS:
        raise AccessKeyError(f"the namespace has {MOST_ACCESS_KEYS} access keys already: revoke one")
    # Standard input, since other users of the machine can read arguments.
    patch = ("patch", "secret", ACCESS_KEYS_NAME, "--type=merge", "--patch-file=/dev/stdin")
    kubectl.run(*patch, text=json.dumps({"data": data}))


def _read(kubectl: Kubectl) -> dict[str, Any] | None:
    live = kubectl.get("secret", ACCESS_KEYS_NAME)
    if live is not None and live.get("type") != ACCESS_KEYS_TYPE:
        raise AccessKeyError(
            f"{ACCESS_KEYS_NAME} is of type {live.get('type')}, so its entries are no access keys; "
            "give it another name"
        )
    return live


def _inactive(live: Mapping[str, Any]) -> set[str]:
    marked = (live["metadata"].get("annotations") or {}).get(INACTIVE_KEYS_ANNOTATION, "")
    return {part.strip() for part in marked.split(",")}


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
