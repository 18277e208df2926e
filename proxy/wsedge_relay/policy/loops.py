"""Detection of requests that return to the relays that sent them, by CDN-Loop (RFC 8586). Pure.

A domain's origin may lead back to its own relays: by its public name, its Service, or another domain whose
origin is this one. Each relay then connects to itself without end, and one handshake uses up all descriptors.
So each request to an origin carries a header that identifies the domain's relays, and a request that has it
already is refused. In a true loop no other program is on the way that could remove it; other origins ignore
the header.
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
# Relays behind relays, such as one in each region before a central one, are no loop; so many in a row are.
MOST_HOPS: Final = 8
_OURS: Final = re.compile(rb"(?i:(?:^|,)[ \t]*wsedge[ \t]*(?:;|,|$))")


class Loop:
    """The mark of one domain's relays, equal in all pods and workers with the same configuration."""

    __slots__ = ("_id", "header")

    def __init__(self, domain: Domain) -> None:
        # The digest includes the origins, so that relays of one domain in two clusters, one in front of the
        # other, have different marks.
        facts = [domain.account, domain.domain, *(origin.model_dump_json() for origin in domain.origins)]
        digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16].encode()
        self._id = b"id=" + digest
        self.header: Header = (NAME, _CDN + b"; " + self._id)

    def check(self, headers: Headers) -> None:
        """Raise HandshakeRefusedError (508) for a request with this mark, or with too many hops."""
        values = headers.all(_LOWER)
        if values and (_has(self._id, values) or _hops(values) >= MOST_HOPS):
            text = "This request has passed this relay before: the domain's origin leads back to it."
            raise HandshakeRefusedError(508, "loop", text)


def _has(mark: bytes, values: Iterable[bytes]) -> bool:
    return any(mark in value for value in values)


def _hops(values: Iterable[bytes]) -> int:
    return len(_OURS.findall(b",".join(values)))
