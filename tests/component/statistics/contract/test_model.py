"""Any story of reports and upkeep, and every kind of question, against a naive model."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from support.statistics.build import instant, row, seconds, usage
from support.statistics.model import NaiveLedger
from support.statistics.stores import StoreFactory
from wsedge_statistics.contract import UsageReport
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import Dimension, Selection, totals

START = instant("2026-06-09T22:00:00Z")
FIRST, LAST = seconds("2026-06-09T00:00:00Z"), seconds("2026-06-12T00:00:00Z")
BUCKETS = [0, 1, 11, 12, 23, 24, 25, 300, 312]

# few values for each part, so that keys, sources and buckets collide often
counts = st.one_of(st.integers(0, 3), st.integers(0, 2**53 - 1), st.just(2**53 - 1))
rows = st.builds(
    lambda bucket, domain, **fields: row(
        START + timedelta(minutes=5 * bucket),
        domain=domain,
        account="team-b" if domain == "c.example" else "team-a",
        **fields,
    ),
    bucket=st.sampled_from(BUCKETS),
    domain=st.sampled_from(["a.example", "b.example", "c.example"]),
    region=st.sampled_from(["shanghai", "beijing"]),
    isp=st.sampled_from(["telecom", "unicom"]),
    area=st.sampled_from(["CN", "AP1"]),
    sentBytes=counts,
    receivedBytes=counts,
    sentMessages=counts,
    receivedMessages=counts,
    connectionSeconds=counts,
    peakConnections=st.integers(0, 9),
    openedConnections=st.integers(0, 9),
    codes=st.dictionaries(st.sampled_from(["101", "403", "502"]), st.integers(0, 99)),
)
reports = st.builds(
    lambda rows, source: usage(*rows, uid=f"uid-{source}"), st.lists(rows, max_size=5), st.integers(0, 2)
)
edges = st.lists(
    st.sampled_from([FIRST, *(seconds("2026-06-09T22:00:00Z") + 300 * n for n in BUCKETS), LAST]),
    min_size=2,
    max_size=6,
    unique=True,
).map(sorted)
selections = st.builds(
    lambda edges, **filters: (
        Selection(edges[0], edges[-1], **filters),
        [Slot(a, b) for a, b in pairwise(edges)],
    ),
    edges,
    account=st.sampled_from([None, None, "team-a", "team-b"]),
    domains=st.sampled_from([None, None, frozenset({"a.example"}), frozenset({"a.example", "c.example"})]),
    region=st.sampled_from([None, None, "shanghai"]),
    isp=st.sampled_from([None, None, "unicom"]),
    area=st.sampled_from([None, None, "CN"]),
)
groupings = st.lists(st.sampled_from(list(Dimension)), unique=True, max_size=3).map(tuple)
steps = st.sampled_from(["nothing", "refresh", "nothing"])


Story = list[tuple[UsageReport, str, int]]
Asked = list[tuple[tuple[Selection, list[Slot]], tuple[Dimension, ...]]]


def test_any_story_gives_the_sums_of_a_naive_model(factory: StoreFactory, examples: int) -> None:
    """However reports are repeated, reordered, late and added up between, answers are the model's."""

    @settings(max_examples=examples, deadline=None)
    @given(
        story=st.lists(st.tuples(reports, steps, st.integers(-10, 400)), max_size=8),
        data=st.data(),
        asked=st.lists(st.tuples(selections, groupings), min_size=1, max_size=6),
    )
    def each(story: Story, data: st.DataObject, asked: Asked) -> None:
        compare(factory, data.draw(st.permutations(story + story[: len(story) // 2])), asked)

    each()


def compare(factory: StoreFactory, told: Story, asked: Asked) -> None:
    clock = sorted(minutes for _, _, minutes in told)  # what came in late is a matter of time, which goes on
    model = NaiveLedger()
    with tempfile.TemporaryDirectory() as folder, factory(Path(folder)) as store:
        for (report, step, _), minutes in zip(told, clock, strict=True):
            now = START + timedelta(minutes=minutes)
            model.add(report, now=now)
            store.merge(report, now)
            if step == "refresh":
                store.refresh()
        for (selection, slots), group_by in asked:
            sums = store.sums(selection, slots, group_by)
            assert sums == model.sums(selection, slots, group_by)
            whole = [Slot(selection.start, selection.end)]
            assert totals(sums) == store.sums(selection, whole, group_by)
            assert store.codes(selection, slots, group_by) == model.codes(selection, slots, group_by)
            assert list(store.values(selection, group_by)) == list(model.values(selection, group_by))
        for account in ("team-a", "team-b"):
            assert store.late(account, FIRST, LAST) == model.late(account, FIRST, LAST)
