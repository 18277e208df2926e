"""Of a WebSocketDomain's spec: which paths may be asked for, and which plain requests are passed through."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from wsedge_operator.api.meta import Matches, SpecPart
from wsedge_relay.contract import Method

_PATH_MESSAGE: Final = (
    "give a path that begins with a slash, without a query, or a prefix of one that ends in *, "
    "for example /ws or /socket.io/*"
)

PathPattern = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    Matches(r"/[!\"$-)+->@-~]*\*?", _PATH_MESSAGE),
]


class PassThrough(SpecPart):
    """Which requests that are no WebSocket handshake are passed to the origins."""

    paths: Annotated[
        tuple[PathPattern, ...],
        Field(
            max_length=64,
            description="The paths of requests that are passed, as in clients.allowedPaths; at most 64. "
            "Others get 426. Without entries all are passed. A change counts for new requests.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    methods: Annotated[
        tuple[Method, ...],
        Field(
            min_length=1,
            max_length=7,
            description="The methods of requests that are passed, of GET, HEAD, POST, OPTIONS, PUT, PATCH "
            "and DELETE. Others get 405. Default GET, HEAD, POST, OPTIONS and DELETE.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = (Method.GET, Method.HEAD, Method.POST, Method.OPTIONS, Method.DELETE)
    maxBodyBytes: Annotated[
        int,
        Field(
            ge=0,
            le=1 << 40,
            description="Bytes of one request's body; 0 to 1099511627776. A longer one gets 413. Bodies are "
            "passed on as they come, and never held as a whole. Default 1048576.",
        ),
    ] = 1 << 20
    timeoutSeconds: Annotated[
        int,
        Field(
            ge=1,
            le=3600,
            description="Seconds in which an origin begins its answer, which a long poll holds back on "
            "purpose, and the longest pause within an answer; 1 to 3600. Default 120.",
        ),
    ] = 120
