"""A cookie that binds a client to the origin that has its session. Pure.

The value is a keyed hash of the origin's host and ports. So all relays with the same configuration compute
the same value, the value does not reveal an address without the key, and it stays valid as long as the origin
is configured: changes of other origins do not affect it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from wsedge_relay.contract import StickyCookie
from wsedge_relay.protocol.http1 import Header, Headers

_PERSON: Final = b"wsedge-origin"
_TOKEN_BYTES: Final = 8
_KEY_BYTES: Final = 64  # the longest key of blake2b


class Sticky:
    """The cookie of one domain. `origins` are the names of its origins, `salt` replaces a missing key."""

    __slots__ = ("_max_age", "_name", "_names", "_tokens")

    def __init__(self, rules: StickyCookie, origins: Iterable[str], *, salt: str) -> None:
        key = blake2b((rules.key or salt).encode(), digest_size=_KEY_BYTES).digest()
        self._name = rules.name.encode()
        self._max_age = rules.maxAgeSeconds
        self._tokens = {name: _token(name, key) for name in origins}
        self._names = {token: name for name, token in self._tokens.items()}

    def chosen(self, headers: Headers) -> str | None:
        """Return the name of the origin in a request's cookie; None without a valid cookie."""
        for line in headers.all(b"cookie"):
            for pair in line.split(b";"):
                name, _, value = pair.strip(b" \t").partition(b"=")
                if name == self._name and value in self._names:
                    return self._names[value]
        return None

    def without(self, headers: Headers) -> Headers:
        """Return a request's headers without this cookie, which concerns relays only."""
        if self._name not in b"".join(headers.all(b"cookie")):
            return headers
        lines: list[Header] = []
        for name, value in headers.lines:
            if name.lower() == b"cookie":
                pairs = [pair.strip(b" \t") for pair in value.split(b";")]
                kept = [pair for pair in pairs if pair.partition(b"=")[0] != self._name]
                if not kept:
                    continue
                if len(kept) < len(pairs):
                    lines.append((name, b"; ".join(kept)))
                    continue
            lines.append((name, value))
        return Headers(tuple(lines))

    def lines(self, origin: str, *, named: str | None, secure: bool, answer: Headers) -> list[Header]:
        """Return the Set-Cookie line for an answer of `origin`, or none.

        `named` is the result of `chosen` for the request, `secure` says whether the client used TLS. A cookie
        with a Max-Age is set in each answer, so that its age counts from the last answer. An answer that
        shared caches may store (`public`) gets no cookie: all clients would get one client's origin.
        """
        token = self._tokens.get(origin)
        if token is None or (named == origin and self._max_age is None):
            return []
        if b"public" in (member.lower() for member in answer.members(b"cache-control")):
            return []
        age = b"" if self._max_age is None else b"; Max-Age=%d" % self._max_age
        # SameSite=None: a page of another site needs its origin too, and the cookie grants no rights that a
        # forged request could use. Browsers accept SameSite=None only with Secure.
        scope = b"SameSite=None; Secure" if secure else b"SameSite=Lax"
        return [(b"Set-Cookie", b"%b=%b; Path=/; HttpOnly; %b%b" % (self._name, token, scope, age))]


def _token(origin: str, key: bytes) -> bytes:
    digest = blake2b(origin.encode(), digest_size=_TOKEN_BYTES, key=key, person=_PERSON)
    return digest.hexdigest().encode()
