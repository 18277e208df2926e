"""Carry out the outcomes of decisions, and request the other keys that each write concerns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog

from wsedge_operator.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NamespaceGoneError,
    UnreachableError,
)
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import EVENT, Kind
from wsedge_operator.kube.outcome import perform, write_event
from wsedge_operator.reconcile.outcome import EventNote, Exact, Outcome
from wsedge_operator.reconcile.reasons import Reason
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.triggers import Key, keys_of

log = structlog.get_logger()

# A refusal is reported at once; any other failure may be transient, and is reported at the fourth in a row.
FAILURES_BEFORE_REPORT: Final = 4
_FAILURE_LENGTH: Final = 1000

# Called with the key that a write was made for, the exact parts, and the object after admission.
NoteAdmitted = Callable[[Key, Exact, Object], None]


class Writer:
    """Writes to the API server for all reconcilers.

    Each written object is put into the cache at once, so that the next decision does not wait until the watch
    delivers it.
    """

    def __init__(
        self,
        *,
        client: Client,
        cache: Cache,
        agenda: Agenda,
        note_admitted: NoteAdmitted,
        clock: Clock,
        metrics: Metrics,
        identity: str,
    ) -> None:
        """Write as the operator process `identity`, which is an Event's reportingInstance."""
        self._client = client
        self._cache = cache
        self._agenda = agenda
        self._note_admitted = note_admitted
        self._clock = clock
        self._metrics = metrics
        self._identity = identity

    async def perform(self, key: Key, outcome: Outcome) -> None:
        """Carry out an outcome of `key`. Raises ApiError or UnreachableError at the first failure."""

        def written(kind: Kind, verb: str, live: dict[str, Any]) -> None:
            self.written(kind, verb, live, by=key)

        def note_admitted(exact: Exact, live: Object) -> None:
            self._note_admitted(key, exact, live)

        await perform(self._client, outcome, written, note_admitted, self._clock.now(), self._identity)

    def written(self, kind: Kind, verb: str, live: Object, *, by: Key | None = None) -> None:
        """Count a write, and request the keys that it concerns, except `by`."""
        self._metrics.writes.labels(kind.kind, verb).inc()
        if live and kind is not EVENT and self._cache.put(kind, live):
            for other in keys_of(self._cache, kind, live):
                if other != by:
                    self._agenda.request(other)

    async def report_failure(self, regarding: Object, text: str) -> None:
        """Write an Event about a failed write, once while it exists; log and count if that fails too."""
        note = EventNote(regarding, "Warning", Reason.APPLY_FAILED, text, f"failed {text}")
        try:
            await write_event(self._client, note, self.written, self._clock.now(), self._identity)
        except (ApiError, UnreachableError) as error:
            self._metrics.unreported.inc()
            log.error("failure not reported", failure=text, error=str(error))


def is_to_be_reported(
    error: ApiError | UnreachableError, failures: int, *, conflicts_are_refusals: bool
) -> bool:
    """Return whether a failure is a refusal, or the fourth in a row; `failures` were before it."""
    if isinstance(error, NamespaceGoneError):
        return False
    is_refusal = isinstance(error, InvalidError | ForbiddenError) or (
        conflicts_are_refusals and isinstance(error, ConflictError)
    )
    return is_refusal or failures + 1 >= FAILURES_BEFORE_REPORT


def failure_text(error: ApiError | UnreachableError) -> str:
    """Return the text of a failure for a status or an Event, cut: a webhook's answer may be of any length."""
    return str(error)[:_FAILURE_LENGTH]
