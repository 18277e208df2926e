"""Autobahn's cases 1 (messages), 2 (pings and pongs) and 10 (automatic fragments)."""

from __future__ import annotations

from typing import Final

from support.conversations.conversation import (
    NORMAL,
    Conversation,
    Frame,
    binary,
    close,
    echoed,
    message,
    ping,
    pong,
    text,
)

# The lengths around which the form of a frame's length changes.
SIZES: Final = (0, 125, 126, 127, 128, 65535, 65536)
STARS: Final = b"*"
NO_TEXT: Final = b"\xfe"
SHORT: Final = b"Hello, world!"
MIXED: Final = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
UNSOLICITED: Final = pong(b"unsolicited pong payload")


def same(one: Frame, *, chop: int | None = None) -> Conversation:
    """Return the conversation of one message."""
    return echoed(one, wants=(one,), chop=chop)


def pinged(*payloads: bytes, chop: int | None = None) -> Conversation:
    """Return the conversation of pings."""
    return echoed(*map(ping, payloads), wants=tuple(map(pong, payloads)), chop=chop)


TEN: Final = [b"payload-%d" % number for number in range(10)]

CASES: Final = {
    **{f"1.1.{at}": same(text(STARS * size)) for at, size in enumerate(SIZES, 1)},
    "1.1.8": same(text(STARS * 65536), chop=997),
    **{f"1.2.{at}": same(binary(NO_TEXT * size)) for at, size in enumerate(SIZES, 1)},
    "1.2.8": same(binary(NO_TEXT * 65536), chop=997),
    "2.1": pinged(b""),
    "2.2": pinged(SHORT),
    "2.3": pinged(MIXED),
    "2.4": pinged(NO_TEXT * 125),
    # "2.5", a ping of 126 bytes, is in `violations`
    "2.6": pinged(NO_TEXT * 125, chop=1),
    "2.7": Conversation((pong(), close(NORMAL)), closes=None),
    "2.8": Conversation((UNSOLICITED, close(NORMAL)), closes=None),
    "2.9": echoed(UNSOLICITED, ping(b"ping payload"), wants=(pong(b"ping payload"),)),
    "2.10": pinged(*TEN),
    "2.11": pinged(*TEN, chop=1),
    "10.1.1": echoed(*message(STARS * 65536, size=1300), wants=(text(STARS * 65536),)),
}
