"""The parts of a decision, which `kube.outcome` carries out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from wsedge_operator.reconcile.domain.memory import NO_MEMORY, Memory, Shed

Manifest = Mapping[str, Any]

# The resourceVersion of a manifest to create. No object has it, so it cannot be confused with one that was
# read.
ABSENT: Final = "0"


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to an existing object. The uid guards a newer object of the same name from deletion."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Exact:
    """The desired exact parts of the object `ref`, by path (`spec.selector`); see `desired.exact`.

    `digest` is that of their manifest. `version` is the resourceVersion of the compared object, a
    precondition of the write: a newer object is compared again first.
    """

    ref: Ref
    version: str
    digest: str
    parts: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """The deletion cost of a pod: the number of its open connections. See `domain.scale_in`."""

    namespace: str
    pod: str
    connections: int


@dataclass(frozen=True, slots=True)
class Poke:
    """A pod whose kubelet must update the mounted files at once, because of a new generation."""

    namespace: str
    pod: str
    generation: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """The whole status of an object, to be applied to its subresource `status`."""

    api_version: str
    kind: str
    namespace: str
    name: str
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventNote:
    """An Event about an object. Equal `occurrence`s name the same occurrence: its Event is written once."""

    regarding: Manifest
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    occurrence: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The calls to make, in the order of the fields, and when to reconcile again without an event.

    `dry_run` changes nothing: the answers are these parts as the API server would admit them. `restore`
    replaces these parts, which removes the additions of other clients. `entrance` is applied one by one,
    whatever is refused of it; only when all of it was accepted, `retire` deletes what it replaces. An outcome
    has no call that would change nothing: an idle cluster has an empty one.

    `sheds` go to relays, `memory` to the next decision about the domain. `scaled_at` is the instant of a
    change of the number of relays by their load: the same number at another instant is another write, and no
    repetition of one that another client reverted. `held`, `waits` and `starts` are as in `domain.staging`.

    At `query_at` the relays that do not answer are queried again: without answers the decision is the same.
    """

    dry_run: tuple[Exact, ...] = ()
    restore: tuple[Exact, ...] = ()
    costs: tuple[Cost, ...] = ()
    apply: tuple[Manifest, ...] = ()
    delete: tuple[Ref, ...] = ()
    pokes: tuple[Poke, ...] = ()
    entrance: tuple[Manifest, ...] = ()
    retire: tuple[Ref, ...] = ()
    status: tuple[Status, ...] = ()
    notes: tuple[EventNote, ...] = ()
    sheds: tuple[Shed, ...] = ()
    memory: Memory = NO_MEMORY
    scaled_at: datetime | None = None
    reconcile_at: datetime | None = None
    query_at: datetime | None = None
    held: str | None = field(default=None, compare=False)
    waits: bool = False
    starts: bool = False


def reference(live: Manifest) -> Ref:
    """Return the reference of a live object."""
    metadata = live["metadata"]
    return Ref(
        live["apiVersion"], live["kind"], metadata["namespace"], metadata["name"], metadata.get("uid", "")
    )


def is_terminating(live: Manifest) -> bool:
    """Return whether a live object has a deletionTimestamp: another delete call would change nothing."""
    return bool(live["metadata"].get("deletionTimestamp"))


def earliest(*instants: datetime | None) -> datetime | None:
    """Return the earliest of the instants that are not None, or None."""
    return min((instant for instant in instants if instant is not None), default=None)
