"""Of a WebSocketDomain's spec: who may come in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wsedge_operator.api.meta import Matches, Strict

WebOrigin = Annotated[
    str,
    Field(min_length=1, max_length=300),
    Matches(
        r"null|[a-z][a-z0-9+.-]*://((\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?",
        "give an origin as browsers send it, in lower case and without a path, for example "
        "https://app.example.com or https://*.example.com",
    ),
]


class Clients(Strict):
    """Who may come in, and whose word on where clients come from is believed."""

    allowedOrigins: Annotated[
        tuple[WebOrigin, ...],
        Field(
            max_length=64,
            description="The pages whose scripts may connect, by the Origin header that browsers send: "
            "scheme://host[:port], or scheme://*.host for every name below a host, or null for pages "
            "without an origin; at most 64. Others get 403. Without entries all may. A request without the "
            "header comes from no browser and is let in. A change counts for new connections.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
