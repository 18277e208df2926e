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

    `digest` is that of their manifest; `version` is the resourceVersion of the object that was compared: a
    newer one is left alone.
    """

    ref: Ref
    version: str
    digest: str
    parts: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """A pod and how many open connections its deletion would close: the ReplicaSet controller compares."""

    namespace: str
    pod: str
    connections: int


@dataclass(frozen=True, slots=True)
class Poke:
    """A pod whose kubelet must update its mounted files at once, because of a new generation."""

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
    """An Event to write about an object; `turn` identifies what happened, so that it is written once."""

    regarding: Manifest
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    turn: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to do, in this order: ask, restore, write costs, apply, delete, poke, write status, write Events.

    `ask` changes nothing: a dry run that returns these parts as the API server would admit them. `restore`
    removes from them what another client has added.

    `reconcile_at` is when to reconcile again without an event.
    What is as it should be already is not in here.
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
    """Return whether a live object is being deleted, so that deleting it again would change nothing."""
    return bool(live["metadata"].get("deletionTimestamp"))


def earliest(*instants: datetime | None) -> datetime | None:
    """Return the first of the instants; None: there is none."""
    return min((instant for instant in instants if instant is not None), default=None)
