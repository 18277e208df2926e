"""Log lines on stderr."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from wsedge_statistics import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Other tests keep their logging."""
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn.error")
    handlers, level, quiet = root.handlers[:], root.level, uvicorn.level
    configured = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    uvicorn.setLevel(quiet)
    structlog.configure(**configured)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_is_json_unless_stderr_is_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """The event, its level and its fields; lines of the standard library have the same form."""
    logs.configure(form="auto", level="info")
    structlog.get_logger().info("directory stored", accounts=3)
    structlog.get_logger().debug("not shown")
    logging.getLogger("some.library").warning("from a library")
    logging.getLogger("uvicorn.error").info("Started server process")
    first, second = (json.loads(line) for line in lines(capsys))
    assert (first["event"], first["level"], first["accounts"]) == ("directory stored", "info", 3)
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["level"]) == ("from a library", "warning")


def test_a_traceback_has_no_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """A frame's variables may be tokens."""
    for form in ("json", "human"):
        logs.configure(form=form, level="debug")
        token = "secret-token"
        try:
            raise ValueError(len(token))
        except ValueError:
            structlog.get_logger().exception("failed")
        shown = "\n".join(lines(capsys))
        assert "ValueError: 12" in shown
        assert "secret-token" not in shown.replace('token = "secret-token"', "")
