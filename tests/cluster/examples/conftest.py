"""Use cases of examples/ on the session's cluster, each applied once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.examples import RunningExample
from wsedge_devcluster.cluster.cluster import Cluster, quiet
from wsedge_devcluster.quickstart import example

Start = Callable[[str], RunningExample]


@pytest.fixture(scope="module")
def examples() -> list[RunningExample]:
    """Return what the module has started."""
    return []


@pytest.fixture(scope="module")
def start(installed: Cluster, examples: list[RunningExample]) -> Iterator[Start]:
    """Return a function that applies an example by its name; request the deletion of each at the end."""

    def begin(name: str) -> RunningExample:
        running = RunningExample(installed, name, example.apply(installed, name, quiet))
        examples.append(running)
        return running

    yield begin
    for each in examples:
        folder = str(example.folder(each.name))
        installed.kubectl("delete", "-k", folder, "--wait=false", "--ignore-not-found")


@pytest.fixture(autouse=True)
def settled(examples: list[RunningExample]) -> Iterator[None]:
    """Leave no relay that ends to the next test."""
    yield
    for each in examples:
        each.settle()
