"""The pump's two forms as parameters of tests; the compiled one is built from the present sources."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import sysconfig
from pathlib import Path
from typing import Final, NoReturn

import pytest

from wsedge_relay.pump import compiled
from wsedge_relay.pump.build import STAMP, build, digest
from wsedge_relay.pump.selector import Form, choose

FORMS: Final = ("plain", "compiled")
# The folder of a compiled form to test instead of the usual build (see test_sanitizers).
OTHER_BUILD: Final = "WSEDGE_TEST_COMPILED_PUMP"


def form_of(request: pytest.FixtureRequest) -> Form:
    """Return the pump's form of this parameter; skip the compiled one where it cannot be built."""
    if request.param == "compiled":
        _compile(request.config)
    return choose(request.param)


def _compile(config: pytest.Config) -> None:
    need_compiler()
    if OTHER_BUILD in os.environ:
        target = Path(os.environ[OTHER_BUILD])
    elif config.cache is None:
        cannot("pytest's cache is off")
    else:
        target = Path(config.cache.mkdir("wsedge-compiled-pump"), digest()[:16])
    with target.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of pytest-xdist begin at once: one builds for all
        if not (target / STAMP).exists():
            build(target)
    if str(target) not in compiled.__path__:
        # First in the path: a result of `make compiled` in the package may be of older sources.
        compiled.__path__.insert(0, str(target))


def need_compiler() -> None:
    """Skip the test where the pump cannot be compiled; fail it in CI."""
    if reason := _missing():
        cannot(reason)


def cannot(reason: str) -> NoReturn:
    """Skip the test for this reason, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"the compiled pump must be tested here: {reason}")
    pytest.skip(f"the compiled pump is not tested: {reason}")


def _missing() -> str:
    try:
        import Cython  # noqa: F401
    except ImportError:
        return "the package cython is not installed"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler {compiler!r}"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's headers are not installed"
    return ""
