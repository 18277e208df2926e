"""Bullet comments: each comment flies over the video of every viewer, in the same order for all.

`/videos/NAME` is the WebSocket of one video. A viewer sends {"text": "…", "colour": 0…5}, and gets
{"id": "…", "text": "…", "colour": 0} for each comment. Runs as `python -m bullet_comments.origin`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from websockets.asyncio.server import ServerConnection

from kit.checks import number, parse, text
from kit.history import History
from kit.origin import exchange, last_id, serve_until_stopped
from kit.rooms import Rooms

KEPT = 500  # comments of one video, for viewers that resume
RECENT = 8  # comments that a new viewer gets
LONGEST = 80


async def main() -> None:
    """Serve until SIGTERM."""
    videos = Rooms(lambda: History(KEPT), empty=lambda comments: not len(comments))

    async def watch(viewer: ServerConnection, video: str) -> None:
        with videos.entered(video) as comments:
            if comments is None:
                await viewer.close(1013, "too many videos at once")
                return

            def accept(message: str | bytes) -> None:
                said = parse(message)
                colour = int(number(said, "colour", least=0, most=5))
                comments.append({"text": text(said, "text", longest=LONGEST), "colour": colour})

            await exchange(viewer, comments.follow(last_id(viewer), recent=RECENT), accept)

    await serve_until_stopped(watch, Path(__file__).parent, paths=r"/videos/([a-z0-9-]{1,40})")


if __name__ == "__main__":
    asyncio.run(main())
