"""Who leads: one Lease, held by at most one operator at a time (coordination.k8s.io/v1).

A Lease has run out when its record did not change for its duration on **our** monotonic clock; the times in
it were written by another machine's clock and are only for people. The leader stops by itself when it could
not renew for two thirds of the duration, so that it has ended before a standby may begin.

The Lease belongs to the leader's pod: when that pod is deleted, the cluster removes the Lease. So an operator
that cannot give it back (an uninstall takes its rights before the pod has ended) leaves none for the next one
to wait for.
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
    "Uninstall one of the two, or give each its own namespaces (chart value watchNamespaces); this one takes"
    " over when the other is gone."
)


@dataclass
class Election:
    """The Lease `namespace/name`, seen by the candidate `identity`. Durations are in seconds.

    While `rivals` finds another release that serves the same, the Lease is not taken; `waits_for` names it.
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
    waits_for: str | None = field(default=None, init=False)
    _seen: tuple[Any, float] | None = field(default=None, init=False)

    async def acquire(self) -> None:
        """Return when this candidate leads; that may take for ever."""
        while not (await self._is_free() and await self._try() and await self._is_first()):  # noqa: ASYNC110  no event tells
            # What is awaited happens in another process.
            await asyncio.sleep(self.seconds * _RENEW_PART)
        log.info("leading", lease=f"{self.namespace}/{self.name}", identity=self.identity)

    async def keep(self) -> None:
        """Renew until LeaseLostError: somebody else leads, or the API server could not be asked in time."""
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
        """Give the Lease back, so that a standby need not wait for it to run out."""
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
        """Tell whether no other release serves the same."""
        if self.rivals is None:
            return True
        self._wait_for(await self.rivals.find())
        return self.waits_for is None

    async def _is_first(self) -> bool:
        """Tell whether the Lease just taken is older than that of a release which took its own meanwhile."""
        if self.rivals is None:
            return True
        self._wait_for(await self.rivals.find(older_than=self._held))
        if self.waits_for is not None:
            await self.release()
        return self.waits_for is None

    def _wait_for(self, rival: str | None) -> None:
        if rival is not None and rival != self.waits_for:
            log.error("another release serves the same namespaces", lease=rival, advice=RIVAL_ADVICE)
        self.waits_for = rival

    @property
    def problem(self) -> str | None:
        """Why this release serves nothing; None while it may."""
        if self.waits_for is None:
            return None
        return f"another release serves the same namespaces (Lease {self.waits_for}). {RIVAL_ADVICE}"

    async def _try(self) -> bool:
        try:
            live = await self.client.get(LEASE, self.namespace, self.name)
        except NotFoundError:
            live = None
        except (ApiError, UnreachableError) as error:
            log.warning("lease not readable", error=str(error))
            return False
        if live is not None and not self._may_take(live):
            return False
        try:
            self._held = await self._write(live)
        except ConflictError:
            return False
        except (ApiError, UnreachableError) as error:
            log.warning("lease not writable", error=str(error))
            return False
        return True

    def _may_take(self, live: Object) -> bool:
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
                    "annotations": self._marks(),
                    **self._owned(),
                },
                "spec": {**spec, "leaseTransitions": 0},
            }
            return await self.client.create(LEASE, self.namespace, body)
        transitions = int(live["spec"].get("leaseTransitions") or 0) + 1
        metadata = {key: value for key, value in live["metadata"].items() if key != "ownerReferences"}
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **self._marks()}
        body = {
            **live,
            "metadata": {**metadata, **self._owned()},
            "spec": {**spec, "leaseTransitions": transitions},
        }
        return await self.client.replace(LEASE, self.namespace, body)

    def _owned(self) -> Object:
        """Return the owner of the Lease: this pod, or nobody outside of a cluster."""
        if not self.pod_uid:
            return {}
        pod = {"apiVersion": POD.api_version, "kind": POD.kind, "name": self.identity, "uid": self.pod_uid}
        return {"ownerReferences": [pod]}

    def _marks(self) -> dict[str, str]:
        return {} if self.rivals is None else {SERVES_ANNOTATION: serves_text(self.rivals.serves)}

    async def _renew(self) -> None:
        if self._held is None:
            raise LeaseLostError("the Lease is not held")
        spec = {**self._held["spec"], "renewTime": _micro_time()}
        try:
            self._held = await self.client.replace(LEASE, self.namespace, {**self._held, "spec": spec})
        except (ConflictError, NotFoundError):
            # Somebody annotated it, or a write of ours arrived though its answer did not: look who holds it.
            self._held = await self._taken_back()

    async def _taken_back(self) -> Object:
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
