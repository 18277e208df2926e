"""The relays of a domain: their number and pods, how they end connections, what they log."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from wsedge_operator.api.meta import SpecPart, cel, validations
from wsedge_operator.api.spec.geo import Geo
from wsedge_operator.api.spec.pod import RelayPod
from wsedge_operator.api.spec.quantity import RelayResources
from wsedge_operator.api.spec.size import Autoscaling, Rebalance

DEFAULT_REPLICAS: Final = 2
_AUTOSCALED_MESSAGE: Final = (
    "relay.autoscaling decides the number of relays: leave out relay.replicas (or set its default, 2), and"
    " scale by autoscaling.minReplicas and maxReplicas"
)


class Lifecycle(SpecPart):
    """How relays end connections."""

    drainSeconds: Annotated[
        int,
        Field(
            ge=0,
            le=3600,
            description="Seconds over which a relay spreads the closing of its open connections when it "
            "stops or the domain is switched off; 0 to 3600. Default 30.",
        ),
    ] = 30
    maxConnectionAgeSeconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=604800,
            description="Seconds after which an open connection is closed with 1001; 1 to 604800. The age of "
            "each connection is random within a tenth of this, so that not all close together. A change "
            "applies to open connections too. Default: none.",
        ),
    ] = None


class AccessLog(SpecPart):
    """Which connections the relays log."""

    samplePercent: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="The share of connections, in percent, that get a line in the relays' log when they "
            "end: client address, status, origin, duration, bytes, messages, close code and the side that "
            "closed; never cookies, and paths and queries only by path and query. 0 to 100. Default 0: none, "
            "since client addresses are personal data.",
        ),
    ] = 0
    everySeconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=86400,
            description="Seconds between further lines of each of these connections while it is open, the "
            "first at its opening; 1 to 86400. A plain request gets its first after this time. Without "
            "effect while samplePercent is 0. A change applies to new connections, and to open ones after "
            "their next line. Default: only the line at the end.",
        ),
    ] = None
    path: Annotated[
        bool | None,
        Field(
            description="true: lines have the path of the request, which may contain secrets; at most 1024 "
            "bytes. Default false."
        ),
    ] = None
    query: Annotated[
        bool | None,
        Field(
            description="true: lines have the query of the request, at most 1024 bytes. Many applications "
            "send tokens in the query, and every reader of the log can then use them. Default false."
        ),
    ] = None


class Relay(SpecPart):
    """The pods that carry this domain."""

    # `replicas` keeps its default beside `autoscaling`: the scale subresource of an object without a number
    # fails. So the default stands for "not set", and `kubectl scale` to another number is refused.
    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                f"!has(self.autoscaling) || self.replicas == {DEFAULT_REPLICAS}",
                _AUTOSCALED_MESSAGE,
                field="replicas",
            )
        )
    )

    replicas: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="The number of relay pods; 1 to 100. Default 2. Leave it out beside autoscaling, and "
            "where a HorizontalPodAutoscaler or KEDA scales this object.",
        ),
    ] = DEFAULT_REPLICAS
    autoscaling: Annotated[
        Autoscaling | None,
        Field(
            description="Let the operator choose the number of relays by their open connections; not "
            "together with replicas. Default: none."
        ),
    ] = None
    rebalance: Annotated[
        Rebalance | None,
        Field(
            description="After a scale-out, let relays with more connections than the mean close some of "
            "them, so that new relays get their share. Default: none, new relays get new connections only."
        ),
    ] = None
    workers: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Worker processes of each relay pod, each of which uses one core at most; 1 to 64. "
            "Limits are per pod, whatever the number of its workers. A change replaces the pods. Default 1.",
        ),
    ] = 1
    resources: Annotated[
        RelayResources | None,
        Field(
            description="CPU, memory and ephemeral storage of each relay pod, as in a container. Default: "
            "none set."
        ),
    ] = None
    geo: Annotated[
        Geo | None,
        Field(
            description="Databases of the places and networks of clients. Default: none, usage is then "
            "reported without them."
        ),
    ] = None
    pod: Annotated[
        RelayPod | None,
        Field(
            description="Settings of the pods that the cluster's policies may demand: nodes, priority, "
            "labels, pull secrets. A change replaces the pods. Default: the operator's (chart value "
            "relay.pod)."
        ),
    ] = None

    @model_validator(mode="after")
    def has_one_source_of_its_number(self) -> Self:
        """Refuse a number beside autoscaling, except for the default (CEL: the same)."""
        if self.autoscaling is not None and self.replicas != DEFAULT_REPLICAS:
            raise ValueError(_AUTOSCALED_MESSAGE)
        return self
