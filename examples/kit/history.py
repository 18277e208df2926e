"""The last events of a room, with ids by which a client resumes after a lost connection.

There is no queue for each viewer: each follows the same events at its own speed, so that a slow viewer costs
no memory. A viewer that is slower than `keep` events is told that it missed some.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any


class History:
    """At most `keep` events. An id is `EPOCH.NUMBER`; the epoch is new when the origin starts anew."""

    def __init__(self, keep: int) -> None:
        self._epoch = secrets.token_hex(4)
        self._events: deque[str] = deque(maxlen=keep)
        self._last = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Return the number of events that are kept."""
        return len(self._events)

    def append(self, event: Mapping[str, Any]) -> None:
        """Add an event, which gets the next id, and wake all viewers."""
        self._last += 1
        self._events.append(json.dumps({"id": f"{self._epoch}.{self._last}", **event}, ensure_ascii=False))
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self, after: str | None, *, recent: int) -> AsyncIterator[str]:
        """Yield events as JSON: all after the id, or the `recent` last ones for a new viewer, then new ones.

        Before events that do not continue what the viewer has, it yields {"reset": true}.
        """
        seen = self._number(after)
        if seen is None:
            seen = max(0, self._last - recent)
            yield '{"reset": true}'
        while True:
            changed = self._changed
            while seen < self._last:
                first = self._last - len(self._events) + 1
                if seen + 1 < first:
                    seen = first - 1
                    yield '{"reset": true}'
                    continue  # more may have come while the viewer read this
                seen += 1
                yield self._events[seen - first]
            await changed.wait()

    def _number(self, after: str | None) -> int | None:
        epoch, _, number = (after or "").partition(".")
        if epoch != self._epoch or not (number.isascii() and number.isdecimal() and len(number) <= 15):
            return None
        return int(number) if int(number) <= self._last else None
