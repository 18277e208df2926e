"""Ends of bodies at any split of the bytes, compared with a slow and obvious reader of a whole body."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.protocol import body
from wsedge_relay.protocol.body import BadBodyError, BodyReader, BodyWriter, Framing
from wsedge_relay.protocol.http1 import Headers


def headers(*lines: tuple[bytes, bytes]) -> Headers:
    return Headers(lines)


LENGTH_5 = (b"Content-Length", b"5")
CHUNKED = (b"Transfer-Encoding", b"chunked")


def test_a_request_without_framing_has_no_body() -> None:
    """The body of an answer without framing ends with the stream (RFC 9112 section 6.3)."""
    assert body.of_request(headers()) == (Framing.NONE, 0)
    assert body.of_answer(headers(), status=200, head_only=False, minor=1) == (Framing.CLOSE, 0)


def test_lengths_and_chunks() -> None:
    """Names and codings are compared without case."""
    assert body.of_request(headers(LENGTH_5)) == (Framing.LENGTH, 5)
    assert body.of_request(headers((b"transfer-encoding", b"Chunked"))) == (Framing.CHUNKED, 0)
    for zeros in (b"0", b"00", b"0" * 18):
        assert body.of_request(headers((b"Content-Length", zeros))) == (Framing.LENGTH, 0)


BAD_FRAMING = {
    "both": [LENGTH_5, CHUNKED],
    "an empty coding beside a length": [LENGTH_5, (b"Transfer-Encoding", b"")],
    "two lengths": [LENGTH_5, LENGTH_5],
    "two codings": [CHUNKED, CHUNKED],
    "a list of codings": [(b"Transfer-Encoding", b"gzip, chunked")],
    "a coding with white space inside": [(b"Transfer-Encoding", b"chun ked")],
    "another coding": [(b"Transfer-Encoding", b"identity")],
    "a sign": [(b"Content-Length", b"+5")],
    "a list": [(b"Content-Length", b"5,5")],
    "nothing": [(b"Content-Length", b"")],
    "digits of another script": [(b"Content-Length", b"\xd9\xa5")],
    "more than a machine counts": [(b"Content-Length", b"1" * 19)],
}


@pytest.mark.parametrize("lines", BAD_FRAMING.values(), ids=BAD_FRAMING.keys())
def test_framing_that_is_in_doubt_is_refused(lines: list[tuple[bytes, bytes]]) -> None:
    """Each form is rejected in requests and in answers."""
    with pytest.raises(BadBodyError):
        body.of_request(headers(*lines))
    with pytest.raises(BadBodyError):
        body.of_answer(headers(*lines), status=200, head_only=False, minor=1)


def test_http_1_0_has_no_chunks() -> None:
    """Parsers of HTTP/1.0 ignore Transfer-Encoding (RFC 9112 section 6.1)."""
    with pytest.raises(BadBodyError):
        body.of_request(headers(CHUNKED), minor=0)
    assert body.of_request(headers(LENGTH_5), minor=0) == (Framing.LENGTH, 5)


@pytest.mark.parametrize(("status", "head_only"), [(204, False), (304, False), (200, True), (199, False)])
def test_answers_without_a_body(status: int, head_only: bool) -> None:
    """Their Content-Length is that of the omitted body."""
    assert body.of_answer(headers(LENGTH_5), status=status, head_only=head_only, minor=1) == (Framing.NONE, 5)
    assert body.of_answer(headers(CHUNKED), status=status, head_only=head_only, minor=1) == (Framing.NONE, -1)


def slow(data: bytes) -> tuple[bytes, bytes] | None:
    """Read a whole chunked body by the grammar of RFC 9112 section 7.1; None when it is none."""
    token = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    quoted = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*"'
    extension = rb"(?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?)*" % (token, token, quoted)
    payload = b""
    while True:
        size = re.match(rb"([0-9A-Fa-f]{1,8})" + extension + rb"\r\n", data)
        if size is None:
            return None
        data = data[size.end() :]
        length = int(size[1], 16)
        if not length:
            break
        if len(data) < length + 2 or data[length : length + 2] != b"\r\n":
            return None
        payload += data[:length]
        data = data[length + 2 :]
    trailers = re.match(rb"(?:" + token + rb":[\t -\x7e\x80-\xff]*\r\n)*\r\n", data)
    return (payload, data[trailers.end() :]) if trailers is not None else None


def fed(reader: BodyReader, pieces: list[bytes]) -> tuple[bytes, bytes] | None:
    """Feed pieces to a reader and return payload and rest; None when it rejects them or needs more."""
    try:
        payload = b"".join(map(reader.feed, pieces))
    except BadBodyError:
        return None
    return (payload, reader.rest) if reader.done else None


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:stop] for start, stop in pairwise(places)]


CUTS = st.lists(st.integers(0, 1 << 16), max_size=8)
EXTENSIONS = st.sampled_from([b"", b";a", b" ; a = b", b';a="b;\\"c"', b";a;b=c"])


@st.composite
def chunked(draw: st.DrawFn) -> bytes:
    """A well-formed chunked body with other bytes behind it."""
    made = b""
    for chunk in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5)):
        size = draw(st.sampled_from([b"%x", b"%X", b"%04x"])) % len(chunk)
        made += size + draw(EXTENSIONS) + b"\r\n" + chunk + b"\r\n"
    made += b"0" + draw(EXTENSIONS) + b"\r\n"
    made += b"".join(draw(st.lists(st.sampled_from([b"A: b\r\n", b"c:\r\n"]), max_size=2)))
    return made + b"\r\n" + draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\n\r\n", b"\n", b"\x00"]))


@given(data=chunked(), at=CUTS)
def test_any_split_of_a_chunked_body_is_the_same_body(data: bytes, at: list[int]) -> None:
    """Payload and rest are those of the slow reader."""
    expected = slow(data)
    assert expected is not None
    assert fed(BodyReader(Framing.CHUNKED), cut(data, at)) == expected


@given(data=chunked(), at=CUTS, where=st.integers(0, 1 << 16), byte=st.sampled_from(b"\r\n 0a;:\x00\xff"))
def test_any_broken_body_is_refused_as_the_slow_reader_does(
    data: bytes, at: list[int], where: int, byte: int
) -> None:
    """With one byte replaced, both readers have the same result."""
    broken = bytearray(data)
    broken[where % len(data)] = byte
    assert fed(BodyReader(Framing.CHUNKED), cut(bytes(broken), at)) == slow(bytes(broken))


@given(data=st.binary(max_size=60), at=CUTS)
def test_noise_is_refused_as_the_slow_reader_does(data: bytes, at: list[int]) -> None:
    """Both readers accept random bytes, or both reject them."""
    assert fed(BodyReader(Framing.CHUNKED), cut(data, at)) == slow(data)


@given(data=st.binary(max_size=60), length=st.integers(0, 60), at=CUTS)
def test_any_split_of_a_body_with_a_length(data: bytes, length: int, at: list[int]) -> None:
    """The first `length` bytes are the payload, the others the rest."""
    expected = (data[:length], data[length:]) if len(data) >= length else None
    assert fed(BodyReader(Framing.LENGTH, length), cut(data, at) or [b""]) == expected


@given(pieces=st.lists(st.binary(max_size=40), max_size=6))
def test_a_written_body_is_read_back(pieces: list[bytes]) -> None:
    """Pieces may be empty: the writer must not write an empty chunk, which ends the body."""
    writer = BodyWriter(Framing.CHUNKED)
    written = b"".join(writer.frame(piece, last=False) for piece in pieces) + writer.frame(b"", last=True)
    assert slow(written) == (b"".join(pieces), b"")
    assert BodyWriter(Framing.LENGTH).frame(b"x", last=True) == b"x"


def test_a_body_until_the_end_of_the_stream() -> None:
    """The end of the stream completes such a body; for other bodies it is an error."""
    reader = BodyReader(Framing.CLOSE)
    assert reader.feed(b"all") == b"all"
    assert not reader.done
    reader.end()
    assert reader.done
    for other in (BodyReader(Framing.LENGTH, 1), BodyReader(Framing.CHUNKED)):
        with pytest.raises(BadBodyError, match="ended early"):
            other.end()


def test_a_line_without_end_is_not_waited_for() -> None:
    """A line above the limit is rejected before its end."""
    reader = BodyReader(Framing.CHUNKED)
    reader.feed(b"1;" + b"x" * 8000)
    with pytest.raises(BadBodyError, match="does not end"):
        reader.feed(b"x" * 200)


def test_overhead_is_bounded_by_what_it_carries() -> None:
    """Long extensions of small chunks are rejected; beside much data the same bytes are accepted."""
    line = b";" + b"x" * 500 + b"\r\n"
    reader = BodyReader(Framing.CHUNKED)
    for _ in range(32):
        reader.feed(b"1" + line + b"x\r\n")
    with pytest.raises(BadBodyError, match="too long"):
        reader.feed((b"1" + line + b"x\r\n") * 2)
    reader = BodyReader(Framing.CHUNKED)
    for _ in range(100):
        reader.feed(b"200" + line + b"x" * 512 + b"\r\n")
    assert reader.payload_bytes == 51200


def test_trailers_are_bounded() -> None:
    """Trailers without a limit would be a second head of any size."""
    reader = BodyReader(Framing.CHUNKED)
    reader.feed(b"0\r\n")
    for _ in range(16):
        reader.feed(b"X: " + b"y" * 1000 + b"\r\n")
    with pytest.raises(BadBodyError, match="too long"):
        reader.feed(b"X: " + b"y" * 1000 + b"\r\n")


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"X : y", b" folded", b"X: \x01"])
def test_a_trailer_is_a_header_line(line: bytes) -> None:
    """Other lines behind the last chunk could be another request."""
    reader = BodyReader(Framing.CHUNKED)
    with pytest.raises(BadBodyError, match="a trailer is not"):
        reader.feed(b"0\r\n" + line + b"\r\n\r\n")


def test_a_body_with_a_length_in_two_pieces() -> None:
    """The body is complete at its last byte; further bytes are the next request's."""
    reader = BodyReader(Framing.LENGTH, 5)
    assert (reader.feed(b"abc"), reader.done) == (b"abc", False)
    assert (reader.feed(b"deGET"), reader.done) == (b"de", True)
    assert reader.feed(b" /") == b""
    assert (reader.rest, reader.payload_bytes) == (b"GET /", 5)
    reader.end()
