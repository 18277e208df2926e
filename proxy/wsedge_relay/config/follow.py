"""Follow the configuration files: apply each valid change and log each rejected change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import structlog

from wsedge_relay.config.load import LoadedConfig
from wsedge_relay.config.watch import POLL_SECONDS, ConfigWatch
from wsedge_relay.errors import ConfigRefusedError

_log = structlog.get_logger(__name__)

_MOST_NAMED: Final = 20


async def follow(
    watch: ConfigWatch, force: asyncio.Event, apply: Callable[[LoadedConfig], Awaitable[object]]
) -> None:
    """Poll the files until cancelled, at once when `force` is set, and `apply` each new configuration."""
    loop = asyncio.get_running_loop()
    # A thread of its own: the loop's threads may all be blocked by a name server that does not answer, and
    # the new configuration may be the one that replaces the origins' names by addresses.
    thread = ThreadPoolExecutor(1, thread_name_prefix="configuration")
    try:
        while True:
            await set_or_after(POLL_SECONDS, force)
            outcome = await loop.run_in_executor(thread, watch.poll)
            if isinstance(outcome, LoadedConfig):
                outcome = await _applied(outcome, watch, apply)
            if outcome is not None and watch.refuse(outcome):
                _log.error(
                    "configuration refused",
                    generation=outcome.generation,
                    reason=str(outcome),
                    in_force=watch.in_force.config.generation,
                )
    finally:
        thread.shutdown(wait=False)


async def _applied(
    loaded: LoadedConfig, watch: ConfigWatch, apply: Callable[[LoadedConfig], Awaitable[object]]
) -> ConfigRefusedError | None:
    """Put a configuration in force, or return the refusal when a resource is missing."""
    try:
        await apply(loaded)
    except OSError as error:  # such as no descriptor for a certificate: the next poll retries
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
            fields=list(loaded.unknown[:_MOST_NAMED]),
            reason="they are misspelt or belong to a newer version; `wsedge-relay --schema` lists all fields",
        )


async def set_or_after(seconds: float, event: asyncio.Event) -> None:
    """Wait until `event` is set, for at most `seconds`, and clear it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()
