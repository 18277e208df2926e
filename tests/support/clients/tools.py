"""Tools that are not on PyPI: programs of `make test-tools`, and the npm packages of tests/clients."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, NoReturn
from unittest import SkipTest

NODE_FOLDER: Final = Path(__file__).parents[2] / "clients"
_NODE_READY: Final = NODE_FOLDER / "node_modules" / "ready"


class MissingToolError(SkipTest):
    """A tool is not installed. To pytest that is a skipped test; benches and the matrix leave a row out."""


def need(program: str) -> str:
    """Return the path of a program of `make test-tools`; skip the test without it, or fail it in CI."""
    return shutil.which(program) or unavailable(f"there is no {program!r}: make test-tools installs it")


def need_node() -> str:
    """Return the path of Node if the packages of tests/clients are installed; else skip or fail as `need`."""
    node = need("node")
    if not _NODE_READY.exists():
        unavailable("the npm packages of tests/clients are not installed: make test does it")
    return node


def unavailable(reason: str) -> NoReturn:
    """Skip the test; fail it in CI (CI=true), which must run all tests."""
    if os.environ.get("CI") == "true":
        raise AssertionError(f"this must be tested here: {reason}")
    raise MissingToolError(reason)
