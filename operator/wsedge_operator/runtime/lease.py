"""Leader election: one Lease, held by at most one operator at a time (coordination.k8s.io/v1).

    wait ──(no rival release; Lease free or expired)──▶ acquire ──(no older rival)──▶ lead ──renew──▶ lead
      ▲                                                    │ an older rival             │ not renewed in time,
      └──────────────────── release ───────────────────────┘                            ▼ or held by another
                                                                                  LeaseLostError: exit

A Lease has expired when its record did not change for its duration on the **candidate's** monotonic clock;
the times in it are of another machine's clock and only for people. The leader exits when it could not renew
for two thirds of the duration, so that it has stopped writing before a standby may acquire the Lease.

The Lease has the leader's pod as its owner: when that pod is deleted, the garbage collector deletes the
Lease. So an operator that cannot release it (an uninstall deletes its rights before the pod has ended) leaves
no Lease for which the next operator would wait.
"""

from __future__ import annotations

import asyncio
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
_DEADLINE_PART: Final = 2 / 3
RIVAL_ADVICE: Final = (
    "Uninstall one of the two, or give each its own namespaces (chart value watchNamespaces); this release"
    " starts to serve when the other one is uninstalled."
)


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
    monotonic: Callable[[], float] = time.monotonic
    _held: Object | None = field(default=None, init=False)
    blocked_by: str | None = field(default=None, init=False)
    _seen: tuple[Any, float] | None = field(default=None, init=False)

    async def acquire(self) -> None:
        """Return when this candidate leads, without a deadline."""
        while not (await self._is_free() and await self._try_acquire() and await self._is_first()):  # noqa: ASYNC110
            # Another process or a person causes the change, and there is no event of it: a poll.
            await asyncio.sleep(self.seconds * _RENEW_PART)
        log.info("leading", lease=f"{self.namespace}/{self.name}", identity=self.identity)

    async def renew_until_lost(self) -> None:
        """Renew the Lease; raises LeaseLostError when it is another operator's, or not renewed in time."""
        renewed = self.monotonic()
        while True:
            await asyncio.sleep(self.seconds * _RENEW_PART)
            deadline = renewed + self.seconds * _DEADLINE_PART
            try:
                async with asyncio.timeout(max(0.0, deadline - self.monotonic())):
                    started = self.monotonic()
                    await self._renew()
                    renewed = started
            except LeaseLostError:
                raise
            except ConflictError as error:
                raise LeaseLostError(f"Lease {self.namespace}/{self.name} was taken over: {error}") from error
            except TimeoutError as error:
                raise LeaseLostError(
                    f"Lease {self.namespace}/{self.name} could not be renewed within {deadline - renewed:g} s"
                ) from error
            except OperatorError as error:
                log.warning("lease not renewed", error=str(error))

    async def release(self) -> None:
        """Release the Lease, so that a standby need not wait until it expires."""
        if self._held is None:
            return
        held, self._held = self._held, None
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
            return False
        try:
            self._held = await self._write(live)
        except ConflictError:
            return False
        except (ApiError, UnreachableError) as error:
            log.warning("lease not writable", error=str(error))
            return False
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
