"""What a decision consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

Manifest = Mapping[str, Any]

# A manifest of this resourceVersion is to be created, and must not exist: no object has it.
ABSENT: Final = "0"


@dataclass(frozen=True, slots=True)
class Ref:
    """An object that exists: the uid keeps a newer one of its name safe."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Exact:
    """Parts of the object `ref` that shall be exactly so, by path (`spec.selector`).

    `digest` is that of the manifest which they come from; `version` the object that was looked at: a newer
    one is left alone.
    """

    ref: Ref
    version: str
    digest: str
    parts: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """A pod and how many open connections its deletion would cost, for whoever chooses which one goes."""

    namespace: str
    pod: str
    connections: int


@dataclass(frozen=True, slots=True)
class Poke:
    """A pod whose kubelet shall sync its volumes at once, because of a new generation."""

    namespace: str
    pod: str
    generation: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """The whole status of an object, to be applied on its status subresource."""

    api_version: str
    kind: str
    namespace: str
    name: str
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventNote:
    """An Event about an object. `turn` says which turn it is of, so that each is told once."""

    regarding: Manifest
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    turn: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to do, in this order: ask, restore, tell costs, apply, delete, poke, write status, tell events.

    `ask` changes nothing: it asks the API server what it would make of these parts. `restore` takes out of
    them what somebody else has put in.

    `reconcile_at` is when to look again.
    Empty parts are not touched. What already is as it should be, is not in here.
    """

    ask: tuple[Exact, ...] = ()
    restore: tuple[Exact, ...] = ()
    costs: tuple[Cost, ...] = ()
    apply: tuple[Manifest, ...] = ()
    delete: tuple[Ref, ...] = ()
    pokes: tuple[Poke, ...] = ()
    status: tuple[Status, ...] = ()
    notes: tuple[EventNote, ...] = ()
    reconcile_at: datetime | None = None


def reference(live: Manifest) -> Ref:
    """Return the reference of a live object."""
    metadata = live["metadata"]
    return Ref(
        live["apiVersion"], live["kind"], metadata["namespace"], metadata["name"], metadata.get("uid", "")
    )


def is_going(live: Manifest) -> bool:
    """Tell whether a live object is being deleted, so that deleting it again would change nothing."""
    return bool(live["metadata"].get("deletionTimestamp"))


def earliest(*instants: datetime | None) -> datetime | None:
    """Return the first of the instants that there are."""
    return min((instant for instant in instants if instant is not None), default=None)
