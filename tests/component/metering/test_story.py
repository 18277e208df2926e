"""Clients that count their own bytes, and everything that can go wrong: the ledger has each byte once.

Without variables it is the same story each time, so that no change fails by a story of its own.
WSEDGE_STORY_EXAMPLES=100 tells a hundred others for each store, WSEDGE_STORY_SEED=N those of a seed again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings

from support.statistics.clickhouse import clickhouse_address
from support.story.steps import STEPS, Step
from support.story.world import world

EXAMPLES: Final = int(os.environ.get("WSEDGE_STORY_EXAMPLES", "1"))
_BY_CHANCE: Final = secrets.randbelow(1 << 32) if EXAMPLES > 1 else 7
SEED: Final = int(os.environ.get("WSEDGE_STORY_SEED", str(_BY_CHANCE)))


@contextmanager
def sqlite() -> Iterator[tuple[str, ...]]:
    """Yield the arguments of the embedded ledger."""
    yield ()


@contextmanager
def clickhouse() -> Iterator[tuple[str, ...]]:
    """Yield the arguments of a ledger on ClickHouse, in a database of its own."""
    with clickhouse_address() as address:
        server = ("--clickhouse-url", address.url, "--clickhouse-database", address.database)
        yield ("--ledger", "clickhouse", *server)


STORES: Final = {"sqlite": sqlite, "clickhouse": clickhouse}


@pytest.mark.parametrize("store", STORES.values(), ids=STORES.keys())
def test_the_ledger_has_every_byte_once(store: Callable[[], AbstractContextManager[tuple[str, ...]]]) -> None:
    """Per bucket and key, after kills, rollouts, wrong clocks, full disks and a network that repeats."""

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,  # a seed says all; a story that failed is not told first for ever
        phases=(Phase.generate,),  # to shrink one would take an hour
        suppress_health_check=list(HealthCheck),
    )
    @given(steps=STEPS)
    def tell(steps: Sequence[Step]) -> None:
        with store() as arguments, tempfile.TemporaryDirectory(prefix="wsedge-story-") as folder:
            asyncio.run(story(Path(folder), arguments, steps))

    try:
        tell()
    except BaseException as error:
        error.add_note(f"WSEDGE_STORY_SEED={SEED}")
        raise


async def story(folder: Path, arguments: Sequence[str], steps: Sequence[Step]) -> None:
    """Carry out the steps, and compare."""
    async with world(folder, arguments, seed=SEED) as told:
        for number, step in enumerate(steps, start=1):
            note(f"{number}. {step}")
            await told.carry_out(step)
        await told.end()
        await told.compare()
