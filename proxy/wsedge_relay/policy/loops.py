"""Requests that come round to the relays that sent them: CDN-Loop (RFC 8586). Pure.

A domain's origin may lead back to its own relays: by its public name, its Service, or another domain whose
origin is this one. Each relay then asks itself without end, and one handshake becomes as many as there are
descriptors. So each request to an origin carries a line that names the domain's relays, and a request that
has that line already is refused. Nobody on the way of a true loop can take it away, for the origin is the
relay; and to other origins it is a header as any other.
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
    """The mark of one domain's relays. All pods and workers that serve it alike have the same."""

    __slots__ = ("_id", "header")

    def __init__(self, domain: Domain) -> None:
        # The origins are a part of it, so that relays of one domain in two clusters, the one before the
        # other, are not taken for each other.
        facts = [domain.account, domain.domain, *(origin.model_dump_json() for origin in domain.origins)]
        digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16].encode()
        self._id = b"id=" + digest
        self.header: Header = (NAME, _CDN + b"; " + self._id)

    def check(self, headers: Headers) -> None:
        """Raise HandshakeRefusedError (508) when a request has been here, or has come too long a way."""
        values = headers.all(_LOWER)
        if values and (_has(self._id, values) or _hops(values) >= MOST_HOPS):
            text = "This request has come through this relay before: the domain's origin leads back to it."
            raise HandshakeRefusedError(508, "loop", text)


def _has(mark: bytes, values: Iterable[bytes]) -> bool:
    return any(mark in value for value in values)


def _hops(values: Iterable[bytes]) -> int:
    return len(_OURS.findall(b",".join(values)))
