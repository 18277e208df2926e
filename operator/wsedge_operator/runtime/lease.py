"""Leader election: one Lease, held by at most one operator at a time (coordination.k8s.io/v1).

    wait ──(no rival release; Lease free or expired)──▶ acquire ──(no older rival)──▶ lead ──renew──▶ lead
      ▲                                                    │ an older rival             │ not renewed in time,
      └──────────────────── release ───────────────────────┘                            ▼ or held by another
                                                                                  LeaseLostError: exit

A Lease has expired when its record did not change for its duration on the **candidate's** monotonic clock;
the times in it are of another machine's clock and only for people. The leader exits when it could not renew
for four fifths of the duration, so that it has stopped writing before a standby may acquire the Lease; less
than that, and an API server that takes five seconds for each call would end the leader of a Lease of 15 s.

`check` is asked before each write, by a clock that counts on while the process is stopped or its machine
suspended: a leader that is paused, and whose Lease has expired meanwhile, writes nothing when it wakes up,
whichever of its tasks runs first. The age counts from the sending of the last renewal that was answered:
that is before the API server stored it, which is before any candidate saw it.

The Lease has the leader's pod as its owner: when that pod is deleted, the garbage collector deletes the
Lease. So an operator that cannot release it (an uninstall deletes its rights before the pod has ended) leaves
no Lease for which the next operator would wait.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from wsedge_operator.errors import (
    ApiError,
    ConflictError,
    LeaseLostError,
    NotFoundError,
    OperatorError,
    UnreachableError,
)
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import LEASE, POD
from wsedge_operator.runtime.rivals import SERVES_ANNOTATION, Rivals, serves_text

log = structlog.get_logger()

_RENEW_PART: Final = 1 / 4
_DEADLINE_PART: Final = 4 / 5
# A standby reads the Lease this often: a Lease that is released is acquired by then.
_READ_SECONDS: Final = 1.0
# The pause after a renewal that failed, unless the API server asks for a longer one.
_RETRY_SECONDS: Final = 1.0
RIVAL_ADVICE: Final = (
    "Uninstall one of the two, or give each its own namespaces (chart value watchNamespaces); this release"
    " starts to serve when the other one is uninstalled."
)


def boot_time() -> float:
    """Return the seconds since the machine started, which also pass while it is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class Election:
    """The candidate `identity` for the Lease `namespace/name`. Durations are in seconds.

    While `rivals` finds another release that serves the same namespaces, the Lease is not acquired, and
    `blocked_by` is the rival's Lease.
    """

    client: Client
    namespace: str
    name: str
    identity: str
    seconds: float
    pod_uid: str = ""
    rivals: Rivals | None = None
    monotonic: Callable[[], float] = boot_time
    _held: Object | None = field(default=None, init=False)
    _renewed: float = field(default=-math.inf, init=False)
    blocked_by: str | None = field(default=None, init=False)
    _seen: tuple[Any, float] | None = field(default=None, init=False)

    async def acquire(self) -> None:
        """Return when this candidate leads, without a deadline."""
        while not (await self._try_acquire() and await self._is_first() and await self._is_fresh()):  # noqa: ASYNC110
            # Another process or a person causes the change, and there is no event of it: a poll.
            await asyncio.sleep(min(_READ_SECONDS, self.seconds * _RENEW_PART))
        log.info("leading", lease=f"{self.namespace}/{self.name}", identity=self.identity)

    async def renew_until_lost(self) -> None:
        """Renew the Lease; raises LeaseLostError when it is another operator's, or not renewed in time."""
        while True:
            due = self._renewed + self.seconds * _RENEW_PART
            await asyncio.sleep(max(0.0, due - self.monotonic()))
            self.check()
            try:
                async with asyncio.timeout(max(0.0, self._deadline - self.monotonic())):
                    await self._renew_once()
            except ConflictError as error:
                raise LeaseLostError(f"Lease {self.namespace}/{self.name} was taken over: {error}") from error
            except TimeoutError as error:
                raise self._expired() from error

    async def _renew_once(self) -> None:
        """Renew the Lease, with as many attempts as that takes."""
        while True:
            started = self.monotonic()
            try:
                await self._renew()
            except (LeaseLostError, ConflictError):
                raise
            except OperatorError as error:
                log.warning("lease not renewed", error=str(error))
                await asyncio.sleep(self._pause_after(error))
            else:
                self._renewed = started
                return

    def _pause_after(self, error: OperatorError) -> float:
        """Return the seconds until the next attempt: as the API server asks, but once more before the end."""
        pause = min(_RETRY_SECONDS, self.seconds * _RENEW_PART)
        asked = (error.retry_after or 0.0) if isinstance(error, ApiError) else 0.0
        latest = self._deadline - self.monotonic() - pause
        return max(pause, min(asked, latest))

    def check(self) -> None:
        """Raise LeaseLostError unless the Lease is held, and was renewed not too long ago."""
        if self.monotonic() >= self._deadline:
            raise self._expired()

    @property
    def _deadline(self) -> float:
        return self._renewed + self.seconds * _DEADLINE_PART

    def _expired(self) -> LeaseLostError:
        within = self.seconds * _DEADLINE_PART
        return LeaseLostError(f"Lease {self.namespace}/{self.name} could not be renewed within {within:g} s")

    async def release(self) -> None:
        """Release the Lease, so that a standby need not wait until it expires."""
        if self._held is None:
            return
        held, self._held = self._held, None
        self._renewed = -math.inf
        spec = {**held["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time()}
        try:
            await self.client.replace(LEASE, self.namespace, {**held, "spec": spec})
        except OperatorError as error:
            log.warning("lease not released", error=str(error))
        else:
            log.info("lease released", lease=f"{self.namespace}/{self.name}")

    async def _is_free(self) -> bool:
        """Return whether no other release serves the same namespaces."""
        if self.rivals is None:
            return True
        self._note_rival(await self.rivals.find())
        return self.blocked_by is None

    async def _is_first(self) -> bool:
        """Return whether the acquired Lease is older than every rival's; release it otherwise.

        Two releases that start at once both find no rival before they acquire.
        """
        if self.rivals is None:
            return True
        self._note_rival(await self.rivals.find(older_than=self._held))
        if self.blocked_by is not None:
            await self.release()
        return self.blocked_by is None

    async def _is_fresh(self) -> bool:
        """Return whether the Lease is held; renew it first where slow calls have aged it already."""
        started = self.monotonic()
        if started - self._renewed < self.seconds * _RENEW_PART:
            return True
        try:
            await self._renew()
        except OperatorError as error:
            log.warning("lease not renewed", error=str(error))
            return False
        self._renewed = started
        return True

    def _note_rival(self, rival: str | None) -> None:
        if rival is not None and rival != self.blocked_by:
            log.error("another release serves the same namespaces", lease=rival, advice=RIVAL_ADVICE)
        self.blocked_by = rival

    @property
    def problem(self) -> str | None:
        """The reason why this release serves nothing; None without one."""
        if self.blocked_by is None:
            return None
        return f"another release serves the same namespaces (Lease {self.blocked_by}). {RIVAL_ADVICE}"

    async def _try_acquire(self) -> bool:
        try:
            live = await self.client.get(LEASE, self.namespace, self.name)
        except NotFoundError:
            live = None
        except (ApiError, UnreachableError) as error:
            log.warning("lease not readable", error=str(error))
            return False
        if live is not None and not self._may_acquire(live):
            self._note_rival(None)  # this release serves, by another process
            return False
        if not await self._is_free():
            return False
        started = self.monotonic()
        try:
            self._held = await self._write(live)
        except ConflictError:
            return False
        except (ApiError, UnreachableError) as error:
            log.warning("lease not writable", error=str(error))
            return False
        self._renewed = started
        return True

    def _may_acquire(self, live: Object) -> bool:
        spec = live["spec"]
        holder = spec.get("holderIdentity")
        if not holder or holder == self.identity:
            return True
        record = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if self._seen is None or self._seen[0] != record:
            self._seen = (record, self.monotonic())
            return False
        return self.monotonic() - self._seen[1] > float(spec.get("leaseDurationSeconds") or self.seconds)

    async def _write(self, live: Object | None) -> Object:
        now = _micro_time()
        spec: Object = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self.seconds)),
            "acquireTime": now,
            "renewTime": now,
        }
        if live is None:
            body = {
                "apiVersion": LEASE.api_version,
                "kind": LEASE.kind,
                "metadata": {
                    "name": self.name,
                    "namespace": self.namespace,
                    "annotations": self._annotations(),
                    **self._owner(),
                },
                "spec": {**spec, "leaseTransitions": 0},
            }
            return await self.client.create(LEASE, self.namespace, body)
        transitions = int(live["spec"].get("leaseTransitions") or 0) + 1
        metadata = {key: value for key, value in live["metadata"].items() if key != "ownerReferences"}
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **self._annotations()}
        body = {
            **live,
            "metadata": {**metadata, **self._owner()},
            "spec": {**spec, "leaseTransitions": transitions},
        }
        return await self.client.replace(LEASE, self.namespace, body)

    def _owner(self) -> Object:
        """Return the owner reference of the Lease to this pod; none outside of a cluster."""
        if not self.pod_uid:
            return {}
        pod = {"apiVersion": POD.api_version, "kind": POD.kind, "name": self.identity, "uid": self.pod_uid}
        return {"ownerReferences": [pod]}

    def _annotations(self) -> dict[str, str]:
        return {} if self.rivals is None else {SERVES_ANNOTATION: serves_text(self.rivals.serves)}

    async def _renew(self) -> None:
        if self._held is None:
            raise LeaseLostError("the Lease is not held")
        spec = {**self._held["spec"], "renewTime": _micro_time()}
        try:
            self._held = await self.client.replace(LEASE, self.namespace, {**self._held, "spec": spec})
        except (ConflictError, NotFoundError):
            # Another client annotated it, or an earlier renewal was stored and its answer was lost.
            self._held = await self._reacquire()

    async def _reacquire(self) -> Object:
        try:
            live = await self.client.get(LEASE, self.namespace, self.name)
        except NotFoundError:
            return await self._write(None)
        holder = live["spec"].get("holderIdentity")
        if holder != self.identity:
            raise LeaseLostError(f"Lease {self.namespace}/{self.name} is held by {holder or 'nobody'}")
        return await self.client.replace(
            LEASE, self.namespace, {**live, "spec": {**live["spec"], "renewTime": _micro_time()}}
        )


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
