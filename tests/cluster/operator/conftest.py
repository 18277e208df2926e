"""A cluster for each module of these tests, which stop its API server and run operators beside each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.faults.apiserver import Front
from support.operator.cluster import Place
from support.operator.process import bare_cluster, operator_place
from wsedge_devcluster.cluster.cluster import Cluster


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    """Run a cluster without wsedge."""
    with bare_cluster() as cluster:
        yield cluster


@pytest.fixture
def place(own_cluster: Cluster) -> Iterator[Place]:
    """Provide a namespace in which an operator process may be started."""
    with operator_place(own_cluster) as place:
        yield place


@pytest.fixture
def front(own_cluster: Cluster) -> Iterator[Front]:
    """Provide a way to the API server that plays faults."""
    with Front(own_cluster.server, own_cluster.ca_file) as front:
        yield front
