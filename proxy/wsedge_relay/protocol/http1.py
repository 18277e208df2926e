"""HTTP/1.1 heads, parsed strictly: forms that two parsers could read differently are rejected, not repaired.

The rules are those of RFC 9112 without anything that a parser "MAY accept": lines end in CRLF, no folded
lines, no white space before a colon, no control bytes. Forms that only look odd are accepted: empty lines
before a request line, a URL as the target, bytes above ASCII in a target. `body` parses bodies; `handshake`
and `plain_request` check the meaning of headers. Pure.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

Header = tuple[bytes, bytes]

MAX_HEAD_BYTES: Final = 16384
MAX_LINE_BYTES: Final = 8192
MAX_HEADERS: Final = 100
# Bounds of an origin's head: it is chosen by the domain's owner, and cookies and policies make it long. Envoy
# allows 60 KiB; nginx and HAProxy allow any number of lines in a buffer that can be set.
MAX_ORIGIN_HEAD_BYTES: Final = 65536
MAX_ORIGIN_HEADERS: Final = 400
# An origin's head may have this many times the bytes that `limits.headerBytes` allows to a request.
ORIGIN_HEAD_FACTOR: Final = 4
# Clients of old write one empty line behind a body (RFC 9112 section 2.2); without a bound, empty lines would
# keep a connection busy for the price of nothing.
MAX_EMPTY_LINES: Final = 8

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
# No "#": a fragment is never sent, and some servers end the path there, others do not. Bytes above ASCII are
# sent by programs that do not encode their paths, and end no line or word.
_TARGET: Final = re.compile(rb"[\x21\x22\x24-\x7e\x80-\xff]+")
_URL: Final = re.compile(rb"(?i:https?|wss?)://([^/?]+)([/?].*)?")  # absolute-form
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n){0,%d}\r?" % MAX_EMPTY_LINES)
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")

# These match a valid head as a whole, which is faster. Any other head is parsed line by line for the reason.
_LINES: Final = rb"\r\n((?:[!#$%%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n){0,%d})\r\n"
_REQUEST: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++) (/[\x21\x22\x24-\x7e\x80-\xff]*+) HTTP/1\.1" + _LINES % MAX_HEADERS
)
_RESPONSE: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?" + _LINES % MAX_ORIGIN_HEADERS
)
_LINE: Final = re.compile(rb"([^:\r]++):[ \t]*+([^\r]*+)\r\n")


class BadHeadError(ValueError):
    """A malformed head; `status` is the answer to a request with it, `reason` a word for metrics."""

    def __init__(self, text: str, *, status: int = 400, reason: str = "head") -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.reason = reason


class Headers:
    """Header lines in order, with names as they were sent. Methods take names in lower case.

    `repeated` says whether any name is on more than one line.
    """

    __slots__ = ("_index", "lines", "repeated")

    def __init__(self, lines: Sequence[Header]) -> None:
        self.lines = tuple(lines)
        self._index = {line[0].lower(): line for line in lines}
        self.repeated = len(self._index) != len(lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.lines == other.lines

    def __hash__(self) -> int:
        return hash(self.lines)

    def items(self) -> Iterable[tuple[bytes, Header]]:
        """Return (name in lower case, line) of every line, in order."""
        if self.repeated:
            return [(line[0].lower(), line) for line in self.lines]
        return self._index.items()

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of every line called `name` (lower case)."""
        if self.repeated:
            return [value for key, value in self.lines if key.lower() == name]
        line = self._index.get(name)
        return [line[1]] if line is not None else []

    def one(self, name: bytes) -> bytes | None:
        """Return the value of the only line called `name`, None without one; raises BadHeadError on two."""
        line = self._index.get(name)
        if line is None:
            return None
        if self.repeated and len(values := self.all(name)) > 1:
            raise BadHeadError(f"{name.decode()} is given {len(values)} times")
        return line[1]

    def members(self, name: bytes) -> list[bytes]:
        """Return the members of a comma-separated list (RFC 9110 section 5.6.1) over all lines of `name`."""
        line = self._index.get(name)
        if line is None:
            return []
        text = b",".join(self.all(name)) if self.repeated else line[1]
        if b"," not in text:
            text = text.strip(b" \t")
            return [text] if text else []
        return [part for part in (part.strip(b" \t") for part in text.split(b",")) if part]


class RequestHead(NamedTuple):
    """The head of a request; `minor` is the version's second digit.

    `target` is in origin-form, or `*` for OPTIONS. `authority` is the host and port of a target that was sent
    in absolute-form, where it has precedence over Host (RFC 9112 section 3.2.2).
    """

    method: bytes
    target: bytes
    headers: Headers
    minor: int = 1
    authority: bytes | None = None


class ResponseHead(NamedTuple):
    """The head of a response; `minor` is the version's second digit."""

    status: int
    reason: bytes
    minor: int
    headers: Headers


def is_empty_lines(data: bytes) -> bool:
    """Return whether `data` is empty, or only the empty lines that a client may send before a request line.

    The last of them may lack its LF.
    """
    return _EMPTY_LINES.fullmatch(data) is not None


def empty_lines_end(data: bytes) -> int:
    """Return the length of the empty lines at the start of `data`, which come before a request line.

    Raises BadHeadError for more than MAX_EMPTY_LINES.
    """
    end = 0
    while data.startswith(b"\r\n", end):
        end += 2
        if end > 2 * MAX_EMPTY_LINES:
            raise BadHeadError(f"there are more than {MAX_EMPTY_LINES} empty lines before a request")
    return end


