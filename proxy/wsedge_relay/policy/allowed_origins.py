"""Allowed origins (RFC 6454): the web pages that may open a connection. Pure.

A browser names the page of a script in the Origin header, and sends a site's cookies for every page. So a
server must check the header (RFC 6455 section 10.2). Other clients can omit or forge it, so that it proves
nothing about them: a request without Origin is admitted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+.-]*)://"
    r"(?:(\*\.)?([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?)?"
)
_USUAL_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}

# The Origin of a page that has no origin: a file, a sandboxed frame (RFC 6454 section 6.2).
_NONE: Final = "null"

Parts = tuple[str, str, str]


class AllowedOrigins:
    """The allowed origins of a domain. Without an entry, all origins are allowed.

    An entry is `scheme://host[:port]` in lower case, `scheme://*.host[:port]` for every name below that host
    (but not the host itself), `scheme://` for pages of a scheme without hosts, such as `file://` of an app's
    own files, or `null`. A scheme's default port may be omitted.
    """

    __slots__ = ("_exact", "_null", "_wild")

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._null = False
        self._exact: set[Parts] = set()
        self._wild: set[Parts] = set()
        for entry in allowed:
            match = _ORIGIN.fullmatch(entry)
            if entry == _NONE:
                self._null = True
            elif match is None or (match[3] is None and match[1] in _USUAL_PORTS):
                raise ValueError(f"not an origin of the form scheme://host[:port]: {entry}")
            else:
                (self._wild if match[2] else self._exact).add(_parts(match))

    def allow(self, value: bytes | None) -> bool:
        """Return whether a request with this Origin header (None: no header) is admitted."""
        if value is None or not (self._exact or self._wild or self._null):
            return True
        text = value.decode("latin-1").lower()
        if text == _NONE:
            return self._null
        match = _ORIGIN.fullmatch(text)
        if match is None or match[2]:
            return False
        scheme, host, port = given = _parts(match)
        return given in self._exact or any((scheme, above, port) in self._wild for above in _above(host))


def _parts(match: re.Match[str]) -> Parts:
    scheme, _, host, port = match.groups()
    return scheme, host or "", "" if port == _USUAL_PORTS.get(scheme) else port or ""


def _above(host: str) -> Iterable[str]:
    """Yield the parent names of `host`: b.c and c for a.b.c."""
    while "." in host:
        host = host.partition(".")[2]
        yield host
