"""A room of bullet comments: each comment goes to all viewers of the same video.

Runs as `python examples/quickstart/room.py`; listens on port 8000 of POD_IP (default 127.0.0.1). The path
names the video, `/rooms/<video>`; `/healthz` answers 200. This program knows nothing of wsedge: any WebSocket
server can be an origin.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import defaultdict
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

PORT = 8000
UNREAD_BYTES = 1_048_576  # a viewer that leaves more unread gets no further comments until it reads


class Rooms:
    """The viewers of each video, and the broadcast of their comments."""

    def __init__(self) -> None:
        self.viewers: dict[str, set[ServerConnection]] = defaultdict(set)

    async def watch(self, viewer: ServerConnection) -> None:
        """Broadcast one viewer's comments to the viewers of its path until it disconnects."""
        assert viewer.request is not None  # noqa: S101  set once the handshake is over
        video = viewer.request.path
        self.viewers[video].add(viewer)
        try:
            async for comment in viewer:
                broadcast([each for each in self.viewers[video] if _reads(each)], comment)
        except ConnectionClosed:
            pass  # a connection that breaks ends the viewing as a close does
        finally:
            self.viewers[video].discard(viewer)
            if not self.viewers[video]:
                del self.viewers[video]  # names are clients' own: without end, if they stayed


def _reads(viewer: ServerConnection) -> bool:
    """Return whether a viewer reads: broadcast() waits for nobody, and comments would fill the memory."""
    return viewer.transport.get_write_buffer_size() < UNREAD_BYTES


def answer_plain_http(connection: ServerConnection, request: Request) -> Response | None:
    """Answer probes with 200, and other paths than a room's with 404 and the path of rooms."""
    if request.path == "/healthz":
        return connection.respond(HTTPStatus.OK, "ok\n")
    if not request.path.startswith("/rooms/"):
        return connection.respond(HTTPStatus.NOT_FOUND, "rooms are at /rooms/<video>\n")
    return None


async def main() -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    host = os.environ.get("POD_IP", "127.0.0.1")
    # No pings of its own: the relays' heartbeat pings both ends, and closes connections of a silent end.
    async with serve(Rooms().watch, host, PORT, process_request=answer_plain_http, ping_interval=None):
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main())
