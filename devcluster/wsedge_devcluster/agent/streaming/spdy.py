"""The part of SPDY/3.1 that `kubectl port-forward` uses: frames in, events out. No I/O.

Streams are opened by the client alone. Flow control is left out, as in the library that kubectl uses
(github.com/moby/spdystream); settings and priorities are skipped. Source: draft-mbelshe-httpbis-spdy-00.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING = 1, 2, 3, 6
_FIN = 0x01
_HEADER = 8  # bytes before a frame's content
_LARGEST_DATA = 32 * 1024  # bytes in a data frame that we send
# Section 2.6.10.1: names and values with their lengths, then text without.
_WORDS = (
    "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,accept-language,accept-ranges,"
    "age,allow,authorization,cache-control,connection,content-base,content-encoding,content-language,"
    "content-length,content-location,content-md5,content-range,content-type,date,etag,expect,expires,from,"
    "host,if-match,if-modified-since,if-none-match,if-range,if-unmodified-since,last-modified,location,"
    "max-forwards,pragma,proxy-authenticate,proxy-authorization,range,referer,retry-after,server,te,trailer,"
    "transfer-encoding,upgrade,user-agent,vary,via,warning,www-authenticate,method,get,status,200 OK,version,"
    "HTTP/1.1,url,public,set-cookie,keep-alive,origin"
)
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack("!I", len(word)) + word.encode() for word in _WORDS.split(",")) + _TEXT.encode()
)


@dataclass(frozen=True, slots=True)
class Opened:
    """The client has opened a stream."""

    stream: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes on a stream; `last` when the client has ended the stream."""

    stream: int
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class WasReset:
    """The client has reset a stream."""

    stream: int


@dataclass(frozen=True, slots=True)
class Pinged:
    """The client has sent a ping; the answer is the same frame."""

    frame: bytes


Event = Opened | Received | WasReset | Pinged


class Session:
    """One connection at the server. The headers of each direction are one compressed stream."""

    def __init__(self) -> None:
        self._pending = b""
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def receive(self, data: bytes) -> Iterator[Event]:
        """Parse bytes into events. Raises ValueError for anything but SPDY/3."""
        self._pending += data
        while len(self._pending) >= _HEADER:
            first, rest = struct.unpack_from("!II", self._pending)
            flags, end = rest >> 24, _HEADER + (rest & 0xFFFFFF)
            if len(self._pending) < end:
                return
            frame, self._pending = self._pending[:end], self._pending[end:]
            if first >> 31 == 0:
                yield Received(first, frame[_HEADER:], bool(flags & _FIN))
            elif first >> 16 & 0x7FFF != _VERSION:
                raise ValueError(f"SPDY version {first >> 16 & 0x7FFF}")
            else:
                yield from self._control(first & 0xFFFF, flags, frame)

    def reply(self, stream: int) -> bytes:
        """Return the frame that accepts a stream, without headers."""
        block = self._deflate.compress(struct.pack("!I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control_frame(_SYN_REPLY, struct.pack("!I", stream) + block)

    def send(self, stream: int, data: bytes, *, last: bool = False) -> bytes:
        """Return frames with bytes for a stream."""
        pieces = [data[at : at + _LARGEST_DATA] for at in range(0, len(data), _LARGEST_DATA)] or [b""]
        frames = [struct.pack("!II", stream, len(piece)) + piece for piece in pieces]
        if last:
            frames[-1] = frames[-1][:4] + bytes([_FIN]) + frames[-1][5:]
        return b"".join(frames)

    def _control(self, kind: int, flags: int, frame: bytes) -> Iterator[Event]:
        if kind == _SYN_STREAM:
            stream = struct.unpack_from("!I", frame, _HEADER)[0] & 0x7FFFFFFF
            yield Opened(stream, self._headers(frame[_HEADER + 10 :]))
            if flags & _FIN:
                yield Received(stream, b"", True)
        elif kind == _RST_STREAM:
            yield WasReset(struct.unpack_from("!I", frame, _HEADER)[0] & 0x7FFFFFFF)
        elif kind == _PING:
            yield Pinged(frame)

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block)
        (count,), at = struct.unpack_from("!I", plain), 4
        words = []
        for _ in range(2 * count):
            (length,) = struct.unpack_from("!I", plain, at)
            words.append(plain[at + 4 : at + 4 + length].decode())
            at += 4 + length
        return dict(zip(words[::2], words[1::2], strict=True))


def _control_frame(kind: int, content: bytes) -> bytes:
    return struct.pack("!II", 1 << 31 | _VERSION << 16 | kind, len(content)) + content
