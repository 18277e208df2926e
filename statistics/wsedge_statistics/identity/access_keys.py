"""Access keys of the DCDN-compatible RPC, from the Secrets of accounts. Pure.

An account's keys are the entries of the Secret `wsedge-access-keys` in its namespace: the name of an entry is
the key's id, the value is its secret. Only the namespace in which the Secret lies decides the account.

Ids are no secrets, so a user can name another account's id in a Secret of her own: it is then a second key of
that id, and a signature decides which of them was used. Of two keys with equal id and equal secret the one in
the older Secret counts: whoever copies a key takes nothing away from its owner.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Final

from wsedge_statistics.contract import (
    ACCESS_KEYS_NAME,
    ACCESS_KEYS_TYPE,
    INACTIVE_KEYS_ANNOTATION,
    MOST_ACCESS_KEYS,
)

# A signature of a short secret can be searched through by anybody who has read one request.
SHORTEST_SECRET: Final = 16
LONGEST_SECRET: Final = 256
MOST_READ: Final = 100  # a Secret of the largest size can have sixty thousand entries
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SECRET: Final = re.compile(rf"[!-~]{{{SHORTEST_SECRET},{LONGEST_SECRET}}}")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One key of an account. `created` is the time of its Secret, which decides the life of the namespace."""

    key_id: str
    account: str
    created: datetime
    active: bool
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySecret:
    """The keys of one Secret, and why entries of it are ignored."""

    account: str
    uid: str
    keys: tuple[AccessKey, ...]
    ignored: tuple[str, ...]


def read_secret(live: Mapping[str, Any]) -> KeySecret | None:
    """Return the keys of a Secret as the API server sends it; None for a Secret of another name or type."""
    metadata = live.get("metadata") or {}
    if metadata.get("name") != ACCESS_KEYS_NAME or live.get("type") != ACCESS_KEYS_TYPE:
        return None
    account, created = str(metadata["namespace"]), datetime.fromisoformat(metadata["creationTimestamp"])
    marked = (metadata.get("annotations") or {}).get(INACTIVE_KEYS_ANNOTATION, "")
    inactive = {part.strip() for part in marked.split(",")}
    keys: list[AccessKey] = []
    ignored: list[str] = []
    for key_id, encoded in islice(sorted((live.get("data") or {}).items()), MOST_READ):
        secret = _decoded(encoded)
        if not _ID.fullmatch(key_id):
            ignored.append("an entry's name is not a key id")
        elif secret is None:
            ignored.append(
                f"{key_id}: the secret is not {SHORTEST_SECRET} to {LONGEST_SECRET} printable characters"
            )
        elif len(keys) == MOST_ACCESS_KEYS:
            ignored.append(f"{key_id}: the account has {MOST_ACCESS_KEYS} keys already")
        else:
            keys.append(AccessKey(key_id, account, created, key_id not in inactive, secret))
    return KeySecret(account, str(metadata.get("uid")), tuple(keys), tuple(ignored[:MOST_ACCESS_KEYS]))


def _decoded(encoded: Any) -> str | None:
    try:
        secret = base64.b64decode(encoded, validate=True).decode("ascii").rstrip("\r\n")
    except (binascii.Error, ValueError, TypeError):
        return None
    return secret if _SECRET.fullmatch(secret) else None


@dataclass(frozen=True, slots=True)
class AccessKeys:
    """All keys by id; of one id the oldest first."""

    by_id: Mapping[str, tuple[AccessKey, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, secrets: Iterable[KeySecret]) -> AccessKeys:
        """Index the keys of Secrets."""
        by_id: dict[str, list[AccessKey]] = {}
        for secret in secrets:
            for key in secret.keys:
                by_id.setdefault(key.key_id, []).append(key)
        return cls(
            {
                key_id: tuple(sorted(keys, key=lambda key: (key.created, key.account)))
                for key_id, keys in by_id.items()
            }
        )

    def named(self, key_id: str) -> tuple[AccessKey, ...]:
        """Return the keys of an id, the oldest first."""
        return self.by_id.get(key_id, ())

    def __len__(self) -> int:
        """Return the number of keys."""
        return sum(map(len, self.by_id.values()))
