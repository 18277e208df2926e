"""Refuse requests that a web page caused a browser to send to the admin port.

The admin port is on loopback or on a private network, which a web page reaches through its visitor's
browser. The browser marks a request of a page by `Origin` (Fetch standard) or `Sec-Fetch-Site` (Fetch
Metadata). A page whose own name the attacker lets resolve to the admin port (DNS rebinding) is of the same
origin, so that its request has no such mark, but it has that name in `Host`. Probes, scrapers and commands
send neither.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from wsedge_relay.server.admin import Call, Reply, text_reply

# "none": a person typed the address or opened a bookmark.
_OWN_SITES: Final = frozenset(("none", "same-origin"))
# Names of a cluster's Services; no public DNS zone ends in them.
_PRIVATE_ZONES: Final = (".localhost", ".svc", ".svc.cluster.local")


def refusal(
    call: Call, names: Collection[str], *, is_vouched_for: Callable[[Call], bool] = lambda _: False
) -> Reply | None:
    """Return the answer to a web page's request, None for other requests.

    `names` are the admin port's own names in lower case. Other accepted hosts cannot belong to an attacker's
    page: IP addresses, `localhost`, names without a dot, and names of Services. A request without a Host
    header passes (HTTP/1.0); browsers always send it. So does any Host of a call that is vouched for, by a
    token that no page of an attacker has: the API server's proxy keeps the name in its own URL as Host.
    """
    if call.values("origin") or not _OWN_SITES.issuperset(call.values("sec-fetch-site")):
        return text_reply(403, "The admin port accepts no requests of web pages.")
    hosts = call.values("host")
    if len(hosts) > 1:
        return text_reply(400, "This request has more than one Host header.")
    if hosts and not _is_own(_name_of(hosts[0]), names) and not is_vouched_for(call):
        return text_reply(
            421,
            "The Host header does not name the admin port: use its IP address, or add the name to"
            " listen.adminNames.",
        )
    return None


def _name_of(host: str) -> str:
    """Return the name or address of a Host header, without its port, in lower case."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower().removesuffix(".")


def _is_own(name: str, names: Collection[str]) -> bool:
    if name.startswith("["):
        return True  # an IPv6 address
    # No top-level domain is a number, so browsers read such a name as an IPv4 address (URL standard, 3.5).
    is_address = name.rpartition(".")[2].isdecimal()
    return is_address or "." not in name or name.endswith(_PRIVATE_ZONES) or name in names
