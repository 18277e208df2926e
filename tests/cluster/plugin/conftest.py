"""An account in the installed release, and its administrator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.faults.edge import account
from support.kubectl_plugin import User, administrator
from support.operator.cluster import Place
from wsedge_devcluster.cluster.cluster import Cluster


@pytest.fixture(scope="module")
def place(installed: Cluster) -> Iterator[Place]:
    with account(installed) as place:
        yield place


@pytest.fixture(scope="module")
def user(place: Place) -> User:
    return administrator(place)
