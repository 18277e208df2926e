"""Live sports: the events of an invented match, which no spectator misses or gets twice.

`/matches/final` sends {"id": "…", "minute": 12, "kind": "goal", "team": 0, "text": "…", "score": [1, 0]} for
each event. A spectator that comes late gets the match so far; one that resumes gets what came after its last
event. Runs as `python -m live_sports.origin`.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection

from kit.checks import RefusedError
from kit.history import History
from kit.origin import exchange, last_id, serve_until_stopped

TEAMS = ("Harbour City", "North Valley")
PLAYERS = (
    ("Lindqvist", "Okafor", "Marchetti", "Zhao", "Duarte"),
    ("Haruki", "Novak", "Adeyemi", "Wang", "Petrov"),
)
KEPT = 400  # more than two whole matches
KINDS = ("goal", "card", "corner", "shot", "save")
WEIGHTS = (2, 2, 5, 7, 5)
QUIET = 0.55  # the share of minutes without an event
TEXTS = {
    "goal": "GOAL! {player} scores for {team}",
    "card": "Yellow card for {player}",
    "corner": "Corner for {team}, {player} takes it",
    "shot": "{player} shoots: just wide",
    "save": "{player} shoots, and the keeper holds it",
}


def match(chance: random.Random) -> Iterator[list[dict[str, Any]]]:
    """Yield the events of each minute of a match, from kick-off to full time."""
    score = [0, 0]
    yield [_whistle(0, "Kick-off", score)]
    for minute in range(1, 91):
        events: list[dict[str, Any]] = []
        if chance.random() > QUIET:
            team, (kind,) = chance.randrange(2), chance.choices(KINDS, WEIGHTS)
            score[team] += kind == "goal"
            said = TEXTS[kind].format(player=chance.choice(PLAYERS[team]), team=TEAMS[team])
            events.append({"minute": minute, "kind": kind, "team": team, "text": said, "score": [*score]})
        if minute in (45, 90):
            events.append(_whistle(minute, "Half-time" if minute == 45 else "Full time", score))
        yield events


def _whistle(minute: int, text: str, score: list[int]) -> dict[str, Any]:
    return {"minute": minute, "kind": "whistle", "text": text, "score": [*score], "teams": TEAMS}


def refuse(_message: str | bytes) -> None:
    """Refuse what a spectator sends."""
    raise RefusedError("spectators only watch")


async def main() -> None:
    """Play one match after the other, and serve until SIGTERM."""
    events, pace = History(KEPT), float(os.environ.get("MINUTE_SECONDS", "60"))
    chance = random.Random()  # noqa: S311  no secret

    async def play() -> None:
        while True:
            for minute in match(chance):
                for event in minute:
                    events.append(event)
                await asyncio.sleep(pace)

    async def handle(spectator: ServerConnection, _match: str) -> None:
        await exchange(spectator, events.follow(last_id(spectator), recent=KEPT), refuse)

    playing = asyncio.create_task(play())
    await serve_until_stopped(handle, Path(__file__).parent, paths=r"/matches/(final)")
    playing.cancel()


if __name__ == "__main__":
    asyncio.run(main())
