"""Messages between the starter and the supervisor: the parts of a cluster, and the supervisor's events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

NodeCount = Annotated[int, Field(ge=0, le=50)]
# Restart and image back-off of a kubelet is 10 s doubling to 300 s; tests scale it down.
BackoffScale = Annotated[float, Field(gt=0, le=1)]
# A kubelet syncs mounted ConfigMaps and Secrets at least this often; sooner when the pod changes.
SyncSeconds = Annotated[float, Field(gt=0)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClusterSpec(_Message):
    """Everything the supervisor needs. Paths are absolute."""

    mark: str  # in the environment of every process of this cluster
    directory: Path
    keep: bool  # the folder stays when the cluster ends, and can be started again
    binaries: dict[str, Path]
    nodes: NodeCount
    simulated_nodes: NodeCount
    backoff_scale: BackoffScale
    sync_seconds: SyncSeconds
    # Images that run our programs from other sources: a folder with operator/, proxy/, statistics/.
    images: dict[str, Path] = {}
    variables: dict[str, str] = {}  # the environment of our own images
    relays_answer: bool = True  # simulated relays answer for their configuration


class Progress(_Message):
    """A step of the start has begun or advanced."""

    event: Literal["progress"] = "progress"
    text: str


class Ready(_Message):
    """The cluster can be used."""

    event: Literal["ready"] = "ready"
    server: str
    service_range: str
    pod_range: str


class Failed(_Message):
    """The cluster did not start; the supervisor ends."""

    event: Literal["failed"] = "failed"
    component: str
    reason: str
    log: Path | None


class Done(_Message):
    """A command has succeeded."""

    event: Literal["done"] = "done"


Event = Annotated[Progress | Ready | Failed | Done, Field(discriminator="event")]
EVENTS: TypeAdapter[Progress | Ready | Failed | Done] = TypeAdapter(Event)

STOP_APISERVER = "stop-apiserver"
START_APISERVER = "start-apiserver"
