"""The table of metric families: the name, the help text and the labels of each counter. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, TypeVar

from wsedge_relay.telemetry.counters import DomainCounters, Histogram, LegCounters

K = TypeVar("K", int, str)
_Labels = tuple[str, ...]
_Rows = list[tuple[_Labels, float]]


class Distribution(NamedTuple):
    """One histogram metric: its name without prefix, its help text, its labels and their histograms."""

    name: str
    text: str
    labels: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], Histogram]]


class Family(NamedTuple):
    """One metric: its name without prefix and `_total`, its help text, its labels and their values.

    It is a counter, unless `gauge`.
    """

    name: str
    text: str
    labels: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], float]]
    gauge: bool = False


def families(domains: Mapping[str, DomainCounters]) -> Iterator[Family]:
    """Yield every counter by domain, and counters of legs by side too."""
    for name, text, value in _LEG_COUNTS:
        yield Family(name, text, ("domain", "side"), [(at, value(leg)) for at, leg in _legs(domains)])
    for name, text, labels, rows in _COUNTS:
        yield Family(name, text, labels, rows(domains))


def distributions(domains: Mapping[str, DomainCounters]) -> Iterator[Distribution]:
    """Yield every histogram by domain, and histograms of legs by side too."""
    for name, text, of_leg in _OF_LEGS:
        yield Distribution(
            name,
            text,
            ("domain", "side"),
            [(labels, of_leg(leg)) for labels, leg in _legs(domains)],
        )
    for name, text, value in _TIMES:
        yield Distribution(name, text, ("domain",), [((at,), value(one)) for at, one in domains.items()])


def _legs(domains: Mapping[str, DomainCounters]) -> list[tuple[_Labels, LegCounters]]:
    """Return the counters of both legs of each domain, with their labels."""
    return [
        ((name, side), leg)
        for name, counters in domains.items()
        for side, leg in (("client", counters.client), ("origin", counters.origin))
    ]


def _by_leg(counts: Callable[[LegCounters], _Rows]) -> Callable[[Mapping[str, DomainCounters]], _Rows]:
    """Return a function that returns the rows of all legs, with the leg's labels in front."""
    return lambda domains: [
        ((*at, *labels), number) for at, leg in _legs(domains) for labels, number in counts(leg)
    ]


def _by_domain(counts: Callable[[DomainCounters], _Rows]) -> Callable[[Mapping[str, DomainCounters]], _Rows]:
    """Return a function that returns the rows of all domains, with the domain in front."""
    return lambda domains: [
        ((name, *labels), number) for name, one in domains.items() for labels, number in counts(one)
    ]


def _by_key(times: Mapping[K, int]) -> _Rows:
    """Return a row for each key, in their order."""
    return [((str(key),), times[key]) for key in sorted(times)]


def _control_frames(leg: LegCounters) -> _Rows:
    # Opcodes of RFC 6455 section 5.2; pump.frames, a higher layer, cannot be imported here.
    return [(("ping",), leg.opcodes[9]), (("pong",), leg.opcodes[10])]


def _messages(leg: LegCounters) -> _Rows:
    return [(("text",), leg.texts), (("binary",), leg.binaries)]


def _endings(counters: DomainCounters) -> _Rows:
    return [
        ((ending.by, ending.reason, str(ending.code)), times)
        for ending, times in sorted(counters.endings.items())
    ]


def _http2_handshakes(counters: DomainCounters) -> _Rows:
    return [((), counters.http2_handshakes)]


_OF_LEGS: Final[tuple[tuple[str, str, Callable[[LegCounters], Histogram]], ...]] = (
    ("rtt_seconds", "Round-trip times of answered heartbeat pings.", lambda leg: leg.rtt),
    (
        "frame_bytes",
        "Payloads of data frames received from a side: a sample of 64 connections each second.",
        lambda leg: leg.frame_bytes,
    ),
)
_TIMES: Final[tuple[tuple[str, str, Callable[[DomainCounters], Histogram]], ...]] = (
    (
        "handshake_seconds",
        "Times from a complete request to its answer, the origin's time included.",
        lambda one: one.handshake_seconds,
    ),
    (
        "passed_request_seconds",
        "Times from the head of a passed request to the head of its answer.",
        lambda one: one.request_seconds,
    ),
    (
        "origin_connect_seconds",
        "Times to connect to an origin, TLS included.",
        lambda one: one.connect_seconds,
    ),
)
_LEG_COUNTS: Final[tuple[tuple[str, str, Callable[[LegCounters], float]], ...]] = (
    ("pings", "Heartbeat pings sent.", lambda leg: leg.pings),
    ("pongs", "Answered heartbeat pings.", lambda leg: leg.pongs),
    ("dead_legs", "Connections closed because the side was silent.", lambda leg: leg.dead),
    ("stalled_legs", "Connections closed because the side accepted no bytes.", lambda leg: leg.stalled),
    ("throttles", "Pauses in reading a side that exceeded bytesPerSecond.", lambda leg: leg.throttled),
    ("broken_legs", "Connections that ended without a Close frame.", lambda leg: leg.broken),
    ("flooded_legs", "Connections reset because the side sent on after a Close.", lambda leg: leg.flooded),
)
_COUNTS: Final[tuple[tuple[str, str, _Labels, Callable[[Mapping[str, DomainCounters]], _Rows]], ...]] = (
    (
        "close_frames",
        "Close frames received from a side, by code (0: an unknown code).",
        ("domain", "side", "code"),
        _by_leg(lambda leg: _by_key(leg.close_codes)),
    ),
    (
        "control_frames",
        "Pings and pongs received from a side and forwarded.",
        ("domain", "side", "opcode"),
        _by_leg(_control_frames),
    ),
    (
        "data_messages",
        "Messages received from a side, by type.",
        ("domain", "side", "type"),
        _by_leg(_messages),
    ),
    (
        "ended_connections",
        "Ended tunnels, by the side that ended them, the reason and the close code (0: an unknown code).",
        ("domain", "by", "reason", "code"),
        _by_domain(_endings),
    ),
    (
        "frame_violations",
        "Broken frame rules, by the side that broke them.",
        ("domain", "side", "rule"),
        _by_leg(lambda leg: _by_key(leg.violations)),
    ),
    (
        "handshake_refusals",
        "Refused handshakes and refused plain requests, by reason.",
        ("domain", "reason"),
        _by_domain(lambda one: _by_key(one.refusals())),
    ),
    (
        "passed_requests",
        "Plain requests passed through, by the HTTP status of the answer.",
        ("domain", "code"),
        _by_domain(lambda one: _by_key(one.requests)),
    ),
    (
        "cut_answers",
        "Unfinished answers to passed requests, by reason.",
        ("domain", "reason"),
        _by_domain(lambda one: _by_key(one.cuts)),
    ),
    (
        "http2_handshakes",
        "Handshakes answered over HTTP/2; also counted in handshakes.",
        ("domain",),
        _by_domain(_http2_handshakes),
    ),
    (
        "origin_failures",
        "Failed attempts to use an origin, by reason.",
        ("domain", "reason"),
        _by_domain(lambda one: _by_key(one.origin_failures)),
    ),
)
