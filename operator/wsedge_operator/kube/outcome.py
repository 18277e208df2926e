"""Carry out an Outcome: write what a decision asks for, in a fixed order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import structlog

from wsedge_operator.api.meta import instant_text
from wsedge_operator.desired.names import GENERATION_ANNOTATION, POKED_ANNOTATION
from wsedge_operator.desired.ownership import Ownership, ownership
from wsedge_operator.errors import (
    ApiError,
    ConflictError,
    NamespaceGoneError,
    NotFoundError,
    UnreachableError,
)
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import BY_NAME, EVENT, POD, Kind
from wsedge_operator.reconcile.domain.scale_in import COST_ANNOTATION
from wsedge_operator.reconcile.outcome import (
    ABSENT,
    Cost,
    EventNote,
    Exact,
    Manifest,
    Outcome,
    Poke,
    Ref,
    Status,
)

log = structlog.get_logger()

# Bounds of the API server: an object's name (a DNS subdomain), and an Event's note, reason and action. An
# Event that exceeds one is refused, and no user would see it.
_NAME_LENGTH: Final = 253
_NOTE_BYTES: Final = 1024
_WORD_LENGTH: Final = 128

# Called with each object as the API server returned it after a write.
Written = Callable[[Kind, str, Object], None]
# Called with the parts of an Exact and the object after defaulting and admission.
NoteAdmitted = Callable[[Exact, Object], None]


async def perform(
    client: Client,
    outcome: Outcome,
    written: Written,
    note_admitted: NoteAdmitted,
    now: datetime,
    identity: str,
) -> None:
    """Carry out `outcome` in the order of its fields.

    Costs are before applies, since a Deployment that is scaled in deletes the pods of the lowest cost; the
    status is after all writes that it describes. Raises ApiError or UnreachableError at the first call that
    fails, except that the parts of an entrance do not stop each other; the next reconciliation reads the
    writes made before it. An Event that is refused is only logged, since nothing depends on it.
    """
    for exact in outcome.dry_run:
        await _dry_run(client, exact, note_admitted)
    for exact in outcome.restore:
        await _restore(client, exact, written, note_admitted)
    for cost in outcome.costs:
        await _write_cost(client, cost, written)
    for manifest in outcome.apply:
        await _apply(client, manifest, written)
    for ref in outcome.delete:
        await _delete(client, ref, written)
    for poke in outcome.pokes:
        await _poke(client, poke, written)
    await _apply_entrance(client, outcome.entrance, written)
    for ref in outcome.retire:
        await _delete(client, ref, written)
    for status in outcome.status:
        await _write_status(client, status, written)
    for note in outcome.notes:
        try:
            await write_event(client, note, written, now, identity)
        except NamespaceGoneError:
            raise
        except (ApiError, UnreachableError) as error:
            log.warning("event not written", reason=note.reason, note=note.message, error=str(error))
            written(EVENT, "refused", {})


async def _dry_run(client: Client, exact: Exact, note_admitted: NoteAdmitted) -> None:
    """Report the parts as admission returns them, without a write.

    Every webhook of admissionregistration.k8s.io/v1 must support a dry run.
    """
    live = await _replace(client, exact, dry_run=True)
    if live is not None:
        note_admitted(exact, live)


async def _restore(client: Client, exact: Exact, written: Written, note_admitted: NoteAdmitted) -> None:
    live = await _replace(client, exact, dry_run=False)
    if live is not None:
        log.info(
            "exact parts written", kind=exact.ref.kind, namespace=exact.ref.namespace, name=exact.ref.name
        )
        note_admitted(exact, live)
        written(BY_NAME[exact.ref.api_version, exact.ref.kind], "restore", live)


async def _replace(client: Client, exact: Exact, *, dry_run: bool) -> Object | None:
    """Replace parts of an object; None when it is deleted, or newer than the version that was compared."""
    ref = exact.ref
    kind = BY_NAME[ref.api_version, ref.kind]
    try:
        return await client.replace_parts(
            kind, ref.namespace, ref.name, exact.parts, version=exact.version, dry_run=dry_run
        )
    except (NotFoundError, ConflictError):
        return None


async def _apply(client: Client, manifest: Manifest, written: Written) -> None:
    kind = BY_NAME[manifest["apiVersion"], manifest["kind"]]
    metadata = manifest["metadata"]
    if metadata.get("resourceVersion") == ABSENT:
        kept = {key: value for key, value in metadata.items() if key != "resourceVersion"}
        live = await client.create(kind, metadata["namespace"], {**manifest, "metadata": kept})
    else:
        await _check_owner(client, kind, metadata)
        live = await client.apply(kind, dict(manifest))
    log.info("applied", kind=kind.kind, namespace=metadata["namespace"], name=metadata["name"])
    written(kind, "apply", live)


async def _apply_entrance(client: Client, manifests: Iterable[Manifest], written: Written) -> None:
    """Apply each part of an entrance; raises the first failure after all of them were tried."""
    failures: list[ApiError | UnreachableError] = []
    for manifest in manifests:
        try:
            await _apply(client, manifest, written)
        except NamespaceGoneError:
            raise
        except (ApiError, UnreachableError) as error:
            failures.append(error)
    if failures:
        raise failures[0]


async def _check_owner(client: Client, kind: Kind, metadata: Mapping[str, Any]) -> None:
    """Raise ConflictError when an object of this name exists and has another owner; adopt an orphan.

    Applying would mix fields of the operator into it, or let the garbage collector delete it with the owner.
    """
    if not (references := metadata.get("ownerReferences")):
        return
    (owner,) = references
    namespace, name = metadata["namespace"], metadata["name"]
    try:
        live = await client.get(kind, namespace, name)
    except NotFoundError:
        return
    whose = ownership(live, owner["name"], owner["uid"])
    if whose is Ownership.FOREIGN:
        message = f'{kind.kind} "{name}" exists already and belongs to another owner'
        raise ConflictError(f"apply {kind.kind} {namespace}/{name}", 409, "NameTaken", message)
    if whose is Ownership.ORPHAN:
        # Replaces references to deleted owners too: the API server refuses a second controller reference.
        version = live["metadata"]["resourceVersion"]
        parts = [("metadata.ownerReferences", references)]
        await client.replace_parts(kind, namespace, name, parts, version=version)
        log.info("adopted", kind=kind.kind, namespace=namespace, name=name)


async def _delete(client: Client, ref: Ref, written: Written) -> None:
    kind = BY_NAME[ref.api_version, ref.kind]
    try:
        await client.delete(kind, ref.namespace, ref.name, uid=ref.uid)
    except NotFoundError:
        return
    log.info("deleted", kind=kind.kind, namespace=ref.namespace, name=ref.name)
    written(kind, "delete", {})


async def _write_cost(client: Client, cost: Cost, written: Written) -> None:
    change = {"metadata": {"annotations": {COST_ANNOTATION: str(cost.connections)}}}
    try:
        live = await client.merge(POD, cost.namespace, cost.pod, change)
    except NotFoundError:
        return
    log.info("deletion cost written", namespace=cost.namespace, pod=cost.pod, connections=cost.connections)
    written(POD, "patch", live)


async def _poke(client: Client, poke: Poke, written: Written) -> None:
    annotations = {GENERATION_ANNOTATION: poke.generation, POKED_ANNOTATION: instant_text(poke.at)}
    change = {"metadata": {"annotations": annotations}}
    try:
        live = await client.merge(POD, poke.namespace, poke.pod, change)
    except NotFoundError:
        return
    log.info("pod poked", namespace=poke.namespace, pod=poke.pod, generation=poke.generation)
    written(POD, "patch", live)


async def _write_status(client: Client, status: Status, written: Written) -> None:
    kind = BY_NAME[status.api_version, status.kind]
    body = {
        "apiVersion": status.api_version,
        "kind": status.kind,
        "metadata": {"namespace": status.namespace, "name": status.name},
        "status": dict(status.status),
    }
    try:
        live = await client.apply(kind, body, subresource="status")
    except NotFoundError:
        return
    written(kind, "status", live)


async def write_event(
    client: Client, note: EventNote, written: Written, now: datetime, identity: str
) -> None:
    """Create an Event (events.k8s.io/v1); its name is a digest of its turn, so that none is written twice."""
    metadata = note.regarding["metadata"]
    digest = hashlib.sha256(f"{metadata['uid']} {note.reason} {note.occurrence}".encode()).hexdigest()[:16]
    body = {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": event_name(metadata["name"], digest), "namespace": metadata["namespace"]},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": note.type,
        "reason": note.reason[:_WORD_LENGTH],
        "note": note.message.encode()[:_NOTE_BYTES].decode(errors="ignore"),
        "action": note.reason[:_WORD_LENGTH],
        "reportingController": "wsedge.io/operator",
        "reportingInstance": identity[:_WORD_LENGTH],
        "regarding": _reference(note.regarding),
    }
    try:
        live = await client.create(EVENT, metadata["namespace"], body)
    except ConflictError:
        return
    log.info(
        "event written",
        namespace=metadata["namespace"],
        name=metadata["name"],
        reason=note.reason,
        note=note.message,
    )
    written(EVENT, "create", live)


def event_name(regarding: str, digest: str) -> str:
    """Return the name of an Event about the object `regarding`: as much of that name as fits, and `digest`.

    Each label of a DNS subdomain (RFC 1123) ends in a letter or digit, so dots and dashes at the cut are
    removed.
    """
    kept = regarding[: _NAME_LENGTH - len(digest) - 1].rstrip("-.")
    return f"{kept}.{digest}"


def _reference(live: Mapping[str, Any]) -> Object:
    metadata = live["metadata"]
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
