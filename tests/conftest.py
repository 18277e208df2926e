"""Settings of all tests."""

from __future__ import annotations

import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.counted_lines import drop_damaged

# Assertions show the difference between two transcripts.
pytest.register_assert_rewrite("support.clients.transcripts")

# No deadline per example, which would depend on the machine's load; benches measure speed.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# A shell lets background processes ignore SIGINT, and so would each program that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Drop the counts of processes that tests have killed, before pytest-cov combines them all."""
    answer = yield
    if session.config.getoption("cov_source", None) and not hasattr(session.config, "workerinput"):
        drop_damaged(Path(session.config.rootpath / ".coverage-data" / "counts"))
    return answer
