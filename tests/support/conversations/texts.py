"""Autobahn's cases 6: UTF-8. The sequences of 6.5 to 6.23 are those of Markus Kuhn's decoder stress test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

from support.conversations.conversation import (
    PAUSE,
    Conversation,
    echoed,
    message,
    misspelt,
    more,
    text,
)

KOSME: Final = bytes.fromhex("ceba e1bdb9 cf83 cebc ceb5")
MIXED: Final = "Hello-µ@ßöäüàá-UTF-8!!".encode()
EDITED: Final = b"edited"
SURROGATE: Final = b"\xed\xa0\x80"
TOO_HIGH: Final = b"\xf4\x90\x80\x80"  # 0x110000; the second byte already shows it


def hexes(words: str) -> list[bytes]:
    """Return the byte strings of words in hexadecimal."""
    return [bytes.fromhex(word) for word in words.split()]


SURROGATES: Final = hexes("eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf")
INCOMPLETE: Final = hexes("c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf")

# The groups 6.5, 6.6 and so on.
SEQUENCES: Final[tuple[tuple[str, list[bytes]], ...]] = (
    ("valid texts", [*(f"hello{middle}world".encode() for middle in "$¢€𤭢"), KOSME]),
    ("prefixes of a valid text", [KOSME[:size] for size in range(1, len(KOSME) + 1)]),
    ("first code points of one to four bytes", hexes("00 c280 e0a080 f0908080")),
    ("first ones of five and six bytes", hexes("f888808080 fc8480808080")),
    ("last code points of one to four bytes", hexes("7f dfbf efbfbf f48fbfbf")),
    ("last ones of four, five and six bytes", hexes("f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf")),
    ("other boundaries", hexes("ed9fbf ee8080 efbfbd f48fbfbf f4908080")),
    (
        "continuation bytes alone",
        [*hexes("80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf"), bytes(range(0x80, 0xBF))],
    ),
    (
        "first bytes alone",
        [
            b"".join(b"%c " % byte for byte in range(low, high))
            for low, high in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
        ],
    ),
    ("sequences without their last byte", INCOMPLETE),
    ("the same joined", [b"".join(INCOMPLETE)]),
    ("bytes that no sequence has", hexes("fe ff fefeffff")),
    ("longer forms of the slash", hexes("c0af e080af f08080af f8808080af fc80808080af")),
    ("the last ones that are too long", hexes("c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf")),
    ("longer forms of NUL", hexes("c080 e08080 f0808080 f880808080 fc8080808080")),
    ("surrogates", SURROGATES),
    (
        "pairs of surrogates",
        [b"".join(pair) for pair in product(SURROGATES[:4], (SURROGATES[4], SURROGATES[6]))],
    ),
    (
        "the last two code points of each plane",
        [chr(plane << 16 | low).encode() for plane, low in product(range(17), (0xFFFE, 0xFFFF))],
    ),
    ("special code points", [chr(point).encode() for point in range(0xFFF9, 0x10000)]),
)


def sequences() -> Iterator[tuple[str, Conversation]]:
    """Yield the conversation of each sequence."""
    for group, (_, payloads) in enumerate(SEQUENCES, 5):
        for at, payload in enumerate(payloads, 1):
            yield f"6.{group}.{at}", one_text(payload)


def one_text(payload: bytes) -> Conversation:
    """Return the conversation of one text; whether it is valid, Python's own decoder says."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return misspelt(text(payload))
    return echoed(text(payload), wants=(text(payload),))


def in_bytes(payload: bytes) -> Conversation:
    """Return the conversation of a text in fragments of one byte."""
    fragments = message(payload, size=1)
    try:
        payload.decode()
    except UnicodeDecodeError:
        return misspelt(*fragments)
    return echoed(*fragments, wants=(text(payload),))


def in_two(first: bytes, second: bytes) -> Conversation:
    """Return a text whose first fragment is still valid; the second one must fail before the last one."""
    return misspelt(text(first, fin=False), PAUSE, more(second, fin=False))


def stopped(payload: bytes, stops: Iterable[int]) -> Conversation:
    """Return a frame that is sent up to these stops; what came before the last one must fail."""
    return misspelt(text(payload, stops=tuple(stops)))


HIGH: Final = KOSME + TOO_HIGH + EDITED
EARLY: Final = len(KOSME) + 1  # before the byte that makes the text invalid

CASES: Final = {
    "6.1.1": one_text(b""),
    "6.1.2": echoed(text(fin=False), more(fin=False), more(), wants=(text(),)),
    "6.1.3": echoed(
        text(fin=False),
        more(b"middle frame payload", fin=False),
        more(),
        wants=(text(b"middle frame payload"),),
    ),
    "6.2.1": one_text(MIXED),
    "6.2.2": echoed(text(MIXED[:15], fin=False), more(MIXED[15:]), wants=(text(MIXED),)),
    "6.2.3": in_bytes(MIXED),
    "6.2.4": in_bytes(KOSME),
    "6.3.1": one_text(KOSME + SURROGATE + EDITED),
    "6.3.2": in_bytes(KOSME + SURROGATE + EDITED),
    "6.4.1": in_two(KOSME, TOO_HIGH),
    "6.4.2": in_two(HIGH[:EARLY], HIGH[EARLY : EARLY + 1]),
    "6.4.3": stopped(HIGH, (len(KOSME), len(KOSME) + len(TOO_HIGH))),
    "6.4.4": stopped(HIGH, (EARLY, EARLY + 1)),
    **dict(sequences()),
}
