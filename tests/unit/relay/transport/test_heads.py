"""One head from a stream, whatever the pieces in which it arrives."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.errors import PeerGoneError
from wsedge_relay.protocol.http1 import MAX_EMPTY_LINES, BadHeadError
from wsedge_relay.transport.heads import read_head

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Stream:
    """Pieces, each returned by one read; b"" after the last."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@given(cuts=st.sets(st.integers(1, len(HEAD) + 3)), read_before=st.integers(0, len(HEAD) + 4))
async def test_any_pieces_give_the_same_head(cuts: set[int], read_before: int) -> None:
    """No byte is lost: the rest and the unread pieces are the bytes behind the head."""
    data = HEAD + b"rest"
    bounds = [0, *sorted(cuts), len(data)]
    already, data = data[:read_before], data[read_before:]
    bounds = sorted({max(0, bound - read_before) for bound in bounds})
    stream = Stream(*(data[start:end] for start, end in pairwise(bounds) if end > start))
    head, rest = await read_head(stream.read, already)
    assert head == HEAD
    assert rest + b"".join(stream.pieces) == b"rest"


@given(cuts=st.sets(st.integers(1, len(HEAD) + 20)), read_before=st.integers(0, 20), count=st.integers(0, 9))
async def test_empty_lines_before_a_request_are_dropped(cuts: set[int], read_before: int, count: int) -> None:
    """Eight at most (RFC 9112 section 2.2), in any pieces; no other byte is lost."""
    data = b"\r\n" * count + HEAD + b"\r\nrest"
    already, data = data[:read_before], data[read_before:]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    stream = Stream(*(data[start:end] for start, end in pairwise(bounds)))
    if count > MAX_EMPTY_LINES:
        with pytest.raises(BadHeadError, match="empty lines"):
            await read_head(stream.read, already, of_request=True)
        return
    head, rest = await read_head(stream.read, already, of_request=True)
    assert head == HEAD
    assert rest + b"".join(stream.pieces) == b"\r\nrest"


async def test_an_answer_has_no_empty_line_before_it() -> None:
    """RFC 9112 section 2.2 allows them before requests only."""
    head, _ = await read_head(Stream(b"\r\n\r\n", HEAD).read)
    assert head == b"\r\n\r\n"


async def test_a_connection_that_ends_behind_empty_lines_had_no_request() -> None:
    """The client is gone; nothing is refused."""
    with pytest.raises(PeerGoneError, match="before a head"):
        await read_head(Stream(b"\r\n\r").read, of_request=True)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [((), "the connection ended without a byte"), ((HEAD[:9], b"H"), "the connection ended in a head")],
)
async def test_an_end_of_the_connection_names_its_place(pieces: tuple[bytes, ...], text: str) -> None:
    """A connection without a byte is no request; one that ends in a head is cut."""
    with pytest.raises(PeerGoneError, match=text):
        await read_head(Stream(*pieces).read)


async def test_a_head_over_the_limit_is_not_read_further() -> None:
    """The limit bounds memory: the pieces behind it stay unread."""
    stream = Stream(HEAD[:20], b"x" * 20, b"x" * 20)
    with pytest.raises(BadHeadError):
        await read_head(stream.read, most=30)
    assert len(stream.pieces) == 1
