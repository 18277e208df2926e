"""The clients of a domain: who is admitted, with which limits, and what is logged."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from wsedge_relay.contract.forms import Network, PathPattern, WebOrigin
from wsedge_relay.contract.message import Message

# The largest limit of a request's head.
MOST_HEADER_BYTES: Final = 65536


class HeartbeatLegs(StrEnum):
    """The legs of a tunnel that are pinged, and whose silence ends it."""

    BOTH = "Both"
    CLIENT = "Client"
    ORIGIN = "Origin"
    NONE = "None"


class Lifecycle(Message):
    """The duration of a drain, and the maximum age of connections.

    Ages are varied, so that clients that connected at the same time do not reconnect at the same time.
    """

    drainSeconds: Annotated[
        int,
        Field(ge=0, le=3600, description="Time over which a drain spreads the closing of open connections."),
    ] = 30
    maxConnectionAgeSeconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=604800,
            description="Age at which a connection is closed with 1001 between two frames, varied by ±10 % "
            "for each connection. A change applies to open connections at once; connections that exceed the "
            "new age are closed over a tenth of that time. null: no maximum.",
        ),
    ] = None


class Clients(Message):
    """The clients that are admitted.

    A request without an Origin header is admitted in any case: browsers always send the header, and other
    clients can forge it.
    """

    allowedOrigins: Annotated[
        tuple[WebOrigin, ...],
        Field(
            max_length=64,
            description="Origins of the web pages whose scripts may connect, compared with the Origin "
            "header, such as `https://*.example.com`, or `file://` for pages of a scheme without hosts. "
            "Empty: all.",
        ),
    ] = ()
    allowedPaths: Annotated[
        tuple[PathPattern, ...],
        Field(
            max_length=64,
            description="Allowed paths, exact or with `*` at the end, compared as they are sent, without "
            "the query; bytes above ASCII are compared percent-encoded. Empty: all.",
        ),
    ] = ()
    trustedProxies: Annotated[
        tuple[Network, ...],
        Field(
            max_length=64,
            description="Networks of proxies in front of the relay, whose headers name the client's address.",
        ),
    ] = ()
    proxyProtocol: Annotated[
        bool,
        Field(
            description="Whether each connection from `trustedProxies` begins with a PROXY header (version "
            "1 or 2). Connections without the header are refused."
        ),
    ] = False

    @model_validator(mode="after")
    def proxy_protocol_needs_trusted_proxies(self) -> Self:
        """Refuse `proxyProtocol` without `trustedProxies`: the relay would refuse every connection."""
        if self.proxyProtocol and not self.trustedProxies:
            raise ValueError("proxyProtocol: needs trustedProxies, which send the header")
        return self


class Method(StrEnum):
    """The methods of requests that can be passed through."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    OPTIONS = "OPTIONS"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


class PassThrough(Message):
    """Plain requests (no upgrade) that are passed to the origins.

    The default methods are those of the fallback transports; SignalR ends its long polls by a DELETE.
    """

    paths: Annotated[
        tuple[PathPattern, ...],
        Field(
            max_length=64,
            description="Paths of the requests that are passed, exact or with `*` at the end. Empty: all. "
            "Requests for other paths get 426.",
        ),
    ] = ()
    methods: Annotated[
        tuple[Method, ...],
        Field(
            min_length=1,
            max_length=7,
            description="Methods of the requests that are passed. Requests with other methods get 405.",
        ),
    ] = (
        Method.GET,
        Method.HEAD,
        Method.POST,
        Method.OPTIONS,
        Method.DELETE,
    )
    maxBodyBytes: Annotated[
        int, Field(ge=0, le=1 << 40, description="Most bytes of a request's body. A longer body gets 413.")
    ] = 1 << 20
    timeoutSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Time for an origin to begin its answer, and the longest pause within the answer.",
        ),
    ] = 120


class Limits(Message):
    """Limits of a domain in one relay, over all its worker processes.

    One line of a head may have half of the head's limit, or 8192 bytes if that is more.
    """

    connections: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Most open connections of the domain, handshakes and plain requests under way "
            "included. Further clients get 503 with Retry-After.",
        ),
    ] = None
    connectionsPerClient: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Most open connections of one IPv4 address or one IPv6 /64. Further ones get 429 "
            "with Retry-After.",
        ),
    ] = None
    handshakesPerSecond: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000,
            description="Most handshakes and plain requests per second; as many may arrive at once after a "
            "pause. Further ones get 503 with Retry-After.",
        ),
    ] = None
    messageBytes: Annotated[
        int | None,
        Field(
            ge=1,
            le=1 << 30,
            description="Most payload bytes of one message from either side, over all its frames as they "
            "are on the wire. A longer message closes the connection with 1009. A change applies to new "
            "connections.",
        ),
    ] = None
    bytesPerSecond: Annotated[
        int | None,
        Field(
            ge=1024,
            le=1 << 30,
            description="Most bytes per second from each side of one connection, after TLS; as many may "
            "arrive at once after a pause. A change applies to open connections at once.",
        ),
    ] = None
    framesPerSecond: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Most data frames per second from the client of one connection, and as many control "
            "frames (pings, pongs), which are counted apart; as many may arrive at once after a pause. More "
            "close the connection with 1008. A change applies to open connections at once.",
        ),
    ] = None
    messagesPerSecond: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Most messages per second from the client of one connection; as many may arrive at "
            "once after a pause. More close the connection with 1008. A change applies to open connections "
            "at once.",
        ),
    ] = None
    stallSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Time within which a peer must accept some of the bytes that wait for it; otherwise "
            "its connection is closed. A change applies to open connections at once.",
        ),
    ] = 30
    headerBytes: Annotated[
        int,
        Field(
            ge=1024,
            le=MOST_HEADER_BYTES,
            description="Most bytes of a request's head, from its first line to the empty line. A longer "
            "head gets 431. An origin's head may have four times as many, and 65536 in any case; a longer "
            "one becomes a 502.",
        ),
    ] = 16384


class AccessLog(Message):
    """The share of connections that get lines in the access log, and the content of these."""

    samplePercent: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Percentage of connections, chosen at random, that get a log line at their end.",
        ),
    ] = 0
    everySeconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=86400,
            description="Interval of further lines for each of these connections while it is open, the first "
            "at its opening. A plain request gets its first after one interval. Without effect while "
            "`samplePercent` is 0. null: only the line at the end.",
        ),
    ] = None
    path: Annotated[
        bool | None,
        Field(description="Whether lines have the request's path, which may contain secrets. null: false."),
    ] = None
    query: Annotated[
        bool | None,
        Field(
            description="Whether lines have the request's query. Many applications send tokens in it, which "
            "the log then contains. null: false."
        ),
    ] = None
