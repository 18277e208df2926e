"""Location tracking: a phone shares its position, and only holders of the share's link see it.

`/share` answers {"start": true} with {"share": ID, "key": KEY}, then accepts {"lat": …, "lon": …} and
{"stop": true}. After a lost connection {"key": KEY} continues the share. `/watch/ID` sends the last known
position at once, then each new one, and {"ended": true}. Nobody can list shares.
Runs as `python -m location_tracking.origin`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection

from kit.checks import RefusedError, number, parse, text
from kit.history import History
from kit.origin import exchange, last_id, serve_until_stopped

SHARES = 1000
LIFE_SECONDS = 3600.0  # after its last position: a share that its owner forgot ends by itself
SILENT_SECONDS = 120.0  # after it, a share yields where there are too many: positions come each second
DIGITS = 5  # of a degree: about a metre


@dataclass(slots=True)
class Share:
    """One share. Its history keeps one position: no watcher gets where the owner has been before."""

    id: str
    key: str
    at: float
    positions: History = field(default_factory=lambda: History(1))


class Shares:
    """All shares, by the id that watchers have and by the key that the owner has."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_id: dict[str, Share] = {}
        self._by_key: dict[str, Share] = {}

    def begin(self) -> Share:
        """Return a new share. Raises RefusedError when there are too many."""
        for share in list(self._by_id.values()):
            if self._clock() - share.at > LIFE_SECONDS:
                self.end(share)
        if len(self._by_id) >= SHARES:
            # Else one client that begins shares and leaves would keep all others out for an hour.
            oldest = min(self._by_id.values(), key=lambda share: share.at)
            if self._clock() - oldest.at <= SILENT_SECONDS:
                raise RefusedError("there are too many shares: try again later")
            self.end(oldest)
        share = Share(secrets.token_urlsafe(16), secrets.token_urlsafe(16), self._clock())
        self._by_id[share.id] = self._by_key[share.key] = share
        return share

    def owned(self, key: str) -> Share:
        """Return the share of a key. Raises RefusedError."""
        if key not in self._by_key:
            raise RefusedError("this share has ended")
        return self._by_key[key]

    def watched(self, share: str) -> Share | None:
        """Return the share of an id, unless it has ended or is too old."""
        found = self._by_id.get(share)
        return found if found and self._clock() - found.at <= LIFE_SECONDS else None

    def move(self, share: Share, latitude: float, longitude: float) -> None:
        """Set the position of a share. Raises RefusedError if it has ended."""
        self.owned(share.key).at = self._clock()
        share.positions.append({"lat": round(latitude, DIGITS), "lon": round(longitude, DIGITS)})

    def end(self, share: Share) -> None:
        """Forget a share, and tell its watchers, in place of its position."""
        if self._by_id.pop(share.id, None):
            del self._by_key[share.key]
            share.positions.append({"ended": True})


class Owner:
    """One connection of an owner: which share it moves, and the answers to it."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._share: Share | None = None
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def accept(self, message: str | bytes) -> None:
        """Begin, continue, move or stop the share."""
        said = parse(message)
        if self._share is None:
            key = text(said, "key", longest=40) if "key" in said else None
            self._share = self._shares.owned(key) if key else self._shares.begin()
            self._answers.put_nowait({"share": self._share.id, "key": self._share.key})
        elif said.get("stop") is True:
            self._shares.end(self._share)
        else:
            latitude = number(said, "lat", least=-90, most=90)
            self._shares.move(self._share, latitude, number(said, "lon", least=-180, most=180))

    async def answers(self) -> AsyncIterator[str]:
        """Yield answers as JSON; one for each share, so that they need no limit."""
        while True:
            answer = await self._answers.get()
            yield json.dumps(answer)


def refuse(_message: str | bytes) -> None:
    """Refuse what a watcher sends."""
    raise RefusedError("watchers only watch")


async def main() -> None:
    """Serve until SIGTERM."""
    shares = Shares(asyncio.get_running_loop().time)

    async def handle(client: ServerConnection, path: str) -> None:
        if path == "share":
            owner = Owner(shares)
            await exchange(client, owner.answers(), owner.accept, per_second=2, burst=6)
        elif share := shares.watched(path.removeprefix("watch/")):
            await exchange(client, share.positions.follow(last_id(client), recent=1), refuse)
        else:
            await client.send('{"ended": true}')
            await client.close(1000)  # the page does not connect again

    await serve_until_stopped(handle, Path(__file__).parent, paths=r"/(share|watch/[\w-]{22})")


if __name__ == "__main__":
    asyncio.run(main())
