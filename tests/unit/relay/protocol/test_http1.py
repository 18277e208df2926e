"""HTTP/1.1 heads: their ends, and rejected forms."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.protocol import http1
from wsedge_relay.protocol.http1 import BadHeadError, Header, Headers

HEAD = b"GET /chat?x=1 HTTP/1.1\r\nHost: a\r\nCookie: b=c\r\n\r\n"


@given(st.lists(st.integers(0, len(HEAD) - 1)))
def test_a_head_ends_at_the_same_place_however_it_is_cut(cuts: list[int]) -> None:
    """A search after every piece finds the end when it is complete, and not before."""
    data, seen = b"", 0
    for cut in [*sorted(cuts), len(HEAD)]:
        seen, data = len(data), HEAD[:cut]
        end = http1.head_end(data, seen=seen)
        assert end == (len(HEAD) if cut == len(HEAD) else 0)


def test_bytes_behind_a_head_are_ignored() -> None:
    """Frames behind a head may contain any bytes."""
    assert http1.head_end(HEAD + b"\x81\x01\n\r\n\r\n") == len(HEAD)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nA: b\n\r\n", b"\n"])
def test_a_bare_lf_is_refused_at_once(data: bytes) -> None:
    """A line that ends in LF alone is rejected before the end of the head, at any split."""
    for seen in range(len(data)):
        with pytest.raises(BadHeadError, match="LF"):
            http1.head_end(data, seen=min(seen, data.index(b"\n")))


def test_a_head_has_a_size() -> None:
    """A head above the limit is refused with 431."""
    with pytest.raises(BadHeadError) as refused:
        http1.head_end(b"x" * (http1.MAX_HEAD_BYTES + 1))
    assert (refused.value.status, refused.value.reason) == (431, "headerBytes")


@pytest.mark.parametrize(
    ("most", "longest"), [(1024, None), (http1.MAX_HEAD_BYTES, 8192), (40_000, 20_000), (65_536, 32_768)]
)
def test_a_line_has_half_of_a_large_head(most: int, longest: int | None) -> None:
    """In a small head a line may have 8192 bytes, or all bytes of the head."""

    def head(size: int) -> bytes:
        return b"GET / HTTP/1.1\r\nA: " + b"x" * (size - 3) + b"\r\n\r\n"

    for size, reason in ((most, "headerBytes"), ((longest or 0) + 1, "head")):
        if size > 4:
            with pytest.raises(BadHeadError) as refused:
                http1.check_size(head(size), most)
            assert (refused.value.status, refused.value.reason) == (431, reason)
    fits = head(longest or most - 20)
    http1.check_size(fits, most)
    assert http1.parse_request(fits, most=most).headers.lines == ((b"A", fits[19:-4]),)


def test_a_request_is_parsed() -> None:
    """Method, target and headers, without white space around values."""
    request = http1.parse_request(b"GET /a?b HTTP/1.1\r\nHost:a\r\nX-Y: \t z z \t\r\n\r\n")
    assert (request.method, request.target) == (b"GET", b"/a?b")
    assert request.headers.lines == ((b"Host", b"a"), (b"X-Y", b"z z"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"HTTP/1.1 101 Switching Protocols", (101, b"Switching Protocols", 1)),
        (b"HTTP/1.0 404 ", (404, b"", 0)),
        (b"HTTP/1.1 503", (503, b"", 1)),
        (b"HTTP/2.0 200 OK", None),
        (b"HTTP/1.1 99 x", None),
        (b"HTTP/1.1 600 x", None),
        (b"HTTP/1.1  200 OK", None),
    ],
)
def test_status_lines(line: bytes, expected: tuple[int, bytes, int] | None) -> None:
    """A status line follows RFC 9112 section 4, or is rejected."""
    if expected is None:
        with pytest.raises(BadHeadError):
            http1.parse_response(line + b"\r\n\r\n")
    else:
        answer = http1.parse_response(line + b"\r\n\r\n")
        assert (answer.status, answer.reason, answer.minor) == expected


def test_lists_run_over_lines() -> None:
    """A list may have several lines and empty members."""
    headers = Headers(((b"A", b"x, ,y"), (b"a", b" z,")))
    assert headers.members(b"a") == [b"x", b"y", b"z"]
    with pytest.raises(BadHeadError, match="2 times"):
        headers.one(b"a")


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(noise: bytes) -> None:
    """Random bytes raise no other exception than BadHeadError."""
    for parse in (http1.parse_request, http1.parse_response):
        with suppress(BadHeadError):
            parse(noise + b"\r\n\r\n")


def test_a_built_head_reads_back() -> None:
    """A built head parses to the same headers; an unregistered status has no phrase."""
    head = http1.build_head(http1.status_line(404), [(b"A", b"b")])
    assert http1.parse_response(head).headers.lines == ((b"A", b"b"),)
    assert http1.status_line(599) == b"HTTP/1.1 599 "


@given(
    st.sampled_from(
        [b"GET / HTTP/1.1", b"GET /\xff HTTP/1.1", b"G@T / HTTP/1.1", b"GET / HTTP/1.0", b"GET /"]
    ),
    st.lists(
        st.lists(
            st.sampled_from(
                [b"A", b"b-c", b":", b" ", b"\t", b"\r", b"\0", b"\x7f", b"\xe9", b"v", b"@", b"="]
            ),
            max_size=7,
        ).map(b"".join),
        max_size=4,
    ),
)
def test_a_short_head_is_read_as_a_long_one(first: bytes, lines: list[bytes]) -> None:
    """The match of a whole short head and the parser of a long head have the same result."""
    long = b"X-Long: " + b"x" * (http1.MAX_LINE_BYTES - 8)

    def read(*more: bytes) -> tuple[bytes, bytes, tuple[Header, ...]] | str:
        try:
            request = http1.parse_request(b"\r\n".join([first, *lines, *more, b"", b""]))
        except BadHeadError as error:
            return error.text
        return request.method, request.target, request.headers.lines[: len(lines)]

    assert read() == read(long)


@given(st.lists(st.tuples(st.sampled_from([b"A", b"a", b"B", b"c"]), st.sampled_from([b"x", b"y, z", b""]))))
def test_headers_are_found_whatever_their_case(lines: list[Header]) -> None:
    """Names are compared without case; lines are returned in order."""
    headers = Headers(lines)
    for name in (b"a", b"b", b"c", b"d"):
        values = [value for key, value in lines if key.lower() == name]
        assert headers.all(name) == values
        if len(values) < 2:
            assert headers.one(name) == (values[0] if values else None)
        else:
            with pytest.raises(BadHeadError, match=f"{len(values)} times"):
                headers.one(name)
    assert list(headers.items()) == [(line[0].lower(), line) for line in lines]
    assert headers.repeated == (len({name.lower() for name, _ in lines}) < len(lines))


LONG = b"X-Long: " + b"x" * (http1.MAX_LINE_BYTES - 8)
RESPONSES: dict[str, tuple[list[bytes], str]] = {
    "no status line": ([b"HTTP/1.1 OK"], "no HTTP/1.1 status line"),
    "a folded line": ([b"HTTP/1.1 200 OK", b"A: b", b" c"], "a header line is folded"),
    "a line without a colon": ([b"HTTP/1.1 200 OK", b"A"], "not NAME: VALUE"),
    "a control byte": ([b"HTTP/1.1 200 OK", b"A: \x01"], "the value of A has control bytes"),
    "a line of more than 32 KiB": ([b"HTTP/1.1 200 OK", b"A: " + b"b" * 32_766], "longer than 32768 bytes"),
    "more than 400 headers": ([b"HTTP/1.1 200 OK"] + [b"A: b"] * 401, "more than 400 headers"),
}


@pytest.mark.parametrize("case", RESPONSES)
def test_a_malformed_response_is_rejected_with_the_reason(case: str) -> None:
    """The reason is in the log event of the origin's failure."""
    lines, reason = RESPONSES[case]
    with pytest.raises(BadHeadError, match=reason):
        http1.parse_response(b"\r\n".join([*lines, b"", b""]))


