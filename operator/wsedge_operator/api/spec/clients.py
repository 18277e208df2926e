"""Of a WebSocketDomain's spec: who may come in."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from wsedge_operator.api.meta import Matches, SpecPart, cel, validations
from wsedge_operator.api.spec.pass_through import PathPattern

WebOrigin = Annotated[
    str,
    Field(min_length=1, max_length=300),
    Matches(
        r"null|[a-z][a-z0-9+.-]*://((\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?",
        "give an origin as browsers send it, in lower case and without a path, for example "
        "https://app.example.com or https://*.example.com",
    ),
]

_NETWORK_MESSAGE: Final = (
    "give a network as address/bits, for example 10.0.0.0/8 or 2001:db8::/32; one address is /32 or /128"
)
_ANNOUNCED_MESSAGE: Final = (
    "proxyProtocol needs trustedProxies: the networks of the load balancers that send the header"
)
_BYTE: Final = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"


def _is_network(value: str) -> str:
    """Refuse what the pattern cannot tell from an IPv6 address: too many groups, two gaps."""
    try:
        ip_network(value, strict=False)
    except ValueError as error:
        raise ValueError(_NETWORK_MESSAGE) from error
    return value


Network = Annotated[
    str,
    Field(min_length=3, max_length=49),
    Matches(
        rf"({_BYTE}\.){{3}}{_BYTE}/(3[0-2]|[12]?[0-9])"
        r"|[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9])",
        _NETWORK_MESSAGE,
    ),
    AfterValidator(_is_network),
]


class Clients(SpecPart):
    """Who may come in, and whose word on where clients come from is believed."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!self.proxyProtocol || (has(self.trustedProxies) && self.trustedProxies.size() > 0)",
                _ANNOUNCED_MESSAGE,
                field="trustedProxies",
                required=True,
            )
        )
    )

    allowedOrigins: Annotated[
        tuple[WebOrigin, ...],
        Field(
            max_length=64,
            description="The pages whose scripts may connect, by the Origin header that browsers send: "
            "scheme://host[:port], or scheme://*.host for every name below a host, or null for pages "
            "without an origin; at most 64. Others get 403. Without entries all may. A request without the "
            "header is not from a browser and is accepted. A change counts for new connections.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    allowedPaths: Annotated[
        tuple[PathPattern, ...],
        Field(
            max_length=64,
            description="The paths that may be requested, without the query: /ws is that path alone, "
            "/socket.io/* is every path that begins so; at most 64. Others get 403. They are compared as "
            "they are sent, with nothing decoded; one with dot segments or encoded slashes gets 400. Without "
            "entries all may. A change counts for new connections and requests.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    trustedProxies: Annotated[
        tuple[Network, ...],
        Field(
            max_length=64,
            description="The networks of load balancers and proxies before the relays, as address/bits; at "
            "most 64. What they say in X-Forwarded-For or Forwarded is trusted and passed on: the client, "
            "for limits, hashing, logs and the origin, is the right-most address that is in none of them. "
            "What others say is dropped. A change counts for new connections. Default: none.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    proxyProtocol: Annotated[
        bool,
        Field(
            description="Each connection from trustedProxies begins with a PROXY header of version 1 or 2, "
            "which names the client; one without is closed. Connections from elsewhere, which have no such "
            "header, get 403. A change counts for new connections: change the load balancer together with "
            "it. Default false.",
        ),
    ] = False

    @model_validator(mode="after")
    def trusts_someone_who_announces(self) -> Self:
        """Refuse a PROXY header from nobody (CEL: the same)."""
        if self.proxyProtocol and not self.trustedProxies:
            raise ValueError(_ANNOUNCED_MESSAGE)
        return self
