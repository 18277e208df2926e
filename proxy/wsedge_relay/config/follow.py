"""Follows the configuration files: applies each valid change and logs each rejected one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import structlog

from wsedge_relay.config.load import LoadedConfig
from wsedge_relay.config.watch import LOOK_SECONDS, ConfigWatch
from wsedge_relay.errors import ConfigRefusedError

_log = structlog.get_logger(__name__)

_MOST_TOLD: Final = 20


async def follow(
    watch: ConfigWatch, told: asyncio.Event, take: Callable[[LoadedConfig], Awaitable[object]]
) -> None:
    """Check the files for ever, at once when `told` is set, and `take` each new configuration."""
    loop = asyncio.get_running_loop()
    # A thread of its own: the loop's threads may all wait for a name service that is down, just when a new
    # configuration replaces the origins' names by addresses.
    thread = ThreadPoolExecutor(1, thread_name_prefix="configuration")
    try:
        while True:
            await told_or_after(LOOK_SECONDS, told)
            outcome = await loop.run_in_executor(thread, watch.look)
            if isinstance(outcome, LoadedConfig):
                outcome = await _taken(outcome, watch, take)
            if outcome is not None and watch.refuse(outcome):
                _log.error(
                    "configuration refused",
                    generation=outcome.generation,
                    reason=str(outcome),
                    in_force=watch.in_force.config.generation,
                )
    finally:
        thread.shutdown(wait=False)


async def _taken(
    loaded: LoadedConfig, watch: ConfigWatch, take: Callable[[LoadedConfig], Awaitable[object]]
) -> ConfigRefusedError | None:
    """Put a configuration in force, or return the refusal when a resource is missing."""
    try:
        await take(loaded)
    except OSError as error:  # such as no descriptor for a certificate: the relay goes on, and retries
        return watch.out_of_reach(loaded, error)
    watch.accepted(loaded)
    log_applied(loaded)
    return None


def log_applied(loaded: LoadedConfig) -> None:
    """Log that a configuration is in force, and its unknown fields."""
    config = loaded.config
    _log.info("configuration applied", generation=config.generation, domains=len(config.domains))
    if loaded.unknown:
        _log.warning(
            "unknown fields ignored",
            generation=config.generation,
            fields=list(loaded.unknown[:_MOST_TOLD]),
            reason="they are misspelt or belong to a newer version; wsedge-relay --schema lists the fields",
        )


async def told_or_after(seconds: float, told: asyncio.Event) -> None:
    """Wait until `told` is set, for at most `seconds`, and clear it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await told.wait()
    told.clear()
