"""Autobahn's cases 7: Close frames.

The original allows several ends where RFC 6455 leaves a choice. The tables want one of them:

cases                   the suite's own server and client     these tables
7.3.1, 7.7.2 and so on  answer a valid Close by 1000          its own code, or none
3.7, 7.3.2, 7.3.6       1002, or the server ends TCP          1002
7.5.1                   1007, or the server ends TCP          1007
7.9, 7.13               1002, or the server ends TCP          1002

The end of TCP in the place of an answer is wanted of an echo that `drops`, see `echo`.
"""

from __future__ import annotations

from typing import Final

from support.conversations.conversation import (
    INVALID_PAYLOAD,
    NO_CODE,
    NORMAL,
    PROTOCOL_ERROR,
    Conversation,
    Frame,
    close,
    echoed,
    more,
    ping,
    text,
)

GREETING: Final = b"Hello World!"
LONG: Final = b"BAsd7&jh23" * 26215
NOT_UTF8: Final = bytes.fromhex("cebae1bdb9cf83cebcceb5eda080656469746564")
VALID: Final = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
INVALID: Final = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
UNDEFINED: Final = (5000, 65535)


def closed(*sends: Frame, wants: tuple[Frame, ...] = (), code: int = NORMAL) -> Conversation:
    """Return a conversation in which the sender's Close is among the frames."""
    return Conversation(sends, wants, None, code)


def wrong(one: Frame, code: int = PROTOCOL_ERROR) -> Conversation:
    """Return a conversation of a Close with a wrong payload."""
    return Conversation((one,), (), None, code, wrong_payload=True)


def coded(code: int) -> Frame:
    """Return a Close whose code is on the wire, also 1005."""
    return Frame(8, code.to_bytes(2, "big"))


CASES: Final = {
    "7.1.1": echoed(text(GREETING), wants=(text(GREETING),)),
    "7.1.2": closed(close(NORMAL), close()),
    "7.1.3": closed(close(NORMAL), ping()),
    "7.1.4": closed(close(NORMAL), text(GREETING)),
    "7.1.5": closed(text(b"fragment1", fin=False), close(NORMAL), more(b"fragment2")),
    "7.1.6": closed(
        text(LONG[: 1 << 18]),
        text(GREETING),
        close(NORMAL),
        ping(),
        wants=(text(LONG[: 1 << 18]), text(GREETING)),
    ),
    "7.3.1": closed(close(), code=NO_CODE),
    "7.3.2": closed(Frame(8, b"a"), code=PROTOCOL_ERROR),
    "7.3.3": closed(close(NORMAL)),
    "7.3.4": closed(close(NORMAL, GREETING)),
    "7.3.5": closed(close(NORMAL, b"*" * 123)),
    "7.3.6": closed(close(NORMAL, b"*" * 124), code=PROTOCOL_ERROR),
    "7.5.1": wrong(close(NORMAL, NOT_UTF8), INVALID_PAYLOAD),
    **{f"7.7.{at}": closed(coded(code), code=code) for at, code in enumerate(VALID, 1)},
    **{f"7.9.{at}": wrong(coded(code)) for at, code in enumerate(INVALID, 1)},
    **{f"7.13.{at}": wrong(coded(code)) for at, code in enumerate(UNDEFINED, 1)},
}
