"""Online teaching: a teacher writes the outline of a lesson, and every student has all of it, late ones too.

`/lessons/NAME`: a client is a student until it sends {"teach": KEY} with the key in TEACHER_KEY. A teacher
sends {"kind": "section" | "note" | "code", "text": "…"}, which all get with an id; a student raises its hand
by {"hand": NAME}, which teachers alone get. Runs as `python -m online_teaching.origin`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast

from kit.checks import RefusedError, parse, text
from kit.history import History
from kit.origin import exchange, last_id, serve_until_stopped
from kit.rooms import Rooms

LINES = 1000  # of one lesson: more are refused, so that late students get all
UNREAD_BYTES = 65_536  # more hands a teacher that reads slowly does not get
KINDS = ("section", "note", "code")


@dataclass(slots=True)
class Lesson:
    """The outline so far, and the teachers that are here."""

    outline: History = field(default_factory=lambda: History(LINES))
    lines: int = 0
    teachers: set[ServerConnection] = field(default_factory=set)

    def write(self, said: dict[str, Any]) -> None:
        """Add a line. Raises RefusedError."""
        kind = said.get("kind")
        if kind not in KINDS:
            raise RefusedError(f"kind must be one of {', '.join(KINDS)}")
        if self.lines >= LINES:
            raise RefusedError(f"a lesson has at most {LINES} lines")
        self.outline.append({"kind": kind, "text": text(said, "text", longest=500)})
        self.lines += 1


class Visitor:
    """One connection to a lesson: a student, until it has shown the teacher's key."""

    def __init__(self, client: ServerConnection, lesson: Lesson, key: str) -> None:
        self._client, self._lesson, self._key = client, lesson, key

    def accept(self, message: str | bytes) -> None:
        """Accept a line of a teacher, or a hand of a student. Raises RefusedError."""
        said = parse(message)
        if "teach" in said:
            given = text(said, "teach", longest=200)
            if not self._key or not hmac.compare_digest(given.encode(), self._key.encode()):
                raise RefusedError("that is not the teacher's key")
            self._lesson.teachers.add(self._client)
            broadcast([self._client], json.dumps({"teacher": True}))
        elif "hand" in said:
            hand = json.dumps({"hand": text(said, "hand", longest=40)})
            broadcast([each for each in self._lesson.teachers if _reads(each)], hand)
        elif self._client in self._lesson.teachers:
            self._lesson.write(said)
        else:
            raise RefusedError("only the teacher writes")


def _reads(teacher: ServerConnection) -> bool:
    """Return whether a teacher reads: broadcast() waits for nobody, and hands would fill the memory."""
    return teacher.transport.get_write_buffer_size() < UNREAD_BYTES


async def main() -> None:
    """Serve until SIGTERM."""
    lessons, key = Rooms(Lesson, empty=lambda lesson: not lesson.lines), os.environ.get("TEACHER_KEY", "")

    async def attend(client: ServerConnection, name: str) -> None:
        with lessons.entered(name) as lesson:
            if lesson is None:
                await client.close(1013, "too many lessons at once")
                return
            events = lesson.outline.follow(last_id(client), recent=LINES)
            try:
                await exchange(client, events, Visitor(client, lesson, key).accept)
            finally:
                lesson.teachers.discard(client)

    await serve_until_stopped(attend, Path(__file__).parent, paths=r"/lessons/([a-z0-9-]{1,40})")


if __name__ == "__main__":
    asyncio.run(main())
