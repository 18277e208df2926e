"""Structured logs on stderr: JSON unless stderr is a terminal."""

from __future__ import annotations

import sys

import structlog


def configure_logging() -> None:
    """Configure structlog: one line per event, times in UTC; JSON when stderr is no terminal."""
    terminal = sys.stderr.isatty()
    plain = structlog.dev.plain_traceback  # the default may print the variables of a fault's frames: tokens
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=plain)
        if terminal
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
