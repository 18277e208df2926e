"""Structured logs on stderr: one line per event, JSON for machines, words for people."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer


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
    # Without the variables of a fault's frames, which both forms have by default: they hold cookies and keys.
    last: list[structlog.typing.Processor]
    if human:
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
    else:
        frames = ExceptionDictTransformer(show_locals=False)
        last = [structlog.processors.ExceptionRenderer(frames), structlog.processors.JSONRenderer()]
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