def head_end(data: bytes | bytearray, *, seen: int = 0, most: int = MAX_HEAD_BYTES) -> int:
    """Return the length of the head at the start of `data`, with its empty line; 0 when it is not complete.

    The first `seen` bytes have been searched by an earlier call; `most` is the limit of the length. Raises
    BadHeadError as soon as no further bytes can make the head valid: at a bare LF, or above the limit.
    """
    start = max(0, seen - 3)
    end = data.find(b"\r\n\r\n", start)
    stop = end + 4 if end >= 0 else len(data)
    if seen:
        is_bare = _BARE_LF.search(data, max(0, start - 1), stop) is not None
    else:
        is_bare = data.count(b"\n", 0, stop) != data.count(b"\r\n", 0, stop)
    if is_bare:
        raise BadHeadError("a line ends in LF without CR")
    if stop > most:
        raise _too_long(most)
    return stop if end >= 0 else 0


def most_of_origin(header_bytes: int) -> int:
    """Return the limit of an origin's head, given the limit of a request's."""
    return max(MAX_ORIGIN_HEAD_BYTES, ORIGIN_HEAD_FACTOR * header_bytes)


def check_size(head: bytes, most: int) -> None:
    """Raise BadHeadError when a head has more than `most` bytes, or a line more than half as many."""
    if len(head) > most:
        raise _too_long(most)
    if len(head) > MAX_LINE_BYTES:
        _split(head, most)


def parse_request(head: bytes, *, most: int = MAX_HEAD_BYTES) -> RequestHead:
    """Parse a whole request head (with its empty line) of at most `most` bytes; raises BadHeadError."""
    if len(head) <= MAX_LINE_BYTES and (whole := _REQUEST.fullmatch(head)):
        method, target, block = whole.groups()
        return RequestHead(method, target, Headers(_stripped(block)))
    first, lines = _split(head, most)
    parts = first.split(b" ")
    if len(parts) != 3:
        raise BadHeadError("the request line is not METHOD TARGET VERSION")
    method, target, version = parts
    if not _TOKEN.fullmatch(method):
        raise BadHeadError("the method is no token")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        known = re.fullmatch(rb"HTTP/[0-9]\.[0-9]", version)
        raise BadHeadError("the version is not HTTP/1.1", status=505 if known else 400)
    target, authority = _parse_target(method, target)
    return RequestHead(method, target, Headers(_headers(lines)), version[-1] - ord("0"), authority)


def parse_response(
    head: bytes, *, most: int = MAX_ORIGIN_HEAD_BYTES, most_headers: int = MAX_ORIGIN_HEADERS
) -> ResponseHead:
    """Parse a whole response head of at most `most` bytes and `most_headers` lines; raises BadHeadError."""
    if len(head) <= MAX_LINE_BYTES and (whole := _RESPONSE.fullmatch(head)):
        minor, status, reason, block = whole.groups()
        return ResponseHead(int(status), reason or b"", int(minor), Headers(_stripped(block)))
    first, lines = _split(head, most, most_headers=most_headers)
    match = _STATUS.fullmatch(first)
    if match is None:
        raise BadHeadError("the status line is no HTTP/1.1 status line")
    minor, status, reason = match.groups()
    return ResponseHead(int(status), reason or b"", int(minor), Headers(_headers(lines)))


def build_head(first: bytes, headers: Iterable[Header]) -> bytes:
    """Return a head: its first line, its headers, an empty line."""
    return b"\r\n".join([first, *[name + b": " + value for name, value in headers], b"", b""])


def status_line(status: int, reason: bytes | None = None) -> bytes:
    """Return a status line; `reason` None selects the registered phrase (RFC 9110 section 15)."""
    return b"HTTP/1.1 %d %s" % (status, _phrase(status) if reason is None else reason)


@functools.cache
def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


def is_token(value: bytes) -> bool:
    """Return whether `value` is a token (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(value) is not None


def _parse_target(method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
    """Return a request's target in origin-form, and the authority that it named in absolute-form.

    OPTIONS may have `*`, and so has OPTIONS for a URL without path and query (RFC 9112 section 3.2.4).
    """
    if _TARGET.fullmatch(target):
        if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
            return target, None
        url = _URL.fullmatch(target)
        if url is not None:
            authority, path = url.groups()
            if path is None:
                return b"*" if method == b"OPTIONS" else b"/", authority
            return path if path.startswith(b"/") else b"/" + path, authority
    raise BadHeadError("the target is no path and query (origin-form)")


def _too_long(most: int) -> BadHeadError:
    return BadHeadError(f"the head is longer than {most} bytes", status=431, reason="headerBytes")


def _split(
    head: bytes, most: int = MAX_HEAD_BYTES, *, most_headers: int = MAX_HEADERS
) -> tuple[bytes, Sequence[bytes]]:
    lines = head[:-4].split(b"\r\n")
    longest = max(MAX_LINE_BYTES, most // 2)
    if max(map(len, lines)) > longest:
        raise BadHeadError(f"a line is longer than {longest} bytes", status=431)
    if len(lines) - 1 > most_headers:
        raise BadHeadError(f"there are more than {most_headers} headers", status=431)
    return lines[0], lines[1:]


def _stripped(block: bytes) -> list[Header]:
    """Return the header lines of a block that _LINES matched."""
    lines: list[Header] = _LINE.findall(block)
    if b" \r\n" in block or b"\t\r\n" in block:
        return [(name, value.rstrip(b" \t")) for name, value in lines]
    return lines


def _headers(lines: Iterable[bytes]) -> list[Header]:
    return [_header(line) for line in lines]


def _header(line: bytes) -> Header:
    if line[:1] in (b" ", b"\t"):
        raise BadHeadError("a header line is folded")
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name):
        raise BadHeadError("a header line is not NAME: VALUE")
    if not _VALUE.fullmatch(value):
        raise BadHeadError(f"the value of {name.decode()} has control bytes")
    return name, value.strip(b" \t")
