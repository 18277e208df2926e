"""The calendar against the most obvious model: go through time minute by minute, and at each boundary of the
cycle in force take over what the plan says.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from support.operator.story import Story
from wsedge_operator.api.billing_plan import BillingCycle, MeteringMethod
from wsedge_operator.billing.activation import Period, Terms
from wsedge_operator.billing.calendar import zone_of

MINUTE = timedelta(minutes=1)
SPAN = 3 * 24 * 60  # minutes that a story lasts; it begins on one of these days, each with an oddity in it
BEGINNINGS = (
    datetime(2018, 11, 2, 15, tzinfo=UTC),  # Sao Paulo skips midnight of 4 November
    datetime(2020, 10, 30, 10, tzinfo=UTC),  # Havana had midnight of 1 November twice
    datetime(2022, 3, 25, 3, tzinfo=UTC),  # Beirut skips midnight of 27 March
    datetime(2026, 12, 30, 8, tzinfo=UTC),
    datetime(2028, 2, 27, 20, tzinfo=UTC),
)
ZONES = ("UTC", "Asia/Shanghai", "America/Sao_Paulo", "America/Havana", "Asia/Beirut")
CYCLES = tuple(BillingCycle)

terms = st.builds(Terms, st.sampled_from(CYCLES), st.just(MeteringMethod.TRAFFIC), st.sampled_from(ZONES))
# What the plan says from a minute on; None: there is no plan.
tellings = st.lists(
    st.tuples(st.integers(0, SPAN), st.none() | terms), max_size=6, unique_by=lambda item: item[0]
).map(sorted)


@dataclass
class Minutes:
    """The obvious model."""

    existing: BillingCycle | None
    periods: list[Period] = field(default_factory=list)
    wish: Terms | None = None
    waits: bool = False  # for the first boundary of a cycle elsewhere

    def passes(self, before: datetime, now: datetime) -> None:
        """Time goes on to `now`: if a boundary lies there, the wish is granted."""
        current = self.current
        if current is not None and turned(before, now, current.terms.cycle, current.terms.zone):
            if self.wish != current.terms:
                self.periods[-1] = Period(current.terms, current.start, now)
                self._begin(now)
        elif (
            self.waits and self.wish and self.existing and turned(before, now, self.existing, self.wish.zone)
        ):
            self._begin(now)

    def says(self, wish: Terms | None, now: datetime) -> None:
        """The plan says something else from `now` on."""
        self.wish = wish
        self.waits = wish is not None and self.existing is not None and not self.periods
        if self.current is None and not self.waits:
            self._begin(now)

    @property
    def current(self) -> Period | None:
        """The period in force."""
        return self.periods[-1] if self.periods and self.periods[-1].end is None else None

    def _begin(self, now: datetime) -> None:
        self.waits = False
        if self.wish is not None:
            self.periods.append(Period(self.wish, now))


def turned(before: datetime, now: datetime, cycle: BillingCycle, zone: str) -> bool:
    """Whether the clocks of the zone show a new day, or month, that they did not show a minute before."""
    old, new = (moment.astimezone(zone_of(zone)).date() for moment in (before, now))
    return new > old and (cycle is BillingCycle.DAILY or new.month != old.month)


def model_periods(
    begin: datetime, telling: list[tuple[int, Terms | None]], existing: BillingCycle | None
) -> list[Period]:
    """Return the periods that the obvious model makes of a telling."""
    model, said = Minutes(existing), dict(telling)
    for minute in range(2 * SPAN):
        now = begin + minute * MINUTE
        model.passes(now - MINUTE, now)
        if minute in said:
            model.says(said[minute], now)
    return model.periods


def tell(story: Story, now: datetime, wish: Terms | None, existing: BillingCycle | None) -> None:
    """Do to the plan what the telling says."""
    if wish is None:
        if story.claims:
            story.deletes()
    elif story.claims:
        story.edits(now, wish, existing=existing)
    else:
        story.creates(now, wish, existing=existing)


@given(
    begin=st.sampled_from(BEGINNINGS),
    telling=tellings,
    existing=st.none() | st.sampled_from(CYCLES),
    data=st.data(),
)
def test_same_as_minute_by_minute(
    begin: datetime,
    telling: list[tuple[int, Terms | None]],
    existing: BillingCycle | None,
    data: st.DataObject,
) -> None:
    """However late and often the operator looks after a request, it finds the obvious model's periods.

    Only a deletion must be seen in its minute, for it leaves no trace.
    """
    story = Story()
    nexts = [minute for minute, _ in telling[1:]] + [2 * SPAN]
    for (minute, wish), following in zip(telling, nexts, strict=False):
        tell(story, begin + minute * MINUTE, wish, existing)
        looks = data.draw(st.lists(st.integers(minute, following - 1), min_size=1, max_size=3).map(sorted))
        if wish is None:
            looks = [minute, *looks]
        for look in looks:
            story.looks_at(begin + look * MINUTE)
    story.looks_at(begin + (2 * SPAN - 1) * MINUTE)
    assert list(story.account.periods) == model_periods(begin, telling, existing)


@given(
    begin=st.sampled_from(BEGINNINGS),
    telling=tellings,
    steps=st.lists(st.integers(-SPAN, SPAN), max_size=12),
)
def test_history_is_never_rewritten(
    begin: datetime, telling: list[tuple[int, Terms | None]], steps: list[int]
) -> None:
    """Whatever the clock does, a period once in force keeps its beginning and terms, an ended one its end."""
    story = Story()
    for index in range(max(len(telling), len(steps))):
        if index < len(telling):
            tell(story, begin + telling[index][0] * MINUTE, telling[index][1], None)
        before = story.account.periods
        after = story.looks_at(begin + (steps[index] if index < len(steps) else SPAN) * MINUTE).periods
        assert [(p.terms, p.start) for p in after[: len(before)]] == [(p.terms, p.start) for p in before]
        assert all(new.end == old.end for old, new in zip(before, after, strict=False) if old.end)
        assert all(early.end and early.end <= late.start for early, late in itertools.pairwise(after))
