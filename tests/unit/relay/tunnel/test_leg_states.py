"""The states of one leg that decide a tunnel's transitions, by the flags of the leg."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from wsedge_relay.pump.leg import Ending, Leg
from wsedge_relay.tunnel.tunnel import has_ended, is_settled, reset, side_of


class Flags(SimpleNamespace):
    """A leg without a socket, which counts its resets."""

    def __init__(self, **flags: Any) -> None:
        self.ending = Ending()
        for name in set(flags) & set(Ending.__slots__):
            setattr(self.ending, name, flags.pop(name))
        absent = dict.fromkeys(("dead", "dropping", "deaf"), False)
        super().__init__(**{**absent, "eof": 0, "mask": False, "resets": 0, **flags})

    def reset_at_close(self) -> None:
        self.resets += 1


def leg(**flags: Any) -> Leg:
    """Return a leg with these flags."""
    return cast(Leg, Flags(**flags))


# The flags of a leg, whether it is settled, whether it has ended.
STATES: Final[dict[str, tuple[dict[str, Any], bool, bool]]] = {
    "open": ({}, False, False),
    "dead": ({"dead": True}, True, True),
    "its input ended": ({"eof": 1}, True, False),
    "both directions ended": ({"eof": 1, "shut": True}, True, True),
    "its output ended": ({"shut": True}, False, False),
    "its input is dropped": ({"dropping": True}, False, False),
    "a Close was exchanged": ({"dropping": True, "close_sent": True}, True, False),
    "its input is dropped, its output ends": ({"dropping": True, "finishing": True}, True, False),
    "its input is dropped, its peer reads nothing": ({"dropping": True, "deaf": True}, True, False),
    "only the Close to it was sent": ({"close_sent": True}, False, False),
}


@pytest.mark.parametrize(("flags", "settled", "ended"), STATES.values(), ids=STATES)
def test_states(flags: dict[str, Any], settled: bool, ended: bool) -> None:
    """Settled: nothing is left to send or to read. Ended: both directions of the socket are over."""
    assert (is_settled(leg(**flags)), has_ended(leg(**flags))) == (settled, ended)


@pytest.mark.parametrize("is_dead", [False, True])
def test_a_dead_leg_is_not_reset(is_dead: bool) -> None:
    """Its socket is closed already, and its descriptor may belong to another connection."""
    one = Flags(dead=is_dead)
    reset(cast(Leg, one))
    assert one.resets == (0 if is_dead else 1)


def test_only_frames_of_clients_are_masked() -> None:
    """RFC 6455 section 5.1: so the mask names the side."""
    assert (side_of(leg(mask=True)), side_of(leg())) == ("client", "origin")
