"""SPDY frames of `kubectl port-forward`."""

from __future__ import annotations

import struct
import zlib

import pytest

from wsedge_devcluster.agent.streaming.spdy import DICTIONARY, Opened, Pinged, Received, Session, WasReset

# Of the dictionary in github.com/moby/spdystream, which is that of the specification.
DICTIONARY_LENGTH, DICTIONARY_ADLER = 1423, 0xE3C6A7C2


def block(deflate: zlib._Compress, headers: dict[str, str]) -> bytes:
    plain = struct.pack("!I", len(headers))
    for word in (word for pair in headers.items() for word in pair):
        plain += struct.pack("!I", len(word)) + word.encode()
    return deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)


def control(kind: int, content: bytes, flags: int = 0) -> bytes:
    return struct.pack("!II", 0x80030000 | kind, flags << 24 | len(content)) + content


def test_dictionary() -> None:
    """The dictionary is the specification's, to the byte; its checksum is in each first header block."""
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (DICTIONARY_LENGTH, DICTIONARY_ADLER)


def test_streams_in_any_pieces() -> None:
    """Streams, their headers, bytes and ends are read, however the connection cuts them."""
    deflate = zlib.compressobj(zdict=DICTIONARY)
    opening = control(1, struct.pack("!IIH", 1, 0, 0) + block(deflate, {"streamtype": "error", "port": "80"}))
    second = control(1, struct.pack("!IIH", 3, 0, 0) + block(deflate, {"streamtype": "data"}), flags=1)
    ping, reset = control(6, struct.pack("!I", 7)), control(3, struct.pack("!II", 3, 5))
    settings = control(4, struct.pack("!I", 0))
    data = struct.pack("!II", 1, 1 << 24 | 3) + b"abc"
    session = Session()
    wire = opening + settings + second + data + ping + reset
    assert [event for byte in wire for event in session.receive(bytes([byte]))] == [
        Opened(1, {"streamtype": "error", "port": "80"}),
        Opened(3, {"streamtype": "data"}),
        Received(3, b"", last=True),
        Received(1, b"abc", last=True),
        Pinged(ping),
        WasReset(3),
    ]


def test_frames_to_send() -> None:
    """Replies carry no headers; many bytes go in several frames, and only the last ends the stream."""
    session = Session()
    inflate = zlib.decompressobj(zdict=DICTIONARY)
    for stream in (1, 3):
        reply = session.reply(stream)
        assert struct.unpack_from("!II", reply) == (0x80030002, len(reply) - 8)
        assert struct.unpack_from("!I", reply, 8) == (stream,)
        assert inflate.decompress(reply[12:]) == bytes(4)
    frames = list(Session().receive(session.send(5, b"x" * 40_000, last=True)))
    assert frames == [Received(5, b"x" * 32_768, last=False), Received(5, b"x" * 7_232, last=True)]
    assert session.send(5, b"", last=True) == struct.pack("!II", 5, 1 << 24)
    assert session.send(5, b"ab") == struct.pack("!II", 5, 2) + b"ab"


def test_another_version_is_refused() -> None:
    """The error names the version."""
    with pytest.raises(ValueError, match="SPDY version 2"):
        list(Session().receive(struct.pack("!II", 0x80020001, 0)))
