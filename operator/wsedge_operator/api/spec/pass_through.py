"""Of a WebSocketDomain's spec: patterns of paths, and which plain requests relays pass to origins."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from wsedge_operator.api.meta import Matches, SpecPart
from wsedge_relay.contract import Method

_PATH_MESSAGE: Final = (
    "give a path that begins with a slash, without a query, or a prefix that ends in *, "
    "for example /ws or /socket.io/*"
)

PathPattern = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    Matches(r"/[!\"$-)+->@-~]*\*?", _PATH_MESSAGE),
]


class PassThrough(SpecPart):
    """Which plain requests, that is, requests that are no WebSocket handshake, go to the origins."""

    paths: Annotated[
        tuple[PathPattern, ...],
        Field(
            max_length=64,
            description="The paths of plain requests that are passed, as in clients.allowedPaths; at most "
            "64. Other paths get 426. Without entries every path is passed. A change applies to new "
            "requests.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    methods: Annotated[
        tuple[Method, ...],
        Field(
            min_length=1,
            max_length=7,
            description="The methods of plain requests that are passed: some of GET, HEAD, POST, OPTIONS, "
            "PUT, PATCH and DELETE. Other methods get 405. Default GET, HEAD, POST, OPTIONS and DELETE.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = (Method.GET, Method.HEAD, Method.POST, Method.OPTIONS, Method.DELETE)
    maxBodyBytes: Annotated[
        int,
        Field(
            ge=0,
            le=1 << 40,
            description="Bytes of one request's body; 0 to 1099511627776. A longer body gets 413. A relay "
            "streams bodies and never buffers a whole one. Default 1048576.",
        ),
    ] = 1 << 20
    timeoutSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Seconds within which an origin begins its answer, which a long poll delays on "
            "purpose, and the longest pause within an answer; 1 to 3600. Default 120.",
        ),
    ] = 120
