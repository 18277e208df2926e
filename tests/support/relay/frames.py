"""Frames from a test's parameters, and the frame rules as a slow, obvious model."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass


def frame(
    payload: bytes = b"",
    *,
    opcode: int = 1,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = None,
    length_bytes: int | None = None,
) -> bytes:
    """Return a frame, valid or not; `length_bytes` (0, 2, 8) forces a form of the length."""
    size = len(payload)
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 65536 else 8
    mark = 0x80 if key is not None else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if length_bytes == 0:
        head += bytes([mark | size])
    elif length_bytes == 2:
        head += bytes([mark | 126]) + struct.pack(">H", size)
    else:
        head += bytes([mark | 127]) + struct.pack(">Q", size)
    if key is not None:
        head += key
        mask = (key * (size // 4 + 1))[:size]
        payload = (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(size)
    return head + payload


@dataclass(frozen=True)
class Seen:
    """A frame that the model parsed."""

    opcode: int
    fin: bool
    payload: bytes
    raw: bytes


class BrokenRuleError(Exception):
    """The model read a frame that violates a rule."""


def parse(stream: bytes, *, masked: bool, deflate: bool = False, tag: bytes = b"") -> Iterator[Seen]:
    """Yield the whole frames of `stream` by RFC 6455 section 5; raises BrokenRuleError.

    With a relay's `tag`, a pong to one of its pings may be masked or not.
    """
    message_open = False
    while len(stream) >= 2:
        fin, rsv, opcode = stream[0] >> 7, stream[0] >> 4 & 7, stream[0] & 15
        has_mask, short = stream[1] >> 7, stream[1] & 127
        if bool(has_mask) != masked:
            pong, whole = _own_pong(stream, tag)
            if not pong:
                raise BrokenRuleError("masking")
            if not whole:
                return
            yield pong
            stream = stream[len(pong.raw) :]
            continue
        if opcode >= 8:
            if opcode > 10 or rsv or not fin or short > 125 or (opcode == 8 and short == 1):
                raise BrokenRuleError("control")
        elif opcode > 2 or (opcode == 0) != message_open:
            raise BrokenRuleError("opcode or sequence")
        elif rsv and not (rsv == 4 and deflate and opcode):
            raise BrokenRuleError("rsv")
        extra = {126: 2, 127: 8}.get(short, 0)
        if len(stream) < 2 + extra:
            return
        size = int.from_bytes(stream[2 : 2 + extra], "big") if extra else short
        if (extra == 2 and size < 126) or (extra == 8 and (size < 65536 or size >= 2**62)):
            raise BrokenRuleError("length")
        head = 2 + extra + (4 if masked else 0)
        if opcode < 8:
            message_open = not fin
        if len(stream) < head + size:
            return
        payload = stream[head : head + size]
        if masked:
            key = stream[head - 4 : head]
            payload = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
        yield Seen(opcode, bool(fin), payload, stream[: head + size])
        stream = stream[head + size :]


def _own_pong(stream: bytes, tag: bytes) -> tuple[Seen | None, bool]:
    """Return the pong to a relay's ping that begins `stream` (None: another frame), and if it is whole."""
    head = 6 if stream[1] & 0x80 else 2
    if not tag or stream[0] != 0x8A or stream[1] & 127 != 8:
        return None, False
    raw = stream[: head + 8]
    payload = raw[head:]
    if head == 6:
        payload = bytes(byte ^ raw[2 + index % 4] for index, byte in enumerate(payload))
    seen = Seen(10, True, payload, raw)
    return (seen if tag.startswith(payload[: len(tag)]) else None), len(payload) == 8


def random_frames(
    rng: random.Random, *, masked: bool, deflate: bool, count: int, sizes: list[int]
) -> list[bytes]:
    """Return valid frames of all kinds but Close: whole messages, fragments, pings and pongs between them."""
    frames = []
    message_open = False
    for _ in range(count):
        key = rng.randbytes(4) if masked else None
        if rng.random() < 0.2:
            size = rng.choice([0, 1, 8, 124, 125])
            frames.append(frame(rng.randbytes(size), opcode=rng.choice([9, 10]), key=key))
            continue
        fin = rng.random() < 0.7
        opcode = 0 if message_open else rng.choice([1, 2])
        rsv = 4 if deflate and opcode and rng.random() < 0.5 else 0
        frames.append(frame(rng.randbytes(rng.choice(sizes)), opcode=opcode, fin=fin, rsv=rsv, key=key))
        message_open = not fin
    return frames
