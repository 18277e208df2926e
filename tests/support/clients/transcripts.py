"""Transcripts of client and origin in the same scenario, run with and without the relay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from support.clients.makes import play
from support.clients.program import Program
from support.clients.stage import Scheme, Stage

# Headers that may differ: those of the hop (RFC 9110, section 7.6.1), the relay's mark against loops
# (RFC 8586), the client's address, the handshake's key, the length 0 that Java sends without a body, and the
# name of one of several equal origins.
_HOP: Final = frozenset(
    (
        "cdn-loop",
        "connection",
        "content-length",
        "date",
        "forwarded",
        "from",
        "host",
        "sec-websocket-accept",
        "sec-websocket-key",
        "upgrade",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    )
)


async def the_same(
    one: Stage, name: str, scheme: Scheme, play: Callable[[str], Awaitable[Any]], *, connections: int = 1
) -> tuple[Any, list[Any]]:
    """Run a scenario directly, then through the relay, and assert equal transcripts.

    Return the client's transcript and the origin's of each connection, without the hop's own headers.
    """
    transcripts = []
    for relayed in (False, True):
        saw = await play(await one.url(name, scheme, relayed=relayed))
        heard = [await one.hears[name].said() for _ in range(connections)]
        transcripts.append(without_hop((saw, heard)))
    direct, relayed_ = transcripts
    assert relayed_ == direct
    saw, heard = direct
    return saw, heard


async def untouched(before: Stage, clients: Program, scenario: tuple[str, str], scheme: Scheme) -> None:
    """Run a scenario of a module of tests/clients, and assert that the relay changes nothing."""
    module, name = scenario
    saw, heard = await the_same(before, module, scheme, lambda url: play(clients, module, name, url))
    assert saw
    assert heard


def without_hop(transcript: Any) -> Any:
    """Return a transcript without the values that each hop creates."""
    if isinstance(transcript, list | tuple):
        return [without_hop(one) for one in transcript]
    if isinstance(transcript, dict):
        return {name: without_hop(one) for name, one in transcript.items() if name not in _HOP}
    return transcript
