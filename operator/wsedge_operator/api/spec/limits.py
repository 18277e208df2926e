"""Of a WebSocketDomain's spec: the limits of one relay pod."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wsedge_operator.api.meta import SpecPart


class Limits(SpecPart):
    """Limits of each relay pod. Pods do not share counts: N pods accept N times as much."""

    connections: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000000,
            description="Connections of one relay pod at a time, handshakes in progress included; 1 to "
            "1000000. A further connection gets 503 with Retry-After. Lowering it closes no open connection. "
            "Default: none.",
        ),
    ] = None
    connectionsPerClient: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000000,
            description="Connections of one relay pod from one client at a time; a client is an IPv4 address "
            "or an IPv6 network of 64 bits; 1 to 1000000. A further connection gets 429 with Retry-After. "
            "Lowering it closes no open connection. Default: none.",
        ),
    ] = None
    handshakesPerSecond: Annotated[
        int | None,
        Field(
            ge=1,
            le=100000,
            description="Handshakes that one relay pod accepts per second, and in one burst after a pause; 1 "
            "to 100000. A further handshake gets 503 with Retry-After. Default: none.",
        ),
    ] = None
    messageBytes: Annotated[
        int | None,
        Field(
            ge=1,
            le=1 << 30,
            description="Payload bytes of one message of a client or an origin, summed over its frames as "
            "they are on the wire (after compression); 1 to 1073741824. A longer message is not passed on: "
            "the side that sent it is closed with 1009, the other side with 1001 (an origin) or 1011 (a "
            "client). Default: none.",
        ),
    ] = None
    bytesPerSecond: Annotated[
        int | None,
        Field(
            ge=1024,
            le=1 << 30,
            description="Bytes per second that a relay reads from each side of one connection, after TLS, "
            "frame headers included; 1024 to 1073741824. The same number may arrive in one burst after a "
            "pause. A side that sends faster is read later: nothing is dropped. A change applies to open "
            "connections at once. Default: none.",
        ),
    ] = None
    framesPerSecond: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000000,
            description="Data frames per second that the client of one connection may send, and control "
            "frames (pings and pongs of its own), which are counted apart; 1 to 1000000. The same number may "
            "arrive in one burst after a pause. A client that sends more is closed with 1008, the origin "
            "with 1001; frames within the limit are passed on. A change applies to open connections at once. "
            "Default: none.",
        ),
    ] = None
    messagesPerSecond: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000000,
            description="Messages per second that the client of one connection may send; 1 to 1000000. The "
            "same number may arrive in one burst after a pause. A client that sends more is closed with "
            "1008, the origin with 1001; messages within the limit are passed on. A change applies to open "
            "connections at once. Default: none.",
        ),
    ] = None
    stallSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Seconds for which a client or an origin may read none of the bytes that wait for "
            "it; 1 to 3600. Then its connection is reset and the other side is closed with 1001. A change "
            "applies to open connections at once. Default 30.",
        ),
    ] = 30
    headerBytes: Annotated[
        int,
        Field(
            ge=1024,
            le=65536,
            description="Bytes of a request's head: its first line, its headers and the empty line; 1024 to "
            "65536. A line of it may have half of that, or 8192 bytes if that is more. A longer head or "
            "line gets 431. The head of an origin's answer may have four times as many bytes, and 65536 in "
            "any case. Default 16384.",
        ),
    ] = 16384
