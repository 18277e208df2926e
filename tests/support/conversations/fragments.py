"""Autobahn's cases 5: fragments."""

from __future__ import annotations

from typing import Final

from support.conversations.conversation import PAUSE, Conversation, echoed, failed, more, ping, pong, text
from support.conversations.messages import SHORT

ONE, TWO, THREE, FOUR, FIVE = (b"fragment%d" % number for number in range(1, 6))
TOGETHER: Final = text(ONE + TWO)
PINGED: Final = b"ping payload"
FIRST_PING, SECOND_PING = b"pongme 1!", b"pongme 2!"
# A frame at once (0), a byte at once, or everything at once.
CHOPS: Final = (None, 0, 1)


def two(chop: int | None) -> Conversation:
    """Return a message in two fragments."""
    return echoed(text(ONE, fin=False), more(TWO), wants=(TOGETHER,), chop=chop)


def two_around_a_ping(chop: int | None) -> Conversation:
    """Return a message in two fragments with a ping between them."""
    return echoed(text(ONE, fin=False), ping(PINGED), more(TWO), wants=(pong(PINGED), TOGETHER), chop=chop)


def nothing_to_continue(chop: int | None, *, fin: bool) -> Conversation:
    """Return a continuation without a message."""
    return failed(more(b"non-continuation payload", fin=fin), text(SHORT), chop=chop)


def five(chop: int | None) -> Conversation:
    """Return a message in five fragments, whose first ping is answered before the third one is sent."""
    return echoed(
        text(ONE, fin=False),
        more(TWO, fin=False),
        ping(FIRST_PING),
        PAUSE,
        more(THREE, fin=False),
        more(FOUR, fin=False),
        ping(SECOND_PING),
        more(FIVE),
        wants=(pong(FIRST_PING), pong(SECOND_PING), text(ONE + TWO + THREE + FOUR + FIVE)),
        chop=chop,
    )


CASES: Final = {
    "5.1": failed(ping(ONE, fin=False), more(TWO)),
    "5.2": failed(pong(ONE, fin=False), more(TWO)),
    **{f"5.{at}": two(chop) for at, chop in enumerate(CHOPS, 3)},
    **{f"5.{at}": two_around_a_ping(chop) for at, chop in enumerate(CHOPS, 6)},
    **{f"5.{at}": nothing_to_continue(chop, fin=True) for at, chop in enumerate(CHOPS, 9)},
    **{f"5.{at}": nothing_to_continue(chop, fin=False) for at, chop in enumerate(CHOPS, 12)},
    "5.15": failed(text(ONE, fin=False), more(TWO), more(THREE, fin=False), text(FOUR), wants=(TOGETHER,)),
    "5.16": failed(*(more(ONE, fin=False), text(TWO, fin=False), more(THREE)) * 2),
    "5.17": failed(*(more(ONE), text(TWO, fin=False), more(THREE)) * 2),
    "5.18": failed(text(ONE, fin=False), text(TWO)),
    "5.19": five(None),
    "5.20": five(0),
}
