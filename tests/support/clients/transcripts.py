"""What client and origin tell of the same scenario, played with and without the relay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from support.clients.makes import play
from support.clients.program import Program
from support.clients.stage import Scheme, Stage

# What may differ: the hop's own headers (RFC 9110, section 7.6.1), the mark by which a relay finds a loop
# (RFC 8586), who the client is, the handshake's key, the length 0 that Java tells of a body that it does not
# send, and which of several like origins it was.
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
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    )
)


async def the_same(
    one: Stage, name: str, scheme: Scheme, play: Callable[[str], Awaitable[Any]], *, connections: int = 1
) -> tuple[Any, list[Any]]:
    """Play a scenario directly, then through the relay, and assert that nobody saw a difference.

    Returns what the client saw and what the origin heard of each connection, without the hop's own headers.
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
    """Play a scenario of a module of tests/clients, and assert that a relay makes no difference to it."""
    module, name = scenario
    saw, heard = await the_same(before, module, scheme, lambda url: play(clients, module, name, url))
    assert saw
    assert heard


def without_hop(transcript: Any) -> Any:
    """Return a transcript without what each hop makes anew."""
    if isinstance(transcript, list | tuple):
        return [without_hop(one) for one in transcript]
    if isinstance(transcript, dict):
        return {name: without_hop(one) for name, one in transcript.items() if name not in _HOP}
    return transcript