@pytest.mark.parametrize(("most", "expected"), [(1024, 65_536), (16_384, 65_536), (65_536, 262_144)])
def test_one_limit_bounds_both_directions(most: int, expected: int) -> None:
    """An origin may send four times as many bytes as a client, and never less than 64 KiB."""
    assert http1.most_of_origin(most) == expected


@pytest.mark.parametrize("lines", [[b"A: " + b"b" * 32_765], [b"A: b"] * 400], ids=["a line", "the lines"])
def test_the_longest_response_is_parsed(lines: list[bytes]) -> None:
    """Half of the limit in one line; 400 lines."""
    head = http1.parse_response(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""]))
    assert len(head.headers.lines) == len(lines)


def test_a_long_response_is_parsed_line_by_line() -> None:
    """A head of more than 8192 bytes has the same result as a short one."""
    head = http1.parse_response(b"\r\n".join([b"HTTP/1.0 404 Not Found", b"A: b ", LONG, LONG, b"", b""]))
    assert (head.status, head.reason, head.minor) == (404, b"Not Found", 0)
    assert [name for name, _ in head.headers.lines] == [b"A", b"X-Long", b"X-Long"]
    assert head.headers.all(b"a") == [b"b"]


def test_white_space_behind_a_value_is_removed() -> None:
    """RFC 9112 section 5.1: optional white space is no part of the value."""
    request = http1.parse_request(b"GET / HTTP/1.1\r\nA: b\t \r\nC: \r\n\r\n")
    assert request.headers.lines == ((b"A", b"b"), (b"C", b""))


