"""Of a WebSocketDomain's spec: which clients may connect."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from wsedge_operator.api.meta import Matches, SpecPart, cel, validations
from wsedge_operator.api.spec.pass_through import PathPattern

_WEB_ORIGIN: Final = (
    r"null|[a-z][a-z0-9+.-]*://(((\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)?"
)
_NO_HOST: Final = "(https?|wss?)://"  # these schemes have hosts, so no page has such an origin
WebOrigin = Annotated[
    str,
    Field(min_length=1, max_length=300),
    Matches(
        rf"(?!{_NO_HOST}\Z)(?:{_WEB_ORIGIN})",
        "give an origin as browsers send it, in lower case and without a path, for example "
        "https://app.example.com or https://*.example.com",
        rule="self.matches('^(?:{})$') && !self.matches('^{}$')".format(
            _WEB_ORIGIN.replace("\\", "\\\\"), _NO_HOST
        ),
    ),
]

_NETWORK_MESSAGE: Final = (
    "give a network as address/bits, for example 10.0.0.0/8 or 2001:db8::/32; one address is /32 or /128"
)
_PROXIES_MESSAGE: Final = (
    "proxyProtocol needs trustedProxies: the networks of the load balancers that send the header"
)
_BYTE: Final = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"


def _is_network(value: str) -> str:
    """Refuse what the pattern does not: an IPv6 address with too many groups or two gaps.

    CEL's own check of a network, isCIDR, is newer than the oldest supported API server (1.29), so such a
    manifest is stored, and the operator refuses it.
    """
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
    """Which clients may connect, and which proxies may state a client's address."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!self.proxyProtocol || (has(self.trustedProxies) && self.trustedProxies.size() > 0)",
                _PROXIES_MESSAGE,
                field="trustedProxies",
                required=True,
            )
        )
    )

    allowedOrigins: Annotated[
        tuple[WebOrigin, ...],
        Field(
            max_length=64,
            description="The web pages that may connect, by the Origin header that browsers send: "
            "scheme://host[:port], or scheme://*.host for every name below a host, or scheme:// for pages of "
            "a scheme without hosts, such as file://, or null for pages without an origin; at most 64. Other "
            "pages get 403. Without entries every page may connect. A "
            "request without the header is not from a browser and is accepted. A change applies to new "
            "connections.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    allowedPaths: Annotated[
        tuple[PathPattern, ...],
        Field(
            max_length=64,
            description="The paths that may be requested, without the query: /ws is that path alone, "
            "/socket.io/* is every path that begins with /socket.io/; at most 64. Other paths get 403. A "
            "path is compared as it is sent, without decoding, but bytes above ASCII percent-encoded "
            "(%C3%A9); a path with dot segments or encoded slashes gets 400. Without entries every path may "
            "be requested. A change applies to new connections and requests.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    trustedProxies: Annotated[
        tuple[Network, ...],
        Field(
            max_length=64,
            description="The networks of load balancers and proxies before the relays, as address/bits; at "
            "most 64. Their X-Forwarded-For and Forwarded headers are trusted and passed on: the client, for "
            "limits, hashing, logs and the origin, is the right-most address that is in none of these "
            "networks. The headers of other senders are dropped. A change applies to new connections. "
            "Default: none.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    proxyProtocol: Annotated[
        bool,
        Field(
            description="Whether each connection from trustedProxies begins with a PROXY header of version 1 "
            "or 2, which names the client; a connection without the header is then closed, and a connection "
            "from another network gets 403. A change applies to new connections: change the load balancer at "
            "the same time. Default false.",
        ),
    ] = False

    @model_validator(mode="after")
    def has_proxies_for_the_header(self) -> Self:
        """Refuse proxyProtocol without trustedProxies (CEL: the same)."""
        if self.proxyProtocol and not self.trustedProxies:
            raise ValueError(_PROXIES_MESSAGE)
        return self
