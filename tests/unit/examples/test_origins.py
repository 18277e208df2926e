"""Origins of examples/ against clients that want to fill their memory, or their log."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from location_tracking.origin import SHARES, SILENT_SECONDS, Shares
from online_teaching.origin import UNREAD_BYTES, Lesson, Visitor
from quickstart.room import Rooms as Viewers
from video_meeting.origin import WAITING, Peer, Room
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.protocol import State

from kit.checks import RefusedError
from kit.origin import Site

FOLDER = Path(__file__).parents[3] / "examples" / "bullet_comments"


def connection(*, unread: int = 0) -> MagicMock:
    """Return a connection whose peer has not read so many bytes."""
    made = MagicMock(transport=MagicMock(), protocol=MagicMock(state=State.OPEN), send_in_progress=None)
    made.transport.get_write_buffer_size.return_value = unread
    return made


def test_signals_for_a_peer_that_does_not_read_are_bounded_in_size() -> None:
    """Few large signals end its connection as many small ones do; others are not disturbed."""
    room, slow, hostile = Room(), Peer(connection()), Peer(connection())
    room.peers |= {slow.id: slow, hostile.id: hostile}
    offer = json.dumps({"to": slow.id, "kind": "offer", "data": "\u00e9" * 8000}, ensure_ascii=False)
    for _ in range(50):
        room.accept(hostile, offer)
    waiting = [slow.signals.get_nowait() for _ in range(slow.signals.qsize())]
    assert waiting
    assert sum(map(len, waiting)) <= WAITING
    slow.client.transport.abort.assert_called()  # type: ignore[attr-defined]
    hostile.client.transport.abort.assert_not_called()  # type: ignore[attr-defined]


async def test_a_peer_that_reads_gets_all_signals() -> None:
    """What it has read counts no more."""
    peer = Peer(connection())
    heard = peer.heard()
    for number in range(100):
        peer.tell({"data": "x" * 9000, "number": number})
        assert json.loads(await anext(heard))["number"] == number
    peer.client.transport.abort.assert_not_called()  # type: ignore[attr-defined]


def test_hands_fill_no_memory_for_a_teacher_that_does_not_read() -> None:
    """Others get the hands."""
    reads, slow = connection(), connection(unread=UNREAD_BYTES)
    lesson = Lesson(teachers={reads, slow})
    Visitor(connection(), lesson, "key").accept('{"hand": "Mina"}')
    assert json.loads(reads.protocol.send_text.call_args[0][0]) == {"hand": "Mina"}
    slow.protocol.send_text.assert_not_called()


def test_shares_that_were_left_keep_nobody_out() -> None:
    """Where there are too many, the one that is silent for the longest ends; none that moves does."""
    now = 0.0
    shares = Shares(lambda: now)
    used, *left = [shares.begin() for _ in range(SHARES)]
    with pytest.raises(RefusedError):
        shares.begin()
    now = SILENT_SECONDS + 1
    shares.move(used, 1, 2)
    new = [shares.begin() for _ in left]
    assert shares.watched(used.id) is used
    assert [share for share in left if shares.watched(share.id)] == []
    assert all(shares.watched(share.id) for share in new)
    with pytest.raises(RefusedError):
        shares.begin()


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    """Serve the page and WebSockets that say nothing; provide the port."""
    site = Site(FOLDER, r"/videos/([a-z]+)")

    async def handle(client: ServerConnection) -> None:
        await client.wait_closed()

    async with serve(handle, "127.0.0.1", 0, process_request=site.answer) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def answered(port: int, path: str, origin: str | None) -> int:
    """Ask for a WebSocket, and return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    fields = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    fields += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"Host: 127.0.0.1:{port}"]
    fields += [] if origin is None else [f"Origin: {origin}"]
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", *fields, "", ""]).encode())
    status = (await reader.readline()).split()[1]
    writer.close()
    await writer.wait_closed()
    return int(status)


ANSWERS = {
    "the own page": ("/videos/a", "http://127.0.0.1:{port}", 101),
    "the own page, by TLS that ends before": ("/videos/a", "https://127.0.0.1:{port}", 101),
    "a client without a page": ("/videos/a", None, 101),
    "a query that is no URL": ("/videos/a?after=[", None, 101),
    "two origins, of which one is another site": (
        "/videos/a",
        "http://127.0.0.1:{port}\r\nOrigin: http://other.example",
        403,
    ),
    "a page of another site": ("/videos/a", "http://other.example", 403),
    "a page of a file": ("/videos/a", "null", 403),
    "an empty origin": ("/videos/a", "", 403),
    "an origin that is no URL": ("/videos/a", "http://[", 403),
    "a host of an origin that is none": ("/videos/a", "http://a]b", 403),
    "a path that is no URL": ("//[/videos/a", None, 404),
    "a path upwards": ("/videos/../a", None, 404),
}


@pytest.mark.parametrize(("path", "origin", "status"), ANSWERS.values(), ids=ANSWERS)
async def test_each_handshake_gets_its_status(
    path: str, origin: str | None, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """No client's bytes are a defect of the origin: a traceback for each would fill the log."""
    async with served() as port:
        own = origin and origin.format(port=port)
        assert await answered(port, path, own) == status
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


async def test_a_viewer_of_the_quickstart_that_does_not_read_fills_no_memory() -> None:
    """Viewers that read get each comment."""
    rooms, reads, slow = Viewers(), connection(), connection(unread=2**20)

    async def comments() -> AsyncIterator[str]:
        yield "hello"

    reads.request.path, reads.__aiter__ = "/rooms/a", lambda _self: comments()
    rooms.viewers["/rooms/a"].add(slow)
    await rooms.watch(reads)
    reads.protocol.send_text.assert_called_once_with(b"hello")
    slow.protocol.send_text.assert_not_called()


async def test_rooms_of_the_quickstart_end_with_their_last_viewer() -> None:
    """Their names are clients' own."""
    rooms = Viewers()
    async with serve(rooms.watch, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        for number in range(3):
            async with connect(f"ws://127.0.0.1:{port}/rooms/{number}", proxy=None) as viewer:
                await viewer.send("hello")
                assert await viewer.recv() == "hello"
    assert dict(rooms.viewers) == {}
