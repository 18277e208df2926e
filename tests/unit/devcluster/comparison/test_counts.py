"""Whether the clients' counts and the statistics' answer are equal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wsedge_devcluster.comparison.counts import Answer, Counts, agree

COUNTS = Counts(sent=1234, received=56789, opened=5, open=3)
EQUAL = Answer(sent=56789, received=1234, opened=5, switched=5)


def test_equal_counts_agree_however_many_clients_are_still_open() -> None:
    """The client's received bytes are the relay's sent bytes; open connections do not count."""
    assert agree(COUNTS, EQUAL)
    assert agree(replace(COUNTS, open=0), EQUAL)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(replace(EQUAL, sent=56788), id="a byte to clients is missing"),
        pytest.param(replace(EQUAL, received=1235), id="a byte from clients too many"),
        pytest.param(replace(EQUAL, opened=4), id="a connection is missing"),
        pytest.param(replace(EQUAL, switched=6), id="a 101 too many"),
    ],
)
def test_one_different_number_is_a_disagreement(answer: Answer) -> None:
    """A difference of one in bytes, connections or codes is a disagreement."""
    assert not agree(COUNTS, answer)
