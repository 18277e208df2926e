"""Which paths may be asked for. Pure.

A rule is an exact path, or a prefix that ends in `*`. It is compared with the path as it was sent, without
the query and with nothing decoded. Two programs that decode differently would see different paths, so where
rules exist, a path that an origin might read as another one is not compared but refused (RFC 3986 section
6.2.2 says which are the same).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# Encoded slash, backslash and NUL; what no UTF-8 begins with, by which a slash or a dot can be written in two
# to four bytes; what is no encoding at all; a backslash, which some take for a slash.
_AMBIGUOUS: Final = re.compile(rb"%(?:2[Ff]|5[Cc]|00|[Cc][01]|[Ee]0%[89]|[Ff]0%8)|%(?![0-9A-Fa-f]{2})|\\")
# A segment of one or two dots, however they are written, with or without parameters: "/..;v=1/" climbs too.
_DOTS: Final = re.compile(rb"/(?:\.|%2[Ee]){1,2}(?:(?:;|%3[Bb])[^/]*)?(?=/|\Z)")


class PathRules:
    """The paths that are let in: all when no rule is given."""

    __slots__ = ("_exact", "_prefixes")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        given = [pattern.encode("ascii") for pattern in patterns]
        self._exact = frozenset(pattern for pattern in given if not pattern.endswith(b"*"))
        self._prefixes = tuple(pattern[:-1] for pattern in given if pattern.endswith(b"*"))

    def __bool__(self) -> bool:
        """Tell whether there is any rule."""
        return bool(self._exact or self._prefixes)

    def allow(self, path: bytes) -> bool:
        """Tell whether `path`, without its query, is let in."""
        return not self or path in self._exact or path.startswith(self._prefixes)


def path_of(target: bytes) -> bytes:
    """Return the path of a request target in origin-form."""
    return target.partition(b"?")[0]


def is_plain(path: bytes) -> bool:
    """Tell whether a path reads the same to everybody: no dot segment, no encoded separator."""
    return _AMBIGUOUS.search(path) is None and _DOTS.search(path) is None
