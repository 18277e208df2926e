"""The price book's file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from support.statistics.desk import PRICES
from wsedge_statistics.errors import PriceBookError
from wsedge_statistics.price_file import PriceFile


def price(file: PriceFile) -> Decimal:
    (entry,) = file.book().prices
    return entry.tiers[0].price


def test_a_book_that_changes_is_read_again(tmp_path: Path) -> None:
    """A ConfigMap's update is in force at once, also one of the same length within the same second."""
    path = tmp_path / "prices.json"
    path.write_text(PRICES)
    file = PriceFile(path)
    assert (price(file), file.valid()) == (Decimal("0.5"), True)
    path.write_text(PRICES.replace("0.5", "0.7"))
    assert price(file) == Decimal("0.7")


def test_a_broken_book_keeps_the_last_good_one(tmp_path: Path) -> None:
    """Text that is no book, and no file at all: the prices stay, and it is told."""
    path = tmp_path / "prices.json"
    path.write_text(PRICES)
    file = PriceFile(path)
    file.book()
    path.write_text("{")
    assert (price(file), file.valid()) == (Decimal("0.5"), False)
    path.unlink()
    assert (price(file), file.valid()) == (Decimal("0.5"), False)
    path.write_text(PRICES)
    assert file.valid()


@pytest.mark.parametrize("text", [None, "{"])
def test_without_a_good_book_there_are_no_prices(tmp_path: Path, text: str | None) -> None:
    """Never readable since the start: an error with the reason."""
    path = tmp_path / "prices.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PriceBookError, match="not JSON" if text else "No such file"):
        PriceFile(path).book()
