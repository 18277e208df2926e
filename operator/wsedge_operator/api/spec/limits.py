"""Of a WebSocketDomain's spec: how much of it one relay pod takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wsedge_operator.api.meta import SpecPart


class Limits(SpecPart):
    """How much each relay pod takes. Pods do not count together: all of them take so many times as much."""

    connections: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000000,
            description="Connections that one relay pod has at a time, handshakes under way included; 1 to "
            "1000000. One more gets 503 with Retry-After. Open connections live on when it is lowered. "
            "Default: none.",
        ),
    ] = None
    connectionsPerClient: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000000,
            description="Connections that one relay pod has from one client at a time, an IPv4 address or an "
            "IPv6 network of 64 bits; 1 to 1000000. One more gets 429 with Retry-After. Open connections "
            "live on when it is lowered. Default: none.",
        ),
    ] = None
    handshakesPerSecond: Annotated[
        int | None,
        Field(
            ge=1,
            le=100000,
            description="Handshakes that one relay pod accepts per second, and at once after a pause; 1 to "
            "100000. A further one gets 503 with Retry-After. Default: none.",
        ),
    ] = None
    messageBytes: Annotated[
        int | None,
        Field(
            ge=1,
            le=1 << 30,
            description="Payload bytes of one message, from a client or an origin, over all its frames as "
            "they are on the wire (after compression); 1 to 1073741824. A longer one is not passed on: its "
            "sender is closed with 1009, the other side with 1001 (an origin) or 1011 (a client). "
            "Default: none.",
        ),
    ] = None
    bytesPerSecond: Annotated[
        int | None,
        Field(
            ge=1024,
            le=1 << 30,
            description="Bytes per second that are read from each side of one connection, after TLS, frame "
            "headers included; 1024 to 1073741824. As many may come at once after a pause. A side that "
            "sends faster is read later: nothing is dropped. A change counts for open connections at once. "
            "Default: none.",
        ),
    ] = None
    stallSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Seconds for which a client or an origin may read nothing of what is held for it; 1 "
            "to 3600. Then its connection is reset and the other side is closed with 1001. A change counts "
            "for open connections at once. Default 30.",
        ),
    ] = 30
    headerBytes: Annotated[
        int,
        Field(
            ge=1024,
            le=65536,
            description="Bytes of a request's head: its first line, its headers and the empty line; 1024 to "
            "65536. One line of it may have half of that, or 8192 bytes. A longer one gets 431. Origins have "
            "limits of their own, most of 8192 bytes or more. Default 16384.",
        ),
    ] = 16384
