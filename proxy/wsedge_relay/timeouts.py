"""Limits of the time and memory that a peer can cost a relay. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Times in seconds; `answer_body_bytes` is a size.

    `head_seconds` limits TLS handshakes and request heads. `answer_seconds` is the time for an answer to the
    client, over all origins that are tried; while others remain, one origin has half of the remaining time.
    `close_seconds` is the time in which a peer must answer a Close, `linger_seconds` the time in which it
    must end its stream afterwards. A resolved address is cached for `name_seconds`. A failed origin is
    ejected for `failed_origin_seconds`, doubled with each further failure, up to
    `failed_origin_most_seconds`. An idle connection is closed `keep_alive_seconds` after a plain request, an
    HTTP/2 session without a stream after `session_idle_seconds`. `answer_body_bytes` limits the body of an
    origin's answer to an upgrade other than 101.
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
    answer_body_bytes: int = 1 << 20
    session_idle_seconds: float = 60.0
