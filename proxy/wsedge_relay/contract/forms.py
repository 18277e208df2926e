"""Forms of texts and numbers in a RelayConfig: names, ports, networks, paths."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

# The domain that stands for every Host that no other domain names.
ANY_DOMAIN: Final = "*"


def _domain_name(text: str) -> str:
    """Return a domain's name in the form in which a Host is compared: an IPv6 address in its usual form."""
    return str(IPv6Address(text)) if ":" in text else text


# A name, an IPv4 or an IPv6 address (without brackets), or ANY_DOMAIN. Names may have underscores and may
# lack a dot: clients and name servers on private networks use both.
DomainName = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=253,
        pattern=r"^(\*|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*|"
        r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*)$",
    ),
    AfterValidator(_domain_name),
]
AdminName = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$")
]
Port = Annotated[int, Field(ge=1, le=65535)]
ListenPort = Annotated[int, Field(ge=0, le=65535)]

# A host header value: a name or address with an optional port; never white space or a slash.
HostHeader = Annotated[
    str, StringConstraints(min_length=1, max_length=261, pattern=r"^[A-Za-z0-9._\-\[\]:]+$")
]


def _web_origin(text: str) -> str:
    if text in ("http://", "https://", "ws://", "wss://"):  # no page has such an origin
        raise ValueError(f"give the host: {text}app.example.com")
    return text


# An Origin header of a browser (RFC 6454) in lower case; `*.` matches one label or more. Schemes of an app's
# own pages, such as file, have no host.
WebOrigin = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=300,
        pattern=r"^(null|[a-z][a-z0-9+.\-]*://"
        r"(((\*\.)?[a-z0-9_\-]+(\.[a-z0-9_\-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)?)$",
    ),
    AfterValidator(_web_origin),
]


def _network(text: str) -> str:
    address, slash, _ = text.partition("/")
    if not slash or "%" in address:
        raise ValueError("give a network as address/bits")
    ip_network(text, strict=False)
    return text


Network = Annotated[str, StringConstraints(min_length=3, max_length=49), AfterValidator(_network)]

# An exact path, or a prefix that ends in "*"; visible ASCII without "#", "?" and other "*".
PathPattern = Annotated[
    str, StringConstraints(min_length=1, max_length=1024, pattern=r"^/[!\"$-)+->@-~]*\*?$")
]
