"""Logs: one line per event, as JSON or as readable text."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from wsedge_relay.logs import configure


@pytest.fixture(autouse=True)
def _restored() -> object:
    """Restore the logging of the process."""
    yield
    structlog.reset_defaults()


class Terminal(io.StringIO):
    """A stream that reports itself as a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def test_a_container_gets_json() -> None:
    """One object per line, with level and time, exceptions inside it."""
    stream = io.StringIO()
    configure("auto", "info", stream=stream)
    log = structlog.get_logger()
    log.debug("not said")
    log.info("listening", port=80)
    log.error("fault", exc_info=ValueError("why"))
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["port"], first["level"]) == ("listening", 80, "info")
    assert first["timestamp"].endswith("Z")
    assert "why" in json.dumps(second)


@pytest.mark.parametrize("form", ["auto", "human"])
def test_a_terminal_gets_readable_text(form: str) -> None:
    """Readable text is the format of terminals, and of `--log-format human`."""
    stream = Terminal()
    configure(form, "info", stream=stream)  # type: ignore[arg-type]
    structlog.get_logger().info("listening", port=80)
    assert "listening" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_a_workers_lines_have_its_number() -> None:
    """Several processes write to one log."""
    stream = io.StringIO()
    configure("json", "info", stream=stream, worker=3)
    structlog.get_logger().info("drain started")
    assert json.loads(stream.getvalue())["worker"] == 3
