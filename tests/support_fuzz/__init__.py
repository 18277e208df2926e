"""What must hold for any bytes a stranger sends: one function per fuzz target, in TARGETS.

Each takes the bytes that a fuzzer made and raises AssertionError when a rule of the relay is broken. Nothing
here needs a fuzzer: tests replay the kept corpus (tests/fuzz/corpus) through the same functions.
"""

from __future__ import annotations

from collections.abc import Callable

from support_fuzz.bodies import body
from support_fuzz.heads import answer, request
from support_fuzz.http2 import http2
from support_fuzz.lives import life
from support_fuzz.plain import plain
from support_fuzz.proxy_headers import proxy
from support_fuzz.pumping import stream

TARGETS: dict[str, Callable[[bytes], None]] = {
    "request": request,
    "answer": answer,
    "plain": plain,
    "body": body,
    "proxy": proxy,
    "stream": stream,
    "life": life,
    "http2": http2,
}
