"""The stores that must pass these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.statistics.stores import STORES, StoreFactory, StoreUnderTest


@pytest.fixture(params=list(STORES.values()), ids=list(STORES), scope="session")
def factory(request: pytest.FixtureRequest) -> StoreFactory:
    """Opens an empty store in a folder."""
    opens: StoreFactory = request.param
    return opens


@pytest.fixture(scope="session")
def examples(factory: StoreFactory) -> int:
    """The number of stories: a question to a server takes a hundred times as long as one to a file."""
    return 15 if factory is STORES["clickhouse"] else 50


@pytest.fixture
def store(factory: StoreFactory, tmp_path: Path) -> Iterator[StoreUnderTest]:
    """An empty store."""
    with factory(tmp_path) as opened:
        yield opened
