"""Rollups: packing, and sums that do not depend on tiers."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_statistics.errors import LedgerDamagedError
from wsedge_statistics.ledger.rollup import largest, pack, roll, unpack
from wsedge_statistics.numbers.series import DAY, HOUR, Key

A = Key("a.example", "team-a", "shanghai", "telecom", "CN")
B = Key("a.example", "team-a", "beijing", "unicom", "CN")

series = st.dictionaries(
    st.sampled_from(["sent", "received", "peak", "code:101", "code:502"]),
    st.dictionaries(
        st.integers(0, 287).map(lambda n: 86400 * 7 + n * 300), st.integers(1, 2**70), min_size=1
    ),
)


@given(series)
def test_packing_loses_nothing(values: dict[str, dict[int, int]]) -> None:
    """A packed day has every five-minute value, also beyond 64 bits."""
    assert unpack(pack(values, DAY * 7), DAY * 7) == values


@given(st.lists(st.tuples(st.sampled_from([A, B]), series), max_size=6))
def test_days_rolled_from_hours_equal_days_rolled_from_the_parts(
    parts: list[tuple[Key, dict[str, dict[int, int]]]],
) -> None:
    """Rolling by way of the hour tier gives the same day."""
    start = DAY * 7
    by_hour = []
    for hour in range(start, start + DAY, HOUR):
        rolled = roll(parts, start=hour, end=hour + HOUR)
        by_hour += [(key, unpack(pack(found, hour), hour)) for key, found in rolled.items()]
    one_way = {k: pack(v, start) for k, v in roll(by_hour, start=start, end=start + DAY).items()}
    other_way = {k: pack(v, start) for k, v in roll(parts, start=start, end=start + DAY).items()}
    assert one_way == other_way


def test_the_total_is_the_sum_of_the_full_keys() -> None:
    """A domain's total adds regions and ISPs, bucket by bucket."""
    rolled = roll([(A, {"sent": {0: 1}}), (B, {"sent": {0: 2, 300: 4}})], start=0, end=HOUR)
    assert rolled[A.total()] == {"sent": {0: 3, 300: 4}}
    assert rolled[B] == {"sent": {0: 2, 300: 4}}


def test_totals_among_the_parts_are_not_counted_twice() -> None:
    """A total is computed from the full keys alone."""
    rolled = roll([(A, {"sent": {0: 1}}), (A.total(), {"sent": {0: 1}})], start=0, end=HOUR)
    assert rolled == {A: {"sent": {0: 1}}, A.total(): {"sent": {0: 1}}}


@given(series, series)
def test_the_larger_value_of_each_bucket_is_kept(
    one: dict[str, dict[int, int]], other: dict[str, dict[int, int]]
) -> None:
    """`largest` is max() per measure and bucket, in either order, and changes neither argument."""
    before = ({m: dict(v) for m, v in one.items()}, {m: dict(v) for m, v in other.items()})
    expected = {
        measure: {
            bucket: max(one.get(measure, {}).get(bucket, 0), other.get(measure, {}).get(bucket, 0))
            for bucket in {*one.get(measure, {}), *other.get(measure, {})}
        }
        for measure in {*one, *other}
    }
    assert largest(one, other) == largest(other, one) == expected
    assert (one, other) == before


DAMAGED = {
    "not compressed": b"hello",
    "cut short": pack({"sent": {0: 1}}, 0)[:-3],
    "compressed, but not JSON": zlib.compress(b"{"),
    "a list": zlib.compress(b"[]"),
    "numbers instead of lists": zlib.compress(b'{"sent":[0,1]}'),
    "more slots than values": zlib.compress(b'{"sent":[[0,1],[7]]}'),
}


@pytest.mark.parametrize("packed", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_rollup_is_an_error_of_its_own(packed: bytes) -> None:
    """The error names the start of the rollup."""
    with pytest.raises(LedgerDamagedError, match="begins at 7200 is damaged"):
        unpack(packed, 7200)
