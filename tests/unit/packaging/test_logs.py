"""The logs of every program omit the variables of a traceback's frames, which may be secrets."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
import structlog

from wsedge_devcluster.log import configure_logging
from wsedge_operator import logs as operator_logs
from wsedge_relay import logs as relay_logs
from wsedge_statistics import logs as statistics_logs

FORMS: dict[str, Literal["json", "human"]] = {"a container": "json", "a terminal": "human"}
PROGRAMS: dict[str, Callable[[Literal["json", "human"]], None]] = {
    "the relay": lambda form: relay_logs.configure(form, "info"),
    "the operator": lambda form: operator_logs.configure("info", form),
    "the statistics": lambda form: statistics_logs.configure(form=form, level="info"),
    "the devcluster": lambda _form: configure_logging(),
}


class Stream(io.StringIO):
    """A stream that is a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._terminal


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Restore the process's logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    others = {name: logging.getLogger(name).level for name in ("aiohttp.access", "uvicorn.error")}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, its in others.items():
        logging.getLogger(name).setLevel(its)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_fault_shows_no_variables(program: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of an exception has its type and place, and no value of a variable."""
    stream = Stream(terminal=form == "a terminal")
    monkeypatch.setattr(sys, "stderr", stream)
    PROGRAMS[program](FORMS[form])
    try:
        serve(cookie="".join(("session=", "of", "somebody")))
    except ValueError:
        structlog.get_logger("test").exception("fault")
    line = stream.getvalue()
    for told in ("fault", "ValueError", "no such thing", "serve"):
        assert told in line
    assert "ofsomebody" not in line


def serve(cookie: str) -> None:
    """Raise with a secret in a variable."""
    assert cookie
    raise ValueError("no such thing")
