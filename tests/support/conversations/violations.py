"""Autobahn's cases 3 (reserved bits) and 4 (reserved opcodes), and a ping that is too long."""

from __future__ import annotations

from typing import Final

from support.conversations.conversation import Conversation, Frame, binary, close, failed, ping, text
from support.conversations.messages import MIXED, NO_TEXT, SHORT

HELLO: Final = text(SHORT)
NAMED: Final = b"reserved opcode payload"


def after_hello(wrong: Frame, *, chop: int | None = None) -> Conversation:
    """Return a conversation whose first message is answered, and whose ping behind a wrong frame is not."""
    return failed(HELLO, wrong, ping(), wants=(HELLO,), chop=chop)


CASES: Final = {
    "2.5": failed(ping(NO_TEXT * 126)),
    "3.1": failed(text(SHORT, rsv=1)),
    "3.2": after_hello(text(SHORT, rsv=2)),
    "3.3": after_hello(text(SHORT, rsv=3), chop=0),
    "3.4": after_hello(text(SHORT, rsv=4), chop=1),
    "3.5": failed(binary(MIXED, rsv=5)),
    "3.6": failed(binary(SHORT, rsv=6)),
    "3.7": failed(close(rsv=7)),
    # opcodes that are reserved for messages
    "4.1.1": failed(Frame(3)),
    "4.1.2": failed(Frame(4, NAMED)),
    "4.1.3": after_hello(Frame(5)),
    "4.1.4": after_hello(Frame(6, SHORT)),
    "4.1.5": after_hello(Frame(7, SHORT), chop=1),
    # and for control frames
    "4.2.1": failed(Frame(11)),
    "4.2.2": failed(Frame(12, NAMED)),
    "4.2.3": after_hello(Frame(13)),
    "4.2.4": after_hello(Frame(14, SHORT)),
    "4.2.5": after_hello(Frame(15, SHORT), chop=1),
}
