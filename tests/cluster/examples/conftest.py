"""Use cases of examples/ on the session's cluster, each applied once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.examples import RunningExample
from wsedge_devcluster.cluster.cluster import Cluster, quiet
from wsedge_devcluster.quickstart import example

Start = Callable[[str], RunningExample]


@pytest.fixture(scope="module")
def start(installed: Cluster) -> Iterator[Start]:
    """Return a function that applies an example by its name; request the deletion of each at the end."""
    running = []

    def begin(name: str) -> RunningExample:
        running.append(name)
        return RunningExample(installed, name, example.apply(installed, name, quiet))

    yield begin
    for name in running:
        installed.kubectl("delete", "-k", str(example.folder(name)), "--wait=false", "--ignore-not-found")
