"""Video meeting: signalling for WebRTC, and a chat that works without it.

`/rooms/NAME` answers {"you": ID, "peers": [ID …]}, and tells all peers who joined and left.
{"to": ID, "kind": "offer" | "answer" | "candidate", "data": "…"} goes to that peer of the room alone, with
"from" in place of "to"; {"chat": "…", "name": "…"} goes to all, with an id.
Runs as `python -m video_meeting.origin`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from kit.checks import RefusedError, parse, text
from kit.history import History
from kit.origin import exchange, last_id, send_all, serve_until_stopped
from kit.rooms import Rooms

PEERS = 8  # each calls each: more need a server that forwards video
WAITING = 65_536  # characters of signals for a peer that reads slowly
KEPT = 200  # lines of chat
KINDS = ("offer", "answer", "candidate")


@dataclass(eq=False, slots=True)
class Peer:
    """One connection, and the signals that wait for it."""

    client: ServerConnection
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    signals: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    waiting: int = 0

    def tell(self, signal: Mapping[str, Any]) -> None:
        """Queue a signal; disconnect a peer that does not read, which would miss who joined and left."""
        text = json.dumps(signal)
        if self.waiting + len(text) > WAITING:
            self.client.transport.abort()
            return
        self.waiting += len(text)
        self.signals.put_nowait(text)

    async def heard(self) -> AsyncIterator[str]:
        """Yield signals."""
        while True:
            signal = await self.signals.get()
            self.waiting -= len(signal)
            yield signal


@dataclass(slots=True)
class Room:
    """The peers of a meeting, and its chat."""

    peers: dict[str, Peer] = field(default_factory=dict)
    chat: History = field(default_factory=lambda: History(KEPT))

    def tell_others(self, peer: Peer, signal: Mapping[str, Any]) -> None:
        """Tell all peers but one."""
        for other in self.peers.values():
            if other is not peer:
                other.tell(signal)

    def accept(self, peer: Peer, message: str | bytes) -> None:
        """Pass a signal to its peer, or a line of chat to all. Raises RefusedError."""
        said = parse(message)
        if "chat" in said:
            name = text(said, "name", longest=30)
            self.chat.append({"chat": text(said, "chat", longest=500), "name": name, "peer": peer.id})
            return
        to, kind, data = said.get("to"), said.get("kind"), said.get("data")
        if kind not in KINDS or not isinstance(data, str):
            raise RefusedError("send a chat, or an offer, an answer or a candidate with data")
        if not isinstance(to, str) or to not in self.peers or to == peer.id:
            raise RefusedError("there is no such peer in this room")
        self.peers[to].tell({"from": peer.id, "kind": kind, "data": data})


async def take_part(room: Room, client: ServerConnection) -> None:
    """Let a client be a peer of a room until it disconnects."""
    peer = Peer(client)
    room.tell_others(peer, {"joined": peer.id})
    peer.tell({"you": peer.id, "peers": list(room.peers)})
    room.peers[peer.id] = peer
    signalling = asyncio.create_task(send_all(client, peer.heard()))
    chat = room.chat.follow(last_id(client), recent=KEPT)
    try:
        await exchange(client, chat, lambda message: room.accept(peer, message), per_second=20, burst=100)
    finally:
        del room.peers[peer.id]
        room.tell_others(peer, {"left": peer.id})
        signalling.cancel()
        with suppress(asyncio.CancelledError, ConnectionClosed):
            await signalling


async def main() -> None:
    """Serve until SIGTERM."""
    rooms = Rooms(Room, empty=lambda room: not len(room.chat))

    async def join(client: ServerConnection, name: str) -> None:
        with rooms.entered(name) as room:
            if room is None or len(room.peers) >= PEERS:
                await client.send('{"full": true}')
                await client.close(1000)  # the page does not connect again
            else:
                await take_part(room, client)

    await serve_until_stopped(join, Path(__file__).parent, paths=r"/rooms/([a-z0-9-]{1,40})")


if __name__ == "__main__":
    asyncio.run(main())
