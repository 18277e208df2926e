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

VIDEOS = 100  # whoever connects can name a new one
KEPT = 500  # comments of one video, for viewers that resume
RECENT = 8  # comments that a new viewer gets
LONGEST = 80


class Videos:
    """The comments of each video that somebody watches."""

    def __init__(self) -> None:
        self._comments: dict[str, History] = {}
        self._viewers: dict[str, int] = {}

    async def watch(self, viewer: ServerConnection, video: str) -> None:
        """Send all comments to a viewer, and accept its own, until it disconnects."""
        if video not in self._comments:
            self._forget_one()
            if len(self._comments) >= VIDEOS:
                await viewer.close(1013, "too many videos at once")
                return
        comments = self._comments.setdefault(video, History(KEPT))
        self._viewers[video] = self._viewers.get(video, 0) + 1

        def accept(message: str | bytes) -> None:
            said = parse(message)
            colour = int(number(said, "colour", least=0, most=5))
            comments.append({"text": text(said, "text", longest=LONGEST), "colour": colour})

        try:
            await exchange(viewer, comments.follow(last_id(viewer), recent=RECENT), accept)
        finally:
            self._viewers[video] -= 1

    def _forget_one(self) -> None:
        """Make room by the oldest video without viewers; others keep their comments for those who resume."""
        if len(self._comments) >= VIDEOS:
            for video in [each for each, viewers in self._viewers.items() if viewers == 0][:1]:
                del self._comments[video], self._viewers[video]


if __name__ == "__main__":
    asyncio.run(
        serve_until_stopped(Videos().watch, Path(__file__).parent, paths=r"/videos/([a-z0-9-]{1,40})")
    )
