"""What must hold for any bytes a stranger sends: one function per fuzz target, in TARGETS.

Each takes the bytes that a fuzzer made and raises AssertionError when a rule of the relay is broken. Nothing
here needs a fuzzer: tests replay what is kept (tests/fuzz/kept.py) through the same functions.
"""

from __future__ import annotations

from collections.abc import Callable

from fuzz.targets.bodies import body
from fuzz.targets.heads import answer, request
from fuzz.targets.http2 import http2
from fuzz.targets.lives import life
from fuzz.targets.plain import plain
from fuzz.targets.proxy_headers import proxy
from fuzz.targets.pumping import stream

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
