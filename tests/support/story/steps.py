"""The steps of a story. `pod` and `visitor` count around: each number names one of those that exist."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from hypothesis import strategies as st


class Fault(Enum):
    """What happens to one report on its way."""

    NONE = "delivered"
    CUT = "never delivered"
    LOST_ANSWER = "committed, and the answer is lost"
    HALF_ANSWER = "committed, and half of the answer arrives"
    HALF_REPORT = "half of it arrives"
    TWICE = "delivered twice"
    OLD_BEFORE = "delivered behind an old one"
    LATE = "kept by the network, and delivered behind later ones"


class Death(Enum):
    """How a relay is killed."""

    SPOOLED = "its journal has every count"
    AT_ONCE = "at work, its disk is kept"
    WITH_DISK = "at work, and its disk is lost"


class Moment(Enum):
    """When the statistics are killed."""

    SENT = "a report has been sent to them"
    ANSWERED = "a report is committed, and its answer is under way"


@dataclass(frozen=True)
class Talk:
    pod: int
    visitor: int
    size: int
    times: int


@dataclass(frozen=True)
class Join:
    pod: int
    place: int
    size: int


@dataclass(frozen=True)
class Leave:
    pod: int
    visitor: int


@dataclass(frozen=True)
class NextBucket:
    buckets: int


@dataclass(frozen=True)
class Weather:
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class CatchUp:
    """The way is open: every count arrives."""


@dataclass(frozen=True)
class Kill:
    pod: int
    death: Death
    size: int


@dataclass(frozen=True)
class Restart:
    """A relay ends as it should, and begins again in the same pod."""

    pod: int


@dataclass(frozen=True)
class Roll:
    """Another pod takes the place of one; its clients connect again."""

    pod: int


@dataclass(frozen=True)
class Scale:
    """A pod is added, or one of several ends."""

    up: bool
    pod: int


@dataclass(frozen=True)
class RelayClock:
    pod: int
    buckets: int


@dataclass(frozen=True)
class StatisticsClock:
    buckets: int


@dataclass(frozen=True)
class KillStatistics:
    moment: Moment


@dataclass(frozen=True)
class StatisticsDisk:
    full: bool


@dataclass(frozen=True)
class RelayDisk:
    pod: int
    full: bool


Step = (
    Talk
    | Join
    | Leave
    | NextBucket
    | Weather
    | CatchUp
    | Kill
    | Restart
    | Roll
    | Scale
    | RelayClock
    | StatisticsClock
    | KillStatistics
    | StatisticsDisk
    | RelayDisk
)
_HOUR: Final = 12
_DAY: Final = 24 * _HOUR
# The statistics accept what relays with these clocks count, when their own clock is right; test_clocks.py has
# clocks of relays that are further ahead, or further behind than the retention.
_RELAY_ERRORS: Final = (0, 0, 2, -2, -_HOUR, -5 * _HOUR, -31 * _DAY)
_STATISTICS_ERRORS: Final = (
    0,
    0,
    _HOUR,
    -7 * _HOUR,
    40 * _DAY,
    -40 * _DAY,
    120 * _DAY,
    400 * _DAY,
    -400 * _DAY,
)
_POD: Final = st.integers(0, 3)
_SIZE: Final = st.integers(0, 125)

_FAULTS: Final = st.lists(st.sampled_from(Fault), min_size=1, max_size=4).map(tuple)
STEP: Final = st.one_of(
    st.builds(Talk, _POD, st.integers(0, 5), _SIZE, st.integers(1, 20)),
    st.builds(Join, _POD, st.integers(0, 3), _SIZE),
    st.builds(Leave, _POD, st.integers(0, 5)),
    st.builds(NextBucket, st.sampled_from((1, 1, 2, 15))),
    st.builds(Weather, _FAULTS),
    st.just(Weather((Fault.CUT,))),
    st.just(CatchUp()),
    st.builds(Kill, _POD, st.sampled_from(Death), _SIZE),
    st.builds(Restart, _POD),
    st.builds(Roll, _POD),
    st.builds(Scale, st.booleans(), _POD),
    st.builds(RelayClock, _POD, st.sampled_from(_RELAY_ERRORS)),
    st.builds(StatisticsClock, st.sampled_from(_STATISTICS_ERRORS)),
    st.builds(KillStatistics, st.sampled_from(Moment)),
    st.builds(StatisticsDisk, st.booleans()),
    st.builds(RelayDisk, _POD, st.booleans()),
)
STEPS: Final = st.lists(STEP, min_size=16, max_size=24).filter(
    lambda steps: len({type(step) for step in steps}) >= 6  # hypothesis begins with the simplest story
)
