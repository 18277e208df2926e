"""The bench's figures: medians, quartiles, ratios by round, tables."""

from __future__ import annotations

import pytest
from figures import Column, Section, Spread, against, cell, number, paired, spread


def test_spread_is_median_and_quartiles() -> None:
    """A spread has the quartiles, which an outlier moves little."""
    assert spread([1, 2, 3, 4, 1000]) == Spread(2, 3, 4)


def test_a_single_figure_is_its_own_spread() -> None:
    """A single figure has no spread."""
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_ratios_are_of_the_same_round() -> None:
    """A machine that slows down in one round slows both, and their ratio stays."""
    samples = {"nginx": [10.0, 20.0, 10.0], "relay": [11.0, 22.0, 11.0]}
    column = Column("ping-pong", samples, against(samples, "nginx"))
    assert column.ratio("relay") == Spread(1.1, 1.1, 1.1)


def test_rounds_that_do_not_match_are_an_error() -> None:
    """A ratio never combines figures of different rounds."""
    with pytest.raises(ValueError, match="longer"):
        paired([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (0.0, "0"),
        (0.653, "0.65"),
        (12.345, "12.35"),
        (99.994, "99.99"),
        (1234.5, "1,234"),
        (20000.0, "20,000"),
    ],
)
def test_number(figure: float, text: str) -> None:
    """A figure has two digits below 100, none above, and none if it is whole."""
    assert number(figure) == text


def test_cell_with_a_ratio() -> None:
    """A cell with a ratio shows the ratio's quartiles."""
    column = Column("x", {"a": [2.5, 2.5, 5.0]}, {"a": [2.5, 1.25, 1.25]})
    assert cell(column, "a") == "2.50 · **2.00** (1.50 to 3.00)"


def test_cell_without_a_ratio() -> None:
    """A cell without a ratio shows the quartiles of the figures, unless they are equal."""
    assert cell(Column("x", {"a": [1.5, 2.5, 3.5]}), "a") == "2.50 (2 to 3)"
    assert cell(Column("x", {"a": [1.5]}), "a") == "1.50"


def test_a_proxy_that_a_column_lacks_has_an_empty_cell() -> None:
    """A column may lack a proxy."""
    section = Section("k", "Heading", "unit", [Column("x", {"a": [1.0]}), Column("y", {"b": [2.0]})])
    assert section.table().splitlines()[-2:] == ["| a | 1 |  |", "| b |  | 2 |"]
