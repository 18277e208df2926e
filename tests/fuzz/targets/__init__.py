"""Rules for any bytes that a peer sends: one function per fuzz target, in TARGETS.

Each accepts a fuzzer's bytes and raises AssertionError if the relay breaks a rule. No module here needs a
fuzzer: tests replay the stored inputs (tests/fuzz/kept.py) through the same functions.
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
