"""One head from a stream, whatever the pieces in which it arrives."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.errors import PeerGoneError
from wsedge_relay.protocol.http1 import BadHeadError
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