def test_headers_are_equal_by_their_lines() -> None:
    """Names as they were sent count; equal headers have equal hashes."""
    one, same, other = Headers([(b"A", b"b")]), Headers([(b"A", b"b")]), Headers([(b"a", b"b")])
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != ((b"A", b"b"),)


REQUESTS: dict[str, tuple[bytes, int, str]] = {
    "two parts": (b"GET /", 400, "not METHOD TARGET VERSION"),
    "a method that is no token": (b"G@T / HTTP/1.1", 400, "the method is no token"),
    "HTTP/2.0": (b"GET / HTTP/2.0", 505, "the version is not HTTP/1.1"),
    "no version": (b"GET / HTTPS", 400, "the version is not HTTP/1.1"),
    "a URL of another scheme": (b"GET ftp://a/ HTTP/1.1", 400, "no path and query"),
    "a URL without a host": (b"GET http:///a HTTP/1.1", 400, "no path and query"),
    "a URL without slashes": (b"GET http:a HTTP/1.1", 400, "no path and query"),
    "authority-form": (b"CONNECT a:80 HTTP/1.1", 400, "no path and query"),
    "asterisk-form": (b"GET * HTTP/1.1", 400, "no path and query"),
    "an asterisk and more": (b"OPTIONS *x HTTP/1.1", 400, "no path and query"),
    "a fragment": (b"GET /#a HTTP/1.1", 400, "no path and query"),
    "a fragment of a URL": (b"GET http://a/#b HTTP/1.1", 400, "no path and query"),
    "a control byte": (b"GET /\x7f HTTP/1.1", 400, "no path and query"),
    "a tab": (b"GET /\ta HTTP/1.1", 400, "no path and query"),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_malformed_request_line_is_rejected_with_its_status(case: str) -> None:
    """505 for another version of HTTP (RFC 9110 section 15.6.6), else 400."""
    line, status, reason = REQUESTS[case]
    with pytest.raises(BadHeadError, match=reason) as refused:
        http1.parse_request(line + b"\r\nHost: a\r\n\r\n")
    assert (refused.value.status, refused.value.reason) == (status, "head")


TARGETS: dict[bytes, tuple[bytes, bytes | None]] = {
    b"GET http://a/": (b"/", b"a"),
    b"GET HTTPS://A:80/b//c?d": (b"/b//c?d", b"A:80"),
    b"GET ws://a": (b"/", b"a"),
    b"GET wss://a?b/c": (b"/?b/c", b"a"),
    b"GET http://a/http://b/": (b"/http://b/", b"a"),
    b"GET //a/b": (b"//a/b", None),
    b"OPTIONS *": (b"*", None),
    b"OPTIONS http://a": (b"*", b"a"),
    b"OPTIONS http://a/": (b"/", b"a"),
    b"GET /caf\xc3\xa9?\xff": (b"/caf\xc3\xa9?\xff", None),
    b"GET http://a/\xe9": (b"/\xe9", b"a"),
}


@pytest.mark.parametrize("line", TARGETS)
def test_targets(line: bytes) -> None:
    """A URL becomes its path and query, with the host apart; bytes above ASCII stay as they came."""
    request = http1.parse_request(line + b" HTTP/1.1\r\nHost: b\r\n\r\n")
    assert (request.target, request.authority) == TARGETS[line]


@pytest.mark.parametrize("count", range(http1.MAX_EMPTY_LINES + 2))
def test_a_few_empty_lines_may_come_first(count: int) -> None:
    """RFC 9112 section 2.2; a bound, so that they keep no connection busy."""
    lines = b"\r\n" * count
    if count > http1.MAX_EMPTY_LINES:
        assert not http1.is_empty_lines(lines)
        with pytest.raises(BadHeadError, match="more than 8 empty lines"):
            http1.empty_lines_end(lines + HEAD)
    else:
        assert http1.empty_lines_end(lines + HEAD) == http1.empty_lines_end(lines + b"\r") == len(lines)
        assert http1.is_empty_lines(lines)
        assert http1.is_empty_lines(lines + b"\r")
        assert not http1.is_empty_lines(lines + b"G")
        assert not http1.is_empty_lines(lines + b"\n")
        assert not http1.is_empty_lines(lines + b"\r\r")


def test_http_1_0_is_parsed() -> None:
    """`minor` is the second digit of the version."""
    assert http1.parse_request(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").minor == 0
