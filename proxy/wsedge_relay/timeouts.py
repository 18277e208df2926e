"""Limits on what strangers can make a relay hold or wait for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Times in seconds, sizes in bytes.

    `answer_seconds` is how long a client waits for the answer of an origin, whichever; while others are left
    one origin has half of what is left of it. `close_seconds` is how long a peer may take to answer a Close,
    `linger_seconds` how long it may take to end its stream afterwards. A name's addresses are used for
    `name_seconds`. An origin that failed is asked last for `failed_origin_seconds`, doubled with each failed
    try up to the most. A connection is kept for `keep_alive_seconds` for a next request that is no upgrade.
    One of HTTP/2 lives on for `session_idle_seconds` without a stream.
    """

    head_seconds: float = 10.0
    answer_seconds: float = 30.0
    close_seconds: float = 5.0
    linger_seconds: float = 2.0
    keep_alive_seconds: float = 60.0
    name_seconds: float = 1.0
    failed_origin_seconds: float = 10.0
    failed_origin_most_seconds: float = 300.0
    retry_after_seconds: int = 5
    answer_body_bytes: int = 65536
    session_idle_seconds: float = 60.0
