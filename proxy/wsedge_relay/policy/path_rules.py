"""Allowed paths. Pure.

A rule is an exact path, or a prefix that ends in `*`. It is compared with the path as it was sent, without
the query and without decoding; only bytes above ASCII, which a client should have encoded, are compared in
their encoded form. Two programs that decode differently would see different paths. So where rules
exist, a path that an origin might normalize to another path (RFC 3986 section 6.2.2) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# An encoded slash, backslash or NUL; the first bytes of overlong UTF-8 forms of a slash or a dot, which some
# decoders accept; malformed encodings; a backslash, which some programs treat as a slash.
_AMBIGUOUS: Final = re.compile(rb"%(?:2[Ff]|5[Cc]|00|[Cc][01]|[Ee]0%[89]|[Ff]0%8)|%(?![0-9A-Fa-f]{2})|\\")
# A segment of one or two dots, encoded or not, with or without parameters: some servers treat "/..;v=1/" as
# "/../".
_DOTS: Final = re.compile(rb"/(?:\.|%2[Ee]){1,2}(?:(?:;|%3[Bb])[^/]*)?(?=/|\Z)")

_ABOVE_ASCII: Final = re.compile(rb"[\x80-\xff]")


class PathRules:
    """The allowed paths. Without a rule, all paths are allowed."""

    __slots__ = ("_exact", "_prefixes")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        given = [pattern.encode("ascii") for pattern in patterns]
        self._exact = frozenset(pattern for pattern in given if not pattern.endswith(b"*"))
        self._prefixes = tuple(pattern[:-1] for pattern in given if pattern.endswith(b"*"))

    def __bool__(self) -> bool:
        """Return whether there is any rule."""
        return bool(self._exact or self._prefixes)

    def allow(self, path: bytes) -> bool:
        """Return whether `path`, without its query, is allowed."""
        return not self or path in self._exact or path.startswith(self._prefixes)


def path_of(target: bytes) -> bytes:
    """Return the path of a request target, with bytes above ASCII percent-encoded (RFC 3986 section 2.1)."""
    path = target.partition(b"?")[0]
    return path if path.isascii() else _ABOVE_ASCII.sub(lambda byte: b"%%%02X" % ord(byte[0]), path)


def is_plain(path: bytes) -> bool:
    """Return whether a path is unambiguous: it has no dot segment and no encoded separator."""
    return _AMBIGUOUS.search(path) is None and _DOTS.search(path) is None
