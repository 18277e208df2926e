"""HTTP/1.1 heads, read strictly: what two parsers could read differently is refused, not repaired.

Rules of RFC 9112 with every "MAY accept" taken as no: lines end in CRLF, no folded lines, no white space
before a colon, no control bytes. Bodies belong to `body`, meaning to `handshake` and `exchange`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

Header = tuple[bytes, bytes]

MAX_HEAD_BYTES: Final = 16384
MAX_LINE_BYTES: Final = 8192
MAX_HEADERS: Final = 100

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TARGET: Final = re.compile(rb"[\x21\x22\x24-\x7e]+")  # visible ASCII but "#": a fragment is never sent
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


class BadHeadError(ValueError):
    """A head that breaks the rules; `status` is what a server answers to it."""

    def __init__(self, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


@dataclass(frozen=True, slots=True)
class Headers:
    """Header lines in order, with names as they came; look-ups ignore case."""

    lines: tuple[Header, ...]

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of every line called `name` (lower case)."""
        return [value for key, value in self.lines if key.lower() == name]

    def one(self, name: bytes) -> bytes | None:
        """Return the value of the only line called `name`, None without one; raises BadHeadError on two."""
        values = self.all(name)
        if len(values) > 1:
            raise BadHeadError(f"{name.decode()} is given {len(values)} times")
        return values[0] if values else None

    def members(self, name: bytes) -> list[bytes]:
        """Return the members of a comma-separated list, over all its lines, as they came."""
        parts = b",".join(self.all(name)).split(b",")
        return [part for part in (part.strip(b" \t") for part in parts) if part]


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of a request; `target` is in origin-form, `minor` the version's second digit."""

    method: bytes
    target: bytes
    headers: Headers
    minor: int = 1


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The head of a response; `minor` is the version's second digit."""

    status: int
    reason: bytes
    minor: int
    headers: Headers


def head_end(data: bytes | bytearray, *, seen: int = 0) -> int:
    """Return where the head at the start of `data` ends, behind its empty line; 0 when it is not whole yet.

    `seen` bytes were looked at before. Raises BadHeadError as soon as no continuation can mend the head: a
    bare LF, or too many bytes.
    """
    start = max(0, seen - 3)
    end = data.find(b"\r\n\r\n", start)
    stop = end + 4 if end >= 0 else len(data)
    if _BARE_LF.search(data, max(0, start - 1), stop):
        raise BadHeadError("a line ends in LF without CR")
    if stop > MAX_HEAD_BYTES:
        raise BadHeadError(f"the head is longer than {MAX_HEAD_BYTES} bytes", status=431)
    return stop if end >= 0 else 0


def parse_request(head: bytes) -> RequestHead:
    """Parse a whole request head (its empty line included); raises BadHeadError."""
    first, lines = _split(head)
    parts = first.split(b" ")
    if len(parts) != 3:
        raise BadHeadError("the request line is not METHOD TARGET VERSION")
    method, target, version = parts
    if not _TOKEN.fullmatch(method):
        raise BadHeadError("the method is no token")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        known = re.fullmatch(rb"HTTP/[0-9]\.[0-9]", version)
        raise BadHeadError("the version is not HTTP/1.1", status=505 if known else 400)
    if not target.startswith(b"/") or not _TARGET.fullmatch(target):
        raise BadHeadError("the target is no path and query (origin-form)")
    return RequestHead(method, target, Headers(_headers(lines)), minor=version[-1] - ord("0"))


def parse_response(head: bytes) -> ResponseHead:
    """Parse a whole response head (its empty line included); raises BadHeadError."""
    first, lines = _split(head)
    match = _STATUS.fullmatch(first)
    if match is None:
        raise BadHeadError("the status line is no HTTP/1.1 status line")
    minor, status, reason = match.groups()
    return ResponseHead(int(status), reason or b"", int(minor), Headers(_headers(lines)))


def build_head(first: bytes, headers: Iterable[Header]) -> bytes:
    """Return a head: its first line, its headers, an empty line."""
    return b"\r\n".join([first, *(name + b": " + value for name, value in headers), b"", b""])


def status_line(status: int, reason: bytes | None = None) -> bytes:
    """Return a status line; `reason` None is the usual phrase."""
    if reason is None:
        try:
            reason = HTTPStatus(status).phrase.encode()
        except ValueError:
            reason = b""
    return b"HTTP/1.1 %d %s" % (status, reason)


def is_token(value: bytes) -> bool:
    """Tell whether `value` is a token (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(value) is not None


def _split(head: bytes) -> tuple[bytes, Sequence[bytes]]:
    lines = head[:-4].split(b"\r\n")
    if max(map(len, lines)) > MAX_LINE_BYTES:
        raise BadHeadError(f"a line is longer than {MAX_LINE_BYTES} bytes", status=431)
    if len(lines) - 1 > MAX_HEADERS:
        raise BadHeadError(f"there are more than {MAX_HEADERS} headers", status=431)
    return lines[0], lines[1:]


def _headers(lines: Iterable[bytes]) -> tuple[Header, ...]:
    return tuple(_header(line) for line in lines)


def _header(line: bytes) -> Header:
    if line[:1] in (b" ", b"\t"):
        raise BadHeadError("a header line is folded")
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name):
        raise BadHeadError("a header line is not NAME: VALUE")
    if not _VALUE.fullmatch(value):
        raise BadHeadError(f"the value of {name.decode()} has control bytes")
    return name, value.strip(b" \t")
