"""Structured logs on stderr: one line per event, JSON for machines, words for people."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import structlog


def configure(
    form: Literal["auto", "json", "human"],
    level: Literal["debug", "info", "warning", "error"],
    *,
    stream: TextIO | None = None,
    worker: int | None = None,
) -> None:
    """Send every log event to `stream` (stderr); "auto" is human on a terminal, else JSON.

    Each line of a worker has its number.
    """
    stream = stream or sys.stderr
    human = form == "human" or (form == "auto" and stream.isatty())
    last: list[structlog.typing.Processor]
    if human:
        last = [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    else:
        last = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if worker is None else [_numbered(worker)]),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    # asyncio reports a slow or broken callback through the standard library.
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(name)s: %(message)s", force=True)


def _numbered(worker: int) -> structlog.typing.Processor:
    def add(_log: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["worker"] = worker
        return event

    return add
