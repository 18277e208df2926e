"""The switch of a domain, its heartbeat, its protocol, and TLS towards clients."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from wsedge_operator.api.meta import SecretName, SpecPart, cel, validations
from wsedge_relay.contract import HeartbeatLegs, OriginProtocol

_PROTOCOL_MESSAGE: Final = "a domain that is enabled needs an originProtocol: HTTP, HTTPS or Follow"


class WebSocket(SpecPart):
    """The switch, the heartbeat and the protocol towards the origins."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!self.enabled || has(self.originProtocol)",
                _PROTOCOL_MESSAGE,
                field="originProtocol",
                required=True,
            )
        )
    )

    enabled: Annotated[
        bool,
        Field(
            description="Whether the domain is switched on. When it is switched off, relays refuse new "
            "connections and close the open ones over drainSeconds, and are then removed. The Service keeps "
            "its address."
        ),
    ]
    heartbeatSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=300,
            description="The longest silence in seconds on either side of a connection: before it has "
            "passed, a relay sends a ping. A side that sends nothing for that time once more is considered "
            "dead, and the connection is closed. 1 to 300. Default 60. A change applies to open connections "
            "and closes none.",
        ),
    ] = 60
    heartbeatLegs: Annotated[
        HeartbeatLegs | None,
        Field(
            description="The sides that a relay pings, and whose silence closes the connection: Both, "
            "Client, Origin or None. Client or Origin is for peers on the other side that cannot answer, as "
            "some embedded clients. With None idle detection is off: a peer that vanished without an end of "
            "its connection is not noticed, and its connection stays open and is counted until "
            "lifecycle.maxConnectionAgeSeconds or a limit ends it. A change applies to open connections and "
            "closes none. Default Both."
        ),
    ] = None
    originProtocol: Annotated[
        OriginProtocol | None,
        Field(
            description="The protocol towards the origins: HTTP (ws), HTTPS (wss), or Follow: HTTP for a "
            "client's ws, HTTPS for its wss. Required when enabled; there is no default."
        ),
    ] = None

    @model_validator(mode="after")
    def has_a_protocol_when_enabled(self) -> Self:
        """Refuse a switched-on domain without a protocol (CEL: the same)."""
        if self.enabled and self.originProtocol is None:
            raise ValueError(_PROTOCOL_MESSAGE)
        return self


class ClientTLS(SpecPart):
    """TLS towards clients (wss)."""

    secretName: Annotated[
        SecretName,
        Field(
            description="A Secret of type kubernetes.io/tls of this namespace. Relays load a new certificate "
            "without a restart; open connections stay open."
        ),
    ]
    http2: Annotated[
        bool,
        Field(
            description="Whether clients may speak HTTP/2, which carries many WebSockets on one connection "
            "(RFC 8441), besides HTTP/1.1; not with passThrough. Each message costs a relay several times "
            "the CPU. A change applies to new connections."
        ),
    ] = False
