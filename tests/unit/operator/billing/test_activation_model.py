"""`settle` against a slow, obvious model.

The model visits each minute; at each boundary of the cycle in force the last request comes into force.
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
# The terms that a plan requests from a minute on; None: there is no plan.
request_lists = st.lists(
    st.tuples(st.integers(0, SPAN), st.none() | terms), max_size=6, unique_by=lambda item: item[0]
).map(sorted)


@dataclass
class MinuteModel:
    """The model: an account that is settled every minute."""

    existing: BillingCycle | None
    periods: list[Period] = field(default_factory=list)
    requested: Terms | None = None
    waits: bool = False  # for the first boundary of a cycle elsewhere

    def advance(self, before: datetime, now: datetime) -> None:
        """Advance to `now`: at a boundary the last request comes into force."""
        current = self.current
        if current is not None and is_boundary(before, now, current.terms.cycle, current.terms.zone):
            if self.requested != current.terms:
                self.periods[-1] = Period(current.terms, current.start, now)
                self._begin(now)
        elif (
            self.waits
            and self.requested
            and self.existing
            and is_boundary(before, now, self.existing, self.requested.zone)
        ):
            self._begin(now)

    def request(self, wanted: Terms | None, now: datetime) -> None:
        """The plan requests something else from `now` on."""
        self.requested = wanted
        self.waits = wanted is not None and self.existing is not None and not self.periods
        if self.current is None and not self.waits:
            self._begin(now)

    @property
    def current(self) -> Period | None:
        """The period in force, or None."""
        return self.periods[-1] if self.periods and self.periods[-1].end is None else None

    def _begin(self, now: datetime) -> None:
        self.waits = False
        if self.requested is not None:
            self.periods.append(Period(self.requested, now))


def is_boundary(before: datetime, now: datetime, cycle: BillingCycle, zone: str) -> bool:
    """Return whether a new local day or month began since a minute ago."""
    old, new = (moment.astimezone(zone_of(zone)).date() for moment in (before, now))
    return new > old and (cycle is BillingCycle.DAILY or new.month != old.month)


def model_periods(
    begin: datetime, requests: list[tuple[int, Terms | None]], existing: BillingCycle | None
) -> list[Period]:
    """Return the periods of the model for `requests`."""
    model, by_minute = MinuteModel(existing), dict(requests)
    for minute in range(2 * SPAN):
        now = begin + minute * MINUTE
        model.advance(now - MINUTE, now)
        if minute in by_minute:
            model.request(by_minute[minute], now)
    return model.periods


def apply_request(story: Story, now: datetime, wanted: Terms | None, existing: BillingCycle | None) -> None:
    """Apply a request to the plan."""
    if wanted is None:
        if story.claims:
            story.deletes()
    elif story.claims:
        story.edits(now, wanted, existing=existing)
    else:
        story.creates(now, wanted, existing=existing)


@given(
    begin=st.sampled_from(BEGINNINGS),
    requests=request_lists,
    existing=st.none() | st.sampled_from(CYCLES),
    data=st.data(),
)
def test_same_as_minute_by_minute(
    begin: datetime,
    requests: list[tuple[int, Terms | None]],
    existing: BillingCycle | None,
    data: st.DataObject,
) -> None:
    """The periods are the model's, however late and often an account is settled after a request.

    Only a deletion is settled in its minute, since it leaves no trace on an object.
    """
    story = Story()
    nexts = [minute for minute, _ in requests[1:]] + [2 * SPAN]
    for (minute, wanted), following in zip(requests, nexts, strict=False):
        apply_request(story, begin + minute * MINUTE, wanted, existing)
        instants = data.draw(st.lists(st.integers(minute, following - 1), min_size=1, max_size=3).map(sorted))
        if wanted is None:
            instants = [minute, *instants]
        for instant in instants:
            story.settled_at(begin + instant * MINUTE)
    story.settled_at(begin + (2 * SPAN - 1) * MINUTE)
    assert list(story.account.periods) == model_periods(begin, requests, existing)


@given(
    begin=st.sampled_from(BEGINNINGS),
    requests=request_lists,
    steps=st.lists(st.integers(-SPAN, SPAN), max_size=12),
)
def test_history_is_never_rewritten(
    begin: datetime, requests: list[tuple[int, Terms | None]], steps: list[int]
) -> None:
    """Whatever the clock does, a period keeps its start and terms, and an ended one its end."""
    story = Story()
    for index in range(max(len(requests), len(steps))):
        if index < len(requests):
            apply_request(story, begin + requests[index][0] * MINUTE, requests[index][1], None)
        before = story.account.periods
        after = story.settled_at(begin + (steps[index] if index < len(steps) else SPAN) * MINUTE).periods
        assert [(p.terms, p.start) for p in after[: len(before)]] == [(p.terms, p.start) for p in before]
        assert all(new.end == old.end for old, new in zip(before, after, strict=False) if old.end)
        assert all(early.end and early.end <= late.start for early, late in itertools.pairwise(after))
