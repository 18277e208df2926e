"""Rows of the matrix of `make interop` that need no further program run in `make test`, too."""

from __future__ import annotations

import pytest

from interop.matrix import SAME, Row, results_of
from support.clients.tools import need_node

ROWS = (Row("aiohttp", "websockets"), Row("websockets", "aiohttp"))


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_row_is_the_same_with_and_without_the_relay(row: Row) -> None:
    """Over ws and over wss, with the relay as the matrix configures it."""
    assert await results_of(row) == {"ws": SAME, "wss": SAME}


async def test_a_row_whose_ends_cannot_talk_says_so() -> None:
    """A client of MQTT has no conversation with an echo server: the row names the failure."""
    need_node()
    results = await results_of(Row("websockets", "mqtt"))
    assert all(text.startswith("failed: ") for text in results.values()), results
