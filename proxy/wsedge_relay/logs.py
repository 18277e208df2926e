"""Structured logs on stderr: one line per event, as JSON or as readable text."""

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
    """Send every log event to `stream` (stderr); `form` "auto" is human on a terminal, else JSON.

    `worker` is the number of a worker process, which is added to each line.
    """
    stream = stream or sys.stderr
    human = form == "human" or (form == "auto" and stream.isatty())
    # By default both renderers print the local variables of a traceback: they may contain cookies and keys.
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
    # asyncio reports slow and failed callbacks through the standard library.
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(name)s: %(message)s", force=True)


def _numbered(worker: int) -> structlog.typing.Processor:
    def add(_log: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["worker"] = worker
        return event

    return add
