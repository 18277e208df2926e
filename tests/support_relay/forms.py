"""The two forms of the pump, as parameters of tests; the compiled one is made from the sources at hand."""

from __future__ import annotations

import os
import shlex
import shutil
import sysconfig
from pathlib import Path
from typing import Final

import pytest

from wsedge_relay import compiled
from wsedge_relay.compiled.build import STAMP, build, digest
from wsedge_relay.selector import Form, choose

FORMS: Final = ("plain", "compiled")


def form_of(request: pytest.FixtureRequest) -> Form:
    """Return the form that is the fixture's parameter; skip the compiled one where nothing can compile it."""
    if request.param == "compiled":
        _compile(request.config)
    return choose(request.param)


def _compile(config: pytest.Config) -> None:
    folder = config.cache.mkdir("wsedge-compiled-pump") if config.cache else None
    if folder is None or _missing():
        reason = _missing() or "pytest's cache is off"
        if os.environ.get("CI") == "true":
            pytest.fail(f"the compiled pump must be tested here: {reason}")
        pytest.skip(f"the compiled pump is not tested: {reason}")
    target = Path(folder, digest()[:16])
    if not (target / STAMP).exists():
        build(target)
    if str(target) not in compiled.__path__:
        # In front: what `make compiled` left in the package may come from older sources.
        compiled.__path__.insert(0, str(target))


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
