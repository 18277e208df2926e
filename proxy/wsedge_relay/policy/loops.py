"""Detection of requests that return to the relays that sent them, by CDN-Loop (RFC 8586). Pure.

A domain's origin may lead back to its own relays: by the domain's public name, by its Service, or by another
domain that has this one as its origin. Each relay then connects to itself without end, until one handshake
has used all descriptors. So each request to an origin has a header that identifies the domain's relays, and a
request that arrives with this header is refused. In a loop there is no other program that could remove the
header; other origins ignore it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from wsedge_relay.contract import Domain
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.protocol.http1 import Header, Headers

NAME: Final = b"CDN-Loop"
_LOWER: Final = b"cdn-loop"
_CDN: Final = b"wsedge"
# A chain of relays, such as one per region in front of a central one, is no loop; a chain this long is.
MOST_HOPS: Final = 8
_OURS: Final = re.compile(rb"(?i:(?:^|,)[ \t]*wsedge[ \t]*(?:;|,|$))")


class Loop:
    """The mark of one domain's relays, equal in all pods and workers with the same configuration."""

    __slots__ = ("_id", "header")

    def __init__(self, domain: Domain) -> None:
        # The digest includes the origins: relays of one domain in two clusters, one in front of the other,
        # are no loop and must have different marks.
        facts = [domain.account, domain.domain, *(origin.model_dump_json() for origin in domain.origins)]
        digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16].encode()
        self._id = b"id=" + digest
        self.header: Header = (NAME, _CDN + b"; " + self._id)

    def check(self, headers: Headers) -> None:
        """Raise HandshakeRefusedError (508) for a request with this mark, or with too many hops."""
        values = headers.all(_LOWER)
        if values and (_has(self._id, values) or _hops(values) >= MOST_HOPS):
            text = "This request came back to this relay: an origin of the domain leads to the domain itself."
            raise HandshakeRefusedError(508, "loop", text)


def _has(mark: bytes, values: Iterable[bytes]) -> bool:
    return any(mark in value for value in values)


def _hops(values: Iterable[bytes]) -> int:
    return len(_OURS.findall(b",".join(values)))
