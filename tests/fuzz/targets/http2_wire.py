"""HTTP/2 frames of the fuzz target as a slow, obvious model (RFC 9113 section 4)."""

from __future__ import annotations

import socket
from typing import Final

from typing_extensions import Buffer

from wsedge_relay.protocol.http2_budget import PREFACE

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(6, 10)
END_STREAM, END_HEADERS, PADDED = 0x1, 0x4, 0x8
# As in http2_budget.
COSTS: Final = {HEADERS: 2, RST_STREAM: 10, SETTINGS: 10}
_HEADER: Final = 9


def check_order(number: int, kinds: list[tuple[int, int]]) -> None:
    """Assert: HEADERS precede DATA, only the stream's end follows END_STREAM, and nothing a reset."""
    has_headers = has_ended = is_reset = False
    for kind, flags in kinds:
        if kind == HEADERS:
            assert not has_headers, number
            has_headers = True
        assert kind != DATA or has_headers, number
        assert not has_ended or kind in (RST_STREAM, WINDOW_UPDATE), (number, kinds)
        assert not is_reset or kind == RST_STREAM, (number, kinds)
        has_ended |= kind in (DATA, HEADERS) and bool(flags & END_STREAM)
        is_reset |= kind == RST_STREAM


class Walk:
    """The frames of one direction, slow and obvious. `skip` bytes precede the first."""

    def __init__(self, *, skip: int = 0) -> None:
        self._rest = b""
        self._skip = skip
        self.cost = 0
        self.longest = 0
        self.window = 0  # the largest window that SETTINGS gave each stream
        self.first: int | None = None
        self.kinds: dict[int, int] = {}
        self.given: dict[int, int] = {}  # by window updates
        self.data: dict[int, bytes] = {}
        self.order: dict[int, list[tuple[int, int]]] = {}

    def feed(self, more: bytes) -> list[tuple[int, int, int, bytes]]:
        """Return the complete frames: kind, flags, stream, payload. A frame costs from its first byte."""
        skipped = min(self._skip, len(more))
        self._skip -= skipped
        known = len(self._rest) >= _HEADER
        stream = self._rest + more[skipped:]
        at = 0
        frames = []
        while len(stream) - at >= _HEADER:
            size, kind, flags = int.from_bytes(stream[at : at + 3], "big"), stream[at + 3], stream[at + 4]
            if not known and (kind != DATA or not size):
                self.cost += COSTS.get(kind, 1)
            known = False
            end = at + _HEADER + size
            if len(stream) < end:
                break
            number = int.from_bytes(stream[at + 5 : at + 9], "big") & 0x7FFFFFFF
            frames.append((kind, flags, number, stream[at + _HEADER : end]))
            at = end
        self._rest = stream[at:]
        for frame in frames:
            self._note(*frame)
        return frames

    def _note(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self.first is None:
            self.first = kind
        self.longest = max(self.longest, len(payload))
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self.order.setdefault(number, []).append((kind, flags))
        if kind == DATA:
            if flags & PADDED:
                payload = payload[1 : len(payload) - payload[0]] if payload else b""
            self.data[number] = self.data.get(number, b"") + payload
        elif kind == WINDOW_UPDATE:
            self.given[number] = self.given.get(number, 0) + int.from_bytes(payload[:4], "big")
        elif kind == SETTINGS:
            for at in range(0, len(payload) - 5, 6):
                if payload[at : at + 2] == b"\0\4":
                    self.window = max(self.window, int.from_bytes(payload[at + 2 : at + 6], "big"))


def cost_of(frames: bytes) -> int:
    """Return the costs of all frames that begin in `frames`."""
    walk = Walk()
    walk.feed(frames)
    return walk.cost


class Tap(socket.socket):
    """A socket that records the bytes read and written."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.setblocking(False)
        self.taken = self.given = 0
        self.read, self.wrote = Walk(skip=len(PREFACE)), Walk()

    def recv(self, size: int, flags: int = 0) -> bytes:
        data = super().recv(size, flags)
        self.taken += len(data)
        self.read.feed(data)
        return data

    def send(self, data: Buffer, flags: int = 0) -> int:
        sent = super().send(data, flags)
        self.given += sent
        self.wrote.feed(bytes(memoryview(data)[:sent]))
        return sent


def made(kind: int, flags: int, number: int, payload: bytes = b"") -> bytes:
    """Return a frame, valid or not."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags))
    return head + (number & 0xFFFFFFFF).to_bytes(4, "big") + payload
